//! What the worker's readiness depends on.

use std::sync::Arc;

use app::Salesforce;
use async_trait::async_trait;
use monitoring::ObservedCondition;
use operations::{ConditionKind, StoreHealth};
use provisioning::ProcessState;
use runtime::{Check, Checks};

pub(crate) struct WorkerChecks {
    pub(crate) store: Arc<dyn StoreHealth>,
    pub(crate) salesforce: Salesforce,
    pub(crate) process: Arc<ProcessState>,
}

impl WorkerChecks {
    /// The conditions of this process.
    pub(crate) fn conditions(&self) -> Vec<ObservedCondition> {
        let refused = self.process.whmcs.opened().map(|open| ObservedCondition {
            kind: ConditionKind::WhmcsRefuses,
            detail: open.detail,
            since: Some(open.since),
        });
        let panicked = self.process.last_panic().map(|panic| ObservedCondition {
            kind: ConditionKind::Panicked,
            detail: panic.detail,
            since: Some(panic.at),
        });
        let own = [refused, panicked].into_iter().flatten();
        own.chain(self.salesforce.conditions()).collect()
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
            Check::required("salesforce", self.salesforce.tokens.problem()),
            Check::required("whmcs", whmcs),
        ]
    }
}
