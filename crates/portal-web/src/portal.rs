//! The routes and what stands behind them.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::routing::{get, post};
use domain::key::Channel;
use domain::ports::{
    AdminCommands, AlertStore, Clock, CustomerOrders, EventViews, OrderViews, ProcessRegistry,
    RetryRequests, Statistics,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::auth::{COOKIE_NAME, Customer, Denial, Keys, Tokens, bearer, cookie};
use crate::config::{Config, Links, TokenKeys};
use crate::jwks::Jwks;
use crate::ops::Ops;
use crate::pace::Pace;
use crate::problem::Problem;
use crate::statuses::Statuses;
use crate::{api, events, head, measure, ops, page};

/// Bodies are small.
const BODY_LIMIT: usize = 64 * 1024;
/// Event streams that are open at once.
const STREAMS: usize = 4096;
/// Orders that are being placed at once.
const PLACINGS: usize = 16;

/// What the portal needs of the outside.
#[derive(Clone)]
pub struct Ports {
    /// Customers' orders in Salesforce.
    pub customers: Arc<dyn CustomerOrders>,
    /// Retries in Salesforce.
    pub retries: Arc<dyn RetryRequests>,
    /// Orders and jobs.
    pub orders: Arc<dyn OrderViews>,
    /// Channels, dead letters and gaps.
    pub events: Arc<dyn EventViews>,
    /// The figures of rules and screens.
    pub statistics: Arc<dyn Statistics>,
    /// Operator commands and their pauses.
    pub commands: Arc<dyn AdminCommands>,
    /// The process registry.
    pub processes: Arc<dyn ProcessRegistry>,
    /// The states of alerts.
    pub alerts: Arc<dyn AlertStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The channel whose stream the console shows.
    pub channel: Channel,
    /// Fetches the keys of customer tokens.
    pub http: reqwest::Client,
}

pub(crate) struct Portal {
    pub(crate) ports: Ports,
    pub(crate) statuses: Arc<Statuses>,
    pub(crate) tokens: Tokens,
    pub(crate) ops: Ops,
    pub(crate) secure_cookies: bool,
    pub(crate) links: Links,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) placings: Semaphore,
    pub(crate) pace: Pace,
    pub(crate) shutdown: CancellationToken,
}

impl Portal {
    /// Whoever carries the token of the `Authorization` header.
    pub(crate) async fn by_bearer(&self, headers: &HeaderMap) -> Result<Customer, Problem> {
        self.admit(bearer(headers)).await
    }

    /// The same, or the token of the page's cookie: for what changes nothing.
    pub(crate) async fn by_any(&self, headers: &HeaderMap) -> Result<Customer, Problem> {
        let token = bearer(headers).or_else(|| cookie(headers, COOKIE_NAME));
        self.admit(token).await
    }

    pub(crate) async fn admit(&self, token: Option<&str>) -> Result<Customer, Problem> {
        let now = self.ports.clock.now();
        let admitted = self.tokens.customer(token, now).await;
        admitted.map_err(|denial| match denial {
            Denial::Token => Problem::unauthorized(),
            Denial::NoKeys => Problem::unavailable("Tokens cannot be checked at the moment."),
        })
    }
}

/// The portal's own routes. Open event streams end at `shutdown`; must be called inside a
/// tokio runtime.
pub fn router(ports: Ports, config: Config, shutdown: CancellationToken) -> Router {
    let keys = match config.keys {
        TokenKeys::Nobody => Keys::Nobody,
        TokenKeys::Secret(secret) => Keys::Secret(secret),
        TokenKeys::Jwks(url) => {
            let clock = Arc::clone(&ports.clock);
            Keys::Jwks(Jwks::new(ports.http.clone(), url, clock))
        }
    };
    let statuses = Statuses::new(
        Arc::clone(&ports.customers),
        Arc::clone(&ports.orders),
        Arc::clone(&ports.clock),
    );
    let portal = Arc::new(Portal {
        ports,
        statuses,
        tokens: Tokens {
            keys,
            audience: config.audience,
            issuer: config.issuer,
        },
        ops: Ops::new(config.ops),
        secure_cookies: config.secure_cookies,
        links: config.links,
        streams: Arc::new(Semaphore::new(STREAMS)),
        placings: Semaphore::new(PLACINGS),
        pace: Pace::new(),
        shutdown,
    });
    measure::register();
    Router::new()
        .route("/api/orders", post(api::place))
        .route("/api/orders/{order}", get(api::show))
        .route("/api/orders/{order}/events", get(events::follow))
        .route("/orders/{order}", get(page::show))
        .route("/assets/portal.css", get(page::style))
        .route("/assets/icon.svg", get(page::icon))
        .route("/assets/portal.js", get(page::script))
        .merge(ops::routes())
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "There is nothing here."))
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "This cannot be done with this address.",
            )
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&portal),
            head::own_name,
        ))
        .layer(middleware::map_response(head::guard))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&portal),
            measure::answer,
        ))
        .with_state(portal)
}
