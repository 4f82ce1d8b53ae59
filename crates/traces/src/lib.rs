//! How the traces of one order hang together, whoever exports them.
//!
//! A platform event cannot carry a trace context, so its id is one: the trace that an event
//! begins has the event's UUID for its id. Whoever knows the event, today or after a crash,
//! on this machine or another, finds the same trace without anything being stored. An attempt
//! is a trace of its own, since days may lie between the event and an operator's retry, and
//! links to the event's.
//!
//! Without an exporter nothing here has an effect.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

/// Makes the span part of the trace that this event begins. An event id that is no UUID
/// leaves the span in a trace of its own.
pub fn belongs_to(span: &Span, event: &str) {
    if let Some(origin) = origin(event) {
        // Refused only for a span that has begun to be exported.
        let _ = span.set_parent(Context::new().with_remote_span_context(origin));
    }
}

/// Links the span to the trace that this event began.
pub fn follows(span: &Span, event: &str) {
    if let Some(origin) = origin(event) {
        span.add_link(origin);
    }
}

/// What stands for the event's publication.
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
    fn an_event_is_the_same_trace_whoever_asks() {
        let id = "0f8fad5b-d9cb-469f-a165-70867728950e";
        let found = origin(id).map(|origin| origin.trace_id().to_string());
        assert_eq!(found, Some(id.replace('-', "")));
    }

    #[test]
    fn what_is_no_uuid_begins_no_trace() {
        assert_eq!(origin("e-1"), None);
        assert_eq!(origin("00000000-0000-0000-0000-000000000000"), None);
    }
}
