//! The customer API.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::id::OrderId;
use domain::order::Placed;
use domain::ports::CallError;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::auth::Customer;
use crate::place;
use crate::portal::Portal;
use crate::problem::Problem;
use crate::status::{Status, View};
use crate::statuses::Unavailable;
use crate::time::rfc3339;

/// What a customer is told of a failure, whatever its cause.
pub(crate) const FAILED: &str = "We could not set up your order completely. Our team has been \
    told and is looking into it; you need not do anything.";

impl From<Unavailable> for Problem {
    fn from(Unavailable: Unavailable) -> Self {
        Self::unavailable("The order's status cannot be told at the moment.")
    }
}

impl Portal {
    /// The order, if it is this customer's. A foreign one answers as if it were not there.
    pub(crate) async fn order_of(
        &self,
        customer: Customer,
        order: OrderId,
    ) -> Result<View, Problem> {
        let view = self.statuses.look(order).await?;
        view.filter(|view| customer.owns(view.account))
            .ok_or_else(Problem::no_such_order)
    }
}

pub(crate) fn order_id(text: &str) -> Result<OrderId, Problem> {
    OrderId::parse(text).map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))
}

/// The view as JSON.
pub(crate) fn body(view: &View) -> Value {
    let error = (view.status == Status::Failed)
        .then(|| json!({"code": "PROVISIONING_FAILED", "message": FAILED}));
    json!({
        "sfOrderId": view.id.as_str(),
        "orderNumber": view.number,
        "status": view.status.name(),
        "error": error,
        "updatedAt": rfc3339(view.updated_at),
        "asOf": rfc3339(view.as_of),
    })
}

/// Weak: how old the knowledge is does not make it another answer.
fn etag(view: &View) -> String {
    let text = format!("{} {:?} {}", view.id, view.number, view.status.name());
    let hash = Sha256::digest(text.as_bytes());
    let hex: String = hash
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("W/\"{hex}-{}\"", view.updated_at.as_millis())
}

const fn ask_again_after(status: Status) -> Option<Duration> {
    match status {
        Status::Activating => Some(Duration::from_secs(5)),
        Status::PendingReview | Status::Approved => Some(Duration::from_secs(30)),
        Status::Provisioned | Status::Failed | Status::Cancelled => None,
    }
}

pub(crate) async fn show(
    State(portal): State<Arc<Portal>>,
    Path(order): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let customer = portal.by_any(&headers).await?;
    let view = portal.order_of(customer, order_id(&order)?).await?;
    let tag = etag(&view);
    let known = headers
        .get(IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        axum::Json(body(&view)).into_response()
    };
    let headers = response.headers_mut();
    headers.extend(HeaderValue::try_from(tag).ok().map(|tag| (ETAG, tag)));
    let wait = ask_again_after(view.status).map(|wait| HeaderValue::from(wait.as_secs()));
    headers.extend(wait.map(|wait| (RETRY_AFTER, wait)));
    Ok(response)
}

pub(crate) async fn place(
    State(portal): State<Arc<Portal>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    // Not by the page's cookie: another site could make the browser send it.
    let customer = portal.by_bearer(&headers).await?;
    let body = body.map_err(|rejection| {
        Problem::new(rejection.status(), "The body is too large or broke off.")
    })?;
    let json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if !json.is_some_and(|kind| {
        kind.trim()
            .to_ascii_lowercase()
            .starts_with("application/json")
    }) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Send the order as application/json.",
        ));
    }
    let key = headers
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok());
    let request = place::read(customer, key, &body, portal.ports.clock.now())?;
    let _turn = portal
        .placings
        .try_acquire()
        .map_err(|_| Problem::too_many(Duration::from_secs(2)))?;
    let placed = portal.ports.crm.place(&request).await.map_err(|error| {
        tracing::warn!(account = %request.account, key = %request.key, %error, "an order could not be placed");
        match error {
            CallError::Refused(_) => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "The order was not accepted: check the products, quantities, prices and dates.",
            ),
            CallError::NotSent { .. } | CallError::Unknown { .. } | CallError::Denied { .. } => {
                Problem::unavailable(
                    "The order could not be placed, or we did not hear of it. Send it again with the same Idempotency-Key: it is never placed twice.",
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
    portal.statuses.remember(*order).await;
    let view = portal.order_of(customer, id).await?;
    let place = format!("/api/orders/{id}");
    Ok((status, [(LOCATION, place)], axum::Json(self::body(&view))).into_response())
}
