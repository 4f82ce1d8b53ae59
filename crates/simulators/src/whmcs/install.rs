//! Shared state of the installation, which outlives its listener.
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use rand::{SeedableRng, rngs::StdRng};
use serde::Serialize;

use super::{
    faults::Fault,
    options::{RuntimeOptions, WhmcsOptions},
    tables::{Module, Tables},
};
use crate::{
    clock::SkewedClock,
    faults::{Holds, Script},
    lock,
};

/// An API call, without secrets and bodies.
#[derive(Debug, Clone, Serialize)]
pub struct ActionCall {
    /// Real time of arrival.
    #[serde(serialize_with = "crate::as_text")]
    pub at: Timestamp,
    /// Action, lower case.
    pub action: String,
    /// The id it concerns: `orderid`, `serviceid`, `clientid`, …, as `name=value`.
    pub about: Option<String>,
    /// Marker tokens in the notes it carried.
    pub markers: Vec<String>,
    /// `success`, the error text, or the effect of the fault; empty while it runs.
    pub outcome: String,
    /// The applied fault.
    pub fault: Option<String>,
}

/// State of the installation.
#[derive(Debug)]
pub(crate) struct Install {
    pub(crate) options: WhmcsOptions,
    pub(crate) runtime: Mutex<RuntimeOptions>,
    pub(crate) clock: SkewedClock,
    pub(crate) rng: Mutex<StdRng>,
    pub(crate) tables: Mutex<Tables>,
    pub(crate) faults: Script<Fault>,
    pub(crate) holds: Holds,
    pub(crate) calls: Mutex<Vec<ActionCall>>,
}

/// Runtime options of one call, with the additions of a fault.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) runtime: RuntimeOptions,
    pub(crate) service_limit: Option<usize>,
    pub(crate) module: Option<Module>,
}

impl Install {
    pub(crate) fn new(options: WhmcsOptions) -> Self {
        Self {
            runtime: Mutex::new(options.runtime.clone()),
            clock: SkewedClock::default(),
            rng: Mutex::new(StdRng::seed_from_u64(options.seed ^ 0x00b1_11e5)),
            tables: Mutex::default(),
            faults: Script::default(),
            holds: Holds::default(),
            calls: Mutex::default(),
            options,
        }
    }

    pub(crate) fn context(&self) -> Context {
        Context {
            runtime: lock(&self.runtime).clone(),
            service_limit: None,
            module: None,
        }
    }

    /// `YYYY-MM-DD HH:MM:SS` of the server's clock.
    pub(crate) fn now(&self, runtime: &RuntimeOptions) -> String {
        let skew = SignedDuration::from_secs(runtime.clock_skew_seconds);
        let at = self.clock.now().checked_add(skew).unwrap_or(Timestamp::MAX);
        at.strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    pub(crate) fn outcome(&self, call: usize, outcome: &str) {
        if let Some(call) = lock(&self.calls).get_mut(call) {
            outcome.clone_into(&mut call.outcome);
        }
    }
}
