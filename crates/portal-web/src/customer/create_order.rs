//! Creating an order by the customer API.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::decimal::Decimal;
use domain::id::{AccountId, PricebookEntryId, PricebookId};
use domain::order::{MAX_PLACED_ITEMS, PlaceItem, PlaceKey, PlaceRequest, Placed};
use domain::ports::CallError;
use domain::time::Timestamp;
use error_chain::chain;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::auth::Customer;
use super::orders::{self, OrderBody};
use super::state::Customers;
use crate::problem::{Problem, ProblemBody};
use crate::time;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Calls to Salesforce that a new order costs at most: its price book entries, the order, and
/// reading it back.
const CRM_CALLS: NonZeroU32 = NonZeroU32::new(4).expect("not zero");
/// How long a request waits while others are created before it is rejected.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// An order to create.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewOrder)]
pub(crate) struct Body {
    /// Salesforce Account id; the token's by default and no other.
    account_id: Option<String>,
    /// Today by default.
    #[schema(format = Date)]
    effective_date: Option<String>,
    /// The standard price book by default.
    pricebook_id: Option<String>,
    #[schema(min_items = 1, max_items = 24)]
    items: Vec<Item>,
}

/// A line of the order.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewOrderItem)]
struct Item {
    /// Salesforce PricebookEntry id.
    pricebook_entry_id: String,
    // Raw: binary floats would change the numbers.
    #[schema(value_type = u32, minimum = 1)]
    quantity: Box<RawValue>,
    /// The price book's by default. Accepted only where the portal permits it
    /// (PORTAL_ACCEPT_PRICES), from tokens with the scope `orders:price`.
    #[schema(value_type = Option<f64>, minimum = 0)]
    unit_price: Option<Box<RawValue>>,
    /// The product's by default: `onetime`, `monthly`, `quarterly`, `semiannually`,
    /// `annually`, `biennially`, `triennially` or `free`.
    billing_cycle: Option<String>,
}

/// Creates an order, which then waits for review.
///
/// Send it again with the same key after a lost response: it is never created twice.
#[utoipa::path(
    post,
    path = "/api/orders",
    tag = "orders",
    params(
        ("Idempotency-Key" = String, Header, min_length = 1, max_length = 64, description = "Printable ASCII, new for each order"),
    ),
    request_body = Body,
    responses(
        (status = 201, description = "Created", body = OrderBody, headers(("Location" = String))),
        (status = 200, description = "Created before with this key", body = OrderBody, headers(("Location" = String))),
        (status = 400, description = "No key, or invalid JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Another account than the token's, or a token that cannot create orders", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The key was used for another order", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not application/json", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Salesforce would reject it", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Not created, or the outcome is unknown: send it again", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn create(
    State(state): State<Arc<Customers>>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    // Bodies take up memory, so they are received from callers who may send them, a few at once.
    let customer = state.creator(&headers).await?;
    let receiving = customer.account.map(|account| {
        let permit = state.receiving.take(account);
        permit.ok_or_else(|| Problem::rate_limited(MAX_WAIT))
    });
    let receiving = receiving.transpose()?;
    let body = Bytes::from_request(request, &()).await;
    let body = body.map_err(|rejection| {
        Problem::new(rejection.status(), "The body is too large or incomplete.")
    })?;
    drop(receiving);
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let content_type = header(CONTENT_TYPE).unwrap_or_default().trim();
    if !content_type
        .to_ascii_lowercase()
        .starts_with("application/json")
    {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Send the order as application/json.",
        ));
    }
    let key = header(IDEMPOTENCY_KEY);
    let request = parse(customer, key, &body, state.clock.now())?;
    let priced = request.items.iter().any(|item| item.unit_price.is_some());
    if priced && !(state.accept_prices && customer.scopes.price) {
        return Err(Problem::invalid(
            "unitPrice is not accepted: the price book decides. Send the items without it.",
        ));
    }
    let limited = state.order_limit.check(Some(request.account));
    limited.map_err(Problem::rate_limited)?;
    let _permit = tokio::time::timeout(MAX_WAIT, state.creating.acquire())
        .await
        .map_err(|_| Problem::rate_limited(MAX_WAIT))?;
    if !state.create_budget.take(CRM_CALLS) {
        tracing::warn!(account = %request.account, "order not created: the portal's share of Salesforce's API calls is used up");
        return Err(Problem::unavailable(
            "New orders cannot be created at the moment. Send it again later with the same Idempotency-Key.",
        ));
    }
    let placed = state.orders.place(&request).await.map_err(|error| {
        tracing::warn!(account = %request.account, key = %request.key, error = %chain(&error), "order creation failed");
        match error {
            CallError::Refused(_) => Problem::invalid(
                "The order was not accepted: check the products, quantities, prices and dates.",
            ),
            CallError::NotSent { .. } | CallError::Unknown { .. } | CallError::Denied { .. } => {
                Problem::unavailable(
                    "The order was not created, or the outcome is unknown. Send it again with the same Idempotency-Key: it is never created twice.",
                )
            }
        }
    })?;
    let (status, order) = match placed {
        Placed::New(order) => (StatusCode::CREATED, order),
        Placed::Known(order) => (StatusCode::OK, order),
        Placed::KeyTaken => {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "This Idempotency-Key was used for another order.",
            ));
        }
    };
    let id = order.id;
    tracing::info!(order = %id, account = %request.account, key = %request.key, new = status == StatusCode::CREATED, "order placed");
    state.statuses.insert(*order).await;
    let view = state.order_of(customer, id).await?;
    let location = format!("/api/orders/{id}");
    Ok((
        status,
        [(LOCATION, location)],
        axum::Json(orders::body(&view)),
    )
        .into_response())
}

/// Parses the request and checks all that needs no call.
fn parse(
    customer: Customer,
    key: Option<&str>,
    body: &[u8],
    now: Timestamp,
) -> Result<PlaceRequest, Problem> {
    let key = key
        .filter(|key| (1..=64).contains(&key.len()))
        .filter(|key| key.bytes().all(|byte| (0x20..0x7f).contains(&byte)))
        .ok_or_else(|| {
            Problem::bad_request(
                "The header Idempotency-Key is required: 1 to 64 printable ASCII characters, new for each order.",
            )
        })?;
    let body: Body = serde_json::from_slice(body)
        .map_err(|error| Problem::bad_request(format!("The body is not a valid order: {error}")))?;
    let named = body
        .account_id
        .map(|text| AccountId::parse(&text).map_err(|error| Problem::invalid(error.to_string())))
        .transpose()?;
    let account = match (customer.account, named) {
        (Some(own), Some(named)) if own != named => {
            return Err(Problem::forbidden(
                "Orders can be created for the token's own account only.",
            ));
        }
        (Some(own), _) => own,
        (None, Some(named)) => named,
        (None, None) => return Err(Problem::invalid("accountId is required.")),
    };
    if body.items.is_empty() || body.items.len() > MAX_PLACED_ITEMS {
        return Err(Problem::invalid(format!(
            "An order has 1 to {MAX_PLACED_ITEMS} items."
        )));
    }
    if let Some(date) = &body.effective_date
        && (date.len() != 10 || date.parse::<jiff::civil::Date>().is_err())
    {
        return Err(Problem::invalid(
            "effectiveDate is not a valid date such as 2026-11-24.",
        ));
    }
    let pricebook = body
        .pricebook_id
        .map(|text| PricebookId::parse(&text).map_err(|error| Problem::invalid(error.to_string())))
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
        .map_err(|error| Problem::invalid(error.to_string()))?;
    let quantity: Option<Decimal> = item.quantity.get().parse().ok();
    let quantity = quantity
        .filter(|quantity| quantity.whole().is_some_and(|whole| whole >= 1))
        .ok_or_else(|| Problem::invalid("quantity must be a whole number of at least 1."))?;
    let price = item.unit_price.map(|price| {
        let text = price.get();
        let price: Option<Decimal> = text.parse().ok();
        price
            .filter(|_| !text.starts_with('-'))
            .ok_or_else(|| Problem::invalid("unitPrice must be a number of at least 0."))
    });
    let cycle = item.billing_cycle.map(|text| {
        text.parse()
            .map_err(|_| Problem::invalid(format!("`{text}` is not a billing cycle.")))
    });
    Ok(PlaceItem {
        entry,
        quantity,
        unit_price: price.transpose()?,
        cycle: cycle.transpose()?,
    })
}

/// Derived from account and key alone: a repeat finds the order whatever its body, and equal
/// keys of two customers do not collide.
fn place_key(account: AccountId, key: &str) -> Result<PlaceKey, Problem> {
    let hash = Sha256::new()
        .chain_update(account.as_str())
        .chain_update(key)
        .finalize();
    let hash = hex::encode(hash.get(..30).unwrap_or_default());
    PlaceKey::new(format!("p1-{hash}"))
        .ok_or_else(|| Problem::unavailable("The order could not be created."))
}
