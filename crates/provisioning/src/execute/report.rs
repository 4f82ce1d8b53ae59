//! Reports the outcome to Salesforce.

use domain::failure::{Code, Refusal};
use domain::job::JobOutcome;
use domain::order::{ActivationStatus, Fact, OrderGuard, Report, item_reports, report};
use domain::ports::{CallError, ReportAnswer, StoreError};

use super::{Attempt, Flow};

/// Number of conflicting writes before the job yields its slot.
const CONFLICTS: u32 = 3;

impl Attempt<'_> {
    pub(super) async fn report(&mut self, refusal: Option<Refusal>) -> Result<Flow, StoreError> {
        if let Some(flow) = self.salesforce_unavailable() {
            return Ok(flow);
        }
        let guard = match self.ports.crm.order_guard(self.claimed.job.order).await {
            Ok(Some(guard)) => guard,
            Ok(None) => return Ok(Flow::Finish(JobOutcome::Superseded, Vec::new())),
            Err(error) => return Ok(self.wait_for_crm(&error)),
        };
        if let Some(flow) = self.superseded(&guard, refusal.as_ref()) {
            return Ok(flow);
        }
        if !self.state.items_reported && !self.state.placed_lines().is_empty() {
            return self.report_items(refusal.is_some()).await;
        }
        self.report_outcome(refusal, guard).await
    }

    fn job_outcome(refusal: Option<&Refusal>) -> JobOutcome {
        if refusal.is_some() {
            JobOutcome::Failed
        } else {
            JobOutcome::Succeeded
        }
    }

    /// Finishes the attempt if another request took over the order, or if our own report was
    /// already written and only its reply was lost.
    fn superseded(&self, guard: &OrderGuard, refusal: Option<&Refusal>) -> Option<Flow> {
        let idem_key = self
            .state
            .attempt
            .as_ref()
            .and_then(|(_, idem_key)| idem_key.as_ref());
        if guard.admits(idem_key) {
            return None;
        }
        let ours = match guard.activation {
            ActivationStatus::Activated => refusal.is_none(),
            ActivationStatus::Failed => refusal.is_some(),
            _ => false,
        };
        Some(if ours && guard.idem_key.as_ref() == idem_key {
            Flow::Finish(Self::job_outcome(refusal), vec![Fact::Reported])
        } else {
            Flow::Finish(JobOutcome::Superseded, Vec::new())
        })
    }

    async fn report_items(&mut self, failing: bool) -> Result<Flow, StoreError> {
        let items = item_reports(self.state.placed_lines());
        match self.ports.crm.report_items(&items).await {
            Ok(()) => self.record(Fact::ItemsReported).await,
            Err(CallError::Refused(refusal)) if failing => {
                tracing::warn!(
                    detail = refusal.detail,
                    "Salesforce refused the service ids; reporting the failure without them"
                );
                self.record(Fact::ItemsReported).await
            }
            Err(CallError::Refused(refusal)) => {
                self.fail(Refusal::new(Code::SalesforceRejected, refusal.detail))
                    .await
            }
            Err(error) => Ok(self.wait_for_crm(&error)),
        }
    }

    async fn report_outcome(
        &mut self,
        refusal: Option<Refusal>,
        guard: OrderGuard,
    ) -> Result<Flow, StoreError> {
        let job = &self.claimed.job;
        let (order, version) = (self.state.whmcs_order(), guard.version);
        let planned = report(
            refusal.clone(),
            order,
            &job.correlation,
            self.now(),
            version,
        );
        let report = match planned {
            Ok(report) => report,
            Err(refusal) => return self.fail(refusal).await,
        };
        let mut answer = self.ports.crm.report(job.order, &report).await;
        if matches!(answer, Ok(ReportAnswer::Conflict)) {
            match self.guarded_by_read_time(&refusal, report).await {
                Ok(Some(again)) => answer = self.ports.crm.report(job.order, &again).await,
                Ok(None) => {}
                Err(flow) => return Ok(flow),
            }
        }
        match answer {
            Ok(ReportAnswer::Written) => Ok(Flow::Finish(
                Self::job_outcome(refusal.as_ref()),
                vec![Fact::Reported],
            )),
            Ok(ReportAnswer::Conflict) if self.conflicts < CONFLICTS => {
                self.conflicts += 1;
                Ok(Flow::Continue)
            }
            Ok(ReportAnswer::Conflict) => {
                let source = "another writer keeps changing the order".into();
                Ok(self.wait_for_crm(&CallError::NotSent {
                    retry_after: None,
                    source,
                }))
            }
            Err(CallError::Refused(reason)) => self.report_refused(refusal, reason).await,
            Err(error) => Ok(self.wait_for_crm(&error)),
        }
    }

    /// The report to send after a conflict, guarded by the time of a new read; `None` when the
    /// order did change and must be checked again.
    ///
    /// An org may compare with a later timestamp than the one a read returns, and then a write with
    /// the version that was read conflicts forever. When a new read finds the same version and the
    /// order is still ours, nobody else wrote before that read; the time of the read, by the CRM's
    /// clock, guards against later writes with the same resolution of one second.
    async fn guarded_by_read_time(
        &self,
        refusal: &Option<Refusal>,
        report: Report,
    ) -> Result<Option<Report>, Flow> {
        let guard = match self.ports.crm.order_guard(self.claimed.job.order).await {
            Ok(Some(guard)) => guard,
            Ok(None) => return Err(Flow::Finish(JobOutcome::Superseded, Vec::new())),
            Err(error) => return Err(self.wait_for_crm(&error)),
        };
        if let Some(flow) = self.superseded(&guard, refusal.as_ref()) {
            return Err(flow);
        }
        let unchanged = guard.version.is_some() && guard.version == report.version;
        Ok(guard.read_at.filter(|_| unchanged).map(|read_at| Report {
            version: Some(read_at),
            ..report
        }))
    }

    /// The CRM may have refused a stale version: then the order is not ours any more. Otherwise the
    /// refusal itself is reported as the failure; if that is refused too, only our own console can
    /// show it.
    async fn report_refused(
        &mut self,
        refusal: Option<Refusal>,
        reason: Refusal,
    ) -> Result<Flow, StoreError> {
        match self.ports.crm.order_guard(self.claimed.job.order).await {
            Ok(Some(guard)) => {
                if let Some(flow) = self.superseded(&guard, refusal.as_ref()) {
                    return Ok(flow);
                }
            }
            Ok(None) => return Ok(Flow::Finish(JobOutcome::Superseded, Vec::new())),
            Err(error) => return Ok(self.wait_for_crm(&error)),
        }
        if refusal.is_none() {
            return self
                .fail(Refusal::new(Code::SalesforceRejected, reason.detail))
                .await;
        }
        tracing::error!(
            detail = reason.detail,
            "Salesforce refused to store the failure; it is recorded here only"
        );
        Ok(Flow::Finish(JobOutcome::Failed, Vec::new()))
    }
}
