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
        let store = self.store.ping().await.err().map(|error| error.to_string());
        let lane = self.lane.paused().map(|paused| {
            format!(
                "paused since {}: {}",
                runtime::rfc3339(paused.since),
                paused.detail
            )
        });
        vec![
            Check {
                name: "store",
                problem: store,
                required: true,
            },
            Check {
                name: "salesforce",
                problem: self.tokens.problem(),
                required: true,
            },
            Check {
                name: "whmcs",
                problem: lane,
                required: true,
            },
        ]
    }
}
