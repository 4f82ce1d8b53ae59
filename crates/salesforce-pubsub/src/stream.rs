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
use salesforce_auth::TokenManager;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Response, Status, Streaming};

use crate::credit::Ledger;
use crate::decode;
use crate::failure::{self, Reaction};
use crate::proto::{ConsumerEvent, FetchRequest, FetchResponse, ProducerEvent};
use crate::schema::{Known, Schemas};

/// How often in a row the service refused us without a message in between.
pub(crate) type Refusals = Arc<AtomicU32>;

type Call =
    Pin<Box<dyn Future<Output = Result<Response<Streaming<FetchResponse>>, Status>> + Send>>;

/// What a stream is made of.
pub(crate) struct Subscription {
    pub(crate) topic: String,
    pub(crate) window: i32,
    pub(crate) watchdog: Duration,
    pub(crate) generation: u64,
    pub(crate) credit: mpsc::Sender<FetchRequest>,
    pub(crate) call: Call,
    pub(crate) tokens: Arc<TokenManager>,
    pub(crate) schemas: Arc<Schemas>,
    pub(crate) refusals: Refusals,
}

enum State {
    Opening(Call),
    Open(Box<Streaming<FetchResponse>>),
    Over,
}

/// The stream.
pub(crate) struct Stream {
    topic: String,
    watchdog: Duration,
    generation: u64,
    tokens: Arc<TokenManager>,
    schemas: Arc<Schemas>,
    refusals: Refusals,
    state: State,
    ledger: Ledger,
    credit: mpsc::Sender<FetchRequest>,
    /// When the last message came; the silence is measured over the whole loop of reader and
    /// store, not only while somebody waits here.
    last_message: Instant,
    /// A message that is not handed out yet: a reader that gives up waiting while a schema is
    /// fetched must find it again.
    undelivered: Option<FetchResponse>,
}

impl Stream {
    pub(crate) fn new(parts: Subscription) -> Self {
        Self {
            topic: parts.topic,
            watchdog: parts.watchdog,
            generation: parts.generation,
            tokens: parts.tokens,
            schemas: parts.schemas,
            refusals: parts.refusals,
            state: State::Opening(parts.call),
            ledger: Ledger::new(parts.window),
            credit: parts.credit,
            last_message: Instant::now(),
            undelivered: None,
        }
    }

    /// Asks for more when little is left. What was delivered before is stored by now, since
    /// the reader came back.
    fn top_up(&mut self) {
        let Some(events) = self.ledger.due() else {
            return;
        };
        let request = FetchRequest {
            topic_name: self.topic.clone(),
            num_requested: events,
            ..FetchRequest::default()
        };
        // A full queue means that the network is stuck, a closed one that the stream is over;
        // either shows when the next message is awaited.
        if self.credit.try_send(request).is_ok() {
            self.ledger.granted(events);
        }
    }

    async fn receive(&mut self) -> Result<FetchResponse, StreamError> {
        let deadline = self.last_message + self.watchdog;
        let received = tokio::time::timeout_at(deadline, message(&mut self.state)).await;
        let ended = match received {
            Ok(Ok(Some(message))) => {
                self.last_message = Instant::now();
                self.refusals.store(0, Ordering::Relaxed);
                self.tokens.accepted(self.generation);
                let events = i32::try_from(message.events.len()).unwrap_or(i32::MAX);
                self.ledger.received(events, message.pending_num_requested);
                return Ok(message);
            }
            Ok(Ok(None)) => {
                tracing::info!(credit = self.ledger.known, "the service ended the stream");
                failure::disconnected("the service ended the stream")
            }
            Ok(Err(status)) => self.refused(status).await,
            Err(_) => failure::disconnected(format!(
                "no message for {} s (SF_PUBSUB_WATCHDOG)",
                self.watchdog.as_secs_f64()
            )),
        };
        self.state = State::Over;
        Err(ended)
    }

    async fn refused(&mut self, status: Status) -> StreamError {
        let reaction = failure::reaction(&status);
        if reaction != Reaction::Login {
            return failure::stream_error(reaction, status);
        }
        let before = self.refusals.fetch_add(1, Ordering::Relaxed);
        // The token goes first: a stream that is opened again must not meet it.
        match self.tokens.refresh(self.generation).await {
            Err(error) => failure::no_token(error),
            Ok(_) if before > 0 => failure::refused_twice(&status),
            Ok(_) => failure::stream_error(reaction, status),
        }
    }
}

async fn decode_all(schemas: &Schemas, message: &FetchResponse) -> Result<Batch, StreamError> {
    let mut known_here: HashMap<&str, Known> = HashMap::new();
    let mut events = Vec::with_capacity(message.events.len());
    for event in &message.events {
        let id = event.event.as_ref().map_or("", |event| &event.schema_id);
        let known = match known_here.get(id) {
            Some(known) => known.clone(),
            None => {
                let known = schemas.get(id).await?;
                known_here.insert(id, known.clone());
                known
            }
        };
        events.push(received(event, known));
    }
    Ok(Batch {
        latest: position(&events, message),
        events,
    })
}

/// The position that a message stands for.
fn position(events: &[Received], message: &FetchResponse) -> Option<ReplayId> {
    // The last event's position rather than the message's own: that one may already count
    // what comes with the next message.
    let last = events
        .iter()
        .rev()
        .find_map(|event| event.replay_id.clone());
    // Without credit the newest position may lie behind events that were never asked for.
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
                let messages = call.as_mut().await?.into_inner();
                *state = State::Open(Box::new(messages));
            }
            State::Open(messages) => return messages.message().await,
            State::Over => return Ok(None),
        }
    }
}

#[async_trait]
impl EventStream for Stream {
    async fn next(&mut self) -> Result<Batch, StreamError> {
        if self.undelivered.is_none() {
            self.top_up();
            let message = self.receive().await?;
            self.undelivered = Some(message);
        }
        let Some(message) = &self.undelivered else {
            return Err(failure::disconnected("the stream is over"));
        };
        match decode_all(&self.schemas, message).await {
            Ok(batch) => {
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

fn received(event: &ConsumerEvent, schema: Known) -> Received {
    let replay_id = ReplayId::new(event.replay_id.clone());
    let empty = ProducerEvent::default();
    let body = event.event.as_ref().unwrap_or(&empty);
    let id = identity(&body.id, replay_id.as_ref());
    if !id.is_keepable() {
        let derived = Sha256::digest(id.as_str());
        return Received {
            event: EventId::of_digest(&format!("{derived:x}")),
            replay_id,
            request: Err(unkeepable(&id, body)),
        };
    }
    let request = read(&id, schema, &body.schema_id, &body.payload);
    Received {
        event: id,
        replay_id,
        request,
    }
}

/// An event that cannot be told from others by its own id is for a person to look at.
fn unkeepable(id: &EventId, body: &ProducerEvent) -> Undecodable {
    let bytes = id.as_str().len();
    let detail = format!(
        "the event's id has {bytes} bytes, with control characters or more than {}; it is kept under a digest of it",
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

/// What a payload asks for, or why that cannot be told.
pub(crate) fn read(
    event: &EventId,
    schema: Known,
    schema_id: &str,
    payload: &[u8],
) -> Result<ProvisionRequest, Undecodable> {
    let decoded = schema
        .map_err(|detail| decode::Unusable {
            reason: UndecodableReason::UnknownSchema,
            detail,
            fields: Vec::new(),
        })
        .and_then(|schema| decode::request(&schema, payload));
    match decoded {
        Ok((request, version)) => {
            if version > 1.0 {
                metrics::counter!("orderbridge_event_version_unknown_total").increment(1);
                tracing::warn!(%event, version, "an event of a version above 1 is read as version 1");
            }
            Ok(request)
        }
        Err(unusable) => Err(Undecodable {
            reason: unusable.reason,
            detail: unusable.detail,
            schema_id: schema_id.to_owned(),
            payload: payload.to_vec(),
            fields: unusable.fields,
        }
        .storable()),
    }
}

/// The event's own id; without one its position, which a second delivery repeats; without
/// either a new one, because two strangers must not count as the same.
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
    fn a_keepalive_moves_the_position_only_while_credit_is_open() {
        let keepalive = |pending_num_requested| FetchResponse {
            latest_replay_id: vec![9],
            pending_num_requested,
            ..FetchResponse::default()
        };
        assert_eq!(position(&[], &keepalive(1)), ReplayId::new(vec![9]));
        // Without credit the bus may hold events back that lie before its newest position.
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
    fn an_event_whose_id_cannot_be_kept_is_a_dead_letter_that_is_known_again() {
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
            let letter = first.request.unwrap_err();
            assert_eq!(letter.reason, UndecodableReason::Malformed);
            assert!(letter.detail.contains("id"), "{}", letter.detail);
            assert_eq!(letter.payload, [1, 2]);
            assert!(!letter.schema_id.contains(char::is_control));
        }
        assert_ne!(event(&long).event, event(&format!("{long}x")).event);
        let letter = event("e").request.unwrap_err();
        assert!(
            !letter.detail.contains(char::is_control),
            "{}",
            letter.detail
        );
    }

    #[test]
    fn an_event_without_an_id_is_known_by_its_position() {
        let position = ReplayId::new(vec![0xab, 0]).unwrap();
        assert_eq!(identity("e-1", Some(&position)).as_str(), "e-1");
        assert_eq!(identity(" ", Some(&position)).as_str(), "replay:ab00");
        assert_ne!(identity("", None), identity("", None));
    }
}
