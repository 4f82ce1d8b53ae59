//! What the worker does with the store.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::job::{Lease, LeaseToken};
use domain::key::Owner;
use domain::ports::{Claimed, JobChange, JobQueue, JobUpdate, StoreError};
use tokio::sync::oneshot;

use super::{Store, claim, update};
use crate::damage::{self, Damaged};
use crate::store::Commit;
use crate::update::JobValues;

/// The most updates in one commit.
const GROUP: usize = 128;

#[async_trait]
impl JobQueue for Store {
    async fn claim(
        &self,
        owner: &Owner,
        limit: usize,
        ttl: Duration,
    ) -> Result<Vec<Claimed>, StoreError> {
        if limit == 0 || !self.may_be_due().await? {
            return Ok(Vec::new());
        }
        let first = self.claims.fetch_add(limit as u64, Ordering::Relaxed);
        let tokens = (0..limit as u64).map(|count| LeaseToken::of(owner, first + count));
        let claimed = self.change(
            Commit::Relaxed,
            (tokens.collect(), ttl),
            |connection, data, now| Box::pin(claim::claim(connection, data, now)),
        );
        let (claimed, damaged) = claimed.await?;
        damaged.iter().for_each(Damaged::report);
        Ok(claimed)
    }

    async fn renew(&self, leases: &[Lease], ttl: Duration) -> Result<Vec<Lease>, StoreError> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        self.change(
            Commit::Relaxed,
            (leases.to_vec(), ttl),
            |connection, data, now| Box::pin(update::renew(connection, data, now)),
        )
        .await
    }

    async fn update(&self, lease: &Lease, update: &JobUpdate) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            lease: lease.clone(),
            update: update.clone(),
            answer,
        };
        if self.updates.add(waiting) {
            // Not in this call: it may be abandoned, and others wait for the same commit.
            tokio::spawn(commit(self.clone()));
        }
        let gone = |_| StoreError::Unavailable("the store's task has stopped".into());
        answered.await.map_err(gone)??;
        if matches!(update.change, JobChange::SetAside { .. }) {
            damage::count();
        }
        Ok(())
    }

    async fn wait_for_work(&self, limit: Duration) {
        let limit = self.at_most_until_due(limit).await;
        self.notifier.wait(limit).await;
    }
}

/// Updates that wait for their commit. While one commit is under way, the next gather: a flush
/// costs the same for one as for a hundred.
#[derive(Clone, Default)]
pub(crate) struct Updates(Arc<Mutex<Group>>);

#[derive(Default)]
struct Group {
    waiting: Vec<Waiting>,
    is_running: bool,
}

struct Waiting {
    lease: Lease,
    update: JobUpdate,
    answer: oneshot::Sender<Result<(), StoreError>>,
}

impl Updates {
    /// Whether the caller has to start the commits.
    fn add(&self, new: Waiting) -> bool {
        let mut group = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        group.waiting.push(new);
        !std::mem::replace(&mut group.is_running, true)
    }

    /// The updates of the next commit, at most one of each job; none when nothing waits, and then
    /// nothing is running any more.
    fn next(&self) -> Vec<Waiting> {
        let mut group = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut jobs = HashSet::new();
        let waiting = std::mem::take(&mut group.waiting);
        let (next, rest) = waiting
            .into_iter()
            .partition(|waiting| jobs.len() < GROUP && jobs.insert(waiting.lease.job.clone()));
        group.waiting = rest;
        group.is_running = !next.is_empty();
        next
    }
}

/// Ends the wait of everybody if the commits panic: they get an error, and the next starts anew.
struct EndOnPanic(Updates);

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Group::default();
        }
    }
}

/// Commits updates until none waits.
async fn commit(store: Store) {
    let _end = EndOnPanic(store.updates.clone());
    loop {
        let next = store.updates.next();
        if next.is_empty() {
            return;
        }
        let updates = next
            .iter()
            .map(|waiting| (waiting.lease.clone(), waiting.update.clone()))
            .collect();
        match apply(&store, updates).await {
            Ok(applied) => {
                for (waiting, applied) in next.into_iter().zip(applied) {
                    waiting.answer(applied);
                }
            }
            // Certainly nothing was written, because of one of them.
            Err(StoreError::Unstorable(_)) if next.len() > 1 => {
                for waiting in next {
                    let alone = vec![(waiting.lease.clone(), waiting.update.clone())];
                    match apply(&store, alone).await {
                        Ok(applied) => waiting.answer(applied == [true]),
                        Err(error) => waiting.fail(error),
                    }
                }
            }
            Err(error) => {
                let text = error_chain::chain(&error).to_string();
                let mut next = next.into_iter();
                if let Some(first) = next.next() {
                    first.fail(error);
                }
                for waiting in next {
                    waiting.fail(StoreError::Unavailable(text.clone().into()));
                }
            }
        }
    }
}

async fn apply(store: &Store, updates: Vec<(Lease, JobUpdate)>) -> Result<Vec<bool>, StoreError> {
    let needed = updates
        .iter()
        .map(|(_, update)| JobValues::of(update).commit);
    let commit = needed.max().unwrap_or(Commit::Relaxed);
    store
        .change(commit, updates, |connection, updates, now| {
            Box::pin(update::apply(connection, updates, now))
        })
        .await
}

impl Waiting {
    fn answer(self, applied: bool) {
        // The caller may be gone; the commit is valid all the same.
        let _ = self.answer.send(match applied {
            true => Ok(()),
            false => Err(StoreError::LeaseLost),
        });
    }

    fn fail(self, error: StoreError) {
        // As above.
        let _ = self.answer.send(Err(error));
    }
}
