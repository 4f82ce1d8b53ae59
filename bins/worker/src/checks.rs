//! What the worker's readiness depends on.

use std::sync::Arc;

use async_trait::async_trait;
use domain::ports::{ConditionKind, StoreHealth};
use error_chain::chain;
use monitoring::ObservedCondition;
use provisioning::ProcessState;
use runtime::{Check, Checks};
use salesforce_auth::{LoginStatus, TokenManager};
use salesforce_rest::RestOrders;

pub(crate) struct WorkerChecks {
    pub(crate) store: Arc<dyn StoreHealth>,
    pub(crate) tokens: Arc<TokenManager>,
    pub(crate) process: Arc<ProcessState>,
    pub(crate) crm: Arc<RestOrders>,
}

impl WorkerChecks {
    /// What this process alone knows.
    pub(crate) fn conditions(&self) -> Vec<ObservedCondition> {
        let refused = self.process.whmcs.opened().map(|open| ObservedCondition {
            kind: ConditionKind::WhmcsRefuses,
            detail: open.detail,
            since: Some(open.since),
        });
        let login = match self.tokens.status() {
            LoginStatus::Failed(error) if error.needs_operator() => Some(ObservedCondition::words(
                ConditionKind::SalesforceRefuses,
                chain(&error).to_string(),
            )),
            _ => None,
        };
        let scarce = self.crm.low_allowance();
        let scarce = scarce.map(|words| ObservedCondition::words(ConditionKind::ApiScarce, words));
        let panicked = self.process.last_panic().map(|panic| ObservedCondition {
            kind: ConditionKind::Panicked,
            detail: panic.detail,
            since: Some(panic.at),
        });
        let all = [refused, login, scarce, panicked];
        all.into_iter().flatten().collect()
    }
}

#[async_trait]
impl Checks for WorkerChecks {
    async fn look(&self) -> Vec<Check> {
        let whmcs = self.process.whmcs.opened().map(|open| {
            format!(
                "calls suspended since {}: {}",
                runtime::rfc3339(open.since),
                open.detail
            )
        });
        vec![
            Check::store(&*self.store).await,
            Check::required("salesforce", self.tokens.problem()),
            Check::required("whmcs", whmcs),
        ]
    }
}
