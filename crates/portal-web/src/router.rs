//! All routes and what applies to each of them.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, TokenKeys};
use crate::console::{self, Console};
use crate::customer::{self, Customers};
use crate::event_stream::EventStreams;
use crate::ports::Ports;
use crate::problem::Problem;
use crate::{actor, cors, headers, metrics};

const BODY_LIMIT: usize = 64 * 1024;

/// The portal's routes. Open event streams end at `shutdown`; must be called inside a tokio
/// runtime.
pub fn router(ports: Ports, config: Config, shutdown: CancellationToken) -> Router {
    let clock = Arc::clone(&ports.clock);
    let streams = EventStreams::new(Arc::clone(&clock), config.limits.streams, shutdown);
    let is_open = matches!(config.keys, TokenKeys::Nobody);
    if matches!(config.keys, TokenKeys::Jwks(_)) && config.audience.is_none() {
        tracing::warn!(
            "PORTAL_JWT_AUDIENCE is not set: tokens that the identity provider issued for other services are accepted. Set PORTAL_JWT_AUDIENCE"
        );
    }
    let cors_origins = config.cors_origins.clone();
    let mut routes = Router::new()
        .merge(customer::routes(Customers::new(
            &ports,
            &config,
            streams.clone(),
        )))
        .merge(console::routes(Console::new(ports, config, streams)))
        .fallback(async || Problem::nothing_here())
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "This address does not support the method.",
            )
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT));
    if is_open {
        routes = routes.layer(from_fn(headers::require_local_host));
    }
    if !cors_origins.is_empty() {
        routes = routes.layer(cors::layer(cors_origins));
    }
    metrics::register();
    routes
        .layer(from_fn(headers::secure))
        .layer(from_fn(actor::track))
        .layer(from_fn_with_state(clock, metrics::record))
}
