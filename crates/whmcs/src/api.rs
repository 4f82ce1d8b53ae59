//! API calls: sends a form and classifies the answer.

use std::time::{Duration, Instant};

use domain::ports::CallError;
use error_chain::chain;
use metrics::{counter, histogram};
use outbound::{ClientOptions, Reachability, Roots, read_capped};
use serde_json::{Map, Value};
use settings::ReloadableSecret;

use crate::answer::{Answer, Kind, classify_answer, unknown};
use crate::config::Config;
use crate::form::Form;

/// Maximum size of an answer, in bytes.
const BODY_CAP: usize = 16 * 1024 * 1024;

/// The API of one WHMCS install.
#[derive(Debug)]
pub struct Api {
    http: reqwest::Client,
    url: String,
    pub(crate) config: Config,
    pub(crate) reachability: Reachability,
}

/// Every action in use.
const ACTIONS: [&str; 12] = [
    "AcceptOrder",
    "AddClient",
    "AddOrder",
    "GetClientsDetails",
    "GetClientsProducts",
    "GetCurrencies",
    "GetOrderStatuses",
    "GetOrders",
    "GetPaymentMethods",
    "GetProducts",
    "ModuleCreate",
    "WhmcsDetails",
];

/// Registers every counter at zero: `rate()` would miss the first failure of a new counter.
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
    /// Creates the client without connecting.
    ///
    /// # Errors
    /// The TLS library rejects a certificate.
    pub fn new(config: Config, roots: &Roots) -> Result<Self, reqwest::Error> {
        let options = ClientOptions {
            connect_timeout: Duration::from_secs(10).min(config.timeout),
            timeout: config.timeout,
            // Less than Apache's default keep-alive of 5 s.
            pool_idle: Duration::from_secs(3),
        };
        register();
        let url = config.url.join("includes/api.php");
        Ok(Self {
            http: outbound::build(&options, roots)?,
            url,
            config,
            reachability: Reachability::default(),
        })
    }

    pub(crate) async fn call(
        &self,
        kind: Kind,
        action: &'static str,
        form: Form,
    ) -> Result<Map<String, Value>, CallError> {
        let started = Instant::now();
        let result = self.send(kind, action, form).await;
        let outcome = match &result {
            Ok(_) => "ok",
            Err(error) => error.class(),
        };
        count(action, outcome, 1);
        histogram!("orderbridge_whmcs_request_duration_seconds", "action" => action)
            .record(started.elapsed().as_secs_f64());
        tracing::debug!(
            action,
            outcome,
            duration_ms = started.elapsed().as_millis() as u64,
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
        let (identifier, secret) = (
            self.config.identifier.current(),
            self.config.secret.current(),
        );
        let access_key = self.config.access_key.as_ref();
        let access_key = access_key.map(ReloadableSecret::current);
        let mut fixed = vec![
            ("action", action),
            ("responsetype", "json"),
            ("identifier", identifier.expose()),
            ("secret", secret.expose()),
        ];
        if let Some(key) = &access_key {
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
            .map_err(transport_error)
            .inspect_err(|error| self.reachability.failed(chain(error).to_string()))?;
        let status = response.status().as_u16();
        self.reachability.answered(status);
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
        classify_answer(
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

/// Only a failure to connect proves that nothing was sent.
fn transport_error(error: reqwest::Error) -> CallError {
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
