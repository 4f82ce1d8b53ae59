//! The metadata of `deploy/salesforce` against the names, lengths and types that the code uses. The
//! simulated org is built from the same files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use salesforce_rest::FieldNames;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use simulators::salesforce::{EventField, EventKind};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Field {
    full_name: String,
    r#type: String,
    length: Option<usize>,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    external_id: bool,
    #[serde(default)]
    unique: bool,
    #[serde(default)]
    case_sensitive: bool,
    value_set: Option<ValueSet>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ValueSet {
    value_set_definition: Definition,
}

#[derive(Debug, Deserialize)]
struct Definition {
    value: Vec<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Value {
    full_name: String,
    #[serde(default)]
    grouping_string: String,
}

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy/salesforce/force-app/main/default")
        .join(path)
}

fn read<T: DeserializeOwned>(file: &Path) -> T {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    quick_xml::de::from_str(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"))
}

/// The fields of an object, by name.
fn fields(object: &str) -> BTreeMap<String, Field> {
    let folder = folder(&format!("objects/{object}/fields"));
    let files = fs::read_dir(folder).unwrap();
    files
        .map(|file| {
            let path = file.unwrap().path();
            let field: Field = read(&path);
            let name = path.file_name().unwrap().to_str().unwrap();
            assert_eq!(name, format!("{}.field-meta.xml", field.full_name));
            (field.full_name.clone(), field)
        })
        .collect()
}

fn values(field: &Field) -> Vec<&str> {
    let set = field.value_set.as_ref().unwrap();
    let values = set.value_set_definition.value.iter();
    values.map(|value| value.full_name.as_str()).collect()
}

#[test]
fn every_field_that_the_code_names_is_deployed_with_its_type_and_length() {
    let names = FieldNames::default();
    let order = &names.order;
    for (object, name, kind, length) in [
        ("Order", &order.activation_status, "Picklist", None),
        ("Order", &order.error_code, "Text", Some(80)),
        ("Order", &order.error_message, "LongTextArea", Some(4096)),
        ("Order", &order.completed_at, "DateTime", None),
        ("Order", &order.whmcs_order, "Text", Some(40)),
        ("Order", &order.idem_key, "Text", Some(80)),
        ("Order", &order.correlation_id, "Text", Some(80)),
        ("Order", &order.last_attempt_at, "DateTime", None),
        ("Order", &order.portal_key, "Text", Some(64)),
        (
            "OrderItem",
            &names.order_item.whmcs_service,
            "Text",
            Some(255),
        ),
        (
            "OrderItem",
            &names.order_item.billing_cycle,
            "Picklist",
            None,
        ),
        ("Product2", &names.product.whmcs_product, "Text", Some(20)),
        ("Product2", &names.product.billing_cycle, "Picklist", None),
        ("Account", &names.account.whmcs_client, "Text", Some(20)),
    ] {
        let deployed = fields(object);
        let field = deployed
            .get(name)
            .unwrap_or_else(|| panic!("{object}.{name}"));
        assert_eq!(
            (field.r#type.as_str(), field.length),
            (kind, length),
            "{object}.{name}"
        );
    }
    let all = fields("Order");
    let key = &all[&order.portal_key];
    assert!(key.external_id && key.unique && key.case_sensitive);
    assert_eq!(all["Activation_Attempt__c"].r#type, "Number");
    let status = &names.status;
    let wanted = [
        &status.activating,
        &status.activated,
        &status.activation_failed,
    ];
    assert_eq!(values(&all[&order.activation_status]), wanted);
    for object in ["OrderItem", "Product2"] {
        let cycles = &fields(object)["Billing_Cycle__c"];
        for cycle in domain::order::Cycle::ALL {
            assert!(values(cycles).contains(&cycle.name()), "{object}: {cycle}");
        }
        assert_eq!(values(cycles).len(), domain::order::Cycle::ALL.len());
    }
}

#[test]
fn every_status_that_the_code_writes_is_deployed_as_draft() {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Set {
        standard_value: Vec<Value>,
    }
    let set: Set = read(&folder(
        "standardValueSets/OrderStatus.standardValueSet-meta.xml",
    ));
    let status = FieldNames::default().status;
    for name in [
        status.pending_review,
        status.approved,
        status.provisioned,
        status.failed,
        status.cancelled,
    ] {
        let value = set
            .standard_value
            .iter()
            .find(|value| value.full_name == name);
        let value = value.unwrap_or_else(|| panic!("{name}"));
        assert_eq!(value.grouping_string, "Draft", "{name}");
    }
}

#[test]
fn event_has_the_fields_of_the_simulated_one_and_is_published_after_commit() {
    let event = "OrderProvisionRequested__e";
    let deployed = fields(event);
    let simulated = EventField::contract();
    assert_eq!(deployed.len(), simulated.len());
    for field in simulated {
        let kind = match field.kind {
            EventKind::Text => "Text",
            EventKind::Number => "Number",
            EventKind::Checkbox => "Checkbox",
        };
        assert_eq!(deployed[&field.name].r#type, kind, "{}", field.name);
    }
    assert!(deployed["OrderId__c"].required);
    assert_eq!(deployed["OrderId__c"].length, Some(18));
    for name in ["IdemKey__c", "CorrelationId__c", "RequestedBy__c"] {
        assert_eq!(
            (deployed[name].length, deployed[name].required),
            (Some(80), false)
        );
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Event {
        publish_behavior: String,
    }
    let file = folder(&format!("objects/{event}/{event}.object-meta.xml"));
    assert_eq!(read::<Event>(&file).publish_behavior, "PublishAfterCommit");
}

#[test]
fn integration_user_may_do_exactly_what_the_bridge_does() {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct PermissionSet {
        field_permissions: Vec<Permission>,
    }
    #[derive(Deserialize)]
    struct Permission {
        editable: bool,
        field: String,
        readable: bool,
    }
    let file = folder("permissionsets/Order_Provisioning_Integration.permissionset-meta.xml");
    let set: PermissionSet = read(&file);
    let mut given = BTreeMap::new();
    for permission in set.field_permissions {
        assert!(permission.readable, "{}", permission.field);
        given.insert(permission.field, permission.editable);
    }
    let names = FieldNames::default();
    let order = |name: &str| format!("Order.{name}");
    let written = [
        order(&names.order.activation_status),
        order(&names.order.error_code),
        order(&names.order.error_message),
        order(&names.order.completed_at),
        order(&names.order.whmcs_order),
        order(&names.order.portal_key),
        format!("OrderItem.{}", names.order_item.whmcs_service),
        // The portal creates lines with their cycle.
        format!("OrderItem.{}", names.order_item.billing_cycle),
        format!("Account.{}", names.account.whmcs_client),
    ];
    let editable: Vec<_> = given.iter().filter(|(_, editable)| **editable).collect();
    assert_eq!(editable.len(), written.len(), "{editable:?}");
    for name in written {
        assert_eq!(given.get(&name), Some(&true), "{name}");
    }
    for object in ["Order", "OrderItem", "Product2", "Account"] {
        for name in fields(object).keys() {
            assert!(
                given.contains_key(&format!("{object}.{name}")),
                "{object}.{name}"
            );
        }
    }
}
