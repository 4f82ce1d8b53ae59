//! Faults of event streams.
use serde::{Deserialize, Serialize};

use crate::faults::When;

/// A stream fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StreamFaultKind {
    /// Ends with this gRPC status (`UNAVAILABLE`, ...) and `error-code` (last part or whole).
    Status {
        /// gRPC code by name.
        code: String,
        /// Error code; empty for none.
        error_code: String,
    },
    /// Sends nothing more, not even keepalives, and keeps the stream open.
    Stall,
    /// Ends with status OK.
    End,
    /// Resets the TCP connection.
    Reset,
    /// Replaces the payloads of one response with random bytes.
    Garbage,
    /// Truncates the payloads of one response to half.
    Truncated,
    /// Gives the events of one response an unknown schema id.
    UnknownSchema,
    /// Removes the replay ids of one response.
    EmptyReplayId,
}

/// A fault for the next streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamFault {
    /// The fault.
    #[serde(flatten)]
    pub kind: StreamFaultKind,
    /// The response, counted from 1 including keepalives, that the fault replaces or modifies.
    #[serde(default = "one")]
    pub at_response: u32,
    /// The number of streams affected.
    #[serde(default = "one")]
    pub streams: u32,
}

fn one() -> u32 {
    1
}

impl StreamFault {
    /// A fault in the first response of the next stream.
    pub fn new(kind: StreamFaultKind) -> Self {
        Self {
            kind,
            at_response: 1,
            streams: 1,
        }
    }

    /// Ends the next stream with a status in place of its first response.
    pub fn status(code: &str, error_code: &str) -> Self {
        Self::new(StreamFaultKind::Status {
            code: code.to_owned(),
            error_code: error_code.to_owned(),
        })
    }

    /// Moves the fault to another response.
    #[must_use]
    pub fn at(mut self, response: u32) -> Self {
        self.at_response = response;
        self
    }

    /// Applies the fault to several streams.
    #[must_use]
    pub fn streams(mut self, streams: u32) -> Self {
        self.streams = streams;
        self
    }
}

/// An error of a unary call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnaryFault {
    /// `GetSchema`, `GetTopic` or `Publish`.
    pub rpc: String,
    /// gRPC code by name.
    pub code: String,
    /// Error code; empty for none.
    pub error_code: String,
    /// The calls affected.
    #[serde(default)]
    pub when: When,
}
