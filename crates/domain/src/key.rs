//! Identity keys: they decide whether two deliveries, requests or WHMCS orders are the same.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use crate::id::{OrderId, OrderItemId, OrgId};
use crate::time::Timestamp;

macro_rules! text_keys {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Wraps the text unchanged; `None` when it is empty or blank.
            #[must_use]
            pub fn new(text: impl Into<String>) -> Option<Self> {
                let text = text.into();
                (!text.trim().is_empty()).then_some(Self(text))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

text_keys! {
    /// Identity of one delivered event: the UUID assigned by the bus. Two deliveries with the same
    /// event id are one event.
    EventId;
    /// Identity of one request, chosen by the Flow; opaque to us.
    IdemKey;
    /// Correlation id of one attempt: the string to search for in logs, traces and consoles.
    CorrelationId;
    /// A platform event channel, such as `/event/OrderProvisionRequested__e`.
    Channel;
    /// Identity of a job. Derived from its cause, so the same cause yields the same id.
    JobId;
    /// A running process that holds leases. New at every start, never a host name.
    Owner;
}

impl EventId {
    /// Maximum stored length in bytes. Salesforce's ids are UUIDs.
    pub const MAX_LEN: usize = 255;

    /// Whether every job store can hold it: PostgreSQL limits the size of index entries and rejects
    /// NUL in text.
    #[must_use]
    pub fn is_storable(&self) -> bool {
        self.0.len() <= Self::MAX_LEN && !self.0.contains(char::is_control)
    }

    /// A replacement for an id that cannot be stored: the digest of its text, so that a redelivery
    /// is still recognised.
    #[must_use]
    pub fn from_digest(digest: &str) -> Self {
        Self(format!("sha256:{digest}"))
    }
}

impl CorrelationId {
    /// The event's own correlation id, or else the event id.
    #[must_use]
    pub fn or_event(given: Option<Self>, event: &EventId) -> Self {
        given.unwrap_or_else(|| Self(event.as_str().to_owned()))
    }
}

impl JobId {
    /// The placeholder for the job id of facts that an operator recorded.
    #[must_use]
    pub fn of_operator() -> Self {
        Self("person".to_owned())
    }

    /// The id of the job for an event.
    #[must_use]
    pub fn of_event(event: &EventId) -> Self {
        Self(event.as_str().to_owned())
    }

    /// The id of the job that a sweep enqueues for an activation whose event never arrived.
    /// `activation` identifies one activation of the order, `swept_at` one sweep.
    #[must_use]
    pub fn of_sweep(order: OrderId, activation: &str, swept_at: Timestamp) -> Self {
        let swept_at = swept_at.as_millis();
        Self(format!("reconcile:{order}:{activation}:{swept_at}"))
    }
}

/// A position on the event bus. Opaque: never ordered, never computed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ReplayId(Vec<u8>);

impl ReplayId {
    /// Wraps the bytes as the bus sent them; `None` when there are none.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (!bytes.is_empty()).then_some(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Lower-case hexadecimal, for display and the health page.
    #[must_use]
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for ReplayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplayId({})", self.to_hex())
    }
}

/// The marker that identifies our order in WHMCS: `orderbridge:v1:<orgId18>:<orderId18>`, one token
/// in the order's notes.
///
/// Built from org and order id only, so that every attempt searches for the same marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The Salesforce organisation.
    pub org: OrgId,
    /// The Salesforce order.
    pub order: OrderId,
}

impl Marker {
    /// What every marker of an order starts with.
    pub const PREFIX: &'static str = "orderbridge:v1:";

    /// Whether `notes` contain this marker as a whole token. A longer token that starts with it
    /// does not count.
    #[must_use]
    pub fn is_in(&self, notes: &str) -> bool {
        let token = self.to_string();
        notes
            .split(|c: char| !is_marker_character(c))
            .any(|found| found == token)
    }
}

fn is_marker_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.')
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}:{}", Self::PREFIX, self.org, self.order)
    }
}

/// The marker of one line, `<orderItemId18>#<unit>`, stored in a product custom field where the
/// product has one. Units count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineMarker {
    /// The Salesforce order line.
    pub item: OrderItemId,
    /// Which unit of the line's quantity.
    pub unit: u32,
}

impl LineMarker {
    /// Parses a custom field's value; `None` when it is not a line marker.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (item, unit) = text.trim().split_once('#')?;
        Some(Self {
            item: OrderItemId::parse(item).ok()?,
            unit: unit.parse().ok()?,
        })
    }
}

impl fmt::Display for LineMarker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.item, self.unit)
    }
}

/// A dead letter of one job store, numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeadLetterId(pub i64);

impl fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DeadLetterId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

numbers! {
    /// A client of the WHMCS install.
    ClientId;
    /// An order of the WHMCS install.
    WhmcsOrderId;
    /// A service (hosting account, licence, …) of the WHMCS install.
    ServiceId;
    /// A product of the WHMCS catalogue (`pid`).
    ProductId;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker() -> Marker {
        Marker {
            org: OrgId::parse("00D000000000001").unwrap(),
            order: OrderId::parse("801000000000001").unwrap(),
        }
    }

    #[test]
    fn marker_matches_whole_tokens_only() {
        let token = marker().to_string();
        assert_eq!(
            token,
            "orderbridge:v1:00D000000000001EAA:801000000000001AAA"
        );
        assert!(marker().is_in(&token));
        assert!(marker().is_in(&format!("by phone\n({token}), paid")));
        assert!(!marker().is_in(&format!("{token}B")));
        assert!(!marker().is_in(&format!("x{token}")));
        assert!(!marker().is_in(&token.to_lowercase()));
        assert!(!marker().is_in(""));
    }

    #[test]
    fn line_markers_round_trip() {
        let line = LineMarker {
            item: OrderItemId::parse("802000000000009").unwrap(),
            unit: 3,
        };
        assert_eq!(LineMarker::parse(&line.to_string()), Some(line));
        assert_eq!(LineMarker::parse("802000000000009AAA"), None);
        assert_eq!(LineMarker::parse("x#1"), None);
    }

    #[test]
    fn blank_keys_are_rejected() {
        assert!(IdemKey::new("  ").is_none());
        assert!(ReplayId::new(Vec::new()).is_none());
        assert_eq!(ReplayId::new(vec![0, 255]).unwrap().to_hex(), "00ff");
    }
}
