//! What is counted and timed of every answer.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use metrics::{counter, histogram};

use crate::portal::Portal;

/// Why somebody was turned away.
const DENIALS: [(StatusCode, &str); 6] = [
    (StatusCode::UNAUTHORIZED, "unauthenticated"),
    (StatusCode::FORBIDDEN, "forbidden"),
    // Unknown, or somebody else's: both look the same from outside, and so they do here.
    (StatusCode::NOT_FOUND, "not_found"),
    (StatusCode::CONFLICT, "key_taken"),
    (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
    (StatusCode::TOO_MANY_REQUESTS, "throttled"),
];

/// Shows every counter at zero.
pub(crate) fn register() {
    for (_, reason) in DENIALS {
        counter!("orderbridge_portal_denied_total", "reason" => reason).increment(0);
    }
}

/// Times the answer, by the route's template and never by the address: an address holds ids.
/// A stream counts until it begins.
pub(crate) async fn answer(
    State(portal): State<Arc<Portal>>,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "other".to_owned(), |route| route.as_str().to_owned());
    let method = known(request.method());
    let begun = portal.ports.clock.monotonic();
    let response = next.run(request).await;
    let took = portal.ports.clock.monotonic().saturating_sub(begun);
    let status = response.status();
    histogram!("http_server_request_duration_seconds",
        "method" => method, "route" => route, "status_code" => status.as_u16().to_string())
    .record(took.as_secs_f64());
    if let Some((_, reason)) = DENIALS.iter().find(|(denied, _)| *denied == status) {
        counter!("orderbridge_portal_denied_total", "reason" => *reason).increment(1);
    }
    response
}

/// Anybody can invent methods; each would be a series of its own.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        _ => "other",
    }
}
