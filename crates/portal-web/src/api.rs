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
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::auth::Customer;
use crate::place;
use crate::portal::Portal;
use crate::problem::{Problem, ProblemBody};
use crate::status::{Status, View};
use crate::statuses::Unavailable;
use crate::time::rfc3339;

/// What a customer is told of a failure, whatever its cause.
pub(crate) const FAILED: &str = "We could not set up your order completely. Our team has been \
    told and is looking into it; you need not do anything.";

/// How long an order waits until fewer are being placed.
const TURN: Duration = Duration::from_secs(5);

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

/// An order as its customer sees it.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Order)]
pub(crate) struct OrderBody {
    /// Salesforce Order id, 18 characters.
    #[schema(example = "801000000000001AAA", min_length = 18, max_length = 18)]
    sf_order_id: String,
    /// The number people know the order by.
    #[schema(required, example = "00000101")]
    order_number: Option<String>,
    status: Status,
    /// Set while the status is `Failed`.
    #[schema(required)]
    error: Option<FailureBody>,
    /// When the order last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// How old the knowledge is.
    #[schema(format = DateTime)]
    as_of: String,
}

/// What a customer is told of a failure.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Failure)]
pub(crate) struct FailureBody {
    #[schema(example = "PROVISIONING_FAILED")]
    code: &'static str,
    /// Written for customers.
    message: &'static str,
}

/// The view as JSON.
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

/// Where an order stands.
///
/// What Salesforce alone knows may be 30 s old; `asOf` says how old it is. Ask again after
/// `Retry-After`, with the `ETag` in `If-None-Match`.
#[utoipa::path(
    get,
    path = "/api/orders/{sfOrderId}",
    tag = "orders",
    params(
        ("sfOrderId" = String, Path, description = "Salesforce Order id, 15 or 18 characters"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of the answer that is known"),
    ),
    responses(
        (status = 200, body = OrderBody, headers(
            ("ETag" = String, description = "Changes when the order does"),
            ("Retry-After" = u64, description = "Seconds; absent when nothing more happens by itself"),
        )),
        (status = 304, description = "As the ETag says"),
        (status = 400, description = "No order id", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Unknown, or another customer's", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Nobody can tell at the moment", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
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

/// Places an order, which then waits for review.
///
/// Send it again with the same key after a lost answer: it is never placed twice.
#[utoipa::path(
    post,
    path = "/api/orders",
    tag = "orders",
    params(
        ("Idempotency-Key" = String, Header, min_length = 1, max_length = 64, description = "Printable ASCII, new for each order"),
    ),
    request_body = place::Body,
    responses(
        (status = 201, description = "Placed", body = OrderBody, headers(("Location" = String))),
        (status = 200, description = "Placed before with this key", body = OrderBody, headers(("Location" = String))),
        (status = 400, description = "No key, or no JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Another account than the token's", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The key was used for another order", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not application/json", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Salesforce would refuse it", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Too many at once", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Not placed, or nobody heard of it: send it again", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
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
    portal
        .pace
        .order(request.account)
        .map_err(Problem::too_many)?;
    // Whoever comes in a crowd waits for a turn before being turned away.
    let _turn = tokio::time::timeout(TURN, portal.placings.acquire())
        .await
        .map_err(|_| Problem::too_many(TURN))?;
    let placed = portal.ports.customers.place(&request).await.map_err(|error| {
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
