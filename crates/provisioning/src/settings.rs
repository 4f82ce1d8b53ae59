//! Settings of provisioning.

use std::time::Duration;

use domain::order::MappingOverrides;

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
    /// Delay before each search for an effect whose reply was lost.
    pub quiet_period: Duration,
    /// Timeout of one call to WHMCS.
    pub call_timeout: Duration,
    /// How long an order waits while WHMCS denies us access.
    pub pause_limit: Duration,
    /// Interval of probes while calls are suspended.
    pub probe_every: Duration,
    /// First delay after a failed call; doubles, with full jitter.
    pub backoff_base: Duration,
    /// Maximum delay between tries to reach Salesforce.
    pub backoff_cap: Duration,
    /// Whether to create a WHMCS client for an account without one.
    pub create_clients: bool,
    /// Whether to send the CRM's prices; then client and order must have the same currency.
    pub override_prices: bool,
    /// Product mappings from the configuration file.
    pub overrides: MappingOverrides,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency: 8,
            lease: Duration::from_secs(15),
            retry_budget: Duration::from_secs(60),
            drain: Duration::from_secs(30),
            quiet_period: Duration::from_secs(180),
            call_timeout: Duration::from_secs(90),
            pause_limit: Duration::from_secs(15 * 60),
            probe_every: Duration::from_secs(30),
            backoff_base: Duration::from_millis(500),
            backoff_cap: Duration::from_secs(60),
            create_clients: false,
            override_prices: false,
            overrides: MappingOverrides::default(),
        }
    }
}
