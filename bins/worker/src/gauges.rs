//! How the queue and the circuit breakers stand, as numbers for a monitor.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::Clock;
use metrics::gauge;
use operations::{JobStage, Statistics};
use provisioning::ProcessState;
use runtime::SystemClock;
use tokio_util::sync::CancellationToken;

/// How often they are set.
const EVERY: Duration = Duration::from_secs(5);
const KIND: &str = "provision";

/// Sets them until `shutdown`.
pub(crate) async fn keep(
    store: Arc<dyn Statistics>,
    process: Arc<ProcessState>,
    shutdown: CancellationToken,
) {
    let mut tick = tokio::time::interval(EVERY);
    while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
        for (upstream, breaker) in [
            ("whmcs", &process.whmcs),
            ("salesforce", &process.salesforce),
        ] {
            let open = breaker.opened().is_some();
            gauge!("orderbridge_circuit_state", "upstream" => upstream)
                .set(f64::from(u8::from(open)));
        }
        // A store that cannot be read shows in readiness; the numbers stay as they were.
        let Ok(queue_stats) = store.queue_stats().await else {
            continue;
        };
        for stage in [JobStage::Queued, JobStage::Leased] {
            gauge!("orderbridge_queue_jobs", "kind" => KIND, "state" => stage.name())
                .set(queue_stats.count(stage) as f64);
        }
        let age = queue_stats
            .oldest_due
            .map_or(Duration::ZERO, |due| SystemClock.now().since(due));
        gauge!("orderbridge_queue_oldest_job_age_seconds", "kind" => KIND, "state" => "queued")
            .set(age.as_secs_f64());
    }
}
