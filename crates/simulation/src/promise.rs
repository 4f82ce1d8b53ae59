//! Promises and their breaches.

use std::fmt;
use std::sync::Mutex;

use crate::trace::lock;

/// A property that must hold in every schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// Every event becomes a job, a duplicate of one, or a dead letter.
    NoEventLost,
    /// A redrive creates at most one job and closes the dead letter if it is decodable; otherwise
    /// the dead letter stays open.
    DeadLettersOnce,
    /// The cursor covers stored events only, and moves back only after a cursor loss.
    CursorBehindJobs,
    /// A process that lost a lease records nothing under it.
    NoStaleWrite,
    /// A process that lost a lease starts no call with an effect in WHMCS.
    NoStaleEffect,
    /// One WHMCS order for each Salesforce order, unless the network duplicated the call.
    OneOrder,
    /// No service is built twice by a module that is not idempotent, no client is created twice.
    BuiltOnce,
    /// After a reported module failure, nothing is tried again without an operator's retry.
    OperatorDecides,
    /// One attempt makes only a few activation calls of unknown outcome.
    BoundedCalls,
    /// A process that never sent a call does not record its outcome as unknown.
    NoNeedlessUnknown,
    /// A report is written only to an order that is still ours.
    GuardedReport,
    /// Once the faults end, every order ends as activated or as failed with a code.
    EveryOrderEnds,
    /// Salesforce, WHMCS and the job store agree.
    SystemsAgree,
    /// Nothing panics, except by injection.
    NoPanic,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The promise.
    pub promise: Promise,
    /// What happened.
    pub detail: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.promise, self.detail)
    }
}

/// The breaches of one schedule.
#[derive(Debug, Default)]
pub(crate) struct Breaches(Mutex<Vec<Breach>>);

impl Breaches {
    pub(crate) fn record(&self, promise: Promise, detail: impl Into<String>) {
        let breach = Breach {
            promise,
            detail: detail.into(),
        };
        let mut breaches = lock(&self.0);
        // The first breaches are enough.
        if breaches.len() < 20 && !breaches.contains(&breach) {
            breaches.push(breach);
        }
    }

    pub(crate) fn all(&self) -> Vec<Breach> {
        lock(&self.0).clone()
    }
}
