//! Metrics. Every counter starts at zero for every combination of labels: `rate()` would miss the
//! first failure of a counter that appears with it.

use std::time::Duration;

use domain::failure::Code;
use domain::job::JobOutcome;
use domain::order::Fact;
use domain::ports::{Claimed, StoreError};
use domain::time::Timestamp;
use metrics::{counter, histogram};

use crate::AttemptResult;

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

/// Registers every counter at zero.
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

/// Counts that calls to an external system were suspended.
pub(crate) fn circuit_opened(upstream: &'static str, by: u64) {
    counter!("orderbridge_circuit_opened_total", "upstream" => upstream).increment(by);
}

/// Counts an attempt that panicked.
pub(crate) fn panicked(took: Duration) {
    count_attempt("panicked", took);
}

/// Records how long a job waited for its first claim.
pub(crate) fn claimed(claimed: &Claimed) {
    let started = claimed
        .facts
        .iter()
        .any(|fact| matches!(fact, Fact::Checked { job, .. } if *job == claimed.job.id));
    if !started && claimed.deferrals == 0 {
        let waited = claimed.at.since(claimed.enqueued_at);
        histogram!("orderbridge_job_wait_seconds", "kind" => KIND).record(waited.as_secs_f64());
    }
}

/// Counts a finished attempt.
pub(crate) fn attempt_finished(result: &Result<AttemptResult, StoreError>, took: Duration) {
    let outcome = match result {
        Ok(AttemptResult::Finished(JobOutcome::Succeeded)) => "success",
        Ok(AttemptResult::Finished(JobOutcome::Failed)) => "failed",
        Ok(AttemptResult::Finished(JobOutcome::Skipped | JobOutcome::Superseded)) => "cancelled",
        Ok(AttemptResult::Released) => "retry",
        Err(StoreError::LeaseLost) => "lease_lost",
        Err(_) => "store",
    };
    count_attempt(outcome, took);
}

fn count_attempt(outcome: &'static str, took: Duration) {
    counter!("orderbridge_job_attempts_total", "kind" => KIND, "outcome" => outcome).increment(1);
    histogram!("orderbridge_job_attempt_duration_seconds", "kind" => KIND, "outcome" => outcome)
        .record(took.as_secs_f64());
}

/// Records the duration of a step.
pub(crate) fn step(name: &'static str, took: Duration) {
    histogram!("orderbridge_provisioning_step_duration_seconds", "step" => name)
        .record(took.as_secs_f64());
}

/// Counts a finished order, with its latency since the request.
pub(crate) fn finished(
    outcome: JobOutcome,
    code: Option<Code>,
    requested: Timestamp,
    now: Timestamp,
) {
    let label = match outcome {
        JobOutcome::Succeeded => "success",
        JobOutcome::Failed => "failure",
        JobOutcome::Skipped | JobOutcome::Superseded => return,
    };
    let reason = code.map_or("", Code::as_str);
    counter!("orderbridge_provisioning_finished_total", "outcome" => label, "reason" => reason)
        .increment(1);
    histogram!("orderbridge_provisioning_latency_seconds", "outcome" => label)
        .record(now.since(requested).as_secs_f64());
}
