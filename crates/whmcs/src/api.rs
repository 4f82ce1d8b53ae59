//! One call: form out, classified answer back.

use std::time::{Duration, Instant};

use domain::ports::CallError;
use metrics::{counter, histogram};
use outbound::{ClientOptions, Roots, read_capped};
use serde_json::{Map, Value};

use crate::answer::{Answer, Kind, sort, unknown};
use crate::config::Config;
use crate::form::Form;

/// The longest answer we read, in bytes.
const BODY_CAP: usize = 16 * 1024 * 1024;

/// The API of one WHMCS install.
#[derive(Debug)]
pub struct Api {
    http: reqwest::Client,
    url: String,
    pub(crate) config: Config,
}

/// Every action that is called.
const ACTIONS: [&str; 10] = [
    "AcceptOrder",
    "AddClient",
    "AddOrder",
    "GetClientsDetails",
    "GetClientsProducts",
    "GetCurrencies",
    "GetOrderStatuses",
    "GetOrders",
    "GetProducts",
    "ModuleCreate",
];

/// Shows every counter at zero: one that appears with its first failure hides it from a rate.
fn register() {
    for action in ACTIONS {
        for outcome in ["ok", "not_sent", "unknown", "refused", "denied"] {
            count(action, outcome, 0);
        }
    }
}

fn count(action: &'static str, outcome: &'static str, by: u64) {
    counter!("orderbridge_whmcs_requests_total", "action" => action, "outcome" => outcome)
        .increment(by);
    if outcome != "ok" {
        counter!("orderbridge_whmcs_errors_total", "action" => action, "reason" => outcome)
            .increment(by);
    }
}

impl Api {
    /// Prepares calls; connects to nothing.
    ///
    /// # Errors
    /// The TLS library refuses a certificate.
    pub fn new(config: Config, roots: &Roots) -> Result<Self, reqwest::Error> {
        let options = ClientOptions {
            connect_timeout: Duration::from_secs(10).min(config.timeout),
            timeout: config.timeout,
            // Less than the 5 s that Apache keeps a connection by default.
            pool_idle: Duration::from_secs(3),
        };
        register();
        let url = config.url.join("includes/api.php");
        Ok(Self {
            http: outbound::build(&options, roots)?,
            url,
            config,
        })
    }

    pub(crate) async fn call(
        &self,
        kind: Kind,
        action: &'static str,
        form: Form,
    ) -> Result<Map<String, Value>, CallError> {
        let begun = Instant::now();
        let result = self.send(kind, action, form).await;
        let outcome = match &result {
            Ok(_) => "ok",
            Err(error) => error.class(),
        };
        count(action, outcome, 1);
        histogram!("orderbridge_whmcs_request_duration_seconds", "action" => action)
            .record(begun.elapsed().as_secs_f64());
        tracing::debug!(
            action,
            outcome,
            duration_ms = begun.elapsed().as_millis() as u64,
            "call"
        );
        result
    }

    async fn send(
        &self,
        kind: Kind,
        action: &'static str,
        form: Form,
    ) -> Result<Map<String, Value>, CallError> {
        let mut fixed = vec![
            ("action", action),
            ("responsetype", "json"),
            ("identifier", self.config.identifier.expose()),
            ("secret", self.config.secret.expose()),
        ];
        if let Some(key) = &self.config.access_key {
            fixed.push(("accesskey", key.expose()));
        }
        let response = self
            .http
            .post(&self.url)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(form.encode(&fixed))
            .send()
            .await
            .map_err(broken)?;
        let status = response.status().as_u16();
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let retry_after = header("retry-after")
            .and_then(|text| text.parse().ok())
            .map(Duration::from_secs);
        let blocked = header("cf-mitigated").is_some();
        let body = read_capped(response, BODY_CAP)
            .await
            .map_err(|error| CallError::Unknown {
                source: Box::new(error),
            })?;
        sort(
            kind,
            &Answer {
                status,
                retry_after,
                blocked,
                body: &body,
            },
        )
    }
}

/// Only a connection that never stood proves that nothing was sent.
fn broken(error: reqwest::Error) -> CallError {
    let error = error.without_url();
    if error.is_connect() || error.is_builder() {
        return CallError::NotSent {
            retry_after: None,
            source: Box::new(error),
        };
    }
    if error.is_timeout() {
        return unknown("no answer in time");
    }
    CallError::Unknown {
        source: Box::new(error),
    }
}
