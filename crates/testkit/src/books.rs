//! What the store in memory keeps, and the rules it goes by.

use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, HashSet};

use domain::id::OrderId;
use domain::job::{Admission, Earlier, JobState, Lease, NewJob, admit};
use domain::key::{Channel, EventId};
use domain::order::Fact;
use domain::ports::{Epoch, Pruned, RecordedFact, StoreError, StreamView};
use domain::time::Timestamp;

#[derive(Default)]
pub(crate) struct Books {
    pub(crate) jobs: Vec<Row>,
    pub(crate) facts: Vec<(OrderId, RecordedFact)>,
    pub(crate) inbox: HashMap<EventId, Timestamp>,
    pub(crate) streams: HashMap<Channel, StreamView>,
    pub(crate) epochs: i64,
    pub(crate) dead_letters: u64,
    pub(crate) claims: u64,
}

pub(crate) struct Row {
    pub(crate) job: NewJob,
    pub(crate) state: JobState,
    pub(crate) enqueued_at: Timestamp,
    pub(crate) due: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) deferrals: u32,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
}

impl Row {
    pub(crate) fn is_live(&self) -> bool {
        !matches!(self.state, JobState::Ended(_))
    }

    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        match self.state {
            JobState::Queued => self.due <= now,
            JobState::Leased(_) => self.until <= now,
            JobState::Ended(_) => false,
        }
    }
}

impl Books {
    pub(crate) fn admit(&mut self, job: &NewJob, at: Timestamp) -> Admission {
        if self.jobs.iter().any(|row| row.job.id == job.id) {
            return Admission::SameDelivery;
        }
        let earlier: Vec<_> = self
            .jobs
            .iter()
            .filter(|row| row.job.order == job.order)
            .map(|row| Earlier {
                idem_key: row.job.idem_key.as_ref(),
                ending: match row.state {
                    JobState::Ended(ending) => Some(ending),
                    _ => None,
                },
                ended_at: row.ended_at,
            })
            .collect();
        let admission = admit(job, &earlier);
        if admission == Admission::Enqueued {
            self.jobs.push(Row {
                job: job.clone(),
                state: JobState::Queued,
                enqueued_at: at,
                due: at,
                until: at,
                deferrals: 0,
                started_at: None,
                ended_at: None,
            });
        }
        admission
    }

    /// Whether the event is new.
    pub(crate) fn remember(&mut self, event: EventId, now: Timestamp) -> bool {
        match self.inbox.entry(event) {
            Slot::Occupied(_) => false,
            Slot::Vacant(slot) => {
                slot.insert(now);
                true
            }
        }
    }

    pub(crate) fn prune(&mut self, cutoff: Timestamp) -> Pruned {
        let (jobs, events, facts) = (self.jobs.len(), self.inbox.len(), self.facts.len());
        self.jobs
            .retain(|row| row.ended_at.is_none_or(|at| at > cutoff));
        self.inbox.retain(|_, at| *at > cutoff);
        let mut kept: HashSet<_> = self.jobs.iter().map(|row| row.job.order).collect();
        let needed = self
            .facts
            .iter()
            .filter(|(_, recorded)| recorded.fact.binds() || recorded.at > cutoff);
        kept.extend(needed.map(|(order, _)| *order));
        self.facts.retain(|(order, _)| kept.contains(order));
        let gone = |before: usize, after: usize| (before - after) as u64;
        Pruned {
            jobs: gone(jobs, self.jobs.len()),
            events: gone(events, self.inbox.len()),
            facts: gone(facts, self.facts.len()),
        }
    }

    pub(crate) fn held(&mut self, lease: &Lease, now: Timestamp) -> Result<&mut Row, StoreError> {
        self.jobs
            .iter_mut()
            .find(|row| matches!(&row.state, JobState::Leased(held) if held == lease))
            .filter(|row| row.until > now)
            .ok_or(StoreError::LeaseLost)
    }

    pub(crate) fn append(&mut self, lease: &Lease, facts: &[Fact], at: Timestamp) {
        for fact in facts {
            let recorded = RecordedFact {
                at,
                job: lease.job.clone(),
                fact: fact.clone(),
            };
            self.facts.push((lease.order, recorded));
        }
    }

    pub(crate) fn led(
        &mut self,
        channel: &Channel,
        epoch: Epoch,
    ) -> Result<&mut StreamView, StoreError> {
        self.streams
            .get_mut(channel)
            .filter(|stream| {
                stream
                    .leader
                    .as_ref()
                    .is_some_and(|(_, term, _)| *term == epoch)
            })
            .ok_or(StoreError::NotLeader)
    }
}
