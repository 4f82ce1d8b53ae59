//! Objects and fields of the simulated org.
use serde_json::{Value, json};

pub(crate) use super::metadata::ORDER_STATUSES;
use super::tables;

/// Type of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Id,
    /// Foreign key: target object and the name of the relationship.
    Reference(&'static str, &'static str),
    Text(usize),
    LongText(usize),
    /// Digits before and after the point.
    Number(u32, u32),
    Date,
    DateTime,
    /// Restricted to these values.
    Picklist(&'static [&'static str]),
    Checkbox,
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    pub(crate) external_id: bool,
    pub(crate) createable: bool,
    pub(crate) updateable: bool,
}

/// An object and the children that subqueries can select.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) name: &'static str,
    pub(crate) prefix: &'static str,
    pub(crate) fields: &'static [Field],
    /// Relationship name, child object, child's foreign key.
    pub(crate) children: &'static [(&'static str, &'static str, &'static str)],
}

/// All objects.
pub(crate) fn objects() -> &'static [Object] {
    &tables::OBJECTS
}

/// An object by name, ignoring case.
pub(crate) fn object(name: &str) -> Option<&'static Object> {
    tables::OBJECTS
        .iter()
        .find(|object| object.name.eq_ignore_ascii_case(name))
}

impl Object {
    /// A field by name, ignoring case.
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        let fields: &'static [Field] = self.fields;
        fields
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// The field behind a parent relationship, and the parent object.
    pub(crate) fn parent(&self, relationship: &str) -> Option<(&'static Field, &'static Object)> {
        let fields: &'static [Field] = self.fields;
        fields.iter().find_map(|field| match field.kind {
            Kind::Reference(target, name) if name.eq_ignore_ascii_case(relationship) => {
                object(target).map(|target| (field, target))
            }
            _ => None,
        })
    }

    /// The `describe` result, without fields missing in this org.
    pub(crate) fn describe(&self, has: impl Fn(&str, &str) -> bool) -> Value {
        let fields: Vec<Value> = self
            .fields
            .iter()
            .filter(|field| has(self.name, field.name))
            .map(describe_field)
            .collect();
        let children: Vec<Value> = self
            .children
            .iter()
            .map(|(name, child, key)| {
                json!({"relationshipName": name, "childSObject": child, "field": key})
            })
            .collect();
        json!({"fields": fields, "childRelationships": children, "recordTypeInfos": []})
    }
}

fn describe_field(field: &Field) -> Value {
    let custom = field.name.ends_with("__c");
    let mut length = 0;
    let (mut precision, mut scale) = (0, 0);
    let (mut targets, mut relationship, mut picklist) = (vec![], Value::Null, vec![]);
    let kind = match field.kind {
        Kind::Id => {
            length = 18;
            "id"
        }
        Kind::Reference(target, name) => {
            length = 18;
            targets.push(target);
            relationship = Value::from(name);
            "reference"
        }
        Kind::Text(limit) => {
            length = limit;
            "string"
        }
        Kind::LongText(limit) => {
            length = limit;
            "textarea"
        }
        Kind::Number(digits, places) => {
            (precision, scale) = (digits + places, places);
            "double"
        }
        Kind::Date => "date",
        Kind::DateTime => "datetime",
        Kind::Picklist(values) => {
            length = 255;
            picklist = values
                .iter()
                .map(|value| json!({"value": value, "label": value, "active": true, "defaultValue": false}))
                .collect();
            "picklist"
        }
        Kind::Checkbox => "boolean",
    };
    json!({
        "name": field.name, "label": field.name, "type": kind, "length": length,
        "precision": precision, "scale": scale, "custom": custom,
        "nillable": !field.required, "createable": field.createable, "updateable": field.updateable,
        "externalId": field.external_id, "unique": field.external_id,
        "idLookup": field.external_id, "caseSensitive": field.external_id,
        "restrictedPicklist": !picklist.is_empty(), "picklistValues": picklist,
        "referenceTo": targets, "relationshipName": relationship,
        "filterable": !matches!(field.kind, Kind::LongText(_)),
    })
}
