//! Evaluates every rule on a snapshot. Pure.

use domain::time::Timestamp;
use operations::{Alert, Notified};

use crate::rule::{AlertRule, Settings};
use crate::snapshot::Snapshot;

/// How an alert changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Its condition holds; it fires when that lasts.
    Pending,
    /// Its condition ended before it fired.
    Cleared,
    /// It fires.
    Fired,
    /// Its condition ended after it fired.
    Resolved,
    /// It keeps firing with a new description.
    Updated,
}

/// Returns the alerts that change, in their new state.
///
/// An alert whose resolution was not notified yet resumes when its condition returns: for the
/// receiver it never ended.
#[must_use]
pub fn evaluate(
    settings: &Settings,
    snapshot: &Snapshot,
    alerts: &[Alert],
) -> Vec<(Alert, Transition)> {
    let now = snapshot.outcomes.now;
    let changes = AlertRule::ALL.iter().copied().filter_map(|rule| {
        let alert = alerts.iter().find(|alert| alert.name == rule.name());
        let firing = alert.is_some_and(Alert::is_firing);
        // Text of other systems may hold a NUL, which PostgreSQL cannot store.
        let holds = rule.holds(settings, snapshot, firing);
        let holds = holds.map(|text| text.replace('\0', "\u{fffd}"));
        next(rule, alert, holds, now)
    });
    changes.collect()
}

fn next(
    rule: AlertRule,
    alert: Option<&Alert>,
    holds: Option<String>,
    now: Timestamp,
) -> Option<(Alert, Transition)> {
    let Some(description) = holds else {
        let alert = alert?;
        alert.pending_since?;
        let transition = match alert.is_firing() {
            true => Transition::Resolved,
            false => Transition::Cleared,
        };
        let over = Alert {
            pending_since: None,
            resolved_at: alert.resolved_at.or(alert.firing_since.map(|_| now)),
            ..alert.clone()
        };
        return Some((over, transition));
    };
    // An episode whose resolution was notified is over.
    let episode =
        alert.filter(|alert| alert.resolved_at.is_none() || alert.pending_notification().is_some());
    let pending_since = episode.and_then(|alert| alert.pending_since).unwrap_or(now);
    let before = episode.and_then(|alert| alert.firing_since);
    let is_pending = now.since(pending_since) < rule.pending_for();
    let firing_since = before.or((!is_pending).then_some(now));
    let current = Alert {
        name: rule.name().to_owned(),
        severity: rule.severity().to_owned(),
        summary: rule.summary().to_owned(),
        description,
        pending_since: Some(pending_since),
        firing_since,
        resolved_at: None,
        notified: episode.map_or(Notified::Nothing, |alert| alert.notified),
    };
    if alert == Some(&current) {
        return None;
    }
    let fired_before = alert.is_some_and(Alert::is_firing);
    let transition = match (current.is_firing(), fired_before) {
        (true, false) => Transition::Fired,
        (true, true) => Transition::Updated,
        (false, _) => Transition::Pending,
    };
    Some((current, transition))
}

#[cfg(test)]
mod tests;
