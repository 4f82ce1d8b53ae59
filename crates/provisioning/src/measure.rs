//! What is counted and timed. Every counter begins at zero for every combination of labels:
//! one that appears with its first failure hides that failure from a rate.

use std::time::Duration;

use domain::failure::Code;
use domain::job::JobOutcome;
use domain::order::Fact;
use domain::ports::{Claimed, StoreError};
use domain::time::Timestamp;
use metrics::{counter, histogram};

use crate::End;

const KIND: &str = "provision";
const OUTCOMES: [&str; 7] = [
    "success",
    "retry",
    "failed",
    "cancelled",
    "lease_lost",
    "store",
    "panicked",
];

/// Shows every counter at zero.
pub(crate) fn register() {
    for outcome in OUTCOMES {
        counter!("orderbridge_job_attempts_total", "kind" => KIND, "outcome" => outcome)
            .increment(0);
    }
    counter!("orderbridge_provisioning_finished_total", "outcome" => "success", "reason" => "")
        .increment(0);
    for upstream in ["whmcs", "salesforce"] {
        circuit_opened(upstream, 0);
    }
    for code in Code::ALL {
        counter!("orderbridge_provisioning_finished_total",
            "outcome" => "failure", "reason" => code.as_str())
        .increment(0);
    }
}

/// Calls to an outside system were suspended.
pub(crate) fn circuit_opened(upstream: &'static str, by: u64) {
    counter!("orderbridge_circuit_opened_total", "upstream" => upstream).increment(by);
}

/// An attempt panicked, after so long.
pub(crate) fn panicked(took: Duration) {
    attempted("panicked", took);
}

/// A job came into our hands: how long it had waited, if nobody had it before.
pub(crate) fn claimed(claimed: &Claimed) {
    let begun = claimed
        .facts
        .iter()
        .any(|fact| matches!(fact, Fact::Checked { job, .. } if *job == claimed.job.id));
    if !begun && claimed.deferrals == 0 {
        let waited = claimed.at.since(claimed.enqueued_at);
        histogram!("orderbridge_job_wait_seconds", "kind" => KIND).record(waited.as_secs_f64());
    }
}

/// A job left our hands, after so long in them.
pub(crate) fn left(ended: &Result<End, StoreError>, took: Duration) {
    let outcome = match ended {
        Ok(End::Finished(JobOutcome::Succeeded)) => "success",
        Ok(End::Finished(JobOutcome::Failed)) => "failed",
        Ok(End::Finished(JobOutcome::Skipped | JobOutcome::Superseded)) => "cancelled",
        Ok(End::Released) => "retry",
        Err(StoreError::LeaseLost) => "lease_lost",
        Err(_) => "store",
    };
    attempted(outcome, took);
}

fn attempted(outcome: &'static str, took: Duration) {
    counter!("orderbridge_job_attempts_total", "kind" => KIND, "outcome" => outcome).increment(1);
    histogram!("orderbridge_job_attempt_duration_seconds", "kind" => KIND, "outcome" => outcome)
        .record(took.as_secs_f64());
}

/// A step was done, or came to nothing.
pub(crate) fn step(name: &'static str, took: Duration) {
    histogram!("orderbridge_provisioning_step_duration_seconds", "step" => name)
        .record(took.as_secs_f64());
}

/// An order's outcome stands: from the approval until now.
pub(crate) fn finished(outcome: JobOutcome, code: Option<Code>, asked: Timestamp, now: Timestamp) {
    let outcome = match outcome {
        JobOutcome::Succeeded => "success",
        JobOutcome::Failed => "failure",
        JobOutcome::Skipped | JobOutcome::Superseded => return,
    };
    let reason = code.map_or("", Code::as_str);
    counter!("orderbridge_provisioning_finished_total", "outcome" => outcome, "reason" => reason)
        .increment(1);
    histogram!("orderbridge_provisioning_latency_seconds", "outcome" => outcome)
        .record(now.since(asked).as_secs_f64());
}
