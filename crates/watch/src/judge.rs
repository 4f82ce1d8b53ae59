//! From what is seen to what becomes of every alert.

use domain::ports::{Alert, Notified};
use domain::time::Timestamp;

use crate::rule::{Rule, Settings};
use crate::seen::Seen;

/// What became of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Its condition holds; it fires when that lasts.
    Pending,
    /// Its condition is gone before it fired.
    Calmed,
    /// It fires.
    Fired,
    /// It is over.
    Resolved,
    /// It goes on, with other numbers.
    GoesOn,
}

/// The alerts that change, as they are from now on. What is not named stays as it is.
///
/// An alert whose receiver was not told yet that it is over goes on when its condition comes
/// back: for the receiver it never ended.
#[must_use]
pub fn judge(settings: &Settings, seen: &Seen, alerts: &[Alert]) -> Vec<(Alert, Turn)> {
    let now = seen.outcomes.now;
    let changes = Rule::ALL.into_iter().filter_map(|rule| {
        let alert = alerts.iter().find(|alert| alert.name == rule.name());
        let firing = alert.is_some_and(Alert::is_firing);
        // The words of other systems are among it, and PostgreSQL keeps no NUL.
        let holds = rule.holds(settings, seen, firing);
        let holds = holds.map(|text| text.replace('\0', "\u{fffd}"));
        next(rule, alert, holds, now)
    });
    changes.collect()
}

fn next(
    rule: Rule,
    alert: Option<&Alert>,
    holds: Option<String>,
    now: Timestamp,
) -> Option<(Alert, Turn)> {
    let Some(description) = holds else {
        let alert = alert?;
        alert.pending_since?;
        let turn = match alert.is_firing() {
            true => Turn::Resolved,
            false => Turn::Calmed,
        };
        let over = Alert {
            pending_since: None,
            resolved_at: alert.resolved_at.or(alert.firing_since.map(|_| now)),
            ..alert.clone()
        };
        return Some((over, turn));
    };
    // An episode of which its receiver knows the end is history.
    let episode = alert.filter(|alert| alert.resolved_at.is_none() || alert.pending_notification().is_some());
    let pending_since = episode.and_then(|alert| alert.pending_since).unwrap_or(now);
    let before = episode.and_then(|alert| alert.firing_since);
    let patient = now.since(pending_since) < rule.patience();
    let firing_since = before.or((!patient).then_some(now));
    let current = Alert {
        name: rule.name().to_owned(),
        severity: rule.severity().to_owned(),
        summary: rule.summary().to_owned(),
        description,
        pending_since: Some(pending_since),
        firing_since,
        resolved_at: None,
        told: episode.map_or(Notified::Nothing, |alert| alert.notified),
    };
    if alert == Some(&current) {
        return None;
    }
    let fired_before = alert.is_some_and(Alert::is_firing);
    let turn = match (current.is_firing(), fired_before) {
        (true, false) => Turn::Fired,
        (true, true) => Turn::GoesOn,
        (false, _) => Turn::Pending,
    };
    Some((current, turn))
}

#[cfg(test)]
mod tests;
