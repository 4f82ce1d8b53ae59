//! What can be set about provisioning.

use std::time::Duration;

use domain::order::MappingOverrides;

/// What can be set about provisioning.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Jobs in hand at once.
    pub concurrency: usize,
    /// Lease of a claimed job; renewed at a third of it.
    pub lease: Duration,
    /// How long one attempt may repeat calls that certainly had no effect.
    pub retry_budget: Duration,
    /// Time for jobs in hand after the stop signal.
    pub drain: Duration,
    /// Wait before each search for an effect whose reply was lost.
    pub quiet_period: Duration,
    /// How long one call to WHMCS is waited for.
    pub call_timeout: Duration,
    /// How long an order waits while WHMCS refuses us as such.
    pub pause_limit: Duration,
    /// How often a paused lane is probed.
    pub probe_every: Duration,
    /// First wait after a failed call; doubles, with full jitter.
    pub backoff_base: Duration,
    /// Longest wait between tries to reach Salesforce.
    pub backoff_cap: Duration,
    /// Whether an account without a WHMCS client gets one.
    pub create_clients: bool,
    /// Whether the CRM's prices go along; then client and order must be in one currency.
    pub override_prices: bool,
    /// Product mappings of the configuration file.
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
