//! Admission of a batch of requests given the earlier jobs of their orders. Pure.

use std::collections::HashMap;

use domain::id::OrderId;
use domain::job::{Admission, EarlierJob, JobOutcome, NewJob, admit};
use domain::key::{IdemKey, JobId};
use domain::time::Timestamp;

/// The jobs of the orders in question, each order's oldest first.
#[derive(Default)]
pub(crate) struct EarlierJobs(HashMap<OrderId, Vec<Known>>);

struct Known {
    /// `None` where it cannot be read; no new job matches it.
    id: Option<JobId>,
    idem_key: Option<IdemKey>,
    outcome: Option<JobOutcome>,
    requested_at: Timestamp,
}

impl EarlierJobs {
    /// Adds a job that is stored.
    pub(crate) fn add(
        &mut self,
        order: OrderId,
        id: Option<JobId>,
        idem_key: Option<IdemKey>,
        outcome: Option<JobOutcome>,
        requested_at: Timestamp,
    ) {
        self.0.entry(order).or_default().push(Known {
            id,
            idem_key,
            outcome,
            requested_at,
        });
    }

    /// Decides on a request; an admitted job counts for the requests after it.
    pub(crate) fn admit(&mut self, job: &NewJob) -> Admission {
        let known = self.0.entry(job.order).or_default();
        if known
            .iter()
            .any(|earlier| earlier.id.as_ref() == Some(&job.id))
        {
            return Admission::SameDelivery;
        }
        let earlier: Vec<_> = known
            .iter()
            .map(|job| EarlierJob {
                idem_key: job.idem_key.as_ref(),
                outcome: job.outcome,
                requested_at: job.requested_at,
            })
            .collect();
        let admission = admit(job, &earlier);
        if admission == Admission::Enqueued {
            known.push(Known {
                id: Some(job.id.clone()),
                idem_key: job.idem_key.clone(),
                outcome: None,
                requested_at: job.requested_at,
            });
        }
        admission
    }
}
