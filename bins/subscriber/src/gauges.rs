//! What the health page says, as numbers for a monitor.

use std::sync::Arc;
use std::time::Duration;

use intake::Status;
use metrics::gauge;
use runtime::RETENTION;
use tokio_util::sync::CancellationToken;

use crate::health::HealthPage;

/// How often they are set.
const EVERY: Duration = Duration::from_secs(5);

/// Sets them until `shutdown`.
pub(crate) async fn keep(page: Arc<HealthPage>, shutdown: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
        set(&page).await;
    }
}

async fn set(page: &HealthPage) {
    let Some(view) = page.health.as_ref().map(|health| health.view()) else {
        return;
    };
    let topic = || page.channel.as_str().to_owned();
    let up = view.status == Status::Subscribed;
    gauge!("orderbridge_subscription_up", "topic" => topic()).set(f64::from(u8::from(up)));
    gauge!("orderbridge_leader", "role" => "subscriber").set(f64::from(u8::from(view.leads)));
    if let Some(at) = view.last_message_at {
        gauge!("orderbridge_subscription_last_message_timestamp_seconds", "topic" => topic())
            .set(at.as_millis() as f64 / 1000.0);
    }
    // A store that cannot be read shows in readiness; the numbers stay as they were.
    let Ok(stream) = page.events.stream(&page.channel).await else {
        return;
    };
    if let Some(at) = stream.last_event_at {
        gauge!("orderbridge_cursor_event_timestamp_seconds", "topic" => topic())
            .set(at.as_millis() as f64 / 1000.0);
    }
    if let Some(cursor) = stream.cursor {
        let lag = page.clock.now().since(cursor.committed_at);
        let left = RETENTION.saturating_sub(lag);
        gauge!("orderbridge_event_lag_seconds", "topic" => topic()).set(lag.as_secs_f64());
        gauge!("orderbridge_replay_window_remaining_seconds", "topic" => topic())
            .set(left.as_secs_f64());
    }
}
