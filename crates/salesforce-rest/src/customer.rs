//! Orders of customers: placed, seen, asked for again.

use std::collections::HashMap;

use domain::decimal::Decimal;
use domain::failure::{Code, Refusal};
use domain::id::{AccountId, OrderId, PricebookEntryId, PricebookId};
use domain::order::{
    ActivationStatus, BusinessStatus, CustomerOrder, MAX_PLACED_ITEMS, PlaceItem, PlaceKey,
    PlaceRequest, Placed, RetryAnswer,
};
use domain::ports::CallError;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::RestOrders;
use crate::client::Call;
use crate::error::{ApiError, ApiFailure, Failure};
use crate::wire::{self, Row};

/// Orders in one query; the address of a query is limited.
const CHUNK: usize = 200;

#[derive(Deserialize)]
struct Answers {
    #[serde(rename = "compositeResponse")]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "httpStatusCode")]
    status: u16,
    body: Option<Box<RawValue>>,
}

/// What a price book says of one entry.
struct Entry {
    pricebook: Option<PricebookId>,
    price: Option<Decimal>,
}

impl RestOrders {
    pub(crate) async fn place_order(&self, request: &PlaceRequest) -> Result<Placed, CallError> {
        if request.items.is_empty() || request.items.len() > MAX_PLACED_ITEMS {
            return Err(refused(format!(
                "an order has 1 to {MAX_PLACED_ITEMS} lines, not {}",
                request.items.len()
            )));
        }
        let entries = self.entries(&request.items).await?;
        match self.create(request, &entries).await {
            Ok(()) => {}
            // The key is taken: by an earlier try of this request, or by another request.
            Err(Failure::Api(failure)) if failure.has("DUPLICATE_VALUE") => {
                return self.placed_before(request).await;
            }
            Err(failure) => return Err(failure.into()),
        }
        let (order, _) = self
            .find_placed(&request.key)
            .await?
            .ok_or_else(|| Failure::garbled("the order was made and cannot be found by its key"))?;
        Ok(Placed::New(Box::new(order)))
    }

    async fn placed_before(&self, request: &PlaceRequest) -> Result<Placed, CallError> {
        let found = self.find_placed(&request.key).await?;
        let (order, row) = found.ok_or_else(|| {
            refused("its key stands on an order that the integration user cannot see")
        })?;
        let same = order.account == request.account && self.is_same(request, &row)?;
        Ok(if same {
            Placed::Known(Box::new(order))
        } else {
            Placed::KeyTaken
        })
    }

    async fn entries(
        &self,
        items: &[PlaceItem],
    ) -> Result<HashMap<PricebookEntryId, Entry>, CallError> {
        let soql = format!(
            "SELECT Id, Pricebook2Id, UnitPrice FROM PricebookEntry WHERE Id IN ({}) AND IsActive = true",
            id_list(items.iter().map(|item| item.entry.as_str()))
        );
        let page = self.query("pricebook_entries", soql).await?;
        let mut entries = HashMap::new();
        for row in self.all_rows("pricebook_entries", page).await? {
            let id = row.id("Id")?;
            let entry = Entry {
                pricebook: row.id("Pricebook2Id")?,
                price: row.decimal("UnitPrice")?,
            };
            entries.extend(id.map(|id| (id, entry)));
        }
        match items.iter().find(|item| !entries.contains_key(&item.entry)) {
            None => Ok(entries),
            Some(item) => Err(refused(format!(
                "price book entry {} does not exist or is not active",
                item.entry
            ))),
        }
    }

    /// Order and lines in one call, all or nothing. An insert and no upsert: an upsert would
    /// put an order that is there back to its beginning and double its lines.
    async fn create(
        &self,
        request: &PlaceRequest,
        entries: &HashMap<PricebookEntryId, Entry>,
    ) -> Result<(), Failure> {
        let names = &self.names;
        let base = format!("/services/data/v{}/sobjects", self.client.version());
        let first = request
            .items
            .first()
            .and_then(|item| entries.get(&item.entry));
        let pricebook = request
            .pricebook
            .or(first.and_then(|entry| entry.pricebook));
        let date = request.effective_date.as_ref().unwrap_or(&request.today);
        let mut order = Map::new();
        order.insert("AccountId".to_owned(), json!(request.account.as_str()));
        order.insert("EffectiveDate".to_owned(), json!(date));
        order.insert(
            "Pricebook2Id".to_owned(),
            json!(pricebook.map(|id| id.to_string())),
        );
        order.insert(
            names.order.status.clone(),
            json!(names.status.pending_review),
        );
        order.insert(names.order.portal_key.clone(), json!(request.key.as_str()));
        let mut parts = vec![json!({
            "method": "POST", "url": format!("{base}/Order"), "referenceId": "placed",
            "body": order,
        })];
        for (place, item) in request.items.iter().enumerate() {
            let listed = entries.get(&item.entry).and_then(|entry| entry.price);
            let price = item.unit_price.or(listed).unwrap_or(Decimal::from(0));
            let mut line = Map::new();
            line.insert("OrderId".to_owned(), json!("@{placed.id}"));
            line.insert("PricebookEntryId".to_owned(), json!(item.entry.as_str()));
            line.insert("Quantity".to_owned(), number(item.quantity)?);
            line.insert("UnitPrice".to_owned(), number(price)?);
            if let Some(cycle) = item.cycle {
                line.insert(names.order_item.billing_cycle.clone(), json!(cycle.name()));
            }
            parts.push(json!({
                "method": "POST", "url": format!("{base}/OrderItem"),
                "referenceId": format!("line{place}"), "body": line,
            }));
        }
        let body = json!({"allOrNone": true, "compositeRequest": parts});
        let answers: Answers = self
            .client
            .send(&Call::post("order_place", "composite", body))
            .await?
            .read()?;
        if answers.parts.len() != parts_expected(request) {
            return Err(Failure::garbled(
                "not one answer for each part of the order",
            ));
        }
        match culprit(answers.parts) {
            None => Ok(()),
            Some(failure) => Err(Failure::Api(failure)),
        }
    }

    async fn find_placed(&self, key: &PlaceKey) -> Result<Option<(CustomerOrder, Row)>, Failure> {
        let soql = format!(
            "SELECT {}, EffectiveDate, Pricebook2Id, (SELECT PricebookEntryId, Quantity, UnitPrice, {} FROM OrderItems) FROM Order WHERE {} = {}",
            self.customer_columns(),
            self.names.order_item.billing_cycle,
            self.names.order.portal_key,
            wire::quoted(key.as_str()),
        );
        let page = self.query("order_placed", soql).await?;
        let Some(row) = page.records.into_iter().next() else {
            return Ok(None);
        };
        Ok(Some((self.customer_order(&row)?, row)))
    }

    /// Whether the order is what was asked for, as far as the request says anything.
    fn is_same(&self, request: &PlaceRequest, row: &Row) -> Result<bool, Failure> {
        let dated = match &request.effective_date {
            Some(date) => row.text("EffectiveDate")?.as_ref() == Some(date),
            None => true,
        };
        let pricebook = row.id::<domain::id::kind::Pricebook>("Pricebook2Id")?;
        let orders_to_reconcile = request
            .pricebook
            .is_none_or(|wanted| pricebook == Some(wanted));
        let mut lines = match row.page("OrderItems")? {
            Some(page) => page.records,
            None => Vec::new(),
        };
        if !dated || !orders_to_reconcile || lines.len() != request.items.len() {
            return Ok(false);
        }
        for item in &request.items {
            let mut place = None;
            for (at, line) in lines.iter().enumerate() {
                if self.is_line(item, line)? {
                    place = Some(at);
                    break;
                }
            }
            match place {
                Some(at) => drop(lines.swap_remove(at)),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    fn is_line(&self, item: &PlaceItem, line: &Row) -> Result<bool, Failure> {
        let cycle = line.text(&self.names.order_item.billing_cycle)?;
        Ok(line.id("PricebookEntryId")? == Some(item.entry)
            && line.decimal("Quantity")? == Some(item.quantity)
            && (item.unit_price.is_none() || line.decimal("UnitPrice")? == item.unit_price)
            && cycle.and_then(|cycle| cycle.parse().ok()) == item.cycle)
    }

    pub(crate) async fn read_customer_orders(
        &self,
        orders: &[OrderId],
    ) -> Result<Vec<CustomerOrder>, Failure> {
        let mut found = Vec::new();
        for chunk in orders.chunks(CHUNK) {
            let soql = format!(
                "SELECT {} FROM Order WHERE Id IN ({})",
                self.customer_columns(),
                id_list(chunk.iter().map(OrderId::as_str))
            );
            let page = self.query("customer_orders", soql).await?;
            for row in self.all_rows("customer_orders", page).await? {
                found.push(self.customer_order(&row)?);
            }
        }
        Ok(found)
    }

    fn customer_columns(&self) -> String {
        let names = &self.names.order;
        [
            "Id, OrderNumber, AccountId, LastModifiedDate",
            &names.status,
            &names.activation_status,
        ]
        .join(", ")
    }

    fn customer_order(&self, row: &Row) -> Result<CustomerOrder, Failure> {
        let absent = |what: &'static str| Failure::garbled(format!("an order without {what}"));
        let account: Option<AccountId> = row.id("AccountId")?;
        let status = row.text(&self.names.order.status)?;
        Ok(CustomerOrder {
            id: row.id("Id")?.ok_or_else(|| absent("Id"))?,
            account: account.ok_or_else(|| absent("AccountId"))?,
            number: row.text("OrderNumber")?,
            status: self.business_status(status.as_deref()),
            activation: self.activation(row.text(&self.names.order.activation_status)?),
            updated_at: row
                .time("LastModifiedDate")?
                .ok_or_else(|| absent("LastModifiedDate"))?,
        })
    }

    fn business_status(&self, text: Option<&str>) -> BusinessStatus {
        let names = &self.names.status;
        let known = [
            (&names.approved, BusinessStatus::Approved),
            (&names.provisioned, BusinessStatus::Provisioned),
            (&names.failed, BusinessStatus::Failed),
            (&names.cancelled, BusinessStatus::Cancelled),
        ];
        known
            .into_iter()
            .find(|(name, _)| text == Some(name.as_str()))
            .map_or(BusinessStatus::Pending, |(_, status)| status)
    }

    pub(crate) async fn ask_for_retry(&self, order: OrderId) -> Result<RetryAnswer, CallError> {
        let shape = self.shape().await?;
        let standing = self.read_standing(shape, order).await?;
        let Some(standing) = standing.filter(|now| now.activation == ActivationStatus::Failed)
        else {
            return Ok(RetryAnswer::NotFailed);
        };
        let mut body = Map::new();
        body.insert(
            self.names.order.activation_status.clone(),
            json!(self.names.status.activating),
        );
        let mut call = Call::patch(
            "order_ask_again",
            format!("sobjects/Order/{order}"),
            body.into(),
        );
        call.unmodified_since = standing.version;
        match self.client.send(&call).await {
            Ok(_) => Ok(RetryAnswer::Asked),
            Err(Failure::Api(failure)) if failure.status == 412 => Ok(RetryAnswer::NotFailed),
            Err(Failure::Api(failure)) if failure.is_gone() => Ok(RetryAnswer::NotFailed),
            Err(failure) => Err(failure.into()),
        }
    }
}

fn parts_expected(request: &PlaceRequest) -> usize {
    request.items.len() + 1
}

/// The part that made the call fail; the others only say that they were undone with it.
fn culprit(parts: Vec<Part>) -> Option<ApiFailure> {
    let failures = parts.into_iter().filter(|part| part.status >= 300);
    let failures: Vec<_> = failures
        .map(|part| ApiFailure {
            status: part.status,
            errors: part
                .body
                .and_then(|body| serde_json::from_str::<Vec<ApiError>>(body.get()).ok())
                .unwrap_or_default(),
        })
        .collect();
    let real = failures
        .iter()
        .position(|failure| !failure.has("PROCESSING_HALTED"));
    let mut failures = failures;
    match real {
        Some(at) => Some(failures.swap_remove(at)),
        None => failures.into_iter().next(),
    }
}

fn refused(detail: impl Into<String>) -> CallError {
    CallError::Refused(Refusal::new(Code::SalesforceRejected, detail))
}

/// A number with all its digits.
fn number(value: Decimal) -> Result<Value, Failure> {
    serde_json::from_str(&value.to_string()).map_err(|error| Failure::garbled(Box::new(error)))
}

/// Ids hold letters and digits only, so nothing in them can end the text.
fn id_list<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = ids.map(|id| format!("'{id}'")).collect();
    quoted.join(",")
}
