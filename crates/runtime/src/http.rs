//! The listener for probes and metrics.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clap::Args;
use error_chain::chain;
use operations::StoreHealth;
use serde_json::json;
use settings::Problems;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Metrics;

/// Listener settings.
#[derive(Args, Clone, Debug, Default)]
pub struct ListenerArgs {
    /// Address for probes and metrics
    #[arg(long, env = "HTTP_ADDR")]
    pub http_addr: Option<String>,
}

impl ListenerArgs {
    /// The address; `None` with a recorded problem.
    #[must_use]
    pub fn check(&self, default: &str, problems: &mut Problems) -> Option<SocketAddr> {
        let fix = "Use an address such as 127.0.0.1:9101";
        problems.parse(
            "HTTP_ADDR",
            self.http_addr.as_deref(),
            default,
            fix,
            |text| text.parse().ok(),
        )
    }
}

/// One line of the readiness page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The name of the check.
    pub name: &'static str,
    /// The problem, if any.
    pub problem: Option<String>,
    /// Whether the problem makes the program unready.
    pub required: bool,
}

impl Check {
    /// A check that must pass for the program to be ready.
    #[must_use]
    pub fn required(name: &'static str, problem: Option<String>) -> Self {
        Self {
            name,
            problem,
            required: true,
        }
    }

    /// A check whose failure does not make the program unready.
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
}

/// The readiness checks of a program.
#[async_trait]
pub trait Checks: Send + Sync {
    /// Runs the checks.
    async fn look(&self) -> Vec<Check>;
}

/// A bound listener.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// Binds the address.
    ///
    /// # Errors
    /// The address is in use or not permitted.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        TcpListener::bind(address).await.map(Self)
    }

    /// The bound address, with the actual port.
    ///
    /// # Errors
    /// The address is not available.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Serves `/livez`, `/readyz`, `/metrics` and the program's own routes until `shutdown`.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn serve(
        self,
        checks: Arc<dyn Checks>,
        metrics: Metrics,
        own: Router,
        shutdown: CancellationToken,
    ) -> std::io::Result<()> {
        let router = own
            .route("/livez", get(async || axum::Json(json!({"status": "ok"}))))
            .route("/readyz", get(async move || ready(&*checks).await))
            .route("/metrics", get(async move || metrics.render()));
        axum::serve(self.0, router)
            .with_graceful_shutdown(shutdown.cancelled_owned())
            .await
    }
}

async fn ready(checks: &dyn Checks) -> Response {
    let checks = checks.look().await;
    let ready = checks
        .iter()
        .all(|check| check.problem.is_none() || !check.required);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let lines: Vec<_> = checks
        .into_iter()
        .map(|check| {
            json!({
                "name": check.name,
                "status": if check.problem.is_none() { "ok" } else { "problem" },
                "problem": check.problem,
            })
        })
        .collect();
    let status_text = if ready { "ready" } else { "not ready" };
    (
        status,
        axum::Json(json!({"status": status_text, "checks": lines})),
    )
        .into_response()
}
