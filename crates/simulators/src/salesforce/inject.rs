//! Faults that tests and the control API inject.
use super::{
    RestFault, RestFaultKind, Route, SalesforceSim, StreamFault, StreamFaultKind, UnaryFault,
};
use crate::faults::{Hold, Phase};

impl SalesforceSim {
    // Faults of HTTP calls.

    /// Adds a fault for the next HTTP calls.
    pub fn fault(&self, fault: RestFault) {
        self.org.faults.add(fault.when, fault);
    }

    /// Holds the next call of a route; [`Hold::release`] resumes it.
    pub fn hold(&self, route: Route, phase: Phase) -> Hold {
        let name = uuid::Uuid::new_v4().to_string();
        let kind = match phase {
            Phase::Before => RestFaultKind::HoldBefore { name: name.clone() },
            Phase::After => RestFaultKind::HoldAfter { name: name.clone() },
        };
        let hold = self.org.holds.named(&name);
        self.fault(RestFault::new(route, kind));
        hold
    }

    /// The faults of HTTP calls that are left, and how many calls each has matched.
    pub fn faults(&self) -> Vec<(RestFault, u64)> {
        self.org.faults.list()
    }

    /// The faults of streams that are left.
    pub fn stream_faults(&self) -> Vec<StreamFault> {
        self.org.bus.stream_faults()
    }

    /// The errors of unary calls that are left, and how many calls each has matched.
    pub fn unary_faults(&self) -> Vec<(UnaryFault, u64)> {
        self.org.bus.unary_faults()
    }

    /// Releases the hold of this name.
    pub fn release(&self, name: &str) {
        self.org.holds.named(name).release();
    }

    /// Removes every fault and releases every hold.
    pub fn clear_faults(&self) {
        self.org.faults.clear();
        self.org.bus.clear_faults();
        self.org.holds.release_all();
    }

    /// Adds a fault for the next streams.
    pub fn stream_fault(&self, fault: StreamFault) {
        self.org.bus.add_stream_fault(fault);
    }

    /// Applies a fault to every open stream.
    pub fn fault_streams_now(&self, kind: StreamFaultKind) {
        self.org.bus.fault_now(kind);
    }

    /// Ends every open stream with UNAVAILABLE.
    pub fn kill_streams(&self) {
        self.org.bus.fault_now(StreamFaultKind::Status {
            code: "UNAVAILABLE".to_owned(),
            error_code: String::new(),
        });
    }

    /// Adds an error for the next unary calls.
    pub fn unary_fault(&self, fault: UnaryFault) {
        self.org.bus.add_unary_fault(fault);
    }
}
