//! Tells an open screen that it would look different now.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use domain::ports::OrderQuery;

use crate::portal::Portal;
use crate::problem::Problem;

/// Says when something has changed; the page fetches itself again.
pub(super) async fn follow(
    State(portal): State<Arc<Portal>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    portal.operator_program(&headers)?;
    let permit = Arc::clone(&portal.streams)
        .try_acquire_owned()
        .map_err(|_| Problem::unavailable("Too many streams are open."))?;
    let ends_at = portal.ports.clock.monotonic() + Duration::from_secs(900);
    let stream = futures::stream::unfold((None, permit), move |(mut known, permit)| {
        let portal = Arc::clone(&portal);
        async move {
            loop {
                if portal.ports.clock.monotonic() > ends_at {
                    return None;
                }
                let now = print(&portal).await;
                if now.is_some() && now != known {
                    known = now;
                    // Browsers pass over an event without data.
                    let event = Event::default().event("change").data("screen");
                    return Some((Ok::<_, Infallible>(event), (known, permit)));
                }
                let wait = portal.ports.clock.sleep(Duration::from_secs(3));
                portal.shutdown.run_until_cancelled(wait).await?;
            }
        }
    });
    Ok(Sse::new(stream)
        .keep_alive(KeepAlive::new())
        .into_response())
}

/// What differs whenever a screen would.
async fn print(portal: &Portal) -> Option<String> {
    let ports = &portal.ports;
    let query = OrderQuery {
        limit: 1,
        ..OrderQuery::default()
    };
    let newest = ports.orders.orders(&query).await.ok()?;
    let (queue_stats, pauses) = (
        ports.statistics.queue_stats().await.ok()?,
        ports.commands.pauses().await.ok()?,
    );
    let alerts = ports.alerts.alerts().await.ok()?;
    let firing = alerts.iter().filter(|alert| alert.is_firing());
    let firing: Vec<_> = firing.map(|alert| &alert.name).collect();
    let newest = newest.first().map(|row| (row.order, row.updated_at));
    Some(format!(
        "{newest:?} {:?} {} {} {firing:?}",
        queue_stats.jobs,
        queue_stats.open_dead_letters,
        pauses.len()
    ))
}
