//! From a customer's request to an order that can be placed.

use axum::http::StatusCode;
use domain::decimal::Decimal;
use domain::id::{AccountId, PricebookEntryId, PricebookId};
use domain::order::{MAX_PLACED_ITEMS, PlaceItem, PlaceKey, PlaceRequest};
use domain::time::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::auth::Customer;
use crate::problem::Problem;
use crate::time;

/// An order to place.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewOrder)]
pub(crate) struct Body {
    /// Salesforce Account id; the token's when absent, and no other.
    account_id: Option<String>,
    /// Today when absent.
    #[schema(format = Date)]
    effective_date: Option<String>,
    /// The standard price book when absent.
    pricebook_id: Option<String>,
    #[schema(min_items = 1, max_items = 24)]
    items: Vec<Item>,
}

/// A line of it.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewOrderItem)]
struct Item {
    /// Salesforce PricebookEntry id.
    pricebook_entry_id: String,
    // Binary floats would change the numbers.
    #[schema(value_type = u32, minimum = 1)]
    quantity: Box<RawValue>,
    /// The price book's when absent.
    #[schema(value_type = Option<f64>, minimum = 0)]
    unit_price: Option<Box<RawValue>>,
    /// The product's when absent: `onetime`, `monthly`, `quarterly`, `semiannually`,
    /// `annually`, `biennially`, `triennially` or `free`.
    billing_cycle: Option<String>,
}

fn wrong(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

/// Reads the request and checks all that can be checked without asking anybody.
pub(crate) fn read(
    customer: Customer,
    key: Option<&str>,
    body: &[u8],
    now: Timestamp,
) -> Result<PlaceRequest, Problem> {
    let key = key
        .filter(|key| (1..=64).contains(&key.len()))
        .filter(|key| key.bytes().all(|byte| (0x20..0x7f).contains(&byte)))
        .ok_or_else(|| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "The header Idempotency-Key is needed: 1 to 64 printable ASCII characters, new for each order.",
            )
        })?;
    let body: Body = serde_json::from_slice(body).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("The body is no order: {error}"),
        )
    })?;
    let named = body
        .account_id
        .map(|text| AccountId::parse(&text).map_err(|error| wrong(error.to_string())))
        .transpose()?;
    let account = match (customer, named) {
        (Customer::Account(own), Some(named)) if own != named => {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "Orders can be placed for the token's own account only.",
            ));
        }
        (Customer::Account(own), _) => own,
        (Customer::Anybody, Some(named)) => named,
        (Customer::Anybody, None) => return Err(wrong("accountId is needed.")),
    };
    if body.items.is_empty() || body.items.len() > MAX_PLACED_ITEMS {
        return Err(wrong(format!(
            "An order has 1 to {MAX_PLACED_ITEMS} items."
        )));
    }
    if let Some(date) = &body.effective_date
        && (date.len() != 10 || date.parse::<jiff::civil::Date>().is_err())
    {
        return Err(wrong("effectiveDate is no date such as 2026-11-24."));
    }
    let pricebook = body
        .pricebook_id
        .map(|text| PricebookId::parse(&text).map_err(|error| wrong(error.to_string())))
        .transpose()?;
    Ok(PlaceRequest {
        key: place_key(account, key)?,
        account,
        effective_date: body.effective_date,
        today: time::date(now),
        pricebook,
        items: body.items.into_iter().map(item).collect::<Result<_, _>>()?,
    })
}

fn item(item: Item) -> Result<PlaceItem, Problem> {
    let entry = PricebookEntryId::parse(&item.pricebook_entry_id)
        .map_err(|error| wrong(error.to_string()))?;
    let quantity: Option<Decimal> = item.quantity.get().parse().ok();
    let quantity = quantity
        .filter(|quantity| quantity.whole().is_some_and(|whole| whole >= 1))
        .ok_or_else(|| wrong("quantity is a whole number from 1."))?;
    let price = item.unit_price.map(|price| {
        let text = price.get();
        let price: Option<Decimal> = text.parse().ok();
        price
            .filter(|_| !text.starts_with('-'))
            .ok_or_else(|| wrong("unitPrice is a number from 0."))
    });
    let cycle = item.billing_cycle.map(|text| {
        text.parse()
            .map_err(|_| wrong(format!("`{text}` is no billing cycle.")))
    });
    Ok(PlaceItem {
        entry,
        quantity,
        unit_price: price.transpose()?,
        cycle: cycle.transpose()?,
    })
}

/// From account and key alone, so that a repeat finds the order whatever it asks for, and
/// two customers with the same key never meet.
fn place_key(account: AccountId, key: &str) -> Result<PlaceKey, Problem> {
    let hash = Sha256::new()
        .chain_update(account.as_str())
        .chain_update(key)
        .finalize();
    let hex: String = hash
        .iter()
        .take(30)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    PlaceKey::new(format!("p1-{hex}"))
        .ok_or_else(|| Problem::unavailable("The order could not be placed."))
}
