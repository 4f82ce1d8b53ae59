//! A job store in memory, held to the same contract as the real ones.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::id::OrderId;
use domain::job::{Admission, Ending, Fence, JobState, Lease, NewJob};
use domain::key::{Channel, Owner};
use domain::order::Fact;
use domain::ports::{
    Claimed, Clock, Cursor, Delivery, Entry, Epoch, Gap, JobIntake, JobQueue, JobReader, JobView,
    Leadership, Pruned, RecordedFact, Release, SHORTEST_RETENTION, StoreError, StreamView, Tally,
};
use tokio::sync::Notify;

use crate::books::{Books, Row};

/// A job store in memory.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    books: Mutex<Books>,
    wake: Notify,
}

impl MemoryStore {
    /// An empty store that goes by this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            books: Mutex::default(),
            wake: Notify::new(),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl JobIntake for MemoryStore {
    async fn lead(
        &self,
        channel: &Channel,
        owner: &Owner,
        ttl: Duration,
    ) -> Result<Leadership, StoreError> {
        let now = self.clock.now();
        let mut books = self.books();
        let next = Epoch(books.epochs + 1);
        let stream = books.streams.entry(channel.clone()).or_default();
        let epoch = match &stream.leader {
            Some((leader, epoch, until)) if leader == owner && *until > now => *epoch,
            Some((leader, _, until)) if leader != owner && *until > now => {
                return Ok(Leadership::Standby { until: *until });
            }
            _ => next,
        };
        stream.leader = Some((owner.clone(), epoch, now + ttl));
        books.epochs = epoch.0.max(books.epochs);
        Ok(Leadership::Leader(epoch))
    }

    async fn resign(&self, channel: &Channel, owner: &Owner) -> Result<(), StoreError> {
        if let Some(stream) = self.books().streams.get_mut(channel)
            && stream
                .leader
                .as_ref()
                .is_some_and(|(leader, _, _)| leader == owner)
        {
            stream.leader = None;
        }
        Ok(())
    }

    async fn cursor(&self, channel: &Channel) -> Result<Option<Cursor>, StoreError> {
        Ok(self
            .books()
            .streams
            .get(channel)
            .and_then(|stream| stream.cursor.clone()))
    }

    async fn accept(&self, delivery: &Delivery) -> Result<Vec<Admission>, StoreError> {
        let now = self.clock.now();
        let mut books = self.books();
        let stream = books.led(&delivery.channel, delivery.epoch)?;
        if let Some(replay_id) = delivery.cursor.clone() {
            stream.cursor = Some(Cursor {
                replay_id,
                committed_at: now,
            });
        }
        let mut admissions = Vec::new();
        for entry in &delivery.entries {
            let event = match entry {
                Entry::Job(job) => job.event.clone(),
                Entry::DeadLetter(letter) => Some(letter.event.clone()),
            };
            if event.is_some_and(|event| !books.remember(event, now)) {
                admissions.push(Admission::SameDelivery);
                continue;
            }
            admissions.push(match entry {
                Entry::Job(job) => books.admit(job, now),
                Entry::DeadLetter(_) => {
                    books.dead_letters += 1;
                    Admission::DeadLettered
                }
            });
        }
        drop(books);
        self.wake.notify_waiters();
        Ok(admissions)
    }

    async fn lose_position(
        &self,
        channel: &Channel,
        epoch: Epoch,
        _gap: &Gap,
    ) -> Result<(), StoreError> {
        self.books().led(channel, epoch).map(|_| ())
    }

    async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Admission>, StoreError> {
        let at = self.clock.now();
        let mut books = self.books();
        let admissions = jobs.iter().map(|job| books.admit(job, at)).collect();
        drop(books);
        self.wake.notify_waiters();
        Ok(admissions)
    }

    async fn prune(&self, older_than: Duration) -> Result<Pruned, StoreError> {
        let cutoff = self.clock.now() - older_than.max(SHORTEST_RETENTION);
        Ok(self.books().prune(cutoff))
    }
}

#[async_trait]
impl JobQueue for MemoryStore {
    async fn claim(
        &self,
        owner: &Owner,
        limit: usize,
        ttl: Duration,
    ) -> Result<Vec<Claimed>, StoreError> {
        let now = self.clock.now();
        let mut books = self.books();
        let proven = |fact: &Fact| matches!(fact, Fact::Verified { marked: true, .. });
        let markers_proven = books
            .facts
            .iter()
            .any(|(_, recorded)| proven(&recorded.fact));
        let mut busy = HashSet::new();
        let mut due = Vec::new();
        for (at, row) in books.jobs.iter().enumerate() {
            // The first live job of an order keeps the others waiting, due or not.
            if row.is_live() && busy.insert(row.job.order) && row.is_due(now) {
                due.push(at);
            }
        }
        due.sort_by_key(|at| books.jobs[*at].due);
        due.truncate(limit);
        let mut claimed = Vec::new();
        for at in due {
            books.claims += 1;
            let fence = Fence::of(owner, books.claims);
            let row = &mut books.jobs[at];
            let lease = Lease {
                job: row.job.id.clone(),
                order: row.job.order,
                fence,
            };
            row.state = JobState::Leased(lease.clone());
            row.until = now + ttl;
            row.started_at = row.started_at.or(Some(now));
            let (job, enqueued_at, deferrals) = (row.job.clone(), row.enqueued_at, row.deferrals);
            let facts = books.facts.iter().filter(|(order, _)| *order == job.order);
            let facts = facts.map(|(_, recorded)| recorded.fact.clone()).collect();
            claimed.push(Claimed {
                lease,
                job,
                at: now,
                enqueued_at,
                deferrals,
                facts,
                markers_proven,
            });
        }
        Ok(claimed)
    }

    async fn renew(&self, leases: &[Lease], ttl: Duration) -> Result<Vec<Lease>, StoreError> {
        let now = self.clock.now();
        let mut books = self.books();
        let renewed = |lease: &&Lease| match books.held(lease, now) {
            Ok(row) => {
                row.until = now + ttl;
                false
            }
            Err(_) => true,
        };
        Ok(leases.iter().filter(renewed).cloned().collect())
    }

    async fn record(&self, lease: &Lease, facts: &[Fact]) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut books = self.books();
        let row = books.held(lease, now)?;
        row.deferrals = 0;
        books.append(lease, facts, now);
        Ok(())
    }

    async fn release(&self, lease: &Lease, release: Release) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut books = self.books();
        let row = books.held(lease, now)?;
        row.state = JobState::Queued;
        row.due = now + release.after;
        row.deferrals += u32::from(release.deferral);
        Ok(())
    }

    async fn finish(
        &self,
        lease: &Lease,
        ending: Ending,
        facts: &[Fact],
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut books = self.books();
        let row = books.held(lease, now)?;
        row.state = JobState::Ended(ending);
        row.ended_at = Some(now);
        books.append(lease, facts, now);
        Ok(())
    }

    async fn wait(&self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.wake.notified()).await;
    }
}

#[async_trait]
impl JobReader for MemoryStore {
    async fn jobs_of(&self, order: OrderId) -> Result<Vec<JobView>, StoreError> {
        let books = self.books();
        let of_order = books.jobs.iter().filter(|row| row.job.order == order);
        let view = |row: &Row| JobView {
            job: row.job.clone(),
            state: row.state.name(),
            ending: match row.state {
                JobState::Ended(ending) => Some(ending),
                _ => None,
            },
            enqueued_at: row.enqueued_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
        };
        Ok(of_order.map(view).collect())
    }

    async fn facts_of(&self, order: OrderId) -> Result<Vec<RecordedFact>, StoreError> {
        let books = self.books();
        let of_order = books.facts.iter().filter(|(id, _)| *id == order);
        Ok(of_order.map(|(_, recorded)| recorded.clone()).collect())
    }

    async fn tally(&self) -> Result<Tally, StoreError> {
        let books = self.books();
        let mut tally = Tally {
            open_dead_letters: books.dead_letters,
            ..Tally::default()
        };
        for row in &books.jobs {
            let name = row.state.name();
            match tally.jobs.iter_mut().find(|(state, _)| *state == name) {
                Some((_, count)) => *count += 1,
                None => tally.jobs.push((name, 1)),
            }
        }
        Ok(tally)
    }

    async fn stream(&self, channel: &Channel) -> Result<StreamView, StoreError> {
        Ok(self
            .books()
            .streams
            .get(channel)
            .cloned()
            .unwrap_or_default())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
