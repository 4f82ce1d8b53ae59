//! The listener for probes and metrics.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clap::Args;
use domain::ports::JobReader;
use serde_json::json;
use settings::Problems;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Metrics;

/// Where the program listens.
#[derive(Args, Clone, Debug, Default)]
pub struct ListenerArgs {
    /// Address for probes and metrics
    #[arg(long, env = "HTTP_ADDR")]
    pub http_addr: Option<String>,
}

impl ListenerArgs {
    /// The address, or a noted problem.
    #[must_use]
    pub fn check(&self, default: &str, problems: &mut Problems) -> Option<SocketAddr> {
        let fix = "Give an address such as 127.0.0.1:9101";
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
    /// What was looked at.
    pub name: &'static str,
    /// What is wrong, when something is.
    pub problem: Option<String>,
    /// Whether the problem makes the program unready.
    pub required: bool,
}

impl Check {
    /// Something the program cannot do without.
    #[must_use]
    pub fn required(name: &'static str, problem: Option<String>) -> Self {
        Self {
            name,
            problem,
            required: true,
        }
    }

    /// Something without which it still does some good.
    #[must_use]
    pub fn optional(name: &'static str, problem: Option<String>) -> Self {
        Self {
            name,
            problem,
            required: false,
        }
    }

    /// The job store, which every program needs.
    pub async fn store(store: &dyn JobReader) -> Self {
        let problem = store.ping().await.err().map(|error| error.to_string());
        Self::required("store", problem)
    }
}

/// Looks at everything readiness depends on.
#[async_trait]
pub trait Checks: Send + Sync {
    /// The lines of the readiness page.
    async fn look(&self) -> Vec<Check>;
}

/// A bound listener.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// Binds the address.
    ///
    /// # Errors
    /// It is taken, or may not be used.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        TcpListener::bind(address).await.map(Self)
    }

    /// Where it listens: the port that was given, or the one that was free.
    ///
    /// # Errors
    /// The system cannot say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Serves `/livez`, `/readyz`, `/metrics` and the program's own routes until `shutdown`.
    ///
    /// # Errors
    /// The listener broke.
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
    let word = if ready { "ready" } else { "not ready" };
    (status, axum::Json(json!({"status": word, "checks": lines}))).into_response()
}
