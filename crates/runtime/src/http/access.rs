//! Access log and request ids.

use std::net::SocketAddr;
use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

/// Reads from an answer's extensions who made the request, such as an account or an operator.
pub type ActorOf = fn(&Extensions) -> Option<String>;

/// The id of a request, in its extensions and in the header `x-request-id` of request and answer:
/// the one that came with it, or a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken from a request.
const MAX_LENGTH: usize = 64;

/// Gives the request an id and logs the answer. The log has no query strings and no path
/// parameters: they may hold tokens and customers' data. Event streams are logged when they open.
pub(super) async fn log(actor: Option<ActorOf>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = given_id(request.headers()).unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let value = HeaderValue::try_from(&id).ok();
    if let Some(value) = value.clone() {
        request.headers_mut().insert(HEADER, value);
    }
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    let extensions = request.extensions();
    let route = extensions.get::<MatchedPath>().cloned();
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().copied();
    let mut response = next.run(request).await;
    if let Some(value) = value {
        response.headers_mut().insert(HEADER, value);
    }
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let status = response.status().as_u16();
    let duration_ms = started.elapsed().as_millis();
    let peer = peer.map(|ConnectInfo(peer)| tracing::field::display(peer.ip()));
    let actor = actor.and_then(|actor| actor(response.extensions()));
    let actor = actor.as_deref();
    // Probes come every few seconds.
    macro_rules! answered {
        ($level:ident) => {
            tracing::$level!(target: "access", %method, route, status, duration_ms, peer, actor, request_id = id, "request answered")
        };
    }
    match route {
        "/livez" | "/readyz" | "/metrics" | "/health/sf-events" => answered!(debug),
        _ => answered!(info),
    }
    response
}

/// The id that came with a request, unless it could be taken for something else in a log.
fn given_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(HEADER)?.to_str().ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let usable = (1..=MAX_LENGTH).contains(&id.len()) && id.chars().all(plain);
    usable.then(|| id.to_owned())
}
