//! The schema of the org: which fields it has.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError, RwLock};

use serde::Deserialize;

use crate::client::{Call, Client};
use crate::error::{ApiFailure, ConfigurationError, DescribeError, Failure, MissingField};
use crate::fields::FieldNames;

pub(crate) const ORDER: &str = "Order";
pub(crate) const ITEM: &str = "OrderItem";
pub(crate) const PRODUCT: &str = "Product2";
pub(crate) const ACCOUNT: &str = "Account";

/// Only present in orgs with state and country picklists.
pub(crate) const COUNTRY_CODE: &str = "BillingCountryCode";

/// Only present in orgs with multiple currencies.
pub(crate) const CURRENCY: &str = "CurrencyIsoCode";

/// The fields of the org, as described by the org. An object that could not be described is assumed
/// to have every field.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    objects: RwLock<Objects>,
    optional: Vec<(&'static str, String)>,
    /// Optional fields that turned out to be missing later.
    dropped: Mutex<HashSet<(&'static str, String)>>,
}

/// The described fields of each object, by name in lower case.
pub(crate) type Objects = HashMap<&'static str, HashMap<String, Field>>;

#[derive(Debug, Deserialize)]
struct Described {
    fields: Vec<Field>,
}

/// A field, as the org describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Field {
    pub(crate) name: String,
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) length: usize,
    #[serde(default = "yes")]
    pub(crate) updateable: bool,
    #[serde(default)]
    pub(crate) external_id: bool,
    #[serde(default)]
    pub(crate) unique: bool,
    #[serde(default)]
    pub(crate) restricted_picklist: bool,
    #[serde(default)]
    picklist_values: Vec<PicklistValue>,
}

#[derive(Clone, Debug, Deserialize)]
struct PicklistValue {
    value: String,
    #[serde(default = "yes")]
    active: bool,
}

impl Field {
    /// The active values of a picklist.
    pub(crate) fn values(&self) -> Vec<&str> {
        let active = self.picklist_values.iter().filter(|one| one.active);
        active.map(|one| one.value.as_str()).collect()
    }
}

const fn yes() -> bool {
    true
}

impl Shape {
    /// Reads the org's description.
    pub(crate) async fn load(client: &Client, names: &FieldNames) -> Result<Self, DescribeError> {
        Self::of(describe(client).await?, names)
    }

    /// Takes the org's description.
    pub(crate) fn of(objects: Objects, names: &FieldNames) -> Result<Self, DescribeError> {
        let shape = Self {
            objects: RwLock::new(objects),
            optional: optional(names),
            ..Self::default()
        };
        shape.verify(names)?;
        Ok(shape)
    }

    /// Replaces what was described before, for an org whose fields changed since.
    pub(crate) fn replace(&self, objects: Objects) {
        *self.objects.write().unwrap_or_else(PoisonError::into_inner) = objects;
        self.dropped().clear();
    }

    fn verify(&self, names: &FieldNames) -> Result<(), ConfigurationError> {
        let order = &names.order;
        let required = [
            (ORDER, &order.status, true),
            (ORDER, &order.activation_status, true),
            (ORDER, &order.error_code, true),
            (ORDER, &order.error_message, true),
            (ORDER, &order.whmcs_order, true),
            (PRODUCT, &names.product.whmcs_product, false),
            (ACCOUNT, &names.account.whmcs_client, false),
        ];
        let missing: Vec<_> = required
            .into_iter()
            .filter_map(|(object, field, written)| {
                let what = if !self.has(object, field) {
                    "is missing or hidden"
                } else if written && !self.can_write(object, field) {
                    "is read-only"
                } else {
                    return None;
                };
                Some(MissingField {
                    object,
                    field: field.clone(),
                    what,
                })
            })
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(ConfigurationError { missing })
        }
    }

    /// Whether the field can be read.
    pub(crate) fn has(&self, object: &'static str, field: &str) -> bool {
        let name = field.to_ascii_lowercase();
        let described = self
            .objects
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(object)
            .is_none_or(|fields| fields.contains_key(&name));
        described && !self.dropped().contains(&(object, name))
    }

    /// Whether the field can be written.
    pub(crate) fn can_write(&self, object: &'static str, field: &str) -> bool {
        self.has(object, field)
            && self
                .field(object, field)
                .is_none_or(|known| known.updateable)
    }

    /// Maximum length of the field, in characters.
    pub(crate) fn length(&self, object: &'static str, field: &str, default: usize) -> usize {
        self.field(object, field)
            .map(|known| known.length)
            .filter(|length| *length > 0)
            .unwrap_or(default)
    }

    fn field(&self, object: &str, field: &str) -> Option<Field> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects
            .get(object)?
            .get(&field.to_ascii_lowercase())
            .cloned()
    }

    fn dropped(&self) -> std::sync::MutexGuard<'_, HashSet<(&'static str, String)>> {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the optional fields that the failure is about; returns whether there were any.
    pub(crate) fn drop_fields_of(&self, failure: &Failure) -> bool {
        failure
            .api()
            .is_some_and(|failure| self.drop_named_fields(failure))
    }

    pub(crate) fn drop_named_fields(&self, failure: &ApiFailure) -> bool {
        let mut dropped = false;
        let unknown = failure.errors.iter().filter(|error| {
            matches!(
                error.code.as_str(),
                "INVALID_FIELD" | "INVALID_FIELD_FOR_INSERT_UPDATE"
            )
        });
        for error in unknown {
            let words: HashSet<String> = error
                .message
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .chain(error.fields.iter().map(String::as_str))
                .map(str::to_ascii_lowercase)
                .collect();
            let named: Vec<_> = self
                .optional
                .iter()
                .filter(|(_, field)| words.contains(&field.to_ascii_lowercase()))
                .collect();
            // Two objects may have a field of this name; the message usually names the object.
            let on_it = |object: &str| words.contains(&object.to_ascii_lowercase());
            let names_object = named.iter().any(|(object, _)| on_it(object));
            for (object, field) in named {
                if (!names_object || on_it(object))
                    && self.dropped().insert((object, field.to_ascii_lowercase()))
                {
                    tracing::warn!(
                        object,
                        field,
                        "field missing in the org; omitted from now on"
                    );
                    dropped = true;
                }
            }
        }
        dropped
    }
}

/// Reads the description of every object; one that may not be described is left out.
pub(crate) async fn describe(client: &Client) -> Result<Objects, DescribeError> {
    let mut objects = Objects::new();
    for object in [ORDER, ITEM, PRODUCT, ACCOUNT] {
        let call = Call::get("describe", format!("sobjects/{object}/describe"));
        match client.send(&call).await.and_then(|answer| answer.read()) {
            Ok(Described { fields }) => {
                let fields = fields
                    .into_iter()
                    .map(|field| (field.name.to_ascii_lowercase(), field));
                objects.insert(object, fields.collect());
            }
            Err(Failure::Api(failure)) if is_not_describable(&failure) => {
                tracing::warn!(object, %failure, "object not described; assuming that every field exists");
            }
            Err(failure) => return Err(DescribeError::Call(failure.into())),
        }
    }
    Ok(objects)
}

fn optional(names: &FieldNames) -> Vec<(&'static str, String)> {
    vec![
        (ORDER, names.order.completed_at.clone()),
        (ORDER, names.order.idem_key.clone()),
        (ORDER, names.order.correlation_id.clone()),
        (ORDER, names.order.last_attempt_at.clone()),
        (ORDER, COUNTRY_CODE.to_owned()),
        (ORDER, CURRENCY.to_owned()),
        (ITEM, names.order_item.whmcs_service.clone()),
        (ITEM, names.order_item.billing_cycle.clone()),
        (PRODUCT, names.product.billing_cycle.clone()),
    ]
}

/// The user may not describe the object, which says nothing about its fields.
fn is_not_describable(failure: &ApiFailure) -> bool {
    matches!(failure.status, 403 | 404)
        && !failure.errors.is_empty()
        && !failure.has("REQUEST_LIMIT_EXCEEDED")
        && !failure.has("API_DISABLED_FOR_ORG")
        && !failure.has("API_CURRENTLY_DISABLED")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ApiError;

    fn failure(message: &str) -> ApiFailure {
        ApiFailure {
            status: 400,
            errors: vec![ApiError {
                code: "INVALID_FIELD".to_owned(),
                message: message.to_owned(),
                fields: Vec::new(),
            }],
        }
    }

    fn shape() -> Shape {
        Shape {
            optional: optional(&FieldNames::default()),
            ..Shape::default()
        }
    }

    #[test]
    fn missing_optional_field_is_dropped() {
        let shape = shape();
        let message = "No such column 'Activation_IdemKey__c' on entity 'Order'. If you are";
        assert!(shape.has(ORDER, "Activation_IdemKey__c"));
        assert!(shape.drop_named_fields(&failure(message)));
        assert!(!shape.has(ORDER, "activation_idemkey__c"));
        // Named again, there is nothing left to drop.
        assert!(!shape.drop_named_fields(&failure(message)));
        assert!(!shape.drop_named_fields(&failure(
            "No such column 'WHMCS_Order_ID__c' on entity 'Order'"
        )));
    }

    #[test]
    fn shared_field_name_is_dropped_on_the_right_object() {
        let shape = shape();
        assert!(shape.drop_named_fields(&failure(
            "No such column 'Billing_Cycle__c' on entity 'Product2'"
        )));
        assert!(!shape.has(PRODUCT, "Billing_Cycle__c"));
        assert!(shape.has(ITEM, "Billing_Cycle__c"));
    }

    #[test]
    fn missing_required_fields_are_reported_with_fix() {
        let shape = shape();
        let field = |name: &str, updateable: bool| -> Field {
            serde_json::from_value(serde_json::json!({"name": name, "updateable": updateable}))
                .unwrap()
        };
        let fields = [
            field("Status", true),
            field("Activation_Status__c", false),
            field("Activation_Error_Message__c", true),
            field("WHMCS_Order_ID__c", true),
        ];
        let fields = fields.map(|field| (field.name.to_ascii_lowercase(), field));
        shape.replace(Objects::from([(ORDER, HashMap::from(fields))]));
        let text = shape
            .verify(&FieldNames::default())
            .unwrap_err()
            .to_string();
        for words in [
            "Order.Activation_Error_Code__c is missing",
            "Order.Activation_Status__c is read-only",
            "ORDERBRIDGE_CONFIG",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains("WHMCS_Order_ID__c"), "{text}");
    }
}
