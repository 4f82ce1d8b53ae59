//! The install's shared state; it outlives the listener.
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use rand::{SeedableRng, rngs::StdRng};
use serde::Serialize;

use super::{
    books::{Books, Module},
    faults::Fault,
    options::{Knobs, WhmcsOptions},
};
use crate::{
    clock::SkewedClock,
    faults::{Holds, Script},
    lock,
};

/// One API call; no secrets, no bodies.
#[derive(Debug, Clone, Serialize)]
pub struct ActionCall {
    /// Real time of arrival.
    #[serde(serialize_with = "crate::as_text")]
    pub at: Timestamp,
    /// Action, lower case.
    pub action: String,
    /// The id it is about: `orderid`, `serviceid`, `clientid`, …, as `name=value`.
    pub about: Option<String>,
    /// Marker tokens in the notes it carried.
    pub markers: Vec<String>,
    /// `success`, the error text, or what the fault made of it; empty while it runs.
    pub outcome: String,
    /// The fault that struck.
    pub fault: Option<String>,
}

/// Everything behind the port.
#[derive(Debug)]
pub(crate) struct Install {
    pub(crate) options: WhmcsOptions,
    pub(crate) knobs: Mutex<Knobs>,
    pub(crate) clock: SkewedClock,
    pub(crate) dice: Mutex<StdRng>,
    pub(crate) books: Mutex<Books>,
    pub(crate) faults: Script<Fault>,
    pub(crate) holds: Holds,
    pub(crate) calls: Mutex<Vec<ActionCall>>,
}

/// What one call sees of the knobs, and what a fault adds to it.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) knobs: Knobs,
    pub(crate) half: Option<usize>,
    pub(crate) module: Option<Module>,
}

impl Install {
    pub(crate) fn new(options: WhmcsOptions) -> Self {
        Self {
            knobs: Mutex::new(options.knobs.clone()),
            clock: SkewedClock::default(),
            dice: Mutex::new(StdRng::seed_from_u64(options.seed ^ 0x00b1_11e5)),
            books: Mutex::default(),
            faults: Script::default(),
            holds: Holds::default(),
            calls: Mutex::default(),
            options,
        }
    }

    pub(crate) fn context(&self) -> Context {
        Context {
            knobs: lock(&self.knobs).clone(),
            half: None,
            module: None,
        }
    }

    /// `YYYY-MM-DD HH:MM:SS` of the server's own clock.
    pub(crate) fn now(&self, knobs: &Knobs) -> String {
        let skew = SignedDuration::from_secs(knobs.clock_skew_seconds);
        let at = self.clock.now().checked_add(skew).unwrap_or(Timestamp::MAX);
        at.strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    pub(crate) fn outcome(&self, call: usize, outcome: &str) {
        if let Some(call) = lock(&self.calls).get_mut(call) {
            outcome.clone_into(&mut call.outcome);
        }
    }
}
