//! Platform rules for orders and their items.
use serde_json::{Map, Value};

use super::{history::Author, records::Record, rules::Refusal, shape, transaction::Transaction};

impl Transaction<'_> {
    pub(super) fn new_order(&mut self, fields: &mut Map<String, Value>) -> Result<(), Refusal> {
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

    pub(super) fn new_item(&mut self, fields: &mut Map<String, Value>) -> Result<(), Refusal> {
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

    pub(super) fn roll_up(&mut self, order: &str) {
        let items = self.records.items_of(order);
        let total: f64 = items
            .filter_map(|item| item.get("TotalPrice").as_f64())
            .sum();
        if let Some(mut record) = self.records.get(order).cloned() {
            self.undo.push((order.to_owned(), Some(record.clone())));
            let total = Value::from(total);
            record.fields.insert("TotalAmount".to_owned(), total);
            self.records.put(order.to_owned(), record);
        }
    }

    pub(super) fn category(&self, status: &str) -> &'static str {
        if status == "Provisioned" && self.options.provisioned_category == "Activated" {
            return "Activated";
        }
        shape::ORDER_STATUSES
            .iter()
            .find(|(name, _)| *name == status)
            .map_or("Draft", |(_, category)| category)
    }

    pub(super) fn check_order(
        &self,
        before: &Record,
        after: &mut Record,
        changes: &Map<String, Value>,
    ) -> Result<(), Refusal> {
        let category = self.category(after.text("Status").unwrap_or_default());
        if before.text("StatusCode") == Some("Activated") && changes.contains_key("AccountId") {
            return Err(Refusal::bad(
                "FIELD_INTEGRITY_EXCEPTION",
                "The account of an activated order cannot be changed.",
            )
            .on("AccountId"));
        }
        if category == "Activated" && before.text("StatusCode") != Some("Activated") {
            if self.records.items_of(before.id()).next().is_none() {
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

    /// Activated orders keep their items and cannot be deleted.
    pub(super) fn check_delete(&self, record: &Record) -> Result<(), Refusal> {
        let (order, code) = match record.object.name {
            "Order" => (Some(record), "DELETE_FAILED"),
            "OrderItem" => {
                let order = record.text("OrderId").and_then(|id| self.records.get(id));
                (order, "ENTITY_IS_LOCKED")
            }
            _ => (None, ""),
        };
        if order.is_some_and(|order| order.text("StatusCode") == Some("Activated")) {
            return Err(Refusal::bad(code, "the order is activated"));
        }
        Ok(())
    }

    pub(super) fn check_item(&self, after: &mut Record) -> Result<(), Refusal> {
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
}
