//! Processes and alerts as rows.

use std::time::Duration;

use domain::key::Owner;
use domain::ports::StoreError;
use domain::time::Timestamp;
use operations::{
    Alert, AttemptStats, CallStats, Condition, ConditionKind, Notified, ProcessReport, ProcessView,
    Setting,
};
use serde_json::{Value, json};

use crate::error::corrupt;
use crate::row::Columns;

/// Counts of the attempts that finished in a window, the same on both engines: `$1` is the
/// start of the window. The latency is the 95th percentile of the successful attempts.
macro_rules! outcomes {
    () => {
        "SELECT
             (SELECT count(*) FROM job WHERE ended_at > $1 AND state = 'succeeded') AS succeeded,
             (SELECT count(*) FROM job WHERE ended_at > $1 AND state = 'failed') AS failed,
             (SELECT max(ended_at) FROM job WHERE ended_at IS NOT NULL) AS last_end,
             (SELECT ended_at - requested_at AS took FROM job
              WHERE ended_at > $1 AND state = 'succeeded' ORDER BY took
              LIMIT 1 OFFSET (SELECT count(*) * 95 / 100 FROM job
                              WHERE ended_at > $1 AND state = 'succeeded')) AS p95"
    };
}
pub(crate) use outcomes;

pub(crate) fn outcomes_of(
    found: &impl Columns,
    now: Timestamp,
) -> Result<AttemptStats, StoreError> {
    let count = |column| {
        let number = found.int(column)?;
        Ok::<_, StoreError>(u64::try_from(number).unwrap_or(0))
    };
    let took = found.maybe_int("p95")?;
    Ok(AttemptStats {
        now,
        succeeded: count("succeeded")?,
        failed: count("failed")?,
        p95: took.map(|took| Duration::from_millis(u64::try_from(took).unwrap_or(0))),
        last_end: found.maybe_time("last_end")?,
    })
}

/// The newest calls to WHMCS since `$1`, at most `$2`, on either engine.
macro_rules! call_stats {
    () => {
        "SELECT count(*) AS calls, count(*) FILTER (WHERE outcome <> 'ok') AS errors
         FROM (SELECT outcome FROM outside_call
               WHERE at > $1 AND action NOT IN
                   ('details', 'standing', 'link_client', 'report_items', 'report')
               ORDER BY at DESC LIMIT $2) AS lately"
    };
}
pub(crate) use call_stats;

pub(crate) fn call_tally(found: &impl Columns) -> Result<CallStats, StoreError> {
    let count = |column| Ok::<_, StoreError>(u64::try_from(found.int(column)?).unwrap_or(0));
    Ok(CallStats {
        calls: count("calls")?,
        errors: count("errors")?,
    })
}

pub(crate) fn conditions(report: &ProcessReport) -> String {
    let conditions = report.conditions.iter().map(|condition| {
        json!({
            "sign": condition.kind.name(),
            "since": condition.since.as_millis(),
            "detail": condition.detail,
        })
    });
    Value::Array(conditions.collect()).to_string()
}

pub(crate) fn settings(report: &ProcessReport) -> String {
    let settings = report.settings.iter().map(
        |setting| json!({"name": setting.name, "value": setting.value, "origin": setting.origin}),
    );
    Value::Array(settings.collect()).to_string()
}

fn list(found: &impl Columns, column: &'static str) -> Result<Vec<Value>, StoreError> {
    serde_json::from_str(&found.text(column)?).map_err(|error| corrupt(column, error))
}

fn word(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

/// A newer release wrote what this one does not know; it is skipped.
fn condition(value: &Value) -> Option<Condition> {
    Some(Condition {
        kind: ConditionKind::parse(value["sign"].as_str()?)?,
        since: Timestamp::from_millis(value["since"].as_i64()?),
        detail: word(value, "detail"),
    })
}

pub(crate) fn process(found: &impl Columns, now: Timestamp) -> Result<ProcessView, StoreError> {
    let seen_at = found.time("seen_at")?;
    let settings = list(found, "settings")?;
    let id = Owner::new(found.text("id")?).ok_or_else(|| corrupt("process.id", "it is blank"))?;
    Ok(ProcessView {
        report: ProcessReport {
            id,
            role: found.text("role")?,
            version: found.text("version")?,
            host: found.text("host")?,
            pid: u32::try_from(found.int("pid")?).unwrap_or(0),
            started_at: found.time("started_at")?,
            conditions: list(found, "conditions")?
                .iter()
                .filter_map(condition)
                .collect(),
            settings: settings
                .iter()
                .map(|value| Setting {
                    name: word(value, "name"),
                    value: value["value"].as_str().map(str::to_owned),
                    origin: word(value, "origin"),
                })
                .collect(),
        },
        seen_at,
        unseen_for: now.since(seen_at),
    })
}

pub(crate) fn alert(found: &impl Columns) -> Result<Alert, StoreError> {
    let notified = found.text("told")?;
    Ok(Alert {
        name: found.text("name")?,
        severity: found.text("severity")?,
        summary: found.text("summary")?,
        description: found.text("description")?,
        pending_since: found.maybe_time("pending_since")?,
        firing_since: found.maybe_time("firing_since")?,
        resolved_at: found.maybe_time("resolved_at")?,
        notified: Notified::parse(&notified).ok_or_else(|| {
            corrupt(
                "alert.notified",
                format!("`{notified}` is not a notification state"),
            )
        })?,
    })
}

/// Stores an alert in place of the one of its name.
macro_rules! keep_alert {
    () => {
        "INSERT INTO alert (name, severity, summary, description, pending_since, firing_since,
             resolved_at, told) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (name) DO UPDATE SET severity = excluded.severity,
             summary = excluded.summary, description = excluded.description,
             pending_since = excluded.pending_since, firing_since = excluded.firing_since,
             resolved_at = excluded.resolved_at, told = excluded.told"
    };
}
pub(crate) use keep_alert;

#[cfg(test)]
mod tests {
    use domain::ports::{CallAction, System};

    #[test]
    fn call_stats_exclude_salesforce() {
        for action in CallAction::ALL {
            let left_out = call_stats!().contains(&format!("'{}'", action.name()));
            assert_eq!(
                left_out,
                action.system() == System::Salesforce,
                "{action:?}"
            );
        }
    }
}
