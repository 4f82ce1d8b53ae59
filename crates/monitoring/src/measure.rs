//! Metrics of alerts and attempts.

use metrics::{counter, gauge};
use operations::{Alert, AttemptStats};

use crate::AlertRule;

/// Registers every metric at zero.
pub(crate) fn register() {
    for window in ["15m", "1h"] {
        gauge!("orderbridge_provisioning_failure_ratio", "window" => window).set(0.0);
    }
    alerts(&[]);
    waiting(0, 0);
    stuck(0);
    marker_lost(false);
    for outcome in ["ok", "failed"] {
        posted(outcome, 0);
    }
}

/// Which alerts fire; every process reports the same.
pub(crate) fn alerts(alerts: &[Alert]) {
    for rule in AlertRule::ALL.iter().copied() {
        let firing = |alert: &Alert| alert.name == rule.name() && alert.is_firing();
        let active = alerts.iter().any(firing);
        gauge!("orderbridge_alert_active", "alert" => rule.name()).set(f64::from(u8::from(active)));
    }
}

/// Failure ratio of a window.
pub(crate) fn ratio(window: &'static str, outcomes: &AttemptStats) {
    gauge!("orderbridge_provisioning_failure_ratio", "window" => window)
        .set(outcomes.failure_ratio());
}

/// What waits for an operator.
pub(crate) fn waiting(unacknowledged: usize, dead_letters: u64) {
    gauge!("orderbridge_orders_neglected").set(unacknowledged as f64);
    gauge!("orderbridge_dead_letters_open").set(dead_letters as f64);
}

/// Orders without progress for too long.
pub(crate) fn stuck(orders: u64) {
    gauge!("orderbridge_orders_stuck").set(orders as f64);
}

/// Whether WHMCS no longer keeps the marker.
pub(crate) fn marker_lost(lost: bool) {
    gauge!("orderbridge_marker_lost").set(f64::from(u8::from(lost)));
}

/// Counts posted notifications.
pub(crate) fn posted(outcome: &'static str, by: u64) {
    counter!("orderbridge_alert_posts_total", "outcome" => outcome).increment(by);
}
