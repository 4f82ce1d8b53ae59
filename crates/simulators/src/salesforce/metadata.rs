//! What `deploy/salesforce` deploys: custom fields and order statuses, read from its files.
use std::sync::LazyLock;

use serde::Deserialize;

use super::shape::{Field, Kind};

// `FIELDS`: object and file of every custom field. `ORDER_STATUS`: the value set of `Order.Status`.
include!(concat!(env!("OUT_DIR"), "/metadata.rs"));

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CustomField {
    full_name: String,
    r#type: String,
    length: Option<usize>,
    precision: Option<u32>,
    scale: Option<u32>,
    #[serde(default)]
    external_id: bool,
    formula: Option<String>,
    value_set: Option<ValueSet>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ValueSet {
    value_set_definition: Definition,
}

#[derive(Deserialize)]
struct Definition {
    value: Vec<Named>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    full_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StandardValueSet {
    standard_value: Vec<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    full_name: String,
    grouping_string: String,
}

fn read<'a, T: Deserialize<'a>>(file: &'a str) -> T {
    quick_xml::de::from_str(file).expect("the metadata is checked by the tests")
}

fn leaked(text: String) -> &'static str {
    text.leak()
}

/// The custom fields of an object.
pub(super) fn fields_of(object: &str) -> Vec<Field> {
    let files = FIELDS.iter().filter(|(owner, _)| *owner == object);
    files.map(|(_, file)| field(read(file))).collect()
}

fn field(file: CustomField) -> Field {
    let length = file.length.unwrap_or_default();
    let scale = file.scale.unwrap_or_default();
    let kind = match file.r#type.as_str() {
        "Text" => Kind::Text(length),
        "LongTextArea" => Kind::LongText(length),
        "Number" => Kind::Number(file.precision.unwrap_or_default() - scale, scale),
        "DateTime" => Kind::DateTime,
        "Checkbox" => Kind::Checkbox,
        "Picklist" => {
            let values = file
                .value_set
                .into_iter()
                .flat_map(|set| set.value_set_definition.value);
            let values: Vec<_> = values.map(|value| leaked(value.full_name)).collect();
            Kind::Picklist(values.leak())
        }
        other => unreachable!("the simulator has no fields of the type {other}"),
    };
    let writable = file.formula.is_none();
    Field {
        name: leaked(file.full_name),
        kind,
        required: false,
        external_id: file.external_id,
        createable: writable,
        updateable: writable,
    }
}

/// Values of `Order.Status` with their default category.
pub(crate) static ORDER_STATUSES: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    let set: StandardValueSet = read(ORDER_STATUS);
    let status = |status: Status| (leaked(status.full_name), leaked(status.grouping_string));
    set.standard_value.into_iter().map(status).collect()
});
