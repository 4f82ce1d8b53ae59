//! API calls: sessions, locks, limits, metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use error_chain::chain;
use outbound::{BodyError, ClientOptions, Reachability, Roots};
use rand::Rng;
use reqwest::Method;
use reqwest::header::{DATE, IF_UNMODIFIED_SINCE, LAST_MODIFIED};
use salesforce_auth::{Session, TokenManager};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::RestConfig;
use crate::allowance::Allowance;
use crate::error::{ApiError, ApiFailure, Failure};
use crate::time::CrmTime;

const BODY_CAP: usize = 16 * 1024 * 1024;
/// Number of tries while rows are locked.
const LOCK_TRIES: u32 = 4;

/// A call.
pub(crate) struct Call {
    /// Operation name, for logs and metrics.
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    /// Path below the version, or from the root if it starts with a slash.
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<Value>,
    pub(crate) unmodified_since: Option<String>,
}

impl Call {
    pub(crate) fn get(operation: &'static str, path: impl Into<String>) -> Self {
        Self {
            operation,
            method: Method::GET,
            path: path.into(),
            query: Vec::new(),
            body: None,
            unmodified_since: None,
        }
    }

    pub(crate) fn patch(operation: &'static str, path: impl Into<String>, body: Value) -> Self {
        Self {
            method: Method::PATCH,
            body: Some(body),
            ..Self::get(operation, path)
        }
    }

    pub(crate) fn post(operation: &'static str, path: impl Into<String>, body: Value) -> Self {
        Self {
            method: Method::POST,
            body: Some(body),
            ..Self::get(operation, path)
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }
}

/// A successful answer.
pub(crate) struct Answer {
    pub(crate) last_modified: Option<String>,
    /// Time of the answer, by Salesforce's clock.
    pub(crate) date: Option<String>,
    body: bytes::Bytes,
}

impl Answer {
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        // The parser's message has a position, not the contents.
        serde_json::from_slice(&self.body).map_err(|error| Failure::unexpected(Box::new(error)))
    }
}

/// The REST API of one org.
pub(crate) struct Client {
    http: reqwest::Client,
    tokens: Arc<TokenManager>,
    version: String,
    lock_backoff: Duration,
    pub(crate) allowance: Allowance,
    pub(crate) time: CrmTime,
    pub(crate) reachability: Reachability,
}

impl Client {
    pub(crate) fn new(
        config: &RestConfig,
        tokens: Arc<TokenManager>,
        roots: &Roots,
    ) -> Result<Self, reqwest::Error> {
        register();
        let http = outbound::build(
            &ClientOptions {
                connect_timeout: Duration::from_secs(10),
                timeout: config.timeout,
                pool_idle: Duration::from_secs(20),
            },
            roots,
        )?;
        Ok(Self {
            http,
            tokens,
            version: config.api_version.clone(),
            lock_backoff: config.lock_backoff,
            allowance: Allowance::default(),
            time: CrmTime::default(),
            reachability: Reachability::default(),
        })
    }

    /// The REST version.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// The organisation's id.
    pub(crate) async fn org(&self) -> Result<String, Failure> {
        self.tokens.org().await.map_err(Failure::auth)
    }

    /// Makes the call, and repeats it while rows are locked.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, Failure> {
        let mut tries = 1;
        loop {
            let started = Instant::now();
            let result = self.with_session(call).await;
            observe(call.operation, started.elapsed(), result.as_ref().err());
            match result {
                Err(Failure::Api(failure)) if failure.is_lock() && tries < LOCK_TRIES => {
                    self.wait_for_lock(call.operation, tries).await;
                    tries += 1;
                }
                other => return other,
            }
        }
    }

    /// Waits before the next try on a locked row.
    pub(crate) async fn wait_for_lock(&self, operation: &'static str, tries: u32) {
        tracing::info!(operation, tries, "row locked; trying again");
        let base = self.lock_backoff * 2_u32.pow(tries.saturating_sub(1));
        let jitter = rand::rng().random_range(0.75..1.25);
        tokio::time::sleep(base.mul_f64(jitter)).await;
    }

    /// Whether another try on a locked row is allowed.
    pub(crate) fn may_try_again(tries: u32) -> bool {
        tries < LOCK_TRIES
    }

    /// Makes the call, and repeats it once with a new session if the first was refused.
    async fn with_session(&self, call: &Call) -> Result<Answer, Failure> {
        let session = self.tokens.token().await.map_err(Failure::auth)?;
        match self.once(call, &session).await {
            Err(Failure::Api(failure)) if failure.status == 401 && is_renewable(&failure) => {
                let session = self
                    .tokens
                    .refresh(session.generation)
                    .await
                    .map_err(Failure::auth)?;
                let again = self.once(call, &session).await;
                if let Err(Failure::Api(failure)) = &again
                    && failure.status == 401
                    && is_renewable(failure)
                    && let Some(error) = self.tokens.refused(session.generation)
                {
                    return Err(Failure::auth(error));
                }
                again
            }
            other => other,
        }
    }

    async fn once(&self, call: &Call, session: &Session) -> Result<Answer, Failure> {
        // From the session of this try: a new login may use another instance.
        let path = if call.path.starts_with('/') {
            call.path.clone()
        } else {
            format!("/services/data/v{}/{}", self.version, call.path)
        };
        let mut request = self
            .http
            .request(call.method.clone(), session.instance_url.join(&path))
            .bearer_auth(session.access_token.expose())
            .header("Sforce-Call-Options", "client=orderbridge")
            .header(reqwest::header::ACCEPT, "application/json");
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        if let Some(since) = &call.unmodified_since {
            request = request.header(IF_UNMODIFIED_SINCE, since);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .inspect_err(|error| {
                // The URL is left out: it is long, and its query says nothing about the failure.
                let causes =
                    std::error::Error::source(error).map(|source| chain(source).to_string());
                self.reachability
                    .failed(causes.unwrap_or_else(|| "no answer".to_owned()));
            })
            .map_err(transport_error)?;
        let status = response.status();
        self.reachability.answered(status.as_u16());
        self.allowance.note(response.headers());
        self.time.note(response.headers());
        let header = |name| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let (last_modified, date) = (header(LAST_MODIFIED), header(DATE));
        let body = match outbound::read_capped(response, BODY_CAP).await {
            Ok(body) => body,
            // A truncated error page is still that error.
            Err(_) if !status.is_success() => bytes::Bytes::new(),
            Err(BodyError::Broken(error)) => {
                return Err(Failure::Unknown(Box::new(error.without_url())));
            }
            Err(error) => return Err(Failure::Unknown(Box::new(error))),
        };
        if status.is_success() {
            self.tokens.accepted(session.generation);
            return Ok(Answer {
                last_modified,
                date,
                body,
            });
        }
        let failure = ApiFailure {
            status: status.as_u16(),
            errors: serde_json::from_slice::<Vec<ApiError>>(&body).unwrap_or_default(),
        };
        // An API error proves that the session was accepted; an error page does not.
        if matches!(failure.status, 400 | 404 | 409 | 412) && !failure.errors.is_empty() {
            self.tokens.accepted(session.generation);
        }
        Err(Failure::Api(failure))
    }
}

/// Some sessions are refused for their kind, not for their age: a new one would be refused too.
fn is_renewable(failure: &ApiFailure) -> bool {
    !failure.errors.iter().any(|error| {
        error
            .message
            .contains("not valid for use with the REST API")
            || error.message.contains("connected app is not attached")
    })
}

fn transport_error(error: reqwest::Error) -> Failure {
    let never_sent = error.is_connect() || error.is_builder();
    let error = Box::new(error.without_url());
    if never_sent {
        Failure::NotSent(error)
    } else {
        Failure::Unknown(error)
    }
}

/// Every operation.
const OPERATIONS: [&str; 18] = [
    "account_link",
    "customer_orders",
    "describe",
    "identity",
    "limits",
    "order_ask_again",
    "order_details",
    "order_items",
    "order_items_report",
    "order_place",
    "order_placed",
    "order_report",
    "order_standing",
    "order_statuses",
    "orders_booked",
    "orders_pending",
    "pricebook_entries",
    "products_mapped",
];
/// The outcomes of a call.
const OUTCOMES: [&str; 8] = [
    "ok",
    "connect",
    "unknown",
    "denied",
    "locked",
    "conflict",
    "http_error",
    "api_error",
];

/// Registers every counter at zero: `rate()` would miss the first failure of a new counter.
fn register() {
    for operation in OPERATIONS {
        for outcome in OUTCOMES {
            count(operation, outcome, 0);
        }
    }
}

fn count(operation: &'static str, outcome: &'static str, by: u64) {
    metrics::counter!(
        "orderbridge_salesforce_requests_total",
        "operation" => operation,
        "outcome" => outcome
    )
    .increment(by);
}

fn observe(operation: &'static str, took: Duration, failure: Option<&Failure>) {
    let outcome = match failure {
        None => "ok",
        Some(Failure::NotSent(_)) => "connect",
        Some(Failure::Unknown(_)) => "unknown",
        Some(Failure::Denied { .. }) => "denied",
        Some(Failure::Api(failure)) if failure.is_lock() => "locked",
        Some(Failure::Api(failure)) if failure.status == 412 => "conflict",
        Some(Failure::Api(failure)) if failure.status >= 500 => "http_error",
        Some(Failure::Api(_)) => "api_error",
    };
    count(operation, outcome, 1);
    metrics::histogram!(
        "orderbridge_salesforce_request_duration_seconds",
        "operation" => operation,
        "outcome" => outcome
    )
    .record(took.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_of_wrong_kind_is_not_renewed() {
        let failure = |message: &str| ApiFailure {
            status: 401,
            errors: vec![ApiError {
                code: "INVALID_SESSION_ID".to_owned(),
                message: message.to_owned(),
                fields: Vec::new(),
            }],
        };
        assert!(is_renewable(&failure("Session expired or invalid")));
        assert!(!is_renewable(&failure(
            "This session is not valid for use with the REST API"
        )));
    }
}
