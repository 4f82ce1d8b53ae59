//! Settings of the planner.

use std::time::Duration;

use crate::order::MappingOverrides;

/// Settings that change what the planner decides. A dry run needs the same as the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRules {
    /// Whether an account without a WHMCS client gets one, found by e-mail or created.
    pub create_clients: bool,
    /// Whether the CRM's prices are sent; then client and order must have the same currency.
    pub override_prices: bool,
    /// Product mappings that override those of the CRM.
    pub overrides: MappingOverrides,
    /// Delay before each search for an effect whose reply was lost.
    pub quiet_period: Duration,
    /// Timeout of one call to WHMCS.
    pub call_timeout: Duration,
}

impl Default for PlanRules {
    fn default() -> Self {
        Self {
            create_clients: false,
            override_prices: false,
            overrides: MappingOverrides::default(),
            quiet_period: Duration::from_secs(180),
            call_timeout: Duration::from_secs(90),
        }
    }
}
