//! Who makes a request, for the access log.

use std::sync::OnceLock;

use axum::extract::Request;
use axum::http::Extensions;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use crate::request::request_id;

tokio::task_local! {
    static ACTOR: OnceLock<String>;
}

/// Who made the request, in the extensions of its response.
#[derive(Clone, Debug)]
struct Actor(String);

/// Who made a request, from the extensions of its response: `account …` or `operator …`; `None`
/// when nobody was authenticated.
#[must_use]
pub fn actor(extensions: &Extensions) -> Option<String> {
    extensions.get::<Actor>().map(|actor| actor.0.clone())
}

/// Notes who makes the present request. Has no effect outside of one.
pub(crate) fn note(actor: impl FnOnce() -> String) {
    // Tasks of their own serve no single request.
    let _ = ACTOR.try_with(|noted| {
        noted.get_or_init(actor);
    });
}

/// Runs the request so that its log lines carry its id, and puts the actor into the response.
pub(crate) async fn track(request: Request, next: Next) -> Response {
    let span = match request_id(request.headers()) {
        Some(request_id) => tracing::info_span!("request", request_id),
        None => tracing::Span::none(),
    };
    let run = async {
        let mut response = next.run(request).await;
        if let Ok(Some(actor)) = ACTOR.try_with(|noted| noted.get().cloned()) {
            response.extensions_mut().insert(Actor(actor));
        }
        response
    };
    ACTOR.scope(OnceLock::new(), run.instrument(span)).await
}
