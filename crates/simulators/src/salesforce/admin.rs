//! Record access without HTTP, as operators and administrators have it.
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    SalesforceSim,
    history::{Author, Write},
    ids,
    rules::Refusal,
    shape,
};
use crate::lock;

/// One line of a new order.
#[derive(Debug, Clone)]
pub struct Line {
    /// Pricebook entry of the product.
    pub pricebook_entry: String,
    /// Quantity.
    pub quantity: f64,
    /// Price; `None` uses the entry's.
    pub unit_price: Option<f64>,
    /// Billing cycle of the item, overriding the product's.
    pub billing_cycle: Option<String>,
}

impl Line {
    /// A line at the list price.
    pub fn new(pricebook_entry: &str, quantity: u32) -> Self {
        Self {
            pricebook_entry: pricebook_entry.to_owned(),
            quantity: f64::from(quantity),
            unit_price: None,
            billing_cycle: None,
        }
    }
}

/// A new order with status `Pending Review`.
#[derive(Debug, Clone, Default)]
pub struct NewOrder {
    /// The account.
    pub account: String,
    /// Its lines.
    pub lines: Vec<Line>,
    /// Additional fields of the Order.
    pub fields: Map<String, Value>,
}

impl SalesforceSim {
    /// Creates a record under the org's rules and returns its id.
    pub fn create(&self, object: &str, fields: Value) -> Result<String, Refusal> {
        let object = shape::object(object)
            .ok_or_else(|| Refusal::bad("INVALID_TYPE", format!("no object {object}")))?;
        let fields = fields.as_object().cloned().unwrap_or_default();
        self.org
            .write(Author::Operator, |tx| tx.insert(object, &fields))
    }

    /// Updates a record under the org's rules and runs the Flow.
    pub fn update(&self, id: &str, fields: Value) -> Result<(), Refusal> {
        let id = ids::canonical(id).ok_or_else(Refusal::not_found)?;
        let fields = fields.as_object().cloned().unwrap_or_default();
        self.org
            .write(Author::Operator, |tx| tx.update(&id, &fields))
    }

    /// Updates one field.
    pub fn set_field(&self, id: &str, field: &str, value: impl Into<Value>) -> Result<(), Refusal> {
        self.update(id, json!({field: value.into()}))
    }

    /// Deletes a record.
    pub fn delete(&self, id: &str) -> Result<(), Refusal> {
        let id = ids::canonical(id).ok_or_else(Refusal::not_found)?;
        self.org.write(Author::Operator, |tx| tx.delete(&id))
    }

    /// All fields of a record that were ever set.
    pub fn record(&self, id: &str) -> Option<Value> {
        let id = ids::canonical(id)?;
        let records = lock(&self.org.records);
        records
            .get(&id)
            .map(|row| Value::Object(row.fields.clone()))
    }

    /// Whether the org has an object of this name.
    pub fn has_object(&self, object: &str) -> bool {
        shape::object(object).is_some()
    }

    /// All records of an object.
    pub fn records(&self, object: &str) -> Vec<Value> {
        let Some(object) = shape::object(object) else {
            return Vec::new();
        };
        let records = lock(&self.org.records);
        let rows = records.of(object);
        rows.map(|row| Value::Object(row.fields.clone())).collect()
    }

    /// Creates an account; `whmcs_client` is its `WHMCS_Client_ID__c`.
    pub fn create_account(
        &self,
        name: &str,
        whmcs_client: Option<&str>,
    ) -> Result<String, Refusal> {
        self.create(
            "Account",
            json!({"Name": name, "WHMCS_Client_ID__c": whmcs_client}),
        )
    }

    /// The standard price book, created on first use.
    pub fn pricebook(&self) -> Result<String, Refusal> {
        let known = self.records("Pricebook2").into_iter().next();
        match known.and_then(|book| book["Id"].as_str().map(str::to_owned)) {
            Some(id) => Ok(id),
            None => self.create(
                "Pricebook2",
                json!({"Name": "Standard", "IsStandard": true}),
            ),
        }
    }

    /// Creates a product with its entry in the standard price book; returns both ids.
    pub fn create_product(
        &self,
        name: &str,
        whmcs_product: Option<&str>,
        billing_cycle: Option<&str>,
        unit_price: f64,
    ) -> Result<(String, String), Refusal> {
        let product = self.create(
            "Product2",
            json!({
                "Name": name, "ProductCode": name, "IsActive": true,
                "WHMCS_Product_Id__c": whmcs_product, "Billing_Cycle__c": billing_cycle,
            }),
        )?;
        let entry = self.create(
            "PricebookEntry",
            json!({
                "Pricebook2Id": self.pricebook()?, "Product2Id": product,
                "UnitPrice": unit_price, "IsActive": true,
            }),
        )?;
        Ok((product, entry))
    }

    /// Places an order with its items, as the portal does.
    pub fn place_order(&self, order: NewOrder) -> Result<String, Refusal> {
        let pricebook = self.pricebook()?;
        let today = self.org.clock.now().to_string();
        let mut fields = order.fields;
        for (field, value) in [
            ("AccountId", Value::from(order.account)),
            ("EffectiveDate", Value::from(&today[..10])),
            ("Status", Value::from("Pending Review")),
            ("Pricebook2Id", Value::from(pricebook)),
        ] {
            fields.entry(field).or_insert(value);
        }
        let prices: BTreeMap<String, Value> = self
            .records("PricebookEntry")
            .into_iter()
            .filter_map(|row| Some((row["Id"].as_str()?.to_owned(), row["UnitPrice"].clone())))
            .collect();
        let (orders, items) = (shape::object("Order"), shape::object("OrderItem"));
        let (Some(orders), Some(items)) = (orders, items) else {
            return Err(Refusal::not_found());
        };
        self.org.write(Author::Operator, |tx| {
            let id = tx.insert(orders, &fields)?;
            for line in &order.lines {
                let list = prices.get(&line.pricebook_entry).cloned();
                let price = line.unit_price.map(Value::from).or(list);
                let mut item = Map::new();
                item.insert("OrderId".to_owned(), Value::from(id.clone()));
                item.insert(
                    "PricebookEntryId".to_owned(),
                    Value::from(line.pricebook_entry.clone()),
                );
                item.insert("Quantity".to_owned(), Value::from(line.quantity));
                item.insert("UnitPrice".to_owned(), price.unwrap_or_default());
                if let Some(cycle) = &line.billing_cycle {
                    item.insert("Billing_Cycle__c".to_owned(), Value::from(cycle.clone()));
                }
                tx.insert(items, &item)?;
            }
            Ok(id)
        })
    }

    /// Approves an order; the Flow publishes an event.
    pub fn approve(&self, order: &str) -> Result<(), Refusal> {
        self.set_field(order, "Status", "Approved")
    }

    /// Retries an order: `Activation_Status__c` back to `Activating`; the Flow publishes an
    /// event.
    pub fn retry(&self, order: &str) -> Result<(), Refusal> {
        self.set_field(order, "Activation_Status__c", "Activating")
    }

    /// Cancels an order in Salesforce.
    pub fn cancel(&self, order: &str) -> Result<(), Refusal> {
        self.set_field(order, "Status", "Cancelled")
    }

    /// An order with all its fields and, under `OrderItems`, its items.
    pub fn order(&self, id: &str) -> Option<Value> {
        let mut order = self.record(id)?;
        let id = order["Id"].as_str().unwrap_or_default().to_owned();
        let own: Vec<Value> = {
            let records = lock(&self.org.records);
            let items = records.items_of(&id);
            items
                .map(|item| Value::Object(item.fields.clone()))
                .collect()
        };
        order["OrderItems"] = Value::Array(own);
        Some(order)
    }

    /// All orders, without items.
    pub fn orders(&self) -> Vec<Value> {
        self.records("Order")
    }

    /// The writes to a record, oldest first.
    pub fn history(&self, id: &str) -> Vec<Write> {
        ids::canonical(id).map_or_else(Vec::new, |id| lock(&self.org.records).history(&id))
    }

    /// The writes of API users to a record.
    pub fn api_writes(&self, id: &str) -> Vec<Write> {
        let mut writes = self.history(id);
        writes.retain(|write| write.author == Author::Api);
        writes
    }

    /// Times from each approval or retry of an order to its result.
    pub fn time_to_result(&self, order: &str) -> Vec<std::time::Duration> {
        let mut started = None;
        let mut found = Vec::new();
        for write in self.history(order) {
            match (write.author, write.text("Activation_Status__c")) {
                (Author::Flow, Some("Activating")) => started = Some(write.instant),
                (Author::Api, Some("Activated" | "Failed")) => {
                    if let Some(start) = started.take() {
                        found.push(write.instant - start);
                    }
                }
                _ => {}
            }
        }
        found
    }
}
