//! What customers see: the API, the status page and the event stream of an order.

mod auth;
pub(crate) mod create_order;
mod crm_budget;
pub(crate) mod events;
mod jwks;
pub(crate) mod orders;
mod page;
mod rate_limit;
mod scopes;
mod state;
mod status;
mod status_cache;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::html::asset;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use auth::{Customer, Denial, Keys, Tokens};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use jwks::find_key;
pub(crate) use state::Customers;

pub(crate) fn routes(state: Customers) -> Router {
    Router::new()
        .route("/api/orders", post(create_order::create))
        .route("/api/orders/{order}", get(orders::show))
        .route("/api/orders/{order}/events", get(events::follow))
        .route("/orders/{order}", get(page::show))
        .route(
            "/assets/portal.css",
            get(async || {
                asset(
                    "text/css; charset=utf-8",
                    include_str!("../../assets/portal.css"),
                )
            }),
        )
        .route(
            "/assets/portal.js",
            get(async || {
                asset(
                    "text/javascript; charset=utf-8",
                    include_str!("../../assets/portal.js"),
                )
            }),
        )
        .route(
            "/assets/icon.svg",
            get(async || asset("image/svg+xml", include_str!("../../assets/icon.svg"))),
        )
        .with_state(Arc::new(state))
}
