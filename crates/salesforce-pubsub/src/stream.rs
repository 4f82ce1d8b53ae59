//! One open stream.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::job::ProvisionRequest;
use domain::key::{EventId, ReplayId};
use domain::ports::{Batch, EventStream, Received, StreamError, Undecodable, UndecodableReason};
use futures::FutureExt;
use salesforce_auth::TokenManager;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tokio::time::error::Elapsed;
use tonic::Status;

use crate::credit::FlowControlWindow;
use crate::decode;
use crate::error::{self, Reaction};
use crate::proto::{ConsumerEvent, FetchResponse, ProducerEvent};
use crate::schema::{SchemaResult, Schemas};
use crate::wire::{Messages, Requests};

/// Number of consecutive refusals without a message in between.
pub(crate) type Refusals = Arc<AtomicU32>;

/// A call that opens a stream.
pub(crate) type Call = Pin<Box<dyn Future<Output = Result<Messages, Status>> + Send>>;

/// The parts of a stream.
pub(crate) struct Subscription {
    pub(crate) window: i32,
    pub(crate) watchdog: Duration,
    pub(crate) generation: u64,
    pub(crate) requests: Requests,
    pub(crate) call: Call,
    pub(crate) tokens: Arc<TokenManager>,
    pub(crate) schemas: Arc<Schemas>,
    pub(crate) refusals: Refusals,
}

enum State {
    Opening(Call),
    Open(Box<Messages>),
    Over,
}

/// The stream.
pub(crate) struct Stream {
    watchdog: Duration,
    generation: u64,
    tokens: Arc<TokenManager>,
    schemas: Arc<Schemas>,
    refusals: Refusals,
    state: State,
    credits: FlowControlWindow,
    requests: Requests,
    /// What to report to Salesforce once the last message is stored.
    to_commit: Option<Vec<u8>>,
    /// When the last message arrived. The watchdog covers the whole loop of reader and store, not
    /// only the time spent waiting here.
    last_message: Instant,
    /// A message that was not delivered yet, so that it is not lost when `next` is cancelled while
    /// a schema is fetched.
    undelivered: Option<FetchResponse>,
    /// Why the stream ended, while nobody was told.
    ended: Option<StreamError>,
}

impl Stream {
    pub(crate) fn new(parts: Subscription) -> Self {
        Self {
            watchdog: parts.watchdog,
            generation: parts.generation,
            tokens: parts.tokens,
            schemas: parts.schemas,
            refusals: parts.refusals,
            state: State::Opening(parts.call),
            credits: FlowControlWindow::new(parts.window),
            requests: parts.requests,
            to_commit: None,
            last_message: Instant::now(),
            undelivered: None,
            ended: None,
        }
    }

    /// Requests more events when few credits are left, and commits this position of a managed
    /// subscription.
    fn top_up(&mut self, stored: Option<Vec<u8>>) {
        let events = self.credits.due().unwrap_or(0);
        if self.requests.send(events, stored) {
            self.credits.granted(events);
        }
    }

    async fn receive(&mut self) -> Result<FetchResponse, StreamError> {
        let deadline = self.last_message + self.watchdog;
        let received = tokio::time::timeout_at(deadline, message(&mut self.state)).await;
        self.received(received).await
    }

    async fn received(
        &mut self,
        received: Result<Result<Option<FetchResponse>, Status>, Elapsed>,
    ) -> Result<FetchResponse, StreamError> {
        let error = match received {
            Ok(Ok(Some(message))) => {
                self.last_message = Instant::now();
                self.refusals.store(0, Ordering::Relaxed);
                self.tokens.accepted(self.generation);
                let events = i32::try_from(message.events.len()).unwrap_or(i32::MAX);
                self.credits.received(events, message.pending_num_requested);
                return Ok(message);
            }
            Ok(Ok(None)) => {
                tracing::info!(
                    credit = self.credits.outstanding,
                    "the service ended the stream"
                );
                error::disconnected("the service ended the stream")
            }
            Ok(Err(status)) => self.refused(status).await,
            Err(_) => error::disconnected(format!(
                "no message for {} s (SF_PUBSUB_WATCHDOG)",
                self.watchdog.as_secs_f64()
            )),
        };
        self.state = State::Over;
        Err(error)
    }

    async fn refused(&mut self, status: Status) -> StreamError {
        let reaction = error::reaction(&status);
        if reaction != Reaction::Login {
            return error::stream_error(reaction, status);
        }
        let before = self.refusals.fetch_add(1, Ordering::Relaxed);
        // The token is invalidated first, so that the next stream does not use it.
        match self.tokens.refresh(self.generation).await {
            Err(error) => error::no_token(error),
            Ok(_) if before > 0 => error::refused_twice(&status),
            Ok(_) => error::stream_error(reaction, status),
        }
    }
}

async fn decode_all(schemas: &Schemas, message: &FetchResponse) -> Result<Batch, StreamError> {
    let mut schemas_by_id: HashMap<&str, SchemaResult> = HashMap::new();
    let mut events = Vec::with_capacity(message.events.len());
    for event in &message.events {
        let id = event.event.as_ref().map_or("", |event| &event.schema_id);
        let schema = match schemas_by_id.get(id) {
            Some(schema) => schema.clone(),
            None => {
                let schema = schemas.get(id).await?;
                schemas_by_id.insert(id, schema.clone());
                schema
            }
        };
        events.push(received(event, schema));
    }
    Ok(Batch {
        latest: position(&events, message),
        events,
    })
}

/// The position of a message.
fn position(events: &[Received], message: &FetchResponse) -> Option<ReplayId> {
    // Prefer the last event's position: the message's own may already include events of the next
    // message.
    let last = events
        .iter()
        .rev()
        .find_map(|event| event.replay_id.clone());
    // Without credit, the newest position may skip events that were never requested.
    let newest = || match message.pending_num_requested {
        ..=0 => None,
        _ => ReplayId::new(message.latest_replay_id.clone()),
    };
    last.or_else(newest)
}

async fn message(state: &mut State) -> Result<Option<FetchResponse>, Status> {
    loop {
        match state {
            State::Opening(call) => {
                *state = State::Open(Box::new(call.as_mut().await?));
            }
            State::Open(messages) => return messages.next().await,
            State::Over => return Ok(None),
        }
    }
}

#[async_trait]
impl EventStream for Stream {
    async fn next(&mut self) -> Result<Batch, StreamError> {
        if let Some(error) = self.ended.take() {
            return Err(error);
        }
        if self.undelivered.is_none() {
            // Earlier events are stored by now.
            let stored = self.to_commit.take();
            self.top_up(stored);
            let message = self.receive().await?;
            self.undelivered = Some(message);
        }
        self.deliver().await
    }

    async fn arrived(&mut self) -> Option<Batch> {
        if self.undelivered.is_none() {
            self.top_up(None);
            let received = message(&mut self.state).now_or_never()?;
            match self.received(Ok(received)).await {
                Ok(message) => self.undelivered = Some(message),
                Err(error) => {
                    self.ended = Some(error);
                    return None;
                }
            }
        }
        match self.deliver().await {
            Ok(batch) => Some(batch),
            Err(error) => {
                self.ended = Some(error);
                None
            }
        }
    }
}

impl Stream {
    /// Decodes the message that was received.
    async fn deliver(&mut self) -> Result<Batch, StreamError> {
        let Some(message) = &self.undelivered else {
            return Err(error::disconnected("the stream has ended"));
        };
        match decode_all(&self.schemas, message).await {
            Ok(batch) => {
                self.to_commit = self.requests.to_commit(message).or(self.to_commit.take());
                self.undelivered = None;
                Ok(batch)
            }
            Err(error) => {
                self.undelivered = None;
                self.state = State::Over;
                Err(error)
            }
        }
    }
}

fn received(event: &ConsumerEvent, schema: SchemaResult) -> Received {
    let replay_id = ReplayId::new(event.replay_id.clone());
    let empty = ProducerEvent::default();
    let body = event.event.as_ref().unwrap_or(&empty);
    let id = identity(&body.id, replay_id.as_ref());
    if !id.is_storable() {
        let derived = Sha256::digest(id.as_str());
        return Received {
            event: EventId::from_digest(&format!("{derived:x}")),
            replay_id,
            request: Err(unstorable(&id, body)),
        };
    }
    let request = read(&id, schema, &body.schema_id, &body.payload);
    Received {
        event: id,
        replay_id,
        request,
    }
}

/// An event whose id cannot be stored becomes a dead letter for an operator.
fn unstorable(id: &EventId, body: &ProducerEvent) -> Undecodable {
    let bytes = id.as_str().len();
    let detail = format!(
        "the event id has {bytes} bytes, with control characters or more than {}; it is stored under its digest",
        EventId::MAX_LEN
    );
    Undecodable {
        reason: UndecodableReason::Malformed,
        detail,
        schema_id: body.schema_id.clone(),
        payload: body.payload.clone(),
        fields: Vec::new(),
    }
    .storable()
}

/// Decodes a payload, or returns why it cannot be decoded.
pub(crate) fn read(
    event: &EventId,
    schema: SchemaResult,
    schema_id: &str,
    payload: &[u8],
) -> Result<ProvisionRequest, Undecodable> {
    let decoded = schema
        .map_err(|detail| decode::DecodeError {
            reason: UndecodableReason::UnknownSchema,
            detail,
            fields: Vec::new(),
        })
        .and_then(|schema| decode::request(&schema, payload));
    match decoded {
        Ok((request, version)) => {
            if version > 1.0 {
                metrics::counter!("orderbridge_event_version_unknown_total").increment(1);
                tracing::warn!(%event, version, "unknown event version; read as version 1");
            }
            Ok(request)
        }
        Err(error) => Err(Undecodable {
            reason: error.reason,
            detail: error.detail,
            schema_id: schema_id.to_owned(),
            payload: payload.to_vec(),
            fields: error.fields,
        }
        .storable()),
    }
}

/// The event's own id, or else its position, which is the same on redelivery, or else a new id,
/// because two different events must not count as one.
fn identity(id: &str, position: Option<&ReplayId>) -> EventId {
    let unnamed = || format!("unnamed:{}", uuid::Uuid::new_v4());
    EventId::new(id)
        .or_else(|| EventId::new(format!("replay:{}", position?.to_hex())))
        .or_else(|| EventId::new(unnamed()))
        .unwrap_or_else(|| unreachable!("the text before the colon is not blank"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keepalive_moves_position_only_with_open_credit() {
        let keepalive = |pending_num_requested| FetchResponse {
            latest_replay_id: vec![9],
            pending_num_requested,
            ..FetchResponse::default()
        };
        assert_eq!(position(&[], &keepalive(1)), ReplayId::new(vec![9]));
        // Without credit, the bus may have undelivered events before its newest position.
        assert_eq!(position(&[], &keepalive(0)), None);
        assert_eq!(position(&[], &keepalive(-1)), None);
        let event = received(&ConsumerEvent::default(), Err(String::new()));
        let delivered = Received {
            replay_id: ReplayId::new(vec![7]),
            ..event.clone()
        };
        assert_eq!(
            position(&[delivered], &keepalive(0)),
            ReplayId::new(vec![7])
        );
        assert_eq!(position(&[event], &keepalive(0)), None);
    }

    #[test]
    fn event_with_unstorable_id_is_a_stable_dead_letter() {
        let event = |id: &str| {
            let body = ProducerEvent {
                id: id.to_owned(),
                schema_id: "s\0".to_owned(),
                payload: vec![1, 2],
                ..ProducerEvent::default()
            };
            let event = ConsumerEvent {
                event: Some(body),
                replay_id: vec![7],
            };
            received(&event, Err("no\0schema".to_owned()))
        };
        assert_eq!(event(&"x".repeat(255)).event.as_str(), "x".repeat(255));
        let long = "x".repeat(20_000);
        for wrong in [long.as_str(), "a\0b", "a\nb"] {
            let first = event(wrong);
            assert_eq!(first.event, event(wrong).event, "a repeat is recognised");
            assert!(first.event.as_str().len() <= 255);
            assert!(!first.event.as_str().contains(char::is_control));
            let dead_letter = first.request.unwrap_err();
            assert_eq!(dead_letter.reason, UndecodableReason::Malformed);
            assert!(dead_letter.detail.contains("id"), "{}", dead_letter.detail);
            assert_eq!(dead_letter.payload, [1, 2]);
            assert!(!dead_letter.schema_id.contains(char::is_control));
        }
        assert_ne!(event(&long).event, event(&format!("{long}x")).event);
        let dead_letter = event("e").request.unwrap_err();
        assert!(
            !dead_letter.detail.contains(char::is_control),
            "{}",
            dead_letter.detail
        );
    }

    #[test]
    fn event_without_id_is_identified_by_position() {
        let position = ReplayId::new(vec![0xab, 0]).unwrap();
        assert_eq!(identity("e-1", Some(&position)).as_str(), "e-1");
        assert_eq!(identity(" ", Some(&position)).as_str(), "replay:ab00");
        assert_ne!(identity("", None), identity("", None));
    }
}
