//! Probes and metrics.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use error_chain::chain;
use operations::StoreHealth;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::Metrics;

/// One line of the readiness page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The name of the check.
    pub name: &'static str,
    /// The problem, if any.
    pub problem: Option<String>,
    /// Whether the problem makes the program unready; otherwise it is only degraded.
    pub required: bool,
}

impl Check {
    /// A check that must pass for the program to be ready: this process cannot do its work.
    #[must_use]
    pub fn required(name: &'static str, problem: Option<String>) -> Self {
        Self {
            name,
            problem,
            required: true,
        }
    }

    /// A check whose failure degrades the program: a restart of this process cures nothing.
    #[must_use]
    pub fn optional(name: &'static str, problem: Option<String>) -> Self {
        Self {
            name,
            problem,
            required: false,
        }
    }

    /// The job store, which every program needs.
    pub async fn store(store: &dyn StoreHealth) -> Self {
        let problem = store
            .ping()
            .await
            .err()
            .map(|error| chain(&error).to_string());
        Self::required("store", problem)
    }

    fn status(&self) -> &'static str {
        match (&self.problem, self.required) {
            (None, _) => "ok",
            (Some(_), false) => "degraded",
            (Some(_), true) => "problem",
        }
    }
}

/// The readiness checks of a program.
#[async_trait]
pub trait Checks: Send + Sync {
    /// Runs the checks.
    async fn look(&self) -> Vec<Check>;
}

/// Serves `/livez`, `/readyz` and `/metrics`. Not ready once `draining` is cancelled.
pub(super) fn routes(
    checks: Arc<dyn Checks>,
    metrics: Metrics,
    draining: CancellationToken,
) -> Router {
    Router::new()
        .route("/livez", get(async || axum::Json(json!({"status": "ok"}))))
        .route(
            "/readyz",
            get(async move || {
                let mut lines = checks.look().await;
                if draining.is_cancelled() {
                    let problem = "the program is shutting down".to_owned();
                    lines.push(Check::required("draining", Some(problem)));
                }
                ready(&lines)
            }),
        )
        .route("/metrics", get(async move || metrics.render()))
}

fn ready(checks: &[Check]) -> Response {
    let ready = checks
        .iter()
        .all(|check| check.problem.is_none() || !check.required);
    let (code, status) = match ready {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    let lines: Vec<_> = checks
        .iter()
        .map(|check| {
            json!({
                "name": check.name,
                "status": check.status(),
                "problem": check.problem,
            })
        })
        .collect();
    (code, axum::Json(json!({"status": status, "checks": lines}))).into_response()
}
