//! The processes and the alerts, as people and programs see them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use domain::ports::{Alert, ConditionKind, ProcessView};
use domain::time::Timestamp;
use serde_json::{Value, json};

use super::store;
use crate::portal::Portal;
use crate::problem::Problem;
use crate::time::{rfc3339, span};

/// A process that was not heard of for longer is marked.
const QUIET_SECONDS: u64 = 45;

/// How long ago a process was heard of, in words.
pub(super) fn seen(view: &ProcessView) -> String {
    match view.unseen_for.as_secs() {
        0..=1 => "now".to_owned(),
        _ => format!("{} ago", span(view.unseen_for)),
    }
}

/// Whether it ought to have been heard of since.
pub(super) fn is_quiet(view: &ProcessView) -> bool {
    view.unseen_for.as_secs() > QUIET_SECONDS
}

/// What a sign means, for somebody who does not know the bridge.
pub(super) fn words(sign: &ConditionKind) -> &'static str {
    match sign {
        ConditionKind::Leads => "leads the channel",
        ConditionKind::Standby => "stands by",
        ConditionKind::Subscribed => "events flow",
        ConditionKind::Connecting => "opens the stream",
        ConditionKind::Stopped => "its stream stands",
        ConditionKind::EventsDisabled => "events are switched off",
        ConditionKind::WhmcsRefuses => "WHMCS refuses it",
        ConditionKind::SalesforceRefuses => "Salesforce refuses its login",
        ConditionKind::ApiScarce => "few calls to Salesforce are left today",
        ConditionKind::Panicked => "panicked over a job",
    }
}

/// `good`, `bad` or `plain`.
pub(super) fn tone(sign: &ConditionKind) -> &'static str {
    match sign {
        ConditionKind::Subscribed => "good",
        ConditionKind::Stopped
        | ConditionKind::WhmcsRefuses
        | ConditionKind::SalesforceRefuses
        | ConditionKind::Panicked => "bad",
        ConditionKind::Connecting | ConditionKind::ApiScarce => "doubt",
        ConditionKind::Leads | ConditionKind::Standby | ConditionKind::EventsDisabled => "plain",
    }
}

fn process(view: &ProcessView) -> Value {
    let report = &view.report;
    let conditions = report.conditions.iter().map(|condition| {
        json!({
            "name": condition.kind.name(),
            "since": rfc3339(condition.since),
            "detail": condition.detail,
        })
    });
    let settings = report.settings.iter().map(
        |setting| json!({"name": setting.name, "value": setting.value, "origin": setting.origin}),
    );
    json!({
        "id": report.id.as_str(),
        "role": report.role,
        "version": report.version,
        "host": report.host,
        "pid": report.pid,
        "startedAt": rfc3339(report.started_at),
        "seenAt": rfc3339(view.seen_at),
        "unseenSeconds": view.unseen_for.as_secs(),
        "conditions": conditions.collect::<Vec<_>>(),
        "settings": settings.collect::<Vec<_>>(),
    })
}

fn alert(alert: &Alert) -> Value {
    let status = match (alert.is_firing(), alert.pending_since) {
        (true, _) => "firing",
        (false, Some(_)) => "pending",
        (false, None) => "resolved",
    };
    let time = |at: Option<Timestamp>| at.map(rfc3339);
    json!({
        "alert": alert.name,
        "status": status,
        "severity": alert.severity,
        "summary": alert.summary,
        "description": alert.description,
        "pendingSince": time(alert.pending_since),
        "startsAt": time(alert.firing_since),
        "endsAt": time(alert.resolved_at),
    })
}

pub(super) async fn processes(
    State(portal): State<Arc<Portal>>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    portal.operator_program(&headers)?;
    let views = portal.ports.processes.processes().await.map_err(store)?;
    let views: Vec<_> = views.iter().map(process).collect();
    Ok(Json(json!({"processes": views})))
}

pub(super) async fn alerts(
    State(portal): State<Arc<Portal>>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    portal.operator_program(&headers)?;
    let alerts = portal.ports.alerts.alerts().await.map_err(store)?;
    let mut alerts: Vec<_> = alerts.iter().collect();
    // What fires comes first; what never fired and is calm says nothing.
    alerts.retain(|alert| alert.pending_since.is_some() || alert.firing_since.is_some());
    alerts.sort_by_key(|alert| (!alert.is_firing(), alert.name.clone()));
    let alerts: Vec<_> = alerts.into_iter().map(alert).collect();
    Ok(Json(json!({"alerts": alerts})))
}

impl Portal {
    /// The alerts that fire, the gravest first.
    pub(super) async fn firing(&self) -> Result<Vec<Alert>, Problem> {
        let mut alerts = self.ports.alerts.alerts().await.map_err(store)?;
        alerts.retain(Alert::is_firing);
        alerts.sort_by_key(|alert| (alert.severity != "page", alert.firing_since));
        Ok(alerts)
    }
}
