//! Values that handlers read from requests.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use domain::id::OrderId;
use settings::Endpoint;

use crate::problem::Problem;

/// The id that the listener gave the request.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-request-id")?.to_str().ok()
}

/// The token of the `Authorization` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// The order id of a path.
pub(crate) fn order_id(text: &str) -> Result<OrderId, Problem> {
    OrderId::parse(text).map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))
}

/// Whether the browser says that another site caused the request.
pub(crate) fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = headers
        .get("sec-fetch-site")
        .and_then(|value| value.to_str().ok());
    site.is_some_and(|site| !matches!(site, "same-origin" | "none"))
}

/// Whether `Host` names this machine. A foreign name that resolves to a loopback address
/// would bypass the browser's same-origin policy (DNS rebinding).
pub(crate) fn has_local_host(headers: &HeaderMap) -> bool {
    let host = headers.get("host").map(|value| value.to_str().ok());
    host.is_none_or(|host| host.is_some_and(is_local_host))
}

/// Whether a host, with or without a port, is this machine.
pub(crate) fn is_local_host(host: &str) -> bool {
    Endpoint::parse(&format!("http://{host}")).is_ok()
}
