//! What the worker's readiness depends on.

use std::sync::Arc;

use app::Salesforce;
use async_trait::async_trait;
use monitoring::ObservedCondition;
use operations::{ConditionKind, StoreHealth};
use outbound::Reachability;
use provisioning::{OpenCircuit, ProcessState};
use runtime::{Check, Checks};

pub(crate) struct WorkerChecks {
    pub(crate) store: Arc<dyn StoreHealth>,
    pub(crate) salesforce: Salesforce,
    /// Whether WHMCS answers.
    pub(crate) whmcs: Reachability,
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
        let salesforce = suspended(self.process.salesforce.opened());
        let whmcs = suspended(self.process.whmcs.opened());
        vec![
            Check::store(&*self.store).await,
            // Jobs wait for either of them, and go on by themselves.
            Check::optional(
                "salesforce",
                salesforce.or_else(|| self.salesforce.problem()),
            ),
            Check::optional("salesforce names", self.salesforce.names_problem()),
            Check::optional("whmcs", whmcs.or_else(|| self.whmcs.problem())),
        ]
    }
}

fn suspended(open: Option<OpenCircuit>) -> Option<String> {
    let open = open?;
    let since = runtime::rfc3339(open.since);
    Some(format!("calls suspended since {since}: {}", open.detail))
}
