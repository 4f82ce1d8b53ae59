//! Waiting: for a call to be repeated, for WHMCS to let us in, for Salesforce to answer.

use std::time::Duration;

use domain::failure::{Code, Refusal};
use domain::job::backoff;
use domain::order::{Fact, Placing, Progress};
use domain::ports::{CallError, Release, StoreError, System};
use domain::time::Timestamp;

use super::{Attempt, Flow};
use crate::{Moment, Settings};

impl Attempt<'_> {
    /// Gives the job back until `due`.
    pub(super) fn until(&self, due: Timestamp) -> Flow {
        Flow::Release(Release {
            after: due.since(self.now()),
            deferral: false,
        })
    }

    pub(super) fn moment(&self) -> Moment {
        Moment {
            at: self.now(),
            monotonic: self.ports.clock.monotonic(),
        }
    }

    /// Asks WHMCS whether it lets us in; calls go on when it does.
    pub(super) async fn probe_whmcs(&self) -> Result<(), CallError> {
        let answer = self.ports.provisioner.probe().await;
        match &answer {
            Ok(()) => self.process.whmcs.succeeded(),
            Err(CallError::Denied { detail, .. }) => {
                self.process.whmcs.refused(self.moment(), detail);
            }
            Err(_) => {}
        }
        answer
    }

    /// What to do when WHMCS could not be asked, or certainly did nothing.
    pub(super) async fn after_no_effect(&mut self, error: CallError) -> Result<Flow, StoreError> {
        match error {
            CallError::Refused(refusal) => self.refuse(refusal).await,
            CallError::Denied { detail, .. } => {
                self.process.whmcs.refused(self.moment(), &detail);
                self.hold_back(&detail).await
            }
            CallError::NotSent {
                retry_after,
                source,
            } => self.retry(retry_after, &*source).await,
            CallError::Unknown { source } => self.retry(None, &*source).await,
        }
    }

    /// Waits for WHMCS to let us in, and fails the order when that takes too long.
    pub(super) async fn hold_back(&mut self, detail: &str) -> Result<Flow, StoreError> {
        let now = self.now();
        let since = match self.state.held {
            Some(since) => since,
            None => {
                self.learn(Fact::Held { at: now }).await?;
                now
            }
        };
        let limit = since + self.settings.pause_limit;
        if now < limit {
            return Ok(self.until(limit.min(now + self.settings.probe_every / 3)));
        }
        // A refusal from before this attempt says nothing about it.
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
        self.refuse(Refusal::new(Code::WhmcsConfig, detail)).await
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
        let took = self.ports.clock.monotonic().saturating_sub(self.step_begun);
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
            return self.refuse(Refusal::new(code, cause.to_string())).await;
        }
        self.tries += 1;
        let _stalled = self.process.stalls.enter(System::Whmcs);
        self.ports.clock.sleep(wait).await;
        Ok(Flow::Continue)
    }

    /// `None` when Salesforce may be asked; else when to come back. While it does not answer,
    /// one job asks for all.
    pub(super) fn salesforce_is_away(&self) -> Option<Flow> {
        let now = self.ports.clock.monotonic();
        let admitted = self
            .process
            .salesforce
            .admits(now, self.settings.probe_every);
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

    /// Salesforce away never fails an order: the job keeps its facts and yields its slot.
    pub(super) fn wait_for_crm(&self, error: &CallError) -> Flow {
        tracing::warn!(
            %error, class = error.class(), "Salesforce did not answer; the job waits"
        );
        let asked = match error {
            CallError::NotSent { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        Flow::Release(Release {
            after: self.crm_backoff().max(asked),
            deferral: true,
        })
    }
}
