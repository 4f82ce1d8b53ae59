//! Headers of every response, and checks of request headers.

use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;
use crate::request::{has_local_host, is_local_host, request_id};

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
    connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// Headers of proxies. Their requests come from elsewhere, whatever the headers say.
const FORWARDED: [&str; 4] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// Where no token is checked, only requests to a name of this machine are answered, and none
/// that came through a proxy.
pub(crate) async fn require_local_host(request: Request, next: Next) -> Response {
    let headers = request.headers();
    // HTTP/2 names the host there instead of in a header.
    let authority = request.uri().authority();
    let is_local = has_local_host(headers)
        && authority.is_none_or(|authority| is_local_host(authority.as_str()))
        && !FORWARDED.iter().any(|name| headers.contains_key(*name));
    match is_local {
        true => next.run(request).await,
        false => Problem::nothing_here().into_response(),
    }
}

/// Adds security headers, turns the framework's own errors into problem documents, and gives
/// those the id of their request.
pub(crate) async fn secure(request: Request, next: Next) -> Response {
    let id = request_id(request.headers()).map(str::to_owned);
    let mut response = as_problem(next.run(request).await);
    if let (Some(id), Some(problem)) = (id, response.extensions().get::<Problem>()) {
        let body = axum::Json(problem.body(Some(id)))
            .into_response()
            .into_body();
        *response.body_mut() = body;
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Only responses that are the same for everyone allow caching.
    let public = |value: &HeaderValue| value.as_bytes().starts_with(b"public");
    if !headers.get(CACHE_CONTROL).is_some_and(public) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
    response
}

/// The framework rejects requests in plain text.
fn as_problem(response: Response) -> Response {
    let status = response.status();
    let content_type = response.headers().get(CONTENT_TYPE);
    let plain = content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/plain"));
    if !status.is_client_error() || !plain {
        return response;
    }
    let detail = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "The body is too large.",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "The body has the wrong content type.",
        _ => "The address or the body cannot be read.",
    };
    let mut problem = Problem::new(status, detail).into_response();
    for (name, value) in response.headers() {
        if name != CONTENT_LENGTH && !problem.headers().contains_key(name) {
            problem.headers_mut().insert(name, value.clone());
        }
    }
    problem
}
