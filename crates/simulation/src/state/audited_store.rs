//! The job store, with a record of what was committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::id::OrderId;
use domain::job::{Admission, Lease, LeaseToken};
use domain::key::{DeadLetterId, EventId, JobId};
use domain::order::{Fact, MAX_UNKNOWN_CALLS};
use domain::ports::{
    Claimed, Clock, Delivery, Entry, EventIntake, JobChange, JobQueue, JobUpdate, LeaderElection,
    StoreError,
};
use domain::time::Timestamp;
use testkit::StoreResult;
use testkit::intercept::{Around, EventIntakeHooks, JobQueueHooks, LeaderElectionHooks};

use crate::promise::{Breaches, Promise};
use crate::state::bus::Bus;
use crate::state::store::{Engine, Store};
use crate::trace::lock;

pub(crate) struct AuditedStore {
    pub(crate) inner: Store,
    clock: Arc<dyn Clock>,
    bus: Arc<Bus>,
    breaches: Arc<Breaches>,
    committed: Mutex<Committed>,
}

#[derive(Default)]
struct Committed {
    leases: BTreeMap<JobId, LeaseRecord>,
    stored: BTreeSet<EventId>,
    reached: usize,
    has_cursor: bool,
    wake_at: BTreeSet<Timestamp>,
    /// Dead letters that created a job.
    redriven: BTreeSet<DeadLetterId>,
    /// The latest intent of each order whose call was not sent yet.
    unsent: BTreeMap<OrderId, LeaseToken>,
    /// Activation calls of unknown outcome, by job.
    unknown_calls: BTreeMap<JobId, u32>,
    /// Reported module failures, by the job that received them and the call that failed.
    reported: BTreeMap<(JobId, String), ReportedFailure>,
}

struct LeaseRecord {
    order: OrderId,
    token: LeaseToken,
    until: Timestamp,
}

/// A module failure that a worker received. A worker that dies before its next commit takes its
/// knowledge along: the call is then one of unknown outcome.
struct ReportedFailure {
    token: LeaseToken,
    /// Whether the worker committed something afterwards.
    recorded: bool,
}

impl AuditedStore {
    pub(crate) fn new(
        engine: Engine,
        clock: Arc<dyn Clock>,
        bus: Arc<Bus>,
        breaches: Arc<Breaches>,
    ) -> Self {
        Self {
            inner: Store::new(engine, Arc::clone(&clock)),
            clock,
            bus,
            breaches,
            committed: Mutex::default(),
        }
    }

    /// Whether the event was committed.
    pub(crate) fn has(&self, event: &EventId) -> bool {
        lock(&self.committed).stored.contains(event)
    }

    /// Allows the cursor to move back once, after a start at the oldest event.
    pub(crate) fn allow_rewind(&self) {
        lock(&self.committed).reached = 0;
    }

    /// Whether a cursor was ever stored.
    pub(crate) fn has_stored_cursor(&self) -> bool {
        lock(&self.committed).has_cursor
    }

    /// Whether this lease is the job's latest and has not expired.
    pub(crate) fn holds(&self, lease: &Lease) -> bool {
        let now = self.clock.now();
        lock(&self.committed)
            .leases
            .get(&lease.job)
            .is_some_and(|held| held.token == lease.token && held.until > now)
    }

    /// Whether this worker process holds a lease of one of the order's jobs.
    pub(crate) fn is_leased_by(&self, order: OrderId, worker: &str) -> bool {
        let now = self.clock.now();
        let owned = format!("worker-{worker}/");
        lock(&self.committed).leases.values().any(|held| {
            held.order == order && held.until > now && held.token.as_str().starts_with(&owned)
        })
    }

    /// Whether any process holds a lease of one of the order's jobs.
    pub(crate) fn is_leased(&self, order: OrderId) -> bool {
        let now = self.clock.now();
        let committed = lock(&self.committed);
        let mut leases = committed.leases.values();
        leases.any(|held| held.order == order && held.until > now)
    }

    /// The leased job of the order.
    pub(crate) fn leased_job(&self, order: OrderId) -> Option<JobId> {
        let committed = lock(&self.committed);
        let mut leases = committed.leases.iter();
        leases
            .find(|(_, held)| held.order == order)
            .map(|(job, _)| job.clone())
    }

    /// Records that the call of the order's latest intent was sent.
    pub(crate) fn mark_sent(&self, order: OrderId) {
        lock(&self.committed).unsent.remove(&order);
    }

    /// Counts an unanswered activation call of this job.
    pub(crate) fn count_unknown_call(&self, job: &JobId) {
        let mut committed = lock(&self.committed);
        let count = committed.unknown_calls.entry(job.clone()).or_default();
        *count += 1;
        if *count > MAX_UNKNOWN_CALLS {
            let detail = format!("job {job}: {count} activation calls of unknown outcome");
            self.breaches.record(Promise::BoundedCalls, detail);
        }
    }

    /// Records that this job's worker received a module failure.
    pub(crate) fn note_module_failure(&self, job: JobId, what: &str) {
        let mut committed = lock(&self.committed);
        let Some(held) = committed.leases.get(&job) else {
            return;
        };
        let failure = ReportedFailure {
            token: held.token.clone(),
            recorded: false,
        };
        committed.reported.insert((job, what.to_owned()), failure);
    }

    /// Checks a call that runs a module, just before it is sent.
    pub(crate) fn check_operator_decision(&self, job: &JobId, what: &str) {
        let committed = lock(&self.committed);
        let held = committed.leases.get(job).map(|held| &held.token);
        let reported = committed.reported.get(&(job.clone(), what.to_owned()));
        if reported.is_some_and(|failure| failure.recorded || Some(&failure.token) == held) {
            let detail = format!("job {job}: {what} again after its failure was reported");
            self.breaches.record(Promise::OperatorDecides, detail);
        }
    }

    fn note_commit(&self, lease: &Lease, facts: &[Fact]) {
        let mut committed = lock(&self.committed);
        for ((job, _), failure) in &mut committed.reported {
            failure.recorded |= *job == lease.job && failure.token == lease.token;
        }
        for fact in facts {
            match fact {
                Fact::Placing { .. } | Fact::Accepting { .. } | Fact::Creating { .. } => {
                    committed.unsent.insert(lease.order, lease.token.clone());
                }
                Fact::PlaceUnknown { .. }
                | Fact::AcceptUnknown { .. }
                | Fact::CreateUnknown { .. } => {
                    let process = |token: &LeaseToken| {
                        let text = token.as_str().split('/').next();
                        text.unwrap_or_default().to_owned()
                    };
                    let unsent = committed.unsent.remove(&lease.order);
                    if unsent.is_some_and(|token| process(&token) == process(&lease.token)) {
                        let detail = format!("{} recorded an unsent call as unknown", lease.token);
                        self.breaches.record(Promise::NoNeedlessUnknown, detail);
                    }
                }
                Fact::NotPlaced | Fact::NotAccepted | Fact::NotCreated => {
                    committed.unsent.remove(&lease.order);
                }
                _ => {}
            }
        }
    }

    /// The job's latest lease, whoever holds it.
    pub(crate) fn last_lease(&self, job: &JobId) -> Option<Lease> {
        let committed = lock(&self.committed);
        committed.leases.get(job).map(|held| Lease {
            job: job.clone(),
            order: held.order,
            token: held.token.clone(),
        })
    }

    fn drop_lease(&self, job: &JobId) {
        lock(&self.committed).leases.remove(job);
    }

    fn due(&self, at: Timestamp) {
        lock(&self.committed).wake_at.insert(at);
    }
}

testkit::inner!(AuditedStore: LeaderElection = inner.ports, EventIntake = inner.ports, JobQueue = inner.ports);

#[async_trait]
impl Around<StoreError> for AuditedStore {
    async fn around<T: Send>(
        &self,
        _call: &'static str,
        answer: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> StoreResult<T> {
        self.inner.ask(answer).await
    }
}

impl LeaderElectionHooks for AuditedStore {}

#[async_trait]
impl EventIntakeHooks for AuditedStore {
    async fn accept(&self, delivery: &Delivery) -> StoreResult<Vec<Admission>> {
        let admissions = self.inner.ask(self.inner.ports.accept(delivery)).await?;
        let mut committed = lock(&self.committed);
        for entry in &delivery.entries {
            let event = match entry {
                Entry::Job(job) => job.event.clone(),
                Entry::DeadLetter(dead_letter) => Some(dead_letter.event.clone()),
            };
            committed.stored.extend(event);
        }
        let Some(position) = &delivery.cursor else {
            return Ok(admissions);
        };
        let Some(reached) = self.bus.events_up_to(position) else {
            let detail = format!("cursor {position:?} was never issued");
            self.breaches.record(Promise::CursorBehindJobs, detail);
            return Ok(admissions);
        };
        let missing = self
            .bus
            .missing(reached, |event| committed.stored.contains(event));
        if !missing.is_empty() {
            let detail = format!("the cursor covers unstored events {missing:?}");
            self.breaches.record(Promise::CursorBehindJobs, detail);
        }
        if reached < committed.reached {
            let detail = format!("from event {} back to event {reached}", committed.reached);
            self.breaches.record(Promise::CursorBehindJobs, detail);
        }
        committed.reached = reached;
        committed.has_cursor = true;
        Ok(admissions)
    }

    fn redriven(&self, admission: &Admission, dead_letter: DeadLetterId) {
        if *admission == Admission::Enqueued && !lock(&self.committed).redriven.insert(dead_letter)
        {
            let detail = format!("dead letter {dead_letter} created another job");
            self.breaches.record(Promise::DeadLettersOnce, detail);
        }
    }
}

#[async_trait]
impl JobQueueHooks for AuditedStore {
    fn claimed(&self, claimed: &Vec<Claimed>, ttl: Duration) {
        let until = self.clock.now() + ttl;
        for claimed in claimed {
            let Lease { job, order, token } = claimed.lease.clone();
            let held = LeaseRecord {
                order,
                token,
                until,
            };
            lock(&self.committed).leases.insert(job, held);
            self.due(until);
        }
    }

    async fn renew(&self, leases: &[Lease], ttl: Duration) -> StoreResult<Vec<Lease>> {
        let lost = self.inner.ask(self.inner.ports.renew(leases, ttl)).await?;
        let until = self.clock.now() + ttl;
        for lease in leases.iter().filter(|lease| !lost.contains(lease)) {
            if let Some(held) = lock(&self.committed).leases.get_mut(&lease.job) {
                held.until = until;
            }
            self.due(until);
        }
        Ok(lost)
    }

    async fn update(&self, lease: &Lease, update: &JobUpdate) -> StoreResult<()> {
        self.inner
            .ask(self.inner.ports.update(lease, update))
            .await?;
        self.note_commit(lease, &update.facts);
        if update.change != JobChange::Keep {
            self.drop_lease(&lease.job);
        }
        if let JobChange::Release(release) = &update.change {
            self.due(self.clock.now() + release.after);
        }
        Ok(())
    }

    /// Also wakes when a job becomes due, like the real stores and unlike the in-memory one.
    async fn wait_for_work(&self, limit: Duration) {
        let now = self.clock.now();
        let next = {
            let mut committed = lock(&self.committed);
            committed.wake_at = committed
                .wake_at
                .split_off(&(now + Duration::from_millis(1)));
            committed.wake_at.first().copied()
        };
        let limit = next.map_or(limit, |next| limit.min(next.since(now)));
        self.inner.wait_for_work(limit).await;
    }
}
