//! The org's records, and transactions over them.
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    flow,
    history::{Author, Write},
    ids,
    options::SalesforceOptions,
    rules::{Refusal, accept},
    shape::{self, Object},
};
use crate::{clock::salesforce_datetime, pubsub::Fields};

/// One record: its object and its fields, `Id` among them.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) object: &'static Object,
    pub(crate) fields: Map<String, Value>,
}

impl Record {
    /// A field's value; a field never set is null.
    pub(crate) fn get(&self, field: &str) -> &Value {
        self.fields.get(field).unwrap_or(&Value::Null)
    }

    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.get(field).as_str()
    }

    pub(crate) fn id(&self) -> &str {
        self.text("Id").unwrap_or_default()
    }
}

/// All records.
#[derive(Debug, Default)]
pub(crate) struct Records {
    rows: BTreeMap<String, Record>,
    deleted: std::collections::BTreeSet<String>,
    minted: u64,
    numbers: u64,
    pub(crate) attempts: BTreeMap<String, u64>,
    history: BTreeMap<String, Vec<Write>>,
}

impl Records {
    pub(crate) fn get(&self, id: &str) -> Option<&Record> {
        self.rows.get(id)
    }

    pub(crate) fn is_deleted(&self, id: &str) -> bool {
        self.deleted.contains(id)
    }

    /// The records of one object, in the order they were made.
    pub(crate) fn of<'a>(&'a self, object: &'a Object) -> impl Iterator<Item = &'a Record> {
        self.rows
            .range(object.prefix.to_owned()..)
            .map(|(_, record)| record)
            .take_while(|record| record.id().starts_with(object.prefix))
    }

    pub(crate) fn history(&self, id: &str) -> Vec<Write> {
        self.history.get(id).cloned().unwrap_or_default()
    }

    /// Places a record that the platform owns, past all rules.
    pub(crate) fn plant(
        &mut self,
        object: &'static Object,
        id: String,
        fields: Map<String, Value>,
    ) {
        let mut fields = fields;
        fields.insert("Id".to_owned(), Value::from(id.clone()));
        self.rows.insert(id, Record { object, fields });
    }
}

/// A point inside a transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(usize, usize, usize);

/// A group of writes that become real together.
pub(crate) struct Transaction<'a> {
    pub(crate) records: &'a mut Records,
    options: &'a SalesforceOptions,
    now: Timestamp,
    author: Author,
    undo: Vec<(String, Option<Record>)>,
    writes: Vec<(String, Write)>,
    events: Vec<Fields>,
}

impl<'a> Transaction<'a> {
    pub(crate) fn begin(
        records: &'a mut Records,
        options: &'a SalesforceOptions,
        now: Timestamp,
        author: Author,
    ) -> Self {
        Self {
            records,
            options,
            now,
            author,
            undo: Vec::new(),
            writes: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Makes everything real; returns the events to publish now.
    pub(crate) fn commit(self) -> Vec<Fields> {
        for (id, write) in self.writes {
            self.records.history.entry(id).or_default().push(write);
        }
        self.events
    }

    /// A point to go back to.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.undo.len(), self.writes.len(), self.events.len())
    }

    /// Undoes everything since a mark.
    pub(crate) fn roll_back_to(&mut self, mark: Mark) {
        for (id, before) in self.undo.split_off(mark.0).into_iter().rev() {
            match before {
                Some(record) => {
                    self.records.deleted.remove(&id);
                    self.records.rows.insert(id, record)
                }
                None => self.records.rows.remove(&id),
            };
        }
        self.writes.truncate(mark.1);
        self.events.truncate(mark.2);
    }

    /// Whether the org has this field.
    pub(crate) fn has(&self, object: &Object, field: &str) -> bool {
        !self
            .options
            .without_fields
            .contains(&format!("{}.{field}", object.name))
    }

    /// Whether the org has this field of Order.
    pub(crate) fn has_order_field(&self, field: &str) -> bool {
        !self
            .options
            .without_fields
            .contains(&format!("Order.{field}"))
    }

    pub(crate) fn options(&self) -> &SalesforceOptions {
        self.options
    }

    pub(crate) fn now_text(&self) -> String {
        salesforce_datetime(self.now)
    }

    /// Values as they will be stored, or the first reason against them.
    fn checked(
        &self,
        object: &'static Object,
        given: &Map<String, Value>,
        creating: bool,
    ) -> Result<Map<String, Value>, Refusal> {
        let mut fields = Map::new();
        for (name, value) in given {
            if name == "attributes" || (!creating && name.eq_ignore_ascii_case("Id")) {
                continue;
            }
            let known = object
                .field(name)
                .filter(|field| self.has(object, field.name));
            let field = known.ok_or_else(|| {
                Refusal::bad(
                    "INVALID_FIELD",
                    format!("No such column '{name}' on sobject of type {}", object.name),
                )
            })?;
            if !(if creating {
                field.createable
            } else {
                field.updateable
            }) {
                return Err(Refusal::bad(
                    "INVALID_FIELD_FOR_INSERT_UPDATE",
                    format!(
                        "Unable to create/update fields: {}. Please check the security settings of this field and verify that it is read/write for your profile or permission set.",
                        field.name
                    ),
                )
                .on(field.name));
            }
            let stored = accept(field, value)?;
            if let (shape::Kind::Reference(target, _), Some(id)) = (field.kind, stored.as_str()) {
                let fits = self
                    .records
                    .get(id)
                    .is_some_and(|record| record.object.name == target);
                if !fits {
                    return Err(Refusal::bad(
                        "INVALID_CROSS_REFERENCE_KEY",
                        format!("invalid cross reference id: {}", field.name),
                    )
                    .on(field.name));
                }
            }
            fields.insert(field.name.to_owned(), stored);
        }
        Ok(fields)
    }

    fn check_unique(
        &self,
        object: &'static Object,
        fields: &Map<String, Value>,
        own: Option<&str>,
    ) -> Result<(), Refusal> {
        for field in object.fields.iter().filter(|field| field.external_id) {
            let Some(value) = fields.get(field.name).filter(|value| !value.is_null()) else {
                continue;
            };
            let twin = self
                .records
                .of(object)
                .find(|record| record.get(field.name) == value && Some(record.id()) != own);
            if let Some(twin) = twin {
                return Err(Refusal::bad(
                    "DUPLICATE_VALUE",
                    format!(
                        "duplicate value found: {} duplicates value on record with id: {}",
                        field.name,
                        &twin.id()[..15]
                    ),
                )
                .on(field.name));
            }
        }
        Ok(())
    }

    /// Creates a record and returns its id.
    pub(crate) fn insert(
        &mut self,
        object: &'static Object,
        given: &Map<String, Value>,
    ) -> Result<String, Refusal> {
        let mut fields = self.checked(object, given, true)?;
        let missing: Vec<&str> = object
            .fields
            .iter()
            .filter(|field| field.required && fields.get(field.name).is_none_or(Value::is_null))
            .map(|field| field.name)
            .collect();
        if let Some(first) = missing.first() {
            let mut refusal = Refusal::bad(
                "REQUIRED_FIELD_MISSING",
                format!("Required fields are missing: [{}]", missing.join(", ")),
            )
            .on(first);
            refusal.fields = missing.into_iter().map(str::to_owned).collect();
            return Err(refusal);
        }
        self.check_unique(object, &fields, None)?;
        self.records.minted += 1;
        let id = ids::mint(object.prefix, self.records.minted);
        let stamp = Value::from(self.now_text());
        for name in ["CreatedDate", "LastModifiedDate", "SystemModstamp"] {
            fields.insert(name.to_owned(), stamp.clone());
        }
        fields.insert("Id".to_owned(), Value::from(id.clone()));
        match object.name {
            "Order" => self.new_order(&mut fields)?,
            "OrderItem" => self.new_item(&mut fields)?,
            "Product2" | "PricebookEntry" | "Pricebook2" => {
                fields.entry("IsActive").or_insert(Value::from(true));
            }
            _ => {}
        }
        let parent = fields
            .get("OrderId")
            .and_then(Value::as_str)
            .map(str::to_owned);
        self.undo.push((id.clone(), None));
        self.note(&id, self.author, fields.clone());
        self.records
            .rows
            .insert(id.clone(), Record { object, fields });
        if let Some(order) = parent {
            self.roll_up(&order);
        }
        Ok(id)
    }

    fn new_order(&mut self, fields: &mut Map<String, Value>) -> Result<(), Refusal> {
        let status = fields
            .get("Status")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let category = self.category(status);
        if category != "Draft" {
            return Err(Refusal::bad(
                "FIELD_INTEGRITY_EXCEPTION",
                "Status: an order must be created with a status of the Draft category",
            )
            .on("Status"));
        }
        self.records.numbers += 1;
        let number = format!("{:08}", 100 + self.records.numbers);
        fields.insert("StatusCode".to_owned(), Value::from(category));
        fields.insert("OrderNumber".to_owned(), Value::from(number));
        fields.insert("TotalAmount".to_owned(), Value::from(0.0));
        Ok(())
    }

    fn new_item(&mut self, fields: &mut Map<String, Value>) -> Result<(), Refusal> {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let (order, entry) = (
            self.records.get(text("OrderId")).cloned(),
            self.records.get(text("PricebookEntryId")).cloned(),
        );
        let (Some(order), Some(entry)) = (order, entry) else {
            return Err(Refusal::bad(
                "INVALID_CROSS_REFERENCE_KEY",
                "invalid cross reference id",
            ));
        };
        if order.text("StatusCode") == Some("Activated") {
            return Err(Refusal::bad("ENTITY_IS_LOCKED", "the order is activated"));
        }
        if order.get("Pricebook2Id") != entry.get("Pricebook2Id") {
            return Err(Refusal::bad(
                "FIELD_INTEGRITY_EXCEPTION",
                "pricebook entry is in a different pricebook than the one assigned to the order",
            )
            .on("PricebookEntryId"));
        }
        let number = |name: &str| fields.get(name).and_then(Value::as_f64).unwrap_or(0.0);
        let total = number("Quantity") * number("UnitPrice");
        fields.insert("Product2Id".to_owned(), entry.get("Product2Id").clone());
        fields.insert("ListPrice".to_owned(), entry.get("UnitPrice").clone());
        fields.insert("TotalPrice".to_owned(), Value::from(total));
        self.records.numbers += 1;
        let number = format!("{:010}", self.records.numbers);
        fields.insert("OrderItemNumber".to_owned(), Value::from(number));
        Ok(())
    }

    fn roll_up(&mut self, order: &str) {
        let Some(items) = shape::object("OrderItem") else {
            return;
        };
        let total: f64 = self
            .records
            .of(items)
            .filter(|item| item.text("OrderId") == Some(order))
            .filter_map(|item| item.get("TotalPrice").as_f64())
            .sum();
        if let Some(record) = self.records.rows.get_mut(order) {
            self.undo.push((order.to_owned(), Some(record.clone())));
            record
                .fields
                .insert("TotalAmount".to_owned(), Value::from(total));
        }
    }

    fn category(&self, status: &str) -> &'static str {
        if status == "Provisioned" && self.options.provisioned_category == "Activated" {
            return "Activated";
        }
        shape::ORDER_STATUSES
            .iter()
            .find(|(name, _)| *name == status)
            .map_or("Draft", |(_, category)| category)
    }

    /// Changes a record; the Flow runs inside.
    pub(crate) fn update(&mut self, id: &str, given: &Map<String, Value>) -> Result<(), Refusal> {
        let Some(before) = self.records.get(id).cloned() else {
            return Err(if self.records.is_deleted(id) {
                Refusal::new(404, "ENTITY_IS_DELETED", "entity is deleted")
            } else {
                Refusal::not_found()
            });
        };
        let object = before.object;
        let changes = self.checked(object, given, false)?;
        self.check_unique(object, &changes, Some(id))?;
        let mut after = before.clone();
        after.fields.extend(changes.clone());
        match object.name {
            "Order" => self.check_order(&before, &mut after, &changes)?,
            "OrderItem" => self.check_item(&mut after)?,
            _ => {}
        }
        let stamp = Value::from(self.now_text());
        after
            .fields
            .insert("LastModifiedDate".to_owned(), stamp.clone());
        after.fields.insert("SystemModstamp".to_owned(), stamp);
        self.note(id, self.author, changes);
        if object.name == "Order"
            && let Some((set, event)) = flow::run(self, &before, &after)
        {
            after.fields.extend(set.clone());
            self.note(id, Author::Flow, set);
            self.events.push(event);
        }
        let parent = after.text("OrderId").map(str::to_owned);
        self.undo.push((id.to_owned(), Some(before)));
        self.records.rows.insert(id.to_owned(), after);
        if let Some(order) = parent {
            self.roll_up(&order);
        }
        Ok(())
    }

    fn check_order(
        &self,
        before: &Record,
        after: &mut Record,
        changes: &Map<String, Value>,
    ) -> Result<(), Refusal> {
        let category = self.category(after.text("Status").unwrap_or_default());
        if category == "Activated" && before.text("StatusCode") != Some("Activated") {
            let items = shape::object("OrderItem").map_or(0, |items| {
                self.records
                    .of(items)
                    .filter(|item| item.text("OrderId") == Some(before.id()))
                    .count()
            });
            if items == 0 {
                return Err(Refusal::bad(
                    "FAILED_ACTIVATION",
                    "An order must have at least one product.",
                )
                .on("Status"));
            }
            if changes.len() > 1 {
                return Err(Refusal::bad(
                    "FAILED_ACTIVATION",
                    "Status is the only field that can be changed while an order is activated.",
                )
                .on("Status"));
            }
        }
        after
            .fields
            .insert("StatusCode".to_owned(), Value::from(category));
        let result = matches!(
            after.text("Activation_Status__c"),
            Some("Activated" | "Failed")
        );
        if self.options.guard_rule
            && self.author == Author::Api
            && result
            && before.get("Activation_Status__c") != after.get("Activation_Status__c")
            && before.text("Activation_Status__c") != Some("Activating")
        {
            return Err(Refusal::bad(
                "FIELD_CUSTOM_VALIDATION_EXCEPTION",
                "The order is no longer being activated.",
            )
            .on("Activation_Status__c"));
        }
        Ok(())
    }

    fn check_item(&self, after: &mut Record) -> Result<(), Refusal> {
        let order = after.text("OrderId").and_then(|id| self.records.get(id));
        if order.is_some_and(|order| order.text("StatusCode") == Some("Activated")) {
            return Err(Refusal::bad("ENTITY_IS_LOCKED", "the order is activated"));
        }
        let number = |name: &str| after.get(name).as_f64().unwrap_or(0.0);
        let total = number("Quantity") * number("UnitPrice");
        after
            .fields
            .insert("TotalPrice".to_owned(), Value::from(total));
        Ok(())
    }

    /// Deletes a record, and an order's items with it.
    pub(crate) fn delete(&mut self, id: &str) -> Result<(), Refusal> {
        let Some(record) = self.records.rows.remove(id) else {
            return Err(Refusal::not_found());
        };
        let is_order = record.object.name == "Order";
        self.undo.push((id.to_owned(), Some(record)));
        self.records.deleted.insert(id.to_owned());
        if is_order {
            let items: Vec<String> = self
                .records
                .rows
                .values()
                .filter(|row| row.text("OrderId") == Some(id))
                .map(|row| row.id().to_owned())
                .collect();
            for item in items {
                self.delete(&item)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, id: &str, author: Author, fields: Map<String, Value>) {
        let write = Write {
            at: Timestamp::now(),
            instant: std::time::Instant::now(),
            author,
            fields,
        };
        self.writes.push((id.to_owned(), write));
    }
}
