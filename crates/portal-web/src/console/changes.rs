//! Notifies an open screen that its content has changed.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use operations::OrderQuery;

use super::caller::Caller;
use super::session::Denied;
use super::state::Console;
use crate::problem::Problem;

const POLL_INTERVAL: Duration = Duration::from_secs(3);

/// Sends an event on each change; the page then reloads its content.
pub(super) async fn follow(
    State(state): State<Arc<Console>>,
    caller: Caller,
) -> Result<Response, Problem> {
    let operator = state.for_api(&caller).await?;
    let streams = state.streams.clone();
    let permit = streams.for_operator()?;
    let stream = streams.open(
        permit,
        operator.expires_at,
        POLL_INTERVAL,
        None,
        move |known| {
            let state = Arc::clone(&state);
            let caller = caller.clone();
            async move {
                // Logging out ends the stream, and so does a changed token.
                match state.sessions.authenticate(&caller).await {
                    Ok(_) | Err(Denied::Unavailable) => {}
                    Err(_) => return (known, ControlFlow::Break(())),
                }
                match fingerprint(&state).await {
                    Some(current) if known.as_ref() != Some(&current) => {
                        // Browsers ignore an event without data.
                        let event = Event::default().event("change").data("screen");
                        (Some(current), ControlFlow::Continue(Some(event)))
                    }
                    _ => (known, ControlFlow::Continue(None)),
                }
            }
        },
    );
    Ok(stream)
}

/// A value that differs whenever a screen would.
async fn fingerprint(state: &Console) -> Option<String> {
    let query = OrderQuery {
        limit: 1,
        ..OrderQuery::default()
    };
    let newest = state.orders.orders(&query).await.ok()?;
    let queue = state.statistics.queue_stats().await.ok()?;
    let pauses = state.commands.pauses().await.ok()?;
    let alerts = state.alerts.alerts().await.ok()?;
    let firing = alerts.iter().filter(|alert| alert.is_firing());
    let firing: Vec<_> = firing.map(|alert| &alert.name).collect();
    let newest = newest.first().map(|row| (row.order, row.updated_at));
    Some(format!(
        "{newest:?} {:?} {} {} {firing:?}",
        queue.jobs,
        queue.open_dead_letters,
        pauses.len()
    ))
}
