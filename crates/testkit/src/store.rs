//! An in-memory job store that passes the same contract tests as the real ones.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::failure::Code;
use domain::job::{Admission, JobOutcome, JobState, Lease, LeaseToken, NewJob};
use domain::key::{Channel, DeadLetterId, Owner};
use domain::order::Fact;
use domain::ports::{
    Claimed, Clock, Cursor, DeadLetterView, Delivery, Entry, Epoch, EventIntake, Gap, JobChange,
    JobQueue, JobUpdate, LeaderElection, Leadership, StoreError, Undecodable,
};
use operations::{
    AUDIT_RETENTION, AdminCommand, AdminCommands, Alert, AlertStore, AuditEntry, CommandResult,
    CursorChange, GapView, MIN_RETENTION, PROCESS_REMOVED_AFTER, Pausable, Pause, ProcessRegistry,
    ProcessReport, ProcessView, Pruned, Pruner,
};
use tokio::sync::Notify;

use crate::StoreResult;
use crate::store_state::StoreState;

/// An in-memory job store.
pub struct MemoryStore {
    pub(crate) clock: Arc<dyn Clock>,
    state: Mutex<StoreState>,
    changed: Notify,
}

impl MemoryStore {
    /// An empty store with this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Forgets the facts of the last commits that were not flushed, as a database server that crashes.
    pub fn forget_unflushed(&self) {
        let mut state = self.state();
        let flushed = state.flushed;
        state.facts.truncate(flushed);
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, StoreState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rejects text that PostgreSQL cannot store.
fn check_text(texts: &[&str]) -> StoreResult<()> {
    let wrong = |text: &&str| text.contains('\0');
    match texts.iter().any(wrong) {
        true => Err(StoreError::Unstorable("a text has a NUL".into())),
        false => Ok(()),
    }
}

fn check_job(job: &NewJob) -> StoreResult<()> {
    check_id(job.id.as_str())?;
    let key = job.idem_key.as_ref().map(domain::key::IdemKey::as_str);
    check_text(&[
        key.unwrap_or_default(),
        job.correlation.as_str(),
        job.requested_by.as_deref().unwrap_or_default(),
    ])
}

/// An id must fit into an index.
fn check_id(id: &str) -> StoreResult<()> {
    match id.len() > 2700 {
        true => Err(StoreError::Unstorable("an id is too long".into())),
        false => check_text(&[id]),
    }
}

fn check_entry(entry: &Entry) -> StoreResult<()> {
    match entry {
        Entry::Job(job) => check_job(job),
        Entry::DeadLetter(dead_letter) => {
            check_id(dead_letter.event.as_str())?;
            check_text(&[
                &dead_letter.undecodable.detail,
                &dead_letter.undecodable.schema_id,
            ])?;
            let mut fields = dead_letter.undecodable.fields.iter();
            fields.try_for_each(|(name, value)| check_text(&[name, value]))
        }
    }
}

#[async_trait]
impl LeaderElection for MemoryStore {
    async fn lead(
        &self,
        channel: &Channel,
        owner: &Owner,
        ttl: Duration,
    ) -> StoreResult<Leadership> {
        let now = self.clock.now();
        let mut state = self.state();
        if let Some(pause) = state.paused(&Pausable::Intake(channel.clone())) {
            return Ok(Leadership::Paused {
                by: pause.by.clone(),
                reason: pause.reason.clone(),
                since: pause.since,
            });
        }
        let next = Epoch::from_number(state.epochs + 1);
        let stream = state.streams.entry(channel.clone()).or_default();
        let epoch = match &stream.leader {
            Some((leader, epoch, until)) if leader == owner && *until > now => *epoch,
            Some((leader, _, until)) if leader != owner && *until > now => {
                return Ok(Leadership::Standby { until: *until });
            }
            _ => next,
        };
        stream.leader = Some((owner.clone(), epoch, now + ttl));
        state.epochs = epoch.number().max(state.epochs);
        if epoch == next {
            let detail = format!("{owner} leads, term {}", epoch.number());
            state.mark(channel, CursorChange::Term, detail, now);
        }
        Ok(Leadership::Leader(epoch))
    }

    async fn resign(&self, channel: &Channel, owner: &Owner) -> StoreResult<()> {
        if let Some(stream) = self.state().streams.get_mut(channel)
            && stream
                .leader
                .as_ref()
                .is_some_and(|(leader, _, _)| leader == owner)
        {
            stream.leader = None;
        }
        Ok(())
    }
}

#[async_trait]
impl EventIntake for MemoryStore {
    async fn cursor(&self, channel: &Channel) -> StoreResult<Option<Cursor>> {
        Ok(self
            .state()
            .streams
            .get(channel)
            .and_then(|stream| stream.cursor.clone()))
    }

    async fn accept(&self, delivery: &Delivery) -> StoreResult<Vec<Admission>> {
        let now = self.clock.now();
        let mut state = self.state();
        let stream = state.led_stream(&delivery.channel, delivery.epoch)?;
        delivery.entries.iter().try_for_each(check_entry)?;
        if let Some(replay_id) = delivery.cursor.clone() {
            stream.cursor = Some(Cursor {
                replay_id,
                committed_at: now,
            });
            state.lost.remove(&delivery.channel);
            state.sample(&delivery.channel, now);
        }
        let mut admissions = Vec::new();
        for entry in &delivery.entries {
            let event = match entry {
                Entry::Job(job) => job.event.clone(),
                Entry::DeadLetter(dead_letter) => Some(dead_letter.event.clone()),
            };
            if event.is_some_and(|event| !state.remember(event, now)) {
                admissions.push(Admission::SameDelivery);
                continue;
            }
            admissions.push(match entry {
                Entry::Job(job) => state.admit(job, now),
                Entry::DeadLetter(dead_letter) => {
                    let last = state.dead_letters.last();
                    let number = last.map_or(0, |view| view.number.0) + 1;
                    state.dead_letters.push(DeadLetterView {
                        number: DeadLetterId(number),
                        channel: delivery.channel.clone(),
                        dead_letter: dead_letter.clone(),
                        received_at: now,
                        closed_at: None,
                        asked_at: None,
                    });
                    Admission::DeadLettered
                }
            });
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(admissions)
    }

    async fn record_cursor_loss(
        &self,
        channel: &Channel,
        epoch: Epoch,
        gap: &Gap,
    ) -> StoreResult<()> {
        let until = self.clock.now();
        let mut state = self.state();
        state.led_stream(channel, epoch)?;
        if !state.lost.insert(channel.clone()) {
            return Ok(());
        }
        state.gaps.push(GapView {
            channel: channel.clone(),
            from: gap.from,
            until,
            detail: gap.detail.clone(),
        });
        state.mark(channel, CursorChange::Lost, gap.detail.clone(), until);
        Ok(())
    }

    async fn enqueue(&self, jobs: &[NewJob]) -> StoreResult<Vec<Admission>> {
        let at = self.clock.now();
        jobs.iter().try_for_each(check_job)?;
        let mut state = self.state();
        let admissions = jobs.iter().map(|job| state.admit(job, at)).collect();
        drop(state);
        self.changed.notify_waiters();
        Ok(admissions)
    }

    async fn requested_redrives(
        &self,
        channel: &Channel,
        limit: usize,
    ) -> StoreResult<Vec<DeadLetterView>> {
        let state = self.state();
        let requested = state.dead_letters.iter().filter(|view| {
            view.channel == *channel && view.asked_at.is_some() && view.closed_at.is_none()
        });
        Ok(requested.take(limit).cloned().collect())
    }

    async fn redrive(
        &self,
        channel: &Channel,
        epoch: Epoch,
        dead_letter: DeadLetterId,
        read: &Result<NewJob, Undecodable>,
    ) -> StoreResult<Admission> {
        let now = self.clock.now();
        let mut state = self.state();
        state.led_stream(channel, epoch)?;
        read.as_ref().ok().map_or(Ok(()), check_job)?;
        let waits = |view: &&mut DeadLetterView| {
            view.number == dead_letter && view.asked_at.is_some() && view.closed_at.is_none()
        };
        let Some(view) = state.dead_letters.iter_mut().find(waits) else {
            return Ok(Admission::SameDelivery);
        };
        view.asked_at = None;
        let admission = match read {
            Ok(job) => {
                view.closed_at = Some(now);
                state.admit(job, now)
            }
            Err(undecodable) => {
                view.dead_letter.undecodable = undecodable.clone();
                Admission::DeadLettered
            }
        };
        drop(state);
        self.changed.notify_waiters();
        Ok(admission)
    }
}

#[async_trait]
impl AdminCommands for MemoryStore {
    async fn execute(
        &self,
        command: &AdminCommand,
        by: &str,
        reason: &str,
    ) -> StoreResult<CommandResult> {
        let now = self.clock.now();
        let acted = self.state().act(command, by, reason, now);
        self.changed.notify_waiters();
        Ok(acted)
    }

    async fn audit(&self, limit: usize) -> StoreResult<Vec<AuditEntry>> {
        let state = self.state();
        Ok(state.audit.iter().rev().take(limit).cloned().collect())
    }

    async fn pauses(&self) -> StoreResult<Vec<Pause>> {
        Ok(self.state().pauses.clone())
    }
}

#[async_trait]
impl Pruner for MemoryStore {
    async fn prune(&self, older_than: Duration) -> StoreResult<Pruned> {
        let (now, age) = (self.clock.now(), older_than.max(MIN_RETENTION));
        let audited = now - age.max(AUDIT_RETENTION);
        Ok(self.state().prune(now - age, audited))
    }
}

#[async_trait]
impl ProcessRegistry for MemoryStore {
    async fn report_process(&self, report: &ProcessReport) -> StoreResult<()> {
        let now = self.clock.now();
        let mut state = self.state();
        let kept = (report.clone(), now);
        state.processes.insert(report.id.to_string(), kept);
        state
            .processes
            .retain(|_, (_, seen)| now.since(*seen) < PROCESS_REMOVED_AFTER);
        Ok(())
    }

    async fn retire_process(&self, id: &Owner) -> StoreResult<()> {
        self.state().processes.remove(id.as_str());
        Ok(())
    }

    async fn processes(&self) -> StoreResult<Vec<ProcessView>> {
        let now = self.clock.now();
        let state = self.state();
        let mut views: Vec<_> = state
            .processes
            .values()
            .map(|(report, seen_at)| ProcessView {
                report: report.clone(),
                seen_at: *seen_at,
                unseen_for: now.since(*seen_at),
            })
            .collect();
        views.sort_by_key(|view| (view.report.role.clone(), view.report.started_at));
        Ok(views)
    }
}

#[async_trait]
impl AlertStore for MemoryStore {
    async fn save_alerts(
        &self,
        watch: &Channel,
        epoch: Epoch,
        alerts: &[Alert],
    ) -> StoreResult<()> {
        let mut state = self.state();
        state.led_stream(watch, epoch)?;
        for alert in alerts {
            state.alerts.insert(alert.name.clone(), alert.clone());
        }
        Ok(())
    }

    async fn alerts(&self) -> StoreResult<Vec<Alert>> {
        Ok(self.state().alerts.values().cloned().collect())
    }
}

#[async_trait]
impl JobQueue for MemoryStore {
    async fn claim(&self, owner: &Owner, limit: usize, ttl: Duration) -> StoreResult<Vec<Claimed>> {
        let now = self.clock.now();
        let mut state = self.state();
        if state.paused(&Pausable::Worker).is_some() {
            return Ok(Vec::new());
        }
        let marker_proof = state.marker_proof();
        let mut busy = HashSet::new();
        let mut due = Vec::new();
        for (at, row) in state.jobs.iter().enumerate() {
            // The first live job of an order blocks its other jobs, due or not.
            if row.is_live() && busy.insert(row.job.order) && row.is_due(now) {
                due.push(at);
            }
        }
        due.sort_by_key(|at| state.jobs[*at].due);
        due.truncate(limit);
        let mut claimed = Vec::new();
        for at in due {
            state.claims += 1;
            let token = LeaseToken::of(owner, state.claims);
            let row = &mut state.jobs[at];
            let lease = Lease {
                job: row.job.id.clone(),
                order: row.job.order,
                token,
            };
            row.state = JobState::Leased(lease.clone());
            row.until = now + ttl;
            row.started_at = row.started_at.or(Some(now));
            let (job, enqueued_at, deferrals) = (row.job.clone(), row.enqueued_at, row.deferrals);
            let facts = state.facts.iter().filter(|(order, _)| *order == job.order);
            let facts = facts.map(|(_, recorded)| recorded.fact.clone()).collect();
            claimed.push(Claimed {
                lease,
                job,
                at: now,
                enqueued_at,
                deferrals,
                facts,
                marker_proof,
            });
        }
        Ok(claimed)
    }

    async fn renew(&self, leases: &[Lease], ttl: Duration) -> StoreResult<Vec<Lease>> {
        let now = self.clock.now();
        let mut state = self.state();
        let renewed = |lease: &&Lease| match state.leased_row(lease, now) {
            Ok(row) => {
                row.until = now + ttl;
                false
            }
            Err(_) => true,
        };
        Ok(leases.iter().filter(renewed).cloned().collect())
    }

    async fn update(&self, lease: &Lease, update: &JobUpdate) -> StoreResult<()> {
        let now = self.clock.now();
        let mut state = self.state();
        state.leased_row(lease, now)?;
        let kept = update.change == JobChange::Keep;
        let facts = state
            .facts
            .iter()
            .filter(|(order, _)| *order == lease.order);
        match (facts.count(), update.known) {
            (facts, Some(known))
                if kept && facts == known + update.facts.len() && facts > known =>
            {
                return Ok(());
            }
            (facts, Some(known)) if facts != known => return Err(StoreError::LeaseLost),
            _ => {}
        }
        let row = state.leased_row(lease, now)?;
        if kept || !update.facts.is_empty() {
            row.deferrals = 0;
        }
        let outcome = match &update.change {
            JobChange::Keep => None,
            JobChange::Release(release) => {
                row.state = JobState::Queued;
                row.due = now + release.after;
                row.deferrals += u32::from(release.deferral);
                None
            }
            JobChange::Finish(outcome) => Some(*outcome),
            JobChange::SetAside { cause } => {
                row.set_aside = Some(cause.clone());
                Some(JobOutcome::Failed)
            }
        };
        if let Some(outcome) = outcome {
            row.state = JobState::Ended(outcome);
            row.ended_at = Some(now);
        }
        state.append_calls(lease, &update.calls);
        state.append(lease.order, &lease.job, &update.facts, now);
        if outcome.is_some() || update.facts.iter().any(Fact::is_flushed) {
            state.flushed = state.facts.len();
        }
        if let Some(outcome) = outcome {
            state.ended(lease.order, outcome, now);
        }
        if let JobChange::SetAside { .. } = update.change {
            state.order(lease.order, now).code = Some(Code::Internal);
        }
        Ok(())
    }

    async fn wait_for_work(&self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.changed.notified()).await;
    }
}
