//! Transactions under the org's rules.
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    flow,
    history::{Author, Write},
    ids,
    options::SalesforceOptions,
    records::{Record, Records},
    rules::{Refusal, accept},
    shape::{self, Object},
};
use crate::{clock::salesforce_datetime, pubsub::Fields};

/// A savepoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(usize, usize, usize);

/// A group of writes that are committed together.
pub(crate) struct Transaction<'a> {
    pub(crate) records: &'a mut Records,
    pub(super) options: &'a SalesforceOptions,
    now: Timestamp,
    pub(super) author: Author,
    pub(super) undo: Vec<(String, Option<Record>)>,
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

    /// Commits and returns the events to publish.
    pub(crate) fn commit(self) -> Vec<Fields> {
        for (id, write) in self.writes {
            self.records.history.entry(id).or_default().push(write);
        }
        self.events
    }

    /// Creates a savepoint.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.undo.len(), self.writes.len(), self.events.len())
    }

    /// Rolls back to a savepoint.
    pub(crate) fn roll_back_to(&mut self, mark: Mark) {
        for (id, before) in self.undo.split_off(mark.0).into_iter().rev() {
            match before {
                Some(record) => {
                    self.records.deleted.remove(&id);
                    self.records.put(id, record);
                }
                None => {
                    self.records.remove(&id);
                }
            }
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

    /// The values as stored, or the first validation error.
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
            let duplicate = self
                .records
                .having(object, field.name, value)
                .find(|record| Some(record.id()) != own);
            if let Some(duplicate) = duplicate {
                return Err(Refusal::bad(
                    "DUPLICATE_VALUE",
                    format!(
                        "duplicate value found: {} duplicates value on record with id: {}",
                        field.name,
                        &duplicate.id()[..15]
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
        fields.insert("IsDeleted".to_owned(), Value::from(false));
        for name in ["CreatedById", "LastModifiedById"] {
            fields.insert(name.to_owned(), ids::integration_user().into());
        }
        if object.field("OwnerId").is_some() && fields.get("OwnerId").is_none_or(Value::is_null) {
            fields.insert("OwnerId".to_owned(), ids::integration_user().into());
        }
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
        self.records.put(id.clone(), Record { object, fields });
        if let Some(order) = parent {
            self.roll_up(&order);
        }
        Ok(id)
    }

    /// Updates a record and runs the Flow.
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
        let user = ids::integration_user().into();
        after.fields.insert("LastModifiedById".to_owned(), user);
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
        self.records.put(id.to_owned(), after);
        if let Some(order) = parent {
            self.roll_up(&order);
        }
        Ok(())
    }

    /// Deletes a record, and the items of an order.
    pub(crate) fn delete(&mut self, id: &str) -> Result<(), Refusal> {
        let Some(record) = self.records.get(id) else {
            return Err(Refusal::not_found());
        };
        self.check_delete(record)?;
        let Some(record) = self.records.remove(id) else {
            return Err(Refusal::not_found());
        };
        let is_order = record.object.name == "Order";
        let mut gone = record.clone();
        gone.fields.insert("IsDeleted".to_owned(), true.into());
        self.undo.push((id.to_owned(), Some(record)));
        self.records.deleted.insert(id.to_owned(), gone);
        if is_order {
            let items = self.records.items_of(id);
            let items: Vec<String> = items.map(|item| item.id().to_owned()).collect();
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
