//! Whether there is anything to do, and beginning it.

use std::time::Duration;

use domain::failure::{Code, Refusal};
use domain::job::JobOutcome;
use domain::order::{ActivationStatus, Fact, OrderDetails, Phase, Step};
use domain::ports::StoreError;
use domain::time::Timestamp;

use super::{Attempt, Flow, Release};

/// An event can overtake the commit it tells of: so long after its arrival an order that is
/// not there, or not `Activating` yet, is looked at again at these ages.
const SECOND_LOOKS: [Duration; 3] = [
    Duration::from_millis(250),
    Duration::from_millis(1250),
    Duration::from_millis(5250),
];

impl Attempt<'_> {
    /// Reads the order and decides whether there is anything to do.
    pub(super) async fn look(&mut self) -> Result<Flow, StoreError> {
        let job = &self.claimed.job;
        let begun = self
            .state
            .attempt
            .as_ref()
            .is_some_and(|(current, _)| *current == job.id);
        if let Some(flow) = self.salesforce_is_away() {
            return Ok(flow);
        }
        // Taken before the call: an answer that is slow to reach us says what was true then.
        let asked = self.now();
        let details = match self.ports.crm.details(job.order).await {
            Ok(Some(details)) => details,
            Ok(None) => {
                if let Some(flow) = self.second_look(asked) {
                    return Ok(flow);
                }
                let refusal = Refusal::new(Code::OrderNotFound, format!("order {}", job.order));
                let mut facts = Vec::new();
                if !begun {
                    facts.push(Fact::Checked {
                        job: job.id.clone(),
                        idem_key: None,
                        number: None,
                        account: None,
                    });
                }
                if !begun || self.state.phase == Phase::Working {
                    facts.push(Fact::Refused(refusal));
                }
                return Ok(Flow::Finish(JobOutcome::Failed, facts));
            }
            Err(error) => return Ok(self.wait_for_crm(&error)),
        };
        let activating = details.activation == ActivationStatus::Activating;
        // The order is `Activating` by another key than the event's: it was asked for again
        // since, or this very request's commit is still to be seen. An attempt begun by the
        // older key would be overtaken by its own request.
        let other_key = details.idem_key.is_some()
            && job.idem_key.is_some()
            && details.idem_key != job.idem_key;
        if !begun
            && activating
            && other_key
            && let Some(later) = self.second_look(asked)
        {
            return Ok(later);
        }
        if !begun && !activating {
            // What the event asked for is over only when the order says so of its very key;
            // else it may be a new request whose commit is still to be seen.
            let over = details.activation == ActivationStatus::Activated
                && details.idem_key.is_some()
                && details.idem_key == job.idem_key;
            let later = if over { None } else { self.second_look(asked) };
            return Ok(later.unwrap_or_else(|| Flow::Finish(JobOutcome::Skipped, Vec::new())));
        }
        // An attempt that was begun and finds the order elsewhere still goes to its report,
        // which tells a write of ours whose reply was lost from a stranger's.
        let reporting = matches!(self.next(), Step::Report { .. });
        let same_key = self
            .state
            .attempt
            .as_ref()
            .is_some_and(|(_, idem_key)| *idem_key == details.idem_key);
        if begun && !reporting && !(activating && same_key) {
            return Ok(Flow::Finish(JobOutcome::Superseded, Vec::new()));
        }
        self.details = Some(details);
        Ok(Flow::Continue)
    }

    /// `asked`: when the order was looked at.
    fn second_look(&self, asked: Timestamp) -> Option<Flow> {
        let age = asked.since(self.claimed.enqueued_at);
        let next = SECOND_LOOKS.into_iter().find(|look| *look > age)?;
        Some(Flow::Release(Release {
            after: next - age,
            deferral: false,
        }))
    }

    pub(super) async fn begin(&mut self, details: &OrderDetails) -> Result<Flow, StoreError> {
        let job = self.claimed.job.id.clone();
        self.learn(Fact::Checked {
            job,
            idem_key: details.idem_key.clone(),
            number: details.number.clone(),
            account: Some(details.account.id),
        })
        .await?;
        // What exists in WHMCS already is not measured against today's mapping.
        if self.state.whmcs_order().is_none()
            && let Err(refusal) = self.plan(details)
        {
            return self.refuse(refusal).await;
        }
        Ok(Flow::Continue)
    }
}
