//! What must hold, and what did not.

use std::fmt;
use std::sync::Mutex;

use crate::trace::lock;

/// A promise that every schedule must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// Every event becomes a job, the duplicate of one, or a dead letter.
    NoEventLost,
    /// A dead letter that is read again makes one job at most, and is closed once it can be
    /// read; one that cannot stays open.
    LettersOnce,
    /// The stored position never stands for an event that is not stored, and goes back only
    /// where the bus forgot it.
    CursorBehindJobs,
    /// Whoever lost a lease writes nothing any more.
    NoStaleWrite,
    /// Whoever lost a lease begins no effect in WHMCS any more.
    NoStaleEffect,
    /// One WHMCS order for one Salesforce order, unless the outside itself made two.
    OneOrder,
    /// No service is built twice by a module that cannot bear it, no client created twice.
    BuiltOnce,
    /// After a module has reported a failure, nothing is tried again before the operator asks.
    OperatorDecides,
    /// One attempt makes no more than a few calls of unknown outcome to set an order up.
    BoundedCalls,
    /// A process that knows that a call was never sent does not doubt it.
    NoNeedlessDoubt,
    /// Nothing is written to an order that is not ours to write to.
    GuardedReport,
    /// Once the trouble stops every order ends, well or with a code.
    EveryOrderEnds,
    /// Salesforce, WHMCS and the job store tell the same story.
    BooksAgree,
    /// Nothing panics.
    NoPanic,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which promise.
    pub promise: Promise,
    /// What happened.
    pub detail: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.promise, self.detail)
    }
}

/// Keeps the breaches of one schedule.
#[derive(Debug, Default)]
pub(crate) struct Judge(Mutex<Vec<Breach>>);

impl Judge {
    pub(crate) fn broken(&self, promise: Promise, detail: impl Into<String>) {
        let breach = Breach {
            promise,
            detail: detail.into(),
        };
        let mut breaches = lock(&self.0);
        // One is enough to fail; the rest would only bury the first.
        if breaches.len() < 20 && !breaches.contains(&breach) {
            breaches.push(breach);
        }
    }

    pub(crate) fn verdict(&self) -> Vec<Breach> {
        lock(&self.0).clone()
    }
}
