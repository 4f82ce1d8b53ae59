//! The status of one order as server-sent events.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event;
use domain::id::OrderId;

use super::auth::Customer;
use super::orders::{OrderBody, body};
use super::state::Customers;
use super::status::Status;
use crate::event_stream::Polled;
use crate::problem::{Problem, ProblemBody};
use crate::request::order_id;

const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// An order's status, live.
///
/// Server-sent events: one `status` event with the order as its data, at once and on each
/// change. The stream ends after `Provisioned`, `Failed` or `Cancelled`; reconnect when it ends
/// before that.
#[utoipa::path(
    get,
    path = "/api/orders/{sfOrderId}/events",
    tag = "orders",
    params(("sfOrderId" = String, Path, description = "Salesforce Order id, 15 or 18 characters")),
    responses(
        (status = 200, description = "Events", body = OrderBody, content_type = "text/event-stream"),
        (status = 400, description = "Not an order id", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "The token lacks the scope orders:read", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Unknown, or another customer's", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests, or event streams", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The status is not available at the moment", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn follow(
    State(state): State<Arc<Customers>>,
    Path(order): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let customer = state.reader(&headers).await?;
    let order = order_id(&order)?;
    state.order_of(customer, order).await?;
    let streams = state.streams.clone();
    let permit = streams.for_customer(customer.account)?;
    let expires_at = customer.expires_at;
    Ok(
        streams.open(permit, expires_at, POLL_INTERVAL, None, move |last| {
            let state = Arc::clone(&state);
            async move { poll(&state, customer, order, last).await }
        }),
    )
}

async fn poll(
    state: &Customers,
    customer: Customer,
    order: OrderId,
    last: Option<Status>,
) -> (Option<Status>, Polled) {
    if last.is_some_and(Status::is_final) {
        return (last, ControlFlow::Break(()));
    }
    match state.order_of(customer, order).await {
        Ok(view) if last != Some(view.status) => {
            match Event::default().event("status").json_data(body(&view)) {
                Ok(event) => (Some(view.status), ControlFlow::Continue(Some(event))),
                Err(_) => (last, ControlFlow::Break(())),
            }
        }
        Ok(_) => (last, ControlFlow::Continue(None)),
        Err(problem) if problem.status().is_server_error() => (last, ControlFlow::Continue(None)),
        Err(_) => (last, ControlFlow::Break(())),
    }
}
