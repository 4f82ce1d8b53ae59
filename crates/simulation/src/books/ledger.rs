//! The job store as it truly is, and a record of what was committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::id::OrderId;
use domain::job::{Admission, JobOutcome, LeaseToken, Lease, NewJob};
use domain::key::{Channel, EventId, JobId, Owner};
use domain::order::{Fact, MAX_UNKNOWN_CALLS};
use domain::ports::{
    AdminCommand, CommandResult, CallRecord, Claimed, Clock, Cursor, DeadLetterView, Delivery, Entry, Epoch, Gap,
    JobIntake, JobQueue, Leadership, Release, StoreError, Undecodable,
};
use domain::time::Timestamp;

use crate::books::bus::Bus;
use crate::books::store::{Engine, Store};
use crate::judge::{Judge, Promise};
use crate::trace::lock;

pub(crate) struct Ledger {
    pub(crate) store: Store,
    clock: Arc<dyn Clock>,
    bus: Arc<Bus>,
    judge: Arc<Judge>,
    truth: Mutex<Truth>,
}

#[derive(Default)]
struct Truth {
    leases: BTreeMap<JobId, Held>,
    stored: BTreeSet<EventId>,
    reached: usize,
    positioned: bool,
    wake_at: BTreeSet<Timestamp>,
    /// Letters that made a job.
    redriven: BTreeSet<i64>,
    /// The intent recorded last for each order, until its call is sent.
    unsent: BTreeMap<OrderId, LeaseToken>,
    /// Set-up calls of each job whose outcome its worker never heard.
    unknown_calls: BTreeMap<JobId, u32>,
    /// What modules have reported as failed, by the job that heard of it.
    reported: BTreeSet<(JobId, String)>,
}

struct Held {
    order: OrderId,
    token: LeaseToken,
    until: Timestamp,
}

impl Ledger {
    pub(crate) fn new(
        engine: Engine,
        clock: Arc<dyn Clock>,
        bus: Arc<Bus>,
        judge: Arc<Judge>,
    ) -> Self {
        Self {
            store: Store::new(engine, Arc::clone(&clock)),
            clock,
            bus,
            judge,
            truth: Mutex::default(),
        }
    }

    /// Whether the event was committed.
    pub(crate) fn has(&self, event: &EventId) -> bool {
        lock(&self.truth).stored.contains(event)
    }

    /// A stream was opened at its beginning: the position may go back for once.
    pub(crate) fn rewound(&self) {
        lock(&self.truth).reached = 0;
    }

    /// Whether a position was ever stored.
    pub(crate) fn ever_stood_somewhere(&self) -> bool {
        lock(&self.truth).positioned
    }

    /// Whether this lease is the job's last, and has not run out.
    pub(crate) fn holds(&self, lease: &Lease) -> bool {
        let now = self.clock.now();
        lock(&self.truth)
            .leases
            .get(&lease.job)
            .is_some_and(|held| held.token == lease.token && held.until > now)
    }

    /// Whether a process of this name holds the lease of one of the order's jobs.
    pub(crate) fn is_worked_on_by(&self, order: OrderId, worker: &str) -> bool {
        let now = self.clock.now();
        let owned = format!("worker-{worker}/");
        lock(&self.truth).leases.values().any(|held| {
            held.order == order && held.until > now && held.token.as_str().starts_with(&owned)
        })
    }

    /// Whether anybody holds the lease of one of the order's jobs.
    pub(crate) fn is_worked_on(&self, order: OrderId) -> bool {
        let now = self.clock.now();
        let truth = lock(&self.truth);
        let mut leases = truth.leases.values();
        leases.any(|held| held.order == order && held.until > now)
    }

    /// The job of the order that is worked on now.
    pub(crate) fn job_of(&self, order: OrderId) -> Option<JobId> {
        let truth = lock(&self.truth);
        let mut leases = truth.leases.iter();
        leases
            .find(|(_, held)| held.order == order)
            .map(|(job, _)| job.clone())
    }

    /// The call of the order's last intent is sent.
    pub(crate) fn sent(&self, order: OrderId) {
        lock(&self.truth).unsent.remove(&order);
    }

    /// A set-up call of this job was not answered.
    pub(crate) fn unanswered(&self, job: &JobId) {
        let mut truth = lock(&self.truth);
        let count = truth.unknown_calls.entry(job.clone()).or_default();
        *count += 1;
        if *count > MAX_UNKNOWN_CALLS {
            let detail = format!("job {job}: {count} set-up calls without an answer");
            self.judge.broken(Promise::BoundedCalls, detail);
        }
    }

    /// The worker of this job has heard that a module failed.
    pub(crate) fn reported(&self, job: JobId, what: &str) {
        lock(&self.truth).reported.insert((job, what.to_owned()));
    }

    /// A call that runs a module is about to be sent.
    pub(crate) fn check_decision(&self, job: &JobId, what: &str) {
        let key = (job.clone(), what.to_owned());
        if lock(&self.truth).reported.contains(&key) {
            let detail = format!("job {job}: {what} again after its failure was reported");
            self.judge.broken(Promise::OperatorDecides, detail);
        }
    }

    fn note_intents(&self, lease: &Lease, facts: &[Fact]) {
        let mut truth = lock(&self.truth);
        for fact in facts {
            match fact {
                Fact::Placing { .. } | Fact::Accepting { .. } | Fact::Creating { .. } => {
                    truth.unsent.insert(lease.order, lease.token.clone());
                }
                Fact::PlaceUnknown { .. }
                | Fact::AcceptUnknown { .. }
                | Fact::CreateUnknown { .. } => {
                    let process = |fence: &LeaseToken| {
                        let text = fence.as_str().split('/').next();
                        text.unwrap_or_default().to_owned()
                    };
                    let unsent = truth.unsent.remove(&lease.order);
                    if unsent.is_some_and(|fence| process(&fence) == process(&lease.token)) {
                        let detail = format!("{} doubts a call it never sent", lease.token);
                        self.judge.broken(Promise::NoNeedlessDoubt, detail);
                    }
                }
                Fact::NotPlaced | Fact::NotAccepted | Fact::NotCreated => {
                    truth.unsent.remove(&lease.order);
                }
                _ => {}
            }
        }
    }

    /// The job's last lease, whoever holds it.
    pub(crate) fn last_lease(&self, job: &JobId) -> Option<Lease> {
        let truth = lock(&self.truth);
        truth.leases.get(job).map(|held| Lease {
            job: job.clone(),
            order: held.order,
            token: held.token.clone(),
        })
    }

    fn ended(&self, job: &JobId) {
        lock(&self.truth).leases.remove(job);
    }

    fn due(&self, at: Timestamp) {
        lock(&self.truth).wake_at.insert(at);
    }
}

#[async_trait]
impl JobIntake for Ledger {
    async fn lead(
        &self,
        channel: &Channel,
        owner: &Owner,
        ttl: Duration,
    ) -> Result<Leadership, StoreError> {
        self.store.lead(channel, owner, ttl).await
    }

    async fn resign(&self, channel: &Channel, owner: &Owner) -> Result<(), StoreError> {
        self.store.resign(channel, owner).await
    }

    async fn cursor(&self, channel: &Channel) -> Result<Option<Cursor>, StoreError> {
        self.store.cursor(channel).await
    }

    async fn accept(&self, delivery: &Delivery) -> Result<Vec<Admission>, StoreError> {
        let admissions = self.store.accept(delivery).await?;
        let mut truth = lock(&self.truth);
        for entry in &delivery.entries {
            let event = match entry {
                Entry::Job(job) => job.event.clone(),
                Entry::DeadLetter(letter) => Some(letter.event.clone()),
            };
            truth.stored.extend(event);
        }
        let Some(position) = &delivery.cursor else {
            return Ok(admissions);
        };
        let Some(reached) = self.bus.events_up_to(position) else {
            let detail = format!("the stored position {position:?} was never handed out");
            self.judge.broken(Promise::CursorBehindJobs, detail);
            return Ok(admissions);
        };
        let missing = self
            .bus
            .missing(reached, |event| truth.stored.contains(event));
        if !missing.is_empty() {
            let detail = format!("the stored position stands for {missing:?}, not stored");
            self.judge.broken(Promise::CursorBehindJobs, detail);
        }
        if reached < truth.reached {
            let detail = format!("from event {} back to event {reached}", truth.reached);
            self.judge.broken(Promise::CursorBehindJobs, detail);
        }
        truth.reached = reached;
        truth.positioned = true;
        Ok(admissions)
    }

    async fn record_cursor_loss(
        &self,
        channel: &Channel,
        epoch: Epoch,
        gap: &Gap,
    ) -> Result<(), StoreError> {
        self.store.record_cursor_loss(channel, epoch, gap).await
    }

    async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Admission>, StoreError> {
        self.store.enqueue(jobs).await
    }

    async fn requested_redrives(
        &self,
        channel: &Channel,
        limit: usize,
    ) -> Result<Vec<DeadLetterView>, StoreError> {
        self.store.requested_redrives(channel, limit).await
    }

    async fn redrive(
        &self,
        channel: &Channel,
        epoch: Epoch,
        letter: i64,
        read: &Result<NewJob, Undecodable>,
    ) -> Result<Admission, StoreError> {
        let admission = self.store.redrive(channel, epoch, letter, read).await?;
        if admission == Admission::Enqueued && !lock(&self.truth).redriven.insert(letter) {
            let detail = format!("letter {letter} made another job");
            self.judge.broken(Promise::LettersOnce, detail);
        }
        Ok(admission)
    }

    async fn act(&self, act: &AdminCommand, by: &str, reason: &str) -> Result<CommandResult, StoreError> {
        self.store.act(act, by, reason).await
    }
}

#[async_trait]
impl JobQueue for Ledger {
    async fn claim(
        &self,
        owner: &Owner,
        limit: usize,
        ttl: Duration,
    ) -> Result<Vec<Claimed>, StoreError> {
        let claimed = self.store.claim(owner, limit, ttl).await?;
        let until = self.clock.now() + ttl;
        for claimed in &claimed {
            let Lease { job, order, fence } = claimed.lease.clone();
            let held = Held {
                order,
                fence,
                until,
            };
            lock(&self.truth).leases.insert(job, held);
            self.due(until);
        }
        Ok(claimed)
    }

    async fn renew(&self, leases: &[Lease], ttl: Duration) -> Result<Vec<Lease>, StoreError> {
        let lost = self.store.renew(leases, ttl).await?;
        let until = self.clock.now() + ttl;
        for lease in leases.iter().filter(|lease| !lost.contains(lease)) {
            if let Some(held) = lock(&self.truth).leases.get_mut(&lease.job) {
                held.until = until;
            }
            self.due(until);
        }
        Ok(lost)
    }

    async fn record(
        &self,
        lease: &Lease,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        self.store.record(lease, facts, calls).await?;
        self.note_intents(lease, facts);
        Ok(())
    }

    async fn release(
        &self,
        lease: &Lease,
        release: Release,
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        self.store.release(lease, release, calls).await?;
        self.ended(&lease.job);
        self.due(self.clock.now() + release.after);
        Ok(())
    }

    async fn finish(
        &self,
        lease: &Lease,
        outcome: JobOutcome,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        self.store.finish(lease, outcome, facts, calls).await?;
        self.ended(&lease.job);
        Ok(())
    }

    /// As the real stores do, and unlike the bare fake: also when a job becomes due by itself.
    async fn wait(&self, limit: Duration) {
        let now = self.clock.now();
        let next = {
            let mut truth = lock(&self.truth);
            truth.wake_at = truth.wake_at.split_off(&(now + Duration::from_millis(1)));
            truth.wake_at.first().copied()
        };
        let limit = next.map_or(limit, |next| limit.min(next.since(now)));
        self.store.wait(limit).await;
    }
}
