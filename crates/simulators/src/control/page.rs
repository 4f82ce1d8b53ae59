//! The page of the sandbox, and probes.
use std::sync::Arc;

use axum::{
    Json, Router,
    http::{
        HeaderMap,
        header::{ACCEPT, CONTENT_SECURITY_POLICY},
    },
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde_json::json;

use super::DOCS;
use crate::world::World;

const PAGE: &str = include_str!("page.html");
/// Nothing is loaded from elsewhere, and no page may frame this one.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'";

pub(super) fn routes() -> Router<Arc<World>> {
    let alive = async || Json(json!({"status": "ok"}));
    Router::new()
        .route("/", get(start))
        .route("/ui", get(async || page()))
        .route("/livez", get(alive))
        .route("/readyz", get(alive))
}

fn page() -> Response {
    ([(CONTENT_SECURITY_POLICY, POLICY)], Html(PAGE)).into_response()
}

/// The page for browsers, and text for others.
async fn start(headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|kinds| kinds.to_str().ok());
    match accept {
        Some(kinds) if kinds.contains("text/html") => page(),
        _ => DOCS.into_response(),
    }
}
