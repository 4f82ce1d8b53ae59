//! Reading an order by the customer API.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::header::{ETAG, IF_NONE_MATCH, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::state::Customers;
use super::status::{Status, View};
use crate::problem::{Problem, ProblemBody};
use crate::request::order_id;
use crate::time::rfc3339;

/// What customers read about a failure, whatever its cause.
pub(crate) const FAILED: &str = "We could not set up your order completely. Our team has been \
    told and is looking into it; you need not do anything.";

/// An order as its customer sees it.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Order)]
pub(crate) struct OrderBody {
    /// Salesforce Order id, 18 characters.
    #[schema(example = "801000000000001AAA", min_length = 18, max_length = 18)]
    sf_order_id: String,
    /// Human-readable order number.
    #[schema(required, example = "00000101")]
    order_number: Option<String>,
    status: Status,
    /// Set while the status is `Failed`.
    #[schema(required)]
    error: Option<FailureBody>,
    /// When the order last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// When the status was last confirmed.
    #[schema(format = DateTime)]
    as_of: String,
}

/// Why an order failed, for its customer.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Failure)]
pub(crate) struct FailureBody {
    #[schema(example = "PROVISIONING_FAILED")]
    code: &'static str,
    /// Text for customers.
    message: &'static str,
}

/// The JSON of a view.
pub(crate) fn body(view: &View) -> OrderBody {
    OrderBody {
        sf_order_id: view.id.to_string(),
        order_number: view.number.clone(),
        status: view.status,
        error: (view.status == Status::Failed).then_some(FailureBody {
            code: "PROVISIONING_FAILED",
            message: FAILED,
        }),
        updated_at: rfc3339(view.updated_at),
        as_of: rfc3339(view.as_of),
    }
}

/// A weak tag: `asOf` alone does not change it.
fn etag(view: &View) -> String {
    let text = format!("{} {:?} {}", view.id, view.number, view.status.name());
    let hash = Sha256::digest(text.as_bytes());
    let hash = hex::encode(hash.get(..8).unwrap_or_default());
    format!("W/\"{hash}-{}\"", view.updated_at.as_millis())
}

const fn retry_after(status: Status) -> Option<Duration> {
    match status {
        Status::Activating => Some(Duration::from_secs(5)),
        Status::PendingReview | Status::Approved => Some(Duration::from_secs(30)),
        Status::Provisioned | Status::Failed | Status::Cancelled => None,
    }
}

/// The status of an order.
///
/// Data from Salesforce may be 30 s old; `asOf` says how old it is. Poll again after
/// `Retry-After`, with the `ETag` in `If-None-Match`.
#[utoipa::path(
    get,
    path = "/api/orders/{sfOrderId}",
    tag = "orders",
    params(
        ("sfOrderId" = String, Path, description = "Salesforce Order id, 15 or 18 characters"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of an earlier response"),
    ),
    responses(
        (status = 200, body = OrderBody, headers(
            ("ETag" = String, description = "Changes when the order does"),
            ("Retry-After" = u64, description = "Seconds; absent when the status is final"),
        )),
        (status = 304, description = "Unchanged since that ETag"),
        (status = 400, description = "Not an order id", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "The token lacks the scope orders:read", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Unknown, or another customer's", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The status is not available at the moment", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show(
    State(state): State<Arc<Customers>>,
    Path(order): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let customer = state.reader(&headers).await?;
    let view = state.order_of(customer, order_id(&order)?).await?;
    let tag = etag(&view);
    let known = headers
        .get(IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag));
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        axum::Json(body(&view)).into_response()
    };
    let headers = response.headers_mut();
    headers.extend(HeaderValue::try_from(tag).ok().map(|tag| (ETAG, tag)));
    let wait = retry_after(view.status).map(|wait| HeaderValue::from(wait.as_secs()));
    headers.extend(wait.map(|wait| (RETRY_AFTER, wait)));
    Ok(response)
}
