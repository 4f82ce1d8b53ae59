//! What the worker's readiness depends on.

use std::sync::Arc;

use async_trait::async_trait;
use domain::ports::JobReader;
use provisioning::Lane;
use runtime::{Check, Checks};
use salesforce_auth::TokenManager;

pub(crate) struct WorkerChecks {
    pub(crate) store: Arc<dyn JobReader>,
    pub(crate) tokens: Arc<TokenManager>,
    pub(crate) lane: Arc<Lane>,
}

#[async_trait]
impl Checks for WorkerChecks {
    async fn look(&self) -> Vec<Check> {
        let lane = self.lane.paused().map(|paused| {
            format!(
                "paused since {}: {}",
                runtime::rfc3339(paused.since),
                paused.detail
            )
        });
        vec![
            Check::store(&*self.store).await,
            Check::required("salesforce", self.tokens.problem()),
            Check::required("whmcs", lane),
        ]
    }
}
