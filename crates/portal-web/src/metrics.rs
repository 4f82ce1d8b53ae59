//! Request metrics.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use domain::ports::Clock;
use metrics::{counter, histogram};

/// Label values of denied requests.
const DENIALS: [(StatusCode, &str); 6] = [
    (StatusCode::UNAUTHORIZED, "unauthenticated"),
    (StatusCode::FORBIDDEN, "forbidden"),
    // Unknown or another customer's: the response does not distinguish them either.
    (StatusCode::NOT_FOUND, "not_found"),
    (StatusCode::CONFLICT, "key_taken"),
    (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
    (StatusCode::TOO_MANY_REQUESTS, "throttled"),
];

/// Exports every counter with the value zero.
pub(crate) fn register() {
    for (_, reason) in DENIALS {
        counter!("orderbridge_portal_denied_total", "reason" => reason).increment(0);
    }
}

/// Records duration and status by the route's template: a path holds ids. A stream counts
/// until its first byte.
pub(crate) async fn record(
    State(clock): State<Arc<dyn Clock>>,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "other".to_owned(), |route| route.as_str().to_owned());
    let method = method_label(request.method());
    let started = clock.monotonic();
    let response = next.run(request).await;
    let elapsed = clock.monotonic().saturating_sub(started);
    let status = response.status();
    histogram!("http_server_request_duration_seconds",
        "method" => method, "route" => route, "status_code" => status.as_u16().to_string())
    .record(elapsed.as_secs_f64());
    if let Some((_, reason)) = DENIALS.iter().find(|(denied, _)| *denied == status) {
        counter!("orderbridge_portal_denied_total", "reason" => *reason).increment(1);
    }
    response
}

/// Bounds the label's cardinality: clients may invent methods.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        _ => "other",
    }
}
