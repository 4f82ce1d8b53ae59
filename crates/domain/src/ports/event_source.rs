//! The event bus.

use std::time::Duration;

use async_trait::async_trait;

use crate::job::ProvisionRequest;
use crate::key::{Channel, EventId, ReplayId};
use crate::ports::{DeadLetter, StreamError};

/// How long the bus retains events; those not fetched by then are lost.
pub const BUS_RETENTION: Duration = Duration::from_secs(72 * 3600);

/// Where to start reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Only new events.
    Latest,
    /// Every retained event.
    Earliest,
    /// Events after this position.
    After(ReplayId),
}

/// A channel of events that can be opened at a position.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait EventSource: Send + Sync {
    /// Opens the channel. A stream that is still open must be dropped first: it keeps receiving and
    /// would deliver everything twice.
    ///
    /// # Errors
    /// A [`StreamError`]. Most classes may only come from [`EventStream::next`], because the
    /// service answers with the first message.
    async fn open(
        &self,
        channel: &Channel,
        start: &Start,
    ) -> Result<Box<dyn EventStream>, StreamError>;

    /// Decodes the stored bytes of a dead letter as if the event arrived now; an unknown schema is
    /// fetched again. Has no side effects.
    ///
    /// # Errors
    /// A [`StreamError`]: decoding is not possible now, and nothing may be decided about the event.
    async fn read_again(
        &self,
        dead_letter: &DeadLetter,
    ) -> Result<Result<ProvisionRequest, Undecodable>, StreamError>;
}

/// An open stream. Dropping it cancels it.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait EventStream: Send {
    /// The next message: events, or a heartbeat without any.
    ///
    /// Calling it declares that every earlier message is stored. Only then is more credit granted,
    /// so a slow store slows the stream instead of filling memory.
    ///
    /// # Errors
    /// A [`StreamError`]: the stream is over and must be opened again.
    async fn next(&mut self) -> Result<Batch, StreamError>;

    /// A further message that has arrived already, so that it can be stored together with those
    /// before it; `None` when there is none, or when the stream ended, which `next` then tells.
    /// Declares nothing stored. Credit is granted: the caller bounds how many messages it holds.
    async fn arrived(&mut self) -> Option<Batch>;
}

/// One message of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Batch {
    /// The events, in the stream's order; empty in a heartbeat.
    pub events: Vec<Received>,
    /// The position of this message, to be stored together with its events.
    pub latest: Option<ReplayId>,
}

/// One event as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its identity.
    pub event: EventId,
    /// Its position; `None` when the bus sent none.
    pub replay_id: Option<ReplayId>,
    /// The decoded request, or why it cannot be decoded.
    pub request: Result<ProvisionRequest, Undecodable>,
}

/// An event that cannot be processed: stored with its bytes, without blocking the next one.
#[derive(Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// Why.
    pub reason: UndecodableReason,
    /// Details for operators. Contains no payload.
    pub detail: String,
    /// The schema it names.
    pub schema_id: String,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// The fields that could be decoded, where its schema is known: as text, bounded in number and
    /// length. Untrusted input.
    pub fields: Vec<(String, String)>,
}

impl Undecodable {
    /// Maximum length of the detail, in characters.
    const DETAIL: usize = 1000;
    /// Maximum length of the other texts, in characters.
    const TEXT: usize = 255;

    /// A copy that every job store can hold: bounded texts without control characters.
    #[must_use]
    pub fn storable(self) -> Self {
        let text = |text: &str| storable(text, Self::TEXT);
        Self {
            detail: storable(&self.detail, Self::DETAIL),
            schema_id: text(&self.schema_id),
            fields: self
                .fields
                .iter()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
            ..self
        }
    }
}

fn storable(text: &str, longest: usize) -> String {
    let shown = text.chars().take(longest).map(|c| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    });
    shown.collect()
}

impl std::fmt::Debug for Undecodable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Undecodable({}: {}, {} bytes)",
            self.reason.name(),
            self.detail,
            self.payload.len()
        )
    }
}

/// Why an event cannot be processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UndecodableReason {
    /// Its schema does not exist or cannot be parsed.
    UnknownSchema,
    /// Its bytes do not match its schema, or bytes are left over.
    Malformed,
    /// It decodes, but has no order id.
    MissingOrder,
    /// It decodes, but its order id is not valid.
    InvalidOrder,
}

impl UndecodableReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [
        Self::UnknownSchema,
        Self::Malformed,
        Self::MissingOrder,
        Self::InvalidOrder,
    ];

    /// The reason of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// Stable name for storage and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownSchema => "unknown_schema",
            Self::Malformed => "malformed",
            Self::MissingOrder => "missing_order",
            Self::InvalidOrder => "invalid_order",
        }
    }
}
