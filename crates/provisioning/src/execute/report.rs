//! Writes to Salesforce. Each sets absolute values and may be repeated.

use domain::failure::{Code, Refusal};
use domain::id::AccountId;
use domain::job::JobOutcome;
use domain::key::ClientId;
use domain::order::{Fact, ItemReport, OrderGuard, Outcome, Phase, Report, superseded};
use domain::ports::{CallAction, CallError, ReportAnswer, StoreError};

use super::{Attempt, Flow, Release};

/// Number of conflicting writes before the job yields its slot.
const CONFLICTS: u32 = 3;

impl Attempt<'_> {
    /// Links the account first: once the fact is recorded, the client is not searched for again.
    pub(super) async fn link_client(
        &mut self,
        account: AccountId,
        client: ClientId,
    ) -> Result<Flow, StoreError> {
        let call = self.ports.crm.link_client(account, client);
        match self.calls.time(CallAction::LinkClient, call).await {
            Ok(()) => {}
            Err(CallError::Refused(refusal)) => {
                let detail = refusal.detail;
                tracing::warn!(%account, detail, "Salesforce refused to store the client id on the account");
            }
            Err(error) => return Ok(self.wait_for_crm(&error)),
        }
        self.record(Fact::Client { client }).await
    }

    pub(super) async fn report_items(&mut self, items: &[ItemReport]) -> Result<Flow, StoreError> {
        let call = self.ports.crm.report_items(items);
        match self.calls.time(CallAction::ReportItems, call).await {
            Ok(()) => self.record(Fact::ItemsReported).await,
            Err(CallError::Refused(refusal)) if self.is_failing() => {
                tracing::warn!(
                    detail = refusal.detail,
                    "Salesforce refused the service ids; reporting the failure without them"
                );
                self.record(Fact::ItemsReported).await
            }
            Err(CallError::Refused(refusal)) => self.fail_by_crm(refusal).await,
            Err(error) => Ok(self.wait_for_crm(&error)),
        }
    }

    /// Writes the outcome and ends the job.
    pub(super) async fn report(&mut self, report: Report) -> Result<Flow, StoreError> {
        let failing = matches!(report.outcome, Outcome::Failed { .. });
        let status_only = report.status_only;
        let mut answer = self.send_report(&report).await;
        if matches!(answer, Ok(ReportAnswer::Conflict)) {
            match self.guarded_by_read_time(report).await {
                Ok(Some(again)) => answer = self.send_report(&again).await,
                Ok(None) => {}
                Err(flow) => return Ok(flow),
            }
        }
        match answer {
            Ok(ReportAnswer::Written) => Ok(Flow::Finish(
                JobOutcome::of_report(failing),
                vec![Fact::Reported],
            )),
            // The guard is read again, and the planner asks for the second write.
            Ok(ReportAnswer::StatusPending) => Ok(Flow::Continue),
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
            Err(CallError::Refused(reason)) if status_only => Ok(self.status_refused(&reason)),
            Err(CallError::Refused(reason)) => self.report_refused(reason).await,
            Err(error) => Ok(self.wait_for_crm(&error)),
        }
    }

    async fn send_report(&self, report: &Report) -> Result<ReportAnswer, CallError> {
        let call = self.ports.crm.report(self.claimed.job.order, report);
        self.calls.time(CallAction::Report, call).await
    }

    /// Reads the guard's view of the order. The error is how the step ends without it.
    pub(super) async fn guard(&self) -> Result<Option<OrderGuard>, Flow> {
        if let Some(flow) = self.salesforce_unavailable() {
            return Err(flow);
        }
        let call = self.ports.crm.order_guard(self.claimed.job.order);
        let answer = self.calls.time(CallAction::OrderGuard, call).await;
        answer.map_err(|error| self.wait_for_crm(&error))
    }

    /// Reads the guard again after a write was not accepted. The error is how the attempt ends when
    /// the order is not ours any more.
    async fn guard_again(&self) -> Result<OrderGuard, Flow> {
        let Some(guard) = self.guard().await? else {
            return Err(Flow::Finish(JobOutcome::Superseded, Vec::new()));
        };
        match superseded(&self.state, &guard, self.is_failing()) {
            Some((outcome, facts)) => Err(Flow::Finish(outcome, facts)),
            None => Ok(guard),
        }
    }

    /// The report to send after a conflict, guarded by the time of a new read; `None` when the
    /// order did change and must be checked again.
    ///
    /// An org may compare with a later timestamp than the one a read returns, and then a write with
    /// the version that was read conflicts forever. When a new read finds the same version and the
    /// order is still ours, nobody else wrote before that read; the time of the read, by the CRM's
    /// clock, guards against later writes with the same resolution of one second.
    async fn guarded_by_read_time(&self, report: Report) -> Result<Option<Report>, Flow> {
        let guard = self.guard_again().await?;
        let unchanged = guard.version.is_some() && guard.version == report.version;
        Ok(guard.read_at.filter(|_| unchanged).map(|read_at| Report {
            version: Some(read_at),
            ..report
        }))
    }

    /// The success is written and only its business status is not. That must not fail the order:
    /// the write is repeated until somebody fixes the cause or sets the status by hand.
    fn status_refused(&self, reason: &Refusal) -> Flow {
        metrics::counter!("orderbridge_salesforce_status_pending_total").increment(1);
        tracing::error!(
            detail = reason.detail,
            "the order is provisioned, but Salesforce refuses its Status; give the user of SF_USERNAME the permission to activate orders, or set the Status by hand"
        );
        Flow::Release(Release {
            after: self.crm_backoff(),
            deferral: true,
        })
    }

    /// The CRM may have refused a stale version: then the order is not ours any more. Otherwise the
    /// refusal itself is reported as the failure; if that is refused too, only our own console can
    /// show it.
    async fn report_refused(&mut self, reason: Refusal) -> Result<Flow, StoreError> {
        if let Err(flow) = self.guard_again().await {
            return Ok(flow);
        }
        if !self.is_failing() {
            return self.fail_by_crm(reason).await;
        }
        tracing::error!(
            detail = reason.detail,
            "Salesforce refused to store the failure; it is recorded here only"
        );
        Ok(Flow::Finish(JobOutcome::Failed, Vec::new()))
    }

    async fn fail_by_crm(&mut self, refusal: Refusal) -> Result<Flow, StoreError> {
        self.fail(Refusal::new(Code::SalesforceRejected, refusal.detail))
            .await
    }

    fn is_failing(&self) -> bool {
        matches!(self.state.phase, Phase::Refused(_))
    }
}
