//! Settings of provisioning.

use std::time::Duration;

use domain::order::PlanRules;

/// Settings of provisioning.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Number of concurrent jobs.
    pub concurrency: usize,
    /// Lease of a claimed job, renewed at a third of it.
    pub lease: Duration,
    /// How long one attempt may repeat calls that certainly had no effect.
    pub retry_budget: Duration,
    /// Time for running jobs after the stop signal.
    pub drain: Duration,
    /// What the planner decides by.
    pub rules: PlanRules,
    /// How long an order waits while WHMCS denies us access.
    pub pause_limit: Duration,
    /// Interval of probes while calls are suspended.
    pub probe_every: Duration,
    /// First delay after a failed call; doubles, with full jitter.
    pub backoff_base: Duration,
    /// Maximum delay between tries to reach Salesforce.
    pub backoff_cap: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency: 8,
            lease: Duration::from_secs(15),
            retry_budget: Duration::from_secs(60),
            drain: Duration::from_secs(30),
            rules: PlanRules::default(),
            pause_limit: Duration::from_secs(15 * 60),
            probe_every: Duration::from_secs(30),
            backoff_base: Duration::from_millis(500),
            backoff_cap: Duration::from_secs(60),
        }
    }
}
