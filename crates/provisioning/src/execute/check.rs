//! Reads the order and checks whether there is anything to do.

use std::time::Duration;

use domain::failure::{Code, Refusal};
use domain::job::JobOutcome;
use domain::order::{ActivationStatus, Fact, Phase, Step};
use domain::ports::CallAction;
use domain::time::Timestamp;

use super::{Attempt, Flow, Release};

/// An event can arrive before its commit is visible: an order that does not exist or is not
/// `Activating` yet is checked again at these ages of the job.
const RECHECKS: [Duration; 3] = [
    Duration::from_millis(250),
    Duration::from_millis(1250),
    Duration::from_millis(5250),
];

impl Attempt<'_> {
    /// Reads the order and decides whether there is anything to do.
    pub(super) async fn check_order(&mut self) -> Flow {
        let job = &self.claimed.job;
        let started = self
            .state
            .attempt
            .as_ref()
            .is_some_and(|(current, _)| *current == job.id);
        if let Some(flow) = self.salesforce_unavailable() {
            return flow;
        }
        // Taken before the call: a slow answer describes the state at this time.
        let read_at = self.now();
        let call = self.ports.crm.details(job.order);
        let details = match self.calls.time(CallAction::Details, call).await {
            Ok(Some(details)) => details,
            Ok(None) => {
                if let Some(flow) = self.recheck(read_at) {
                    return flow;
                }
                let refusal = Refusal::new(Code::OrderNotFound, format!("order {}", job.order));
                let mut facts = Vec::new();
                if !started {
                    facts.push(Fact::Checked {
                        job: job.id.clone(),
                        idem_key: None,
                        number: None,
                        account: None,
                    });
                }
                if !started || self.state.phase == Phase::Working {
                    facts.push(Fact::Refused(refusal));
                }
                return Flow::Finish(JobOutcome::Failed, facts);
            }
            Err(error) => return self.wait_for_crm(&error),
        };
        let activating = details.activation == ActivationStatus::Activating;
        // The order is `Activating` with another key than the event's: it was requested again
        // since, or this request's commit is not visible yet. An attempt started with the older key
        // would be superseded by its own request.
        let other_key = details.idem_key.is_some()
            && job.idem_key.is_some()
            && details.idem_key != job.idem_key;
        if !started
            && activating
            && other_key
            && let Some(later) = self.recheck(read_at)
        {
            return later;
        }
        if !started && !activating {
            // The request is done only if the order is `Activated` with its own key; otherwise it
            // may be a new request whose commit is not visible yet.
            let done = details.activation == ActivationStatus::Activated
                && details.idem_key.is_some()
                && details.idem_key == job.idem_key;
            let later = if done { None } else { self.recheck(read_at) };
            return later.unwrap_or_else(|| Flow::Finish(JobOutcome::Skipped, Vec::new()));
        }
        // An attempt that is about to report continues even if the order changed: the report
        // distinguishes our own write, whose reply was lost, from another's.
        let reporting = matches!(self.next(), Step::Report { .. });
        let same_key = self
            .state
            .attempt
            .as_ref()
            .is_some_and(|(_, idem_key)| *idem_key == details.idem_key);
        if started && !reporting && !(activating && same_key) {
            return Flow::Finish(JobOutcome::Superseded, Vec::new());
        }
        self.details = Some(details);
        Flow::Continue
    }

    /// Releases the job until the next recheck, if any is left. `read_at`: when the order was read.
    fn recheck(&self, read_at: Timestamp) -> Option<Flow> {
        let age = read_at.since(self.claimed.enqueued_at);
        let next = RECHECKS.into_iter().find(|recheck| *recheck > age)?;
        Some(Flow::Release(Release {
            after: next - age,
            deferral: false,
        }))
    }
}
