//! The status of one order as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use domain::id::OrderId;
use futures::Stream;
use tokio::sync::OwnedSemaphorePermit;

use crate::api::{OrderBody, body, order_id};
use crate::auth::Customer;
use crate::portal::Portal;
use crate::problem::{Problem, ProblemBody};
use crate::status::{Status, View};

/// How often a stream looks.
const LOOK: Duration = Duration::from_secs(2);
/// A stream ends after so long; the browser opens it again, with a token that is checked.
const MAX_LEN: Duration = Duration::from_secs(900);

struct Follower {
    portal: Arc<Portal>,
    customer: Customer,
    order: OrderId,
    /// Told first.
    first: Option<View>,
    told: Option<Status>,
    ends_at: Duration,
    _permit: OwnedSemaphorePermit,
}

/// An order's status, live.
///
/// Server-sent events: one `status` event, whose data is the order, at once and at each
/// change. The stream ends after `Provisioned`, `Failed` or `Cancelled`; before that, open it
/// again when it ends.
#[utoipa::path(
    get,
    path = "/api/orders/{sfOrderId}/events",
    tag = "orders",
    params(("sfOrderId" = String, Path, description = "Salesforce Order id, 15 or 18 characters")),
    responses(
        (status = 200, description = "Events", body = OrderBody, content_type = "text/event-stream"),
        (status = 400, description = "No order id", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Unknown, or another customer's", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Nobody can tell at the moment", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn follow(
    State(portal): State<Arc<Portal>>,
    Path(order): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let customer = portal.by_any(&headers).await?;
    let order = order_id(&order)?;
    let first = portal.order_of(customer, order).await?;
    let permit = Arc::clone(&portal.streams)
        .try_acquire_owned()
        .map_err(|_| Problem::unavailable("Too many orders are being followed."))?;
    let follower = Follower {
        ends_at: portal.ports.clock.monotonic() + MAX_LEN,
        portal,
        customer,
        order,
        first: Some(first),
        told: None,
        _permit: permit,
    };
    Ok(Sse::new(stream(follower))
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
        .into_response())
}

fn stream(follower: Follower) -> impl Stream<Item = Result<Event, Infallible>> {
    futures::stream::unfold(follower, async |mut follower| {
        let view = follower.next().await?;
        let event = Event::default()
            .event("status")
            .json_data(body(&view))
            .ok()?;
        Some((Ok(event), follower))
    })
}

impl Follower {
    /// The next status; `None` when the stream is over.
    async fn next(&mut self) -> Option<View> {
        if self.told.is_some_and(Status::is_end) {
            return None;
        }
        if let Some(first) = self.first.take() {
            self.told = Some(first.status);
            return Some(first);
        }
        let portal = Arc::clone(&self.portal);
        let clock = &portal.ports.clock;
        while clock.monotonic() < self.ends_at {
            portal
                .shutdown
                .run_until_cancelled(clock.sleep(LOOK))
                .await?;
            match portal.order_of(self.customer, self.order).await {
                Ok(view) if self.told != Some(view.status) => {
                    self.told = Some(view.status);
                    return Some(view);
                }
                Ok(_) => {}
                Err(problem) if problem.status().is_server_error() => {}
                Err(_) => return None,
            }
        }
        None
    }
}
