//! Telling Salesforce.

use std::collections::BTreeMap;

use domain::failure::{Code, Refusal};
use domain::job::JobOutcome;
use domain::order::{ActivationStatus, Fact, ItemReport, OrderGuard, Outcome, Report};
use domain::ports::{CallError, ReportAnswer, StoreError};

use super::{Attempt, Flow};

/// So many times somebody else may write in between before the job yields its slot.
const CONFLICTS: u32 = 3;

impl Attempt<'_> {
    pub(super) async fn report(&mut self, refusal: Option<Refusal>) -> Result<Flow, StoreError> {
        if let Some(flow) = self.salesforce_is_away() {
            return Ok(flow);
        }
        let standing = match self.ports.crm.order_guard(self.claimed.job.order).await {
            Ok(Some(standing)) => standing,
            Ok(None) => return Ok(Flow::Finish(JobOutcome::Superseded, Vec::new())),
            Err(error) => return Ok(self.wait_for_crm(&error)),
        };
        if let Some(flow) = self.not_ours(&standing, refusal.as_ref()) {
            return Ok(flow);
        }
        if !self.state.items_reported && !self.state.placed_lines().is_empty() {
            return self.report_items(refusal.is_some()).await;
        }
        self.report_outcome(refusal, standing).await
    }

    fn outcome(refusal: Option<&Refusal>) -> JobOutcome {
        if refusal.is_some() {
            JobOutcome::Failed
        } else {
            JobOutcome::Succeeded
        }
    }

    /// The order went on without us, or our own write arrived and only its reply was lost.
    fn not_ours(&self, standing: &OrderGuard, refusal: Option<&Refusal>) -> Option<Flow> {
        let idem_key = self
            .state
            .attempt
            .as_ref()
            .and_then(|(_, idem_key)| idem_key.as_ref());
        if standing.admits(idem_key) {
            return None;
        }
        let ours = match standing.activation {
            ActivationStatus::Activated => refusal.is_none(),
            ActivationStatus::Failed => refusal.is_some(),
            _ => false,
        };
        Some(if ours && standing.idem_key.as_ref() == idem_key {
            Flow::Finish(Self::outcome(refusal), vec![Fact::Reported])
        } else {
            Flow::Finish(JobOutcome::Superseded, Vec::new())
        })
    }

    async fn report_items(&mut self, failing: bool) -> Result<Flow, StoreError> {
        let mut services = BTreeMap::<_, Vec<_>>::new();
        for line in self.state.placed_lines() {
            services
                .entry(line.marker.item)
                .or_default()
                .push(line.service);
        }
        let items: Vec<_> = services
            .into_iter()
            .map(|(item, mut services)| {
                services.sort_unstable();
                ItemReport { item, services }
            })
            .collect();
        match self.ports.crm.report_items(&items).await {
            Ok(()) => self.learn(Fact::ItemsReported).await,
            Err(CallError::Refused(refusal)) if failing => {
                tracing::warn!(
                    detail = refusal.detail,
                    "Salesforce refused the service ids; the failure is reported without them"
                );
                self.learn(Fact::ItemsReported).await
            }
            Err(CallError::Refused(refusal)) => {
                self.refuse(Refusal::new(Code::SalesforceRejected, refusal.detail))
                    .await
            }
            Err(error) => Ok(self.wait_for_crm(&error)),
        }
    }

    async fn report_outcome(
        &mut self,
        refusal: Option<Refusal>,
        standing: OrderGuard,
    ) -> Result<Flow, StoreError> {
        let job = &self.claimed.job;
        let message = refusal
            .as_ref()
            .map(|refusal| refusal.message(&job.correlation))
            .unwrap_or_default();
        let order = self.state.whmcs_order();
        let outcome = match (refusal.clone(), order) {
            (None, Some(order)) => Outcome::Provisioned { order },
            (Some(refusal), order) => Outcome::Failed { refusal, order },
            (None, None) => {
                return self
                    .refuse(Refusal::new(Code::Internal, "success without an order"))
                    .await;
            }
        };
        let report = Report {
            outcome,
            at: self.now(),
            message,
            version: standing.version,
        };
        let mut answer = self.ports.crm.report(job.order, &report).await;
        if matches!(answer, Ok(ReportAnswer::Conflict)) {
            match self.since_the_read(&refusal, report).await {
                Ok(Some(again)) => answer = self.ports.crm.report(job.order, &again).await,
                Ok(None) => {}
                Err(flow) => return Ok(flow),
            }
        }
        match answer {
            Ok(ReportAnswer::Written) => Ok(Flow::Finish(
                Self::outcome(refusal.as_ref()),
                vec![Fact::Reported],
            )),
            Ok(ReportAnswer::Conflict) if self.conflicts < CONFLICTS => {
                self.conflicts += 1;
                Ok(Flow::Continue)
            }
            Ok(ReportAnswer::Conflict) => {
                let source = "somebody else keeps writing to the order".into();
                Ok(self.wait_for_crm(&CallError::NotSent {
                    retry_after: None,
                    source,
                }))
            }
            Err(CallError::Refused(reason)) => self.report_refused(refusal, reason).await,
            Err(error) => Ok(self.wait_for_crm(&error)),
        }
    }

    /// The report once more after a conflict, guarded by the moment of a new read; `None` when
    /// the order did change and is to be looked at anew.
    ///
    /// An org may compare with a later stamp than the one that a read tells, and then a write
    /// with the version that was read conflicts for ever. When a new read finds the same
    /// version and the order still ours, nobody else wrote before that read; the moment of
    /// the read, by the CRM's own clock, guards against all who write after it just as well,
    /// with the same resolution of a second.
    async fn since_the_read(
        &self,
        refusal: &Option<Refusal>,
        report: Report,
    ) -> Result<Option<Report>, Flow> {
        let standing = match self.ports.crm.order_guard(self.claimed.job.order).await {
            Ok(Some(standing)) => standing,
            Ok(None) => return Err(Flow::Finish(JobOutcome::Superseded, Vec::new())),
            Err(error) => return Err(self.wait_for_crm(&error)),
        };
        if let Some(flow) = self.not_ours(&standing, refusal.as_ref()) {
            return Err(flow);
        }
        let unchanged = standing.version.is_some() && standing.version == report.version;
        Ok(standing
            .read_at
            .filter(|_| unchanged)
            .map(|read_at| Report {
                version: Some(read_at),
                ..report
            }))
    }

    /// A guard of the CRM may have refused a stale writer: then the order is not ours. Else
    /// the failure is what can still be reported; and when even that is refused, only our
    /// own pages can show it.
    async fn report_refused(
        &mut self,
        refusal: Option<Refusal>,
        reason: Refusal,
    ) -> Result<Flow, StoreError> {
        match self.ports.crm.order_guard(self.claimed.job.order).await {
            Ok(Some(standing)) => {
                if let Some(flow) = self.not_ours(&standing, refusal.as_ref()) {
                    return Ok(flow);
                }
            }
            Ok(None) => return Ok(Flow::Finish(JobOutcome::Superseded, Vec::new())),
            Err(error) => return Ok(self.wait_for_crm(&error)),
        }
        if refusal.is_none() {
            return self
                .refuse(Refusal::new(Code::SalesforceRejected, reason.detail))
                .await;
        }
        tracing::error!(
            detail = reason.detail,
            "Salesforce refused to store the failure; it stands here only"
        );
        Ok(Flow::Finish(JobOutcome::Failed, Vec::new()))
    }
}
