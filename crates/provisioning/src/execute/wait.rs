//! Waiting before a retry, for access to WHMCS, and for Salesforce.

use std::time::Duration;

use domain::failure::{Code, Refusal};
use domain::job::backoff;
use domain::order::{Fact, Placing, Progress, WaitReason};
use domain::ports::{CallError, Release, StoreError, System};
use domain::time::Timestamp;
use error_chain::chain;

use super::{Attempt, Flow};
use crate::{FailureTime, Settings};

impl Attempt<'_> {
    /// Releases the job until the planner can decide again.
    pub(super) fn wait(&self, until: Timestamp, reason: WaitReason) -> Flow {
        let seconds = until.since(self.now()).as_secs();
        tracing::info!(seconds, %reason, "job waits");
        self.until(until)
    }

    /// Releases the job until `due`.
    fn until(&self, due: Timestamp) -> Flow {
        Flow::Release(Release {
            after: due.since(self.now()),
            deferral: false,
        })
    }

    pub(super) fn moment(&self) -> FailureTime {
        FailureTime {
            at: self.now(),
            monotonic: self.ports.clock.monotonic(),
        }
    }

    /// While WHMCS denies us access, only probes are sent, for all orders. Returns how the step ends
    /// then.
    pub(super) async fn whmcs_refuses(&mut self) -> Result<Option<Flow>, StoreError> {
        let Some(open) = self.process.whmcs.opened() else {
            return Ok(None);
        };
        // An operator's retry suggests that the cause was fixed just now.
        let is_retry = self.state.held.is_none() && self.state.has_failed_before();
        let detail = match is_retry {
            false => open.detail,
            true => match self.probe_whmcs().await {
                Ok(()) => return Ok(None),
                Err(CallError::Denied { detail, .. }) => detail,
                Err(_) => open.detail,
            },
        };
        self.wait_for_whmcs(&detail).await.map(Some)
    }

    /// Probes WHMCS and resumes calls on success.
    pub(super) async fn probe_whmcs(&self) -> Result<(), CallError> {
        let answer = self.ports.reads.probe().await;
        match &answer {
            Ok(()) => self.process.whmcs.succeeded(),
            Err(CallError::Denied { detail, .. }) => {
                self.process.whmcs.refused(self.moment(), detail);
            }
            Err(_) => {}
        }
        answer
    }

    /// Handles an error of a read, or of a call that certainly had no effect.
    pub(super) async fn after_no_effect(&mut self, error: CallError) -> Result<Flow, StoreError> {
        match error {
            CallError::Refused(refusal) => self.fail(refusal).await,
            CallError::Denied { detail, .. } => {
                self.process.whmcs.refused(self.moment(), &detail);
                self.wait_for_whmcs(&detail).await
            }
            CallError::NotSent {
                retry_after,
                source,
            } => self.retry(retry_after, &*source).await,
            CallError::Unknown { source } => self.retry(None, &*source).await,
        }
    }

    /// Waits for access to WHMCS, and fails the order after `pause_limit`.
    pub(super) async fn wait_for_whmcs(&mut self, detail: &str) -> Result<Flow, StoreError> {
        let now = self.now();
        let since = match self.state.held {
            Some(since) => since,
            None => {
                self.record(Fact::Held { at: now }).await?;
                now
            }
        };
        let limit = since + self.settings.pause_limit;
        if now < limit {
            return Ok(self.until(limit.min(now + self.settings.probe_every / 3)));
        }
        // A denial from before the order began to wait is not enough to fail it: probe again.
        let waited = now.since(since);
        let failed_at = self.process.whmcs.failed_at();
        let age = failed_at.map(|at| self.ports.clock.monotonic().saturating_sub(at));
        if age.is_none_or(|age| age > waited) {
            match self.probe_whmcs().await {
                Ok(()) => return Ok(Flow::Continue),
                Err(CallError::Denied { .. } | CallError::Refused(_)) => {}
                Err(CallError::NotSent {
                    retry_after,
                    source,
                }) => return self.retry(retry_after, &*source).await,
                Err(CallError::Unknown { source }) => return self.retry(None, &*source).await,
            }
        }
        self.fail(Refusal::new(Code::WhmcsConfig, detail)).await
    }

    pub(super) async fn retry(
        &mut self,
        retry_after: Option<Duration>,
        cause: &(dyn std::error::Error + Send + Sync),
    ) -> Result<Flow, StoreError> {
        let Settings {
            backoff_base,
            retry_budget,
            ..
        } = *self.settings;
        let jittered = backoff(
            backoff_base,
            retry_budget / 4,
            self.tries,
            self.ports.entropy.fraction(),
        );
        let wait = retry_after
            .unwrap_or_default()
            .max(jittered)
            .max(backoff_base / 10);
        let took = self
            .ports
            .clock
            .monotonic()
            .saturating_sub(self.step_started);
        self.spent += took + wait;
        if self.spent > retry_budget {
            let unknown = matches!(
                self.state.progress,
                Progress::Placing {
                    call: Placing::Unknown { .. },
                    ..
                } | Progress::CreatingClient(Placing::Unknown { .. })
            );
            let code = if unknown {
                Code::WhmcsOutcomeUnknown
            } else {
                Code::WhmcsUnavailable
            };
            return self.fail(Refusal::new(code, cause.to_string())).await;
        }
        self.tries += 1;
        let _stalled = self.process.stalls.enter(System::Whmcs);
        self.ports.clock.sleep(wait).await;
        Ok(Flow::Continue)
    }

    /// `None` when Salesforce may be called; otherwise when to try again. While it does not answer,
    /// one job probes for all.
    pub(super) fn salesforce_unavailable(&self) -> Option<Flow> {
        let now = self.ports.clock.monotonic();
        let admitted = self
            .process
            .salesforce
            .allow_call(now, self.settings.probe_every);
        let wait = admitted.err()?;
        Some(Flow::Release(Release {
            after: wait.max(self.crm_backoff()),
            deferral: true,
        }))
    }

    pub(super) fn crm_backoff(&self) -> Duration {
        let Settings {
            backoff_base,
            backoff_cap,
            ..
        } = *self.settings;
        let fraction = self.ports.entropy.fraction();
        backoff(backoff_base, backoff_cap, self.claimed.deferrals, fraction).max(backoff_base / 2)
    }

    /// An unavailable Salesforce never fails an order: the job keeps its facts and yields its slot.
    pub(super) fn wait_for_crm(&self, error: &CallError) -> Flow {
        tracing::warn!(
            error = %chain(&error), class = error.class(), "Salesforce did not answer; job waits"
        );
        let requested = match error {
            CallError::NotSent { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        Flow::Release(Release {
            after: self.crm_backoff().max(requested),
            deferral: true,
        })
    }
}
