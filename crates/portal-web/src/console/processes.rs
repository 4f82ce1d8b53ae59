//! Labels of processes and their conditions.

use operations::{ConditionKind, ProcessView};

use crate::time::span;

/// A process without a heartbeat for longer is marked.
const STALE_SECONDS: u64 = 45;

/// The age of the last heartbeat.
pub(super) fn last_heartbeat(view: &ProcessView) -> String {
    match view.unseen_for.as_secs() {
        0..=1 => "now".to_owned(),
        _ => format!("{} ago", span(view.unseen_for)),
    }
}

/// Whether the next heartbeat is overdue.
pub(super) fn is_stale(view: &ProcessView) -> bool {
    view.unseen_for.as_secs() > STALE_SECONDS
}

/// The label of a condition.
pub(super) fn label(kind: &ConditionKind) -> &'static str {
    match kind {
        ConditionKind::Leads => "leader",
        ConditionKind::Standby => "standby",
        ConditionKind::Subscribed => "subscribed",
        ConditionKind::Connecting => "connecting",
        ConditionKind::Stopped => "stream stopped",
        ConditionKind::EventsDisabled => "events disabled",
        ConditionKind::WhmcsRefuses => "WHMCS refuses access",
        ConditionKind::SalesforceRefuses => "Salesforce refuses the login",
        ConditionKind::ApiScarce => "Salesforce API limit nearly reached",
        ConditionKind::Panicked => "panicked",
    }
}

/// CSS class: `good`, `bad`, `warn` or `plain`.
pub(super) fn tone(kind: &ConditionKind) -> &'static str {
    match kind {
        ConditionKind::Subscribed => "good",
        ConditionKind::Stopped
        | ConditionKind::WhmcsRefuses
        | ConditionKind::SalesforceRefuses
        | ConditionKind::Panicked => "bad",
        ConditionKind::Connecting | ConditionKind::ApiScarce => "warn",
        ConditionKind::Leads | ConditionKind::Standby | ConditionKind::EventsDisabled => "plain",
    }
}
