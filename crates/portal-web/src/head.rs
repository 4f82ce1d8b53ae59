//! Headers that every answer carries.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::auth::Keys;
use crate::ops::is_local;
use crate::portal::Portal;
use crate::problem::Problem;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
    connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// Where nobody's token is checked, another site's name that points to this machine would get
/// past the browser.
pub(crate) async fn own_name(
    State(portal): State<Arc<Portal>>,
    request: Request,
    next: Next,
) -> Response {
    if matches!(portal.tokens.keys, Keys::Nobody) && !is_local(request.headers()) {
        return Problem::new(StatusCode::NOT_FOUND, "There is nothing here.").into_response();
    }
    next.run(request).await
}

pub(crate) async fn guard(response: Response) -> Response {
    let mut response = as_problem(response);
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Only what is the same for everybody says itself that it may be kept.
    let public = |value: &HeaderValue| value.as_bytes().starts_with(b"public");
    if !headers.get(CACHE_CONTROL).is_some_and(public) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
    response
}

/// What the framework refuses before a route sees it, it refuses in plain text.
fn as_problem(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(CONTENT_TYPE);
    let plain = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !status.is_client_error() || !plain {
        return response;
    }
    let detail = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "The body is too large.",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "The body is of another kind than is needed here.",
        _ => "The address or the body cannot be read.",
    };
    Problem::new(status, detail).into_response()
}
