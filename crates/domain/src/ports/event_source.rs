//! Where requests come from.

use std::time::Duration;

use async_trait::async_trait;

use crate::job::ProvisionRequest;
use crate::key::{Channel, EventId, ReplayId};
use crate::ports::{DeadLetter, StreamError};

/// The bus keeps events so long; what was not fetched by then is lost.
pub const BUS_RETENTION: Duration = Duration::from_secs(72 * 3600);

/// Where to start reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Only what comes from now on.
    Latest,
    /// Everything that is still kept.
    Earliest,
    /// What came after this position.
    After(ReplayId),
}

/// A channel of events that can be opened at a position.
#[async_trait]
pub trait EventSource: Send + Sync {
    /// Opens the channel. Any stream that was open before must be dropped first: an open
    /// stream keeps receiving and would deliver everything twice.
    ///
    /// # Errors
    /// A [`StreamError`]; most classes can also come from [`EventStream::next`], because the
    /// service answers only with the first message.
    async fn open(
        &self,
        channel: &Channel,
        start: &Start,
    ) -> Result<Box<dyn EventStream>, StreamError>;

    /// Reads the bytes of a kept event anew, as if it arrived now: a schema that was not known
    /// then is asked for again. Changes nothing anywhere.
    ///
    /// # Errors
    /// A [`StreamError`]: it cannot be told now. Nothing may be decided about the event.
    async fn read_again(
        &self,
        letter: &DeadLetter,
    ) -> Result<Result<ProvisionRequest, Undecodable>, StreamError>;
}

/// An open stream. Dropping it cancels it.
#[async_trait]
pub trait EventStream: Send {
    /// The next message: events, or a heartbeat without any.
    ///
    /// Asking for the next one says that everything before it is safely stored: only then is
    /// more credit granted, so a slow store slows the stream instead of filling memory.
    ///
    /// # Errors
    /// A [`StreamError`]: the stream is over and must be opened again.
    async fn next(&mut self) -> Result<Batch, StreamError>;
}

/// One message of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Batch {
    /// The events, in the stream's order; empty in a heartbeat.
    pub events: Vec<Received>,
    /// The position this message stands for, to be stored when its events are.
    pub latest: Option<ReplayId>,
}

/// One event as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its identity.
    pub event: EventId,
    /// Its position; `None` when the bus sent none.
    pub replay_id: Option<ReplayId>,
    /// What it asks for, or why that cannot be told.
    pub request: Result<ProvisionRequest, Undecodable>,
}

/// An event that nobody can act on: kept with its bytes, and never in the way of the next.
#[derive(Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// Why.
    pub reason: UndecodableReason,
    /// The particulars, for people. Holds no payload.
    pub detail: String,
    /// The schema it names.
    pub schema_id: String,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// The names and values that could be read of it, where its schema is known: as text,
    /// bounded in number and length. Written by others: never trusted.
    pub fields: Vec<(String, String)>,
}

impl Undecodable {
    /// The longest detail, in characters.
    const DETAIL: usize = 1000;
    /// The longest of the other texts, in characters.
    const TEXT: usize = 255;

    /// The same with texts that every job store can keep: bounded, and without control
    /// characters.
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

/// Why an event cannot be acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UndecodableReason {
    /// The schema it names does not exist or cannot be understood.
    UnknownSchema,
    /// Its bytes do not fit its schema, or bytes are left over.
    Malformed,
    /// It decodes, but names no order.
    MissingOrder,
    /// It decodes, but what it names is no order id.
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
