//! What can go wrong on a stream, by order of a test.
use serde::{Deserialize, Serialize};

use crate::faults::When;

/// One way to spoil a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StreamFaultKind {
    /// End with this gRPC status (`UNAVAILABLE`, ...) and `error-code` (last part or whole).
    Status {
        /// gRPC code by name.
        code: String,
        /// Error code; empty for none.
        error_code: String,
    },
    /// Say nothing more, not even keepalives, and keep the stream open.
    Stall,
    /// End with status OK.
    End,
    /// Reset the TCP connection.
    Reset,
    /// The events of one response carry random bytes.
    Garbage,
    /// The events of one response are cut in half.
    Truncated,
    /// The events of one response name a schema nobody knows.
    UnknownSchema,
    /// The events of one response have no replay id.
    EmptyReplayId,
}

/// A fault for coming streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamFault {
    /// What happens.
    #[serde(flatten)]
    pub kind: StreamFaultKind,
    /// In place of (or within) which response of the stream, counted from 1; keepalives count.
    #[serde(default = "one")]
    pub at_response: u32,
    /// How many of the next streams suffer it.
    #[serde(default = "one")]
    pub streams: u32,
}

fn one() -> u32 {
    1
}

impl StreamFault {
    /// Spoils the first response of the next stream.
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

    /// At another response.
    #[must_use]
    pub fn at(mut self, response: u32) -> Self {
        self.at_response = response;
        self
    }

    /// For several streams.
    #[must_use]
    pub fn streams(mut self, streams: u32) -> Self {
        self.streams = streams;
        self
    }
}

/// A refusal of a unary call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnaryFault {
    /// `GetSchema`, `GetTopic` or `Publish`.
    pub rpc: String,
    /// gRPC code by name.
    pub code: String,
    /// Error code; empty for none.
    pub error_code: String,
    /// Which calls.
    #[serde(default)]
    pub when: When,
}
