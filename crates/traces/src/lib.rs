//! Correlation of the traces of one order.
//!
//! A platform event cannot carry a trace context, so the context is derived from its id: the
//! event's UUID is the trace id. Every process finds the same trace, also after a crash, without
//! anything being stored. An attempt is a separate trace, since days may pass between the event and
//! an operator's retry, and links to the event's trace.
//!
//! Without an exporter this has no effect.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

/// Makes the span part of this event's trace. An event id that is not a UUID leaves the span in a
/// separate trace.
pub fn join_event_trace(span: &Span, event: &str) {
    if let Some(origin) = origin(event) {
        // Fails only for a span whose export has started.
        let _ = span.set_parent(Context::new().with_remote_span_context(origin));
    }
}

/// Links the span to this event's trace.
pub fn link_event_trace(span: &Span, event: &str) {
    if let Some(origin) = origin(event) {
        span.add_link(origin);
    }
}

/// The span context that represents the event's publication.
fn origin(event: &str) -> Option<SpanContext> {
    let id = Uuid::try_parse(event).ok()?;
    let (_, low) = id.as_u64_pair();
    let origin = SpanContext::new(
        TraceId::from_bytes(id.into_bytes()),
        SpanId::from_bytes(low.to_be_bytes()),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    origin.is_valid().then_some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_id_is_the_event_id() {
        let id = "0f8fad5b-d9cb-469f-a165-70867728950e";
        let found = origin(id).map(|origin| origin.trace_id().to_string());
        assert_eq!(found, Some(id.replace('-', "")));
    }

    #[test]
    fn invalid_uuid_has_no_trace() {
        assert_eq!(origin("e-1"), None);
        assert_eq!(origin("00000000-0000-0000-0000-000000000000"), None);
    }
}
