//! The operator console and its JSON API. Off unless an operator token is configured.

mod caller;
mod calls;
mod changes;
mod charts;
mod commands;
mod entry;
mod error;
mod json;
mod login;
mod login_limit;
mod processes;
mod queries;
mod screens;
mod session;
mod state;
mod stats;
mod timeline;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::Redirect;
use axum::routing::{get, post};

use crate::html::asset;
pub(crate) use state::Console;

/// The largest login form: anybody may send one.
const LOGIN_LIMIT: usize = 4 * 1024;

pub(crate) fn routes(state: Console) -> Router {
    Router::new()
        .route("/ops", get(screens::overview))
        .route("/ops/", get(async || Redirect::permanent("/ops")))
        .route("/ops/orders", get(screens::orders))
        .route("/ops/orders/{order}", get(screens::order))
        .route("/ops/failures", get(screens::failures))
        .route("/ops/system", get(screens::system))
        .route("/ops/act", post(commands::from_form))
        .route(
            "/ops/login",
            get(login::form)
                .post(login::log_in)
                .layer(DefaultBodyLimit::max(LOGIN_LIMIT)),
        )
        .route("/ops/logout", post(login::log_out))
        .route("/ops/changes", get(changes::follow))
        .route("/ops/api/overview", get(json::overview))
        .route("/ops/api/orders", get(json::orders))
        .route("/ops/api/orders/{order}", get(json::order))
        .route("/ops/api/alerts", get(json::alerts))
        .route("/ops/api/processes", get(json::processes))
        .route("/ops/api/act", post(commands::from_json))
        .route(
            "/assets/ops.css",
            get(async || {
                asset(
                    "text/css; charset=utf-8",
                    include_str!("../../assets/console.css"),
                )
            }),
        )
        .route(
            "/assets/ops.js",
            get(async || {
                asset(
                    "text/javascript; charset=utf-8",
                    include_str!("../../assets/console.js"),
                )
            }),
        )
        .with_state(Arc::new(state))
}
