//! Other origins whose pages may call the customer API.

use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long browsers remember what another origin may do.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// Permits these origins to call the customer API with a token, and nothing else. Credentials
/// of the browser, cookies among them, are not permitted.
pub(crate) fn layer(origins: Vec<HeaderValue>) -> CorsLayer {
    let is_allowed = AllowOrigin::predicate(move |origin, request| {
        request.uri.path().starts_with("/api/") && origins.contains(origin)
    });
    CorsLayer::new()
        .allow_origin(is_allowed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
        ])
        .expose_headers([
            ETAG,
            LOCATION,
            RETRY_AFTER,
            HeaderName::from_static("x-request-id"),
        ])
        .max_age(MAX_AGE)
}
