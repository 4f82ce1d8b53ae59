//! The JSON of a notification; part of the public contract.

use operations::{Alert, Notified};
use serde_json::{Value, json};
use settings::Runbooks;

use crate::rule::rfc3339;

/// The JSON of one notification.
#[must_use]
pub fn body(alert: &Alert, message: Notified, runbooks: Option<&Runbooks>) -> String {
    let resolved = message == Notified::Resolved;
    let ends_at = alert.resolved_at.filter(|_| resolved);
    let mut body = json!({
        "alert": alert.name,
        "status": if resolved { "resolved" } else { "firing" },
        "severity": alert.severity,
        "summary": alert.summary,
        "description": alert.description,
        "labels": {"alert": alert.name, "severity": alert.severity, "service": "orderbridge"},
        "startsAt": alert.firing_since.map(rfc3339),
        "endsAt": ends_at.map_or(Value::Null, |at| Value::String(rfc3339(at))),
    });
    if let Some(runbooks) = runbooks {
        body["runbookUrl"] = runbooks.of(&alert.name).into();
    }
    body.to_string()
}

#[cfg(test)]
mod tests {
    use domain::time::Timestamp;

    use super::*;

    #[test]
    fn webhook_message_has_documented_shape() {
        let alert = Alert {
            name: "X".to_owned(),
            severity: "page".to_owned(),
            summary: "s".to_owned(),
            description: "d".to_owned(),
            pending_since: None,
            firing_since: Some(Timestamp::from_millis(1_767_225_600_000)),
            resolved_at: Some(Timestamp::from_millis(1_767_225_660_000)),
            notified: Notified::Firing,
        };
        let labels = r#"{"alert":"X","service":"orderbridge","severity":"page"}"#;
        let with = |status: &str, ends_at: &str| {
            let text = format!(
                r#"{{"alert":"X","status":"{status}","severity":"page","summary":"s",
                "description":"d","labels":{labels},"startsAt":"2026-01-01T00:00:00.000Z",
                "endsAt":{ends_at}}}"#
            );
            serde_json::from_str::<Value>(&text).unwrap()
        };
        let read = |message| serde_json::from_str::<Value>(&body(&alert, message, None)).unwrap();
        assert_eq!(read(Notified::Firing), with("firing", "null"));
        let end = r#""2026-01-01T00:01:00.000Z""#;
        assert_eq!(read(Notified::Resolved), with("resolved", end));
        let runbooks = Runbooks::parse("https://wiki.example/runbooks?v=1").ok();
        let linked = body(&alert, Notified::Firing, runbooks.as_ref());
        let linked = serde_json::from_str::<Value>(&linked).unwrap();
        assert_eq!(linked["runbookUrl"], "https://wiki.example/runbooks?v=1#x");
    }
}
