//! Mutations of the job intake.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::job::{Admission, NewJob, Source};
use domain::key::{Channel, DeadLetterId};
use domain::ports::{
    Delivery, Epoch, EventIntake, Gap, LeaderElection, Leadership, StoreError, Undecodable,
};
use operations::{AdminCommand, JobView};
use testkit::StoreResult;
use testkit::intercept::{Around, EventIntakeHooks, Intercepted, LeaderElectionHooks, intercept};

use crate::state::audited_store::AuditedStore;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IntakeMutation {
    /// Commits the cursor first and the jobs a moment later.
    CursorFirst,
    /// Accepts every delivery as the current leader's.
    NoEpoch,
    /// Closes a dead letter first and creates its job a moment later.
    DeadLetterFirst,
    /// Treats an activation as known when any job has its key.
    SkippedCounts,
}

pub(super) struct MutatedIntake {
    store: Arc<Intercepted<AuditedStore>>,
    mutation: IntakeMutation,
    epoch: AtomicI64,
}

impl MutatedIntake {
    pub(super) fn new(store: &Arc<AuditedStore>, mutation: IntakeMutation) -> Self {
        Self {
            store: intercept(Arc::clone(store)),
            mutation,
            epoch: AtomicI64::new(0),
        }
    }

    fn epoch(&self, own: Epoch) -> Epoch {
        match self.mutation {
            IntakeMutation::NoEpoch => Epoch::from_number(self.epoch.load(Ordering::Relaxed)),
            _ => own,
        }
    }
}

testkit::inner!(MutatedIntake: LeaderElection = store, EventIntake = store);

impl Around<StoreError> for MutatedIntake {}

impl LeaderElectionHooks for MutatedIntake {
    fn led(&self, leadership: &Leadership) {
        if let Leadership::Leader(epoch) = leadership {
            self.epoch.store(epoch.number(), Ordering::Relaxed);
        }
    }
}

#[async_trait]
impl EventIntakeHooks for MutatedIntake {
    async fn accept(&self, delivery: &Delivery) -> StoreResult<Vec<Admission>> {
        let mut delivery = delivery.clone();
        delivery.epoch = self.epoch(delivery.epoch);
        match self.mutation {
            IntakeMutation::NoEpoch
            | IntakeMutation::DeadLetterFirst
            | IntakeMutation::SkippedCounts => {}
            IntakeMutation::CursorFirst => {
                let cursor = Delivery {
                    entries: Vec::new(),
                    ..delivery.clone()
                };
                self.store.accept(&cursor).await?;
                tokio::time::sleep(Duration::from_millis(250)).await;
                delivery.cursor = None;
            }
        }
        self.store.accept(&delivery).await
    }

    async fn record_cursor_loss(
        &self,
        channel: &Channel,
        epoch: Epoch,
        gap: &Gap,
    ) -> StoreResult<()> {
        let epoch = self.epoch(epoch);
        self.store.record_cursor_loss(channel, epoch, gap).await
    }

    async fn enqueue(&self, jobs: &[NewJob]) -> StoreResult<Vec<Admission>> {
        let mut admissions = Vec::new();
        for job in jobs {
            let earlier = self.store.inner.jobs_of(job.order).await?;
            let same_key =
                |view: &JobView| job.idem_key.is_some() && view.job.idem_key == job.idem_key;
            let counts =
                self.mutation == IntakeMutation::SkippedCounts && job.source == Source::Reconcile;
            admissions.push(match counts && earlier.iter().any(same_key) {
                true => Admission::SameRequest,
                false => self.store.enqueue(std::slice::from_ref(job)).await?[0],
            });
        }
        Ok(admissions)
    }

    async fn redrive(
        &self,
        channel: &Channel,
        epoch: Epoch,
        dead_letter: DeadLetterId,
        read: &Result<NewJob, Undecodable>,
    ) -> StoreResult<Admission> {
        if self.mutation == IntakeMutation::DeadLetterFirst
            && let Ok(job) = read
        {
            let closed = AdminCommand::Dismiss { dead_letter };
            self.store
                .inner
                .execute(&closed, "simulation", "redriven")
                .await?;
            tokio::time::sleep(Duration::from_secs(2)).await;
            let admissions = self.store.enqueue(std::slice::from_ref(job)).await?;
            return Ok(admissions[0]);
        }
        let epoch = self.epoch(epoch);
        self.store.redrive(channel, epoch, dead_letter, read).await
    }
}
