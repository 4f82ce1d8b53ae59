//! A job intake with a hole.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::job::{Admission, NewJob, Source};
use domain::key::{Channel, Owner};
use domain::ports::{
    AdminCommand, CommandResult, Cursor, DeadLetterView, Delivery, Epoch, Gap, JobIntake, JobView, Leadership,
    StoreError, Undecodable,
};

use crate::books::ledger::Ledger;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hole {
    /// Commits the cursor first and the jobs a moment later.
    CursorFirst,
    /// Takes every delivery for the present leader's.
    NoTerm,
    /// Closes a letter first and makes its job a moment later.
    LetterFirst,
    /// Takes an activation for known when any job carries its key.
    SkippedCounts,
}

pub(super) struct Holed {
    ledger: Arc<Ledger>,
    hole: Hole,
    term: AtomicI64,
}

impl Holed {
    pub(super) fn new(ledger: &Arc<Ledger>, hole: Hole) -> Self {
        Self {
            ledger: Arc::clone(ledger),
            hole,
            term: AtomicI64::new(0),
        }
    }

    fn term(&self, own: Epoch) -> Epoch {
        match self.hole {
            Hole::NoTerm => Epoch(self.term.load(Ordering::Relaxed)),
            _ => own,
        }
    }
}

#[async_trait]
impl JobIntake for Holed {
    async fn lead(
        &self,
        channel: &Channel,
        owner: &Owner,
        ttl: Duration,
    ) -> Result<Leadership, StoreError> {
        let leadership = self.ledger.lead(channel, owner, ttl).await?;
        if let Leadership::Leader(Epoch(term)) = leadership {
            self.term.store(term, Ordering::Relaxed);
        }
        Ok(leadership)
    }

    async fn resign(&self, channel: &Channel, owner: &Owner) -> Result<(), StoreError> {
        self.ledger.resign(channel, owner).await
    }

    async fn cursor(&self, channel: &Channel) -> Result<Option<Cursor>, StoreError> {
        self.ledger.cursor(channel).await
    }

    async fn accept(&self, delivery: &Delivery) -> Result<Vec<Admission>, StoreError> {
        let mut delivery = delivery.clone();
        delivery.epoch = self.term(delivery.epoch);
        match self.hole {
            Hole::NoTerm | Hole::LetterFirst | Hole::SkippedCounts => {}
            Hole::CursorFirst => {
                let cursor = Delivery {
                    entries: Vec::new(),
                    ..delivery.clone()
                };
                self.ledger.accept(&cursor).await?;
                tokio::time::sleep(Duration::from_millis(250)).await;
                delivery.cursor = None;
            }
        }
        self.ledger.accept(&delivery).await
    }

    async fn record_cursor_loss(
        &self,
        channel: &Channel,
        epoch: Epoch,
        gap: &Gap,
    ) -> Result<(), StoreError> {
        let term = self.term(epoch);
        self.ledger.record_cursor_loss(channel, term, gap).await
    }

    async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Admission>, StoreError> {
        let mut admissions = Vec::new();
        for job in jobs {
            let earlier = self.ledger.store.jobs_of(job.order).await?;
            let same_key =
                |view: &JobView| job.idem_key.is_some() && view.job.idem_key == job.idem_key;
            let counts = self.hole == Hole::SkippedCounts && job.source == Source::Reconcile;
            admissions.push(match counts && earlier.iter().any(same_key) {
                true => Admission::SameRequest,
                false => self.ledger.enqueue(std::slice::from_ref(job)).await?[0],
            });
        }
        Ok(admissions)
    }

    async fn requested_redrives(
        &self,
        channel: &Channel,
        limit: usize,
    ) -> Result<Vec<DeadLetterView>, StoreError> {
        self.ledger.requested_redrives(channel, limit).await
    }

    async fn redrive(
        &self,
        channel: &Channel,
        epoch: Epoch,
        letter: i64,
        read: &Result<NewJob, Undecodable>,
    ) -> Result<Admission, StoreError> {
        if self.hole == Hole::LetterFirst
            && let Ok(job) = read
        {
            let closed = AdminCommand::Dismiss { letter };
            self.ledger.act(&closed, "nobody", "read again").await?;
            tokio::time::sleep(Duration::from_millis(250)).await;
            let admissions = self.ledger.enqueue(std::slice::from_ref(job)).await?;
            return Ok(admissions[0]);
        }
        let term = self.term(epoch);
        self.ledger.redrive(channel, term, letter, read).await
    }

    async fn act(&self, act: &AdminCommand, by: &str, reason: &str) -> Result<CommandResult, StoreError> {
        self.ledger.act(act, by, reason).await
    }
}
