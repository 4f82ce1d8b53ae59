//! State and rules of the in-memory store.

use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap, HashSet};

use domain::id::OrderId;
use domain::job::{Admission, EarlierJob, JobOutcome, JobState, Lease, NewJob, admit};
use domain::key::{Channel, EventId, JobId};
use domain::order::{Fact, MarkerCheck, MarkerProof};
use domain::ports::{CallRecord, DeadLetterView, Epoch, StoreError};
use domain::time::Timestamp;
use operations::{
    Alert, AuditEntry, CursorChange, CursorHistoryEntry, GapView, JobStage, OperatorSession,
    OrderRow, Pausable, Pause, ProcessReport, Pruned, RecordedCall, RecordedFact, StreamView,
};

use crate::StoreResult;

#[derive(Default)]
pub(crate) struct StoreState {
    pub(crate) jobs: Vec<Row>,
    pub(crate) facts: Vec<(OrderId, RecordedFact)>,
    /// How many of them are on disk.
    pub(crate) flushed: usize,
    pub(crate) inbox: HashMap<EventId, Timestamp>,
    pub(crate) streams: HashMap<Channel, StreamView>,
    /// Channels whose stored cursor is lost.
    pub(crate) lost: HashSet<Channel>,
    pub(crate) epochs: i64,
    pub(crate) orders: BTreeMap<OrderId, OrderRow>,
    pub(crate) dead_letters: Vec<DeadLetterView>,
    pub(crate) gaps: Vec<GapView>,
    pub(crate) audit: Vec<AuditEntry>,
    pub(crate) pauses: Vec<Pause>,
    pub(crate) claims: u64,
    pub(crate) marks: Vec<(Channel, CursorHistoryEntry)>,
    pub(crate) calls: Vec<(OrderId, RecordedCall)>,
    pub(crate) processes: BTreeMap<String, (ProcessReport, Timestamp)>,
    pub(crate) alerts: BTreeMap<String, Alert>,
    pub(crate) sessions: Vec<OperatorSession>,
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
    pub(crate) set_aside: Option<String>,
}

impl StoreState {
    /// The range of orders that kept our marker since one lost it.
    pub(crate) fn marker_proof(&self) -> Option<MarkerProof> {
        let checks = self.facts.iter().rev().filter_map(|(order, recorded)| {
            let Fact::Verified { marker, .. } = recorded.fact else {
                return None;
            };
            (marker != MarkerCheck::Unchecked).then_some((order, marker))
        });
        let kept: Vec<_> = checks
            .take_while(|(_, marker)| *marker == MarkerCheck::Kept)
            .map(|(order, _)| self.orders.get(order).and_then(|row| row.whmcs_order))
            .collect();
        let (to, from) = ((*kept.first()?)?, (*kept.last()?)?);
        Some(MarkerProof { from, to })
    }
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

impl StoreState {
    pub(crate) fn admit(&mut self, job: &NewJob, at: Timestamp) -> Admission {
        if self.jobs.iter().any(|row| row.job.id == job.id) {
            return Admission::SameDelivery;
        }
        let earlier: Vec<_> = self
            .jobs
            .iter()
            .filter(|row| row.job.order == job.order)
            .map(|row| EarlierJob {
                idem_key: row.job.idem_key.as_ref(),
                outcome: match row.state {
                    JobState::Ended(outcome) => Some(outcome),
                    _ => None,
                },
                requested_at: row.job.requested_at,
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
                set_aside: None,
            });
            let row = self.order(job.order, at);
            row.stage = JobStage::Queued;
            row.handled = None;
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

    pub(crate) fn prune(&mut self, cutoff: Timestamp, audited: Timestamp) -> Pruned {
        let (dead_letters, gaps) = (self.dead_letters.len(), self.gaps.len());
        let audit = self.audit.len();
        self.dead_letters
            .retain(|view| view.closed_at.is_none_or(|at| at > cutoff));
        let mut newest = HashSet::new();
        let mut kept: Vec<_> = std::mem::take(&mut self.gaps);
        kept.reverse();
        kept.retain(|gap| newest.insert(gap.channel.clone()) || gap.until > cutoff);
        kept.reverse();
        self.gaps = kept;
        self.audit.retain(|line| line.at > audited);
        let (jobs, events, facts) = (self.jobs.len(), self.inbox.len(), self.facts.len());
        self.jobs
            .retain(|row| row.ended_at.is_none_or(|at| at > cutoff));
        let jobs_left: HashSet<_> = self.jobs.iter().map(|row| row.job.id.clone()).collect();
        self.calls.retain(|(_, call)| jobs_left.contains(&call.job));
        self.inbox.retain(|_, at| *at > cutoff);
        let mut kept: HashSet<_> = self.jobs.iter().map(|row| row.job.order).collect();
        let needed = self
            .facts
            .iter()
            .filter(|(_, recorded)| recorded.fact.binds() || recorded.at > cutoff);
        kept.extend(needed.map(|(order, _)| *order));
        self.facts.retain(|(order, _)| kept.contains(order));
        self.orders.retain(|order, _| kept.contains(order));
        let gone = |before: usize, after: usize| (before - after) as u64;
        Pruned {
            jobs: gone(jobs, self.jobs.len()),
            events: gone(events, self.inbox.len()),
            facts: gone(facts, self.facts.len()),
            dead_letters: gone(dead_letters, self.dead_letters.len()),
            gaps: gone(gaps, self.gaps.len()),
            audit: gone(audit, self.audit.len()),
        }
    }

    pub(crate) fn leased_row(&mut self, lease: &Lease, now: Timestamp) -> StoreResult<&mut Row> {
        self.jobs
            .iter_mut()
            .find(|row| matches!(&row.state, JobState::Leased(leased_row) if leased_row == lease))
            .filter(|row| row.until > now)
            .ok_or(StoreError::LeaseLost)
    }

    pub(crate) fn append(&mut self, order: OrderId, job: &JobId, facts: &[Fact], at: Timestamp) {
        for fact in facts {
            let recorded = RecordedFact {
                at,
                job: job.clone(),
                fact: fact.clone(),
            };
            self.facts.push((order, recorded));
            if fact.is_listed() {
                list(self.order(order, at), fact);
            }
        }
    }

    /// Adds the channel's cursor to its history.
    pub(crate) fn mark(
        &mut self,
        channel: &Channel,
        kind: CursorChange,
        detail: String,
        at: Timestamp,
    ) {
        let stream = self.streams.get(channel);
        let cursor = stream.and_then(|stream| stream.cursor.as_ref());
        let mark = CursorHistoryEntry {
            at,
            kind,
            replay_id: cursor.map(|cursor| cursor.replay_id.clone()),
            detail,
        };
        self.marks.push((channel.clone(), mark));
        let of_channel = self.marks.iter().filter(|(of, _)| of == channel).count();
        if of_channel > CursorHistoryEntry::MAX_KEPT
            && let Some(oldest) = self.marks.iter().position(|(of, _)| of == channel)
        {
            self.marks.remove(oldest);
        }
    }

    /// Adds a moved cursor to the history unless one was sampled recently.
    pub(crate) fn sample(&mut self, channel: &Channel, at: Timestamp) {
        let recent = |(of, mark): &(Channel, CursorHistoryEntry)| {
            of == channel
                && mark.kind == CursorChange::Sampled
                && mark.at > at - CursorHistoryEntry::EVERY
        };
        if !self.marks.iter().any(recent) {
            self.mark(channel, CursorChange::Sampled, String::new(), at);
        }
    }

    /// Appends calls of the job, and drops its oldest.
    pub(crate) fn append_calls(&mut self, lease: &Lease, calls: &[CallRecord]) {
        let of_job = |(_, call): &&(OrderId, RecordedCall)| call.job == lease.job;
        let last = self
            .calls
            .iter()
            .filter(of_job)
            .map(|(_, call)| call.number);
        let mut number = last.max().unwrap_or(0);
        for call in calls {
            number += 1;
            let recorded = RecordedCall {
                job: lease.job.clone(),
                number,
                call: *call,
            };
            self.calls.push((lease.order, recorded));
        }
        let kept = |call: &RecordedCall| call.number + CallRecord::MAX_KEPT as u64 > number;
        self.calls
            .retain(|(_, call)| call.job != lease.job || kept(call));
    }

    /// The order's row in the list, updated now.
    pub(crate) fn order(&mut self, order: OrderId, now: Timestamp) -> &mut OrderRow {
        let row = self.orders.entry(order).or_insert_with(|| OrderRow {
            order,
            number: None,
            account: None,
            whmcs_order: None,
            stage: JobStage::Queued,
            code: None,
            attempts: 0,
            updated_at: now,
            handled: None,
        });
        row.updated_at = now;
        row
    }

    /// Updates the order after a job has finished.
    pub(crate) fn ended(&mut self, order: OrderId, outcome: JobOutcome, now: Timestamp) {
        let mut jobs = self.jobs.iter();
        let live = jobs.any(|row| row.job.order == order && row.is_live());
        let row = self.order(order, now);
        if !live {
            row.stage = JobStage::Ended(outcome);
        }
    }

    /// Stage of the order's latest job.
    pub(crate) fn stage(&self, row: &OrderRow) -> JobStage {
        let of_order = |job: &&Row| job.job.order == row.order && job.is_live();
        let live: Vec<_> = self.jobs.iter().filter(of_order).collect();
        let leased = |job: &&Row| matches!(job.state, JobState::Leased(_));
        if live.is_empty() {
            row.stage
        } else if live.iter().any(leased) {
            JobStage::Leased
        } else {
            JobStage::Queued
        }
    }

    pub(crate) fn paused(&self, what: &Pausable) -> Option<&Pause> {
        self.pauses.iter().find(|pause| pause.what == *what)
    }

    pub(crate) fn oldest_due(&self, now: Timestamp) -> Option<Timestamp> {
        let queued = self.jobs.iter().filter(|row| row.state == JobState::Queued);
        queued.map(|row| row.due).filter(|due| *due <= now).min()
    }

    pub(crate) fn led_stream(
        &mut self,
        channel: &Channel,
        epoch: Epoch,
    ) -> StoreResult<&mut StreamView> {
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

fn list(row: &mut OrderRow, fact: &Fact) {
    match fact {
        Fact::Checked {
            number, account, ..
        } => {
            row.number = number.clone().or(row.number.take());
            row.account = account.or(row.account);
            row.code = None;
            row.attempts += 1;
        }
        Fact::Placed { order } => row.whmcs_order = Some(*order),
        Fact::Forgotten { order } if row.whmcs_order == Some(*order) => row.whmcs_order = None,
        Fact::Refused(refusal) => row.code = Some(refusal.code),
        _ => {}
    }
}
