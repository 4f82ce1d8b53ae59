//! Admission of a batch of requests given the earlier jobs of their orders. Pure.

use std::collections::HashMap;

use domain::id::OrderId;
use domain::job::{Admission, EarlierJob, JobOutcome, NewJob, admit};
use domain::key::{IdemKey, JobId};
use domain::ports::StoreError;
use domain::time::Timestamp;

use crate::row::{self, Columns};

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
    /// Reads the stored jobs of the orders in question. An id that cannot be read is no new job's.
    pub(crate) fn of(rows: &[impl Columns]) -> Result<Self, StoreError> {
        let mut jobs = Self::default();
        for found in rows {
            jobs.0.entry(row::order(found)?).or_default().push(Known {
                id: JobId::new(found.text("id").unwrap_or_default()),
                idem_key: found.maybe_text("idem_key")?.and_then(IdemKey::new),
                outcome: row::outcome(&found.text("state")?),
                requested_at: found.maybe_time("requested_at")?.unwrap_or_default(),
            });
        }
        Ok(jobs)
    }

    /// Decides on the requests one by one. Returns the admissions, and the jobs to enqueue.
    pub(crate) fn admit_all<'j>(
        mut self,
        jobs: &[&'j NewJob],
    ) -> (Vec<Admission>, Vec<&'j NewJob>) {
        let admissions: Vec<_> = jobs.iter().map(|job| self.admit(job)).collect();
        let new = jobs
            .iter()
            .zip(&admissions)
            .filter(|(_, admission)| **admission == Admission::Enqueued);
        let new = new.map(|(job, _)| *job).collect();
        (admissions, new)
    }

    /// Decides on a request; an admitted job counts for the requests after it.
    fn admit(&mut self, job: &NewJob) -> Admission {
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
