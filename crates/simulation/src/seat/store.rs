//! The way to the job store: away before or after its commit, or slow.

use std::time::Duration;

use async_trait::async_trait;
use domain::job::{Admission, JobOutcome, Lease, NewJob};
use domain::key::{Channel, Owner};
use domain::order::Fact;
use domain::ports::{
    AdminCommand, CommandResult, CallRecord, Claimed, Cursor, DeadLetterView, Delivery, Epoch, Gap, JobIntake,
    JobQueue, Leadership, Release, StoreError, Undecodable,
};

use super::{Seat, cause};
use crate::judge::Promise;

impl Seat {
    async fn ask<T, F>(&self, what: impl FnOnce() -> String, call: F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
        T: Send,
    {
        self.here().await;
        let climate = &self.world.climate;
        let away = || StoreError::Unavailable(cause("the store is away"));
        self.travel().await;
        if self.world.is_down(|outages| outages.store) || self.strikes(climate.store_before) {
            self.say(|| format!("{} → the store is away", what()));
            self.here().await;
            return Err(away());
        }
        let answer = call.await;
        let lost = self.strikes(climate.store_after);
        self.say(|| {
            let end = match &answer {
                Ok(_) if lost => "done, reply lost".to_owned(),
                Ok(_) => "done".to_owned(),
                Err(error) => error.to_string(),
            };
            format!("{} → {end}", what())
        });
        if lost {
            self.travel().await;
        }
        self.here().await;
        if lost { Err(away()) } else { answer }
    }

    /// A write under a lease; afterwards it is asked who truly held it.
    async fn fenced<F>(
        &self,
        what: impl Fn() -> String + Send + Sync,
        lease: &Lease,
        call: F,
    ) -> Result<(), StoreError>
    where
        F: Future<Output = Result<(), StoreError>> + Send,
    {
        let ledger = &self.world.ledger;
        let judged = async {
            let held = ledger.holds(lease);
            let written = call.await;
            if written.is_ok() && !held {
                let detail = format!("{} under {}", what(), lease.token);
                self.world.judge.broken(Promise::NoStaleWrite, detail);
            }
            written
        };
        self.ask(&what, judged).await
    }
}

#[async_trait]
impl JobIntake for Seat {
    async fn lead(
        &self,
        channel: &Channel,
        owner: &Owner,
        ttl: Duration,
    ) -> Result<Leadership, StoreError> {
        let call = self.world.intake.lead(channel, owner, ttl);
        self.ask(|| "lead".to_owned(), call).await
    }

    async fn resign(&self, channel: &Channel, owner: &Owner) -> Result<(), StoreError> {
        let call = self.world.intake.resign(channel, owner);
        self.ask(|| "resign".to_owned(), call).await
    }

    async fn cursor(&self, channel: &Channel) -> Result<Option<Cursor>, StoreError> {
        let call = self.world.intake.cursor(channel);
        self.ask(|| "cursor".to_owned(), call).await
    }

    async fn accept(&self, delivery: &Delivery) -> Result<Vec<Admission>, StoreError> {
        let call = self.world.intake.accept(delivery);
        let what = || {
            let (count, cursor) = (delivery.entries.len(), &delivery.cursor);
            format!(
                "accept {count} events, cursor {cursor:?}, term {:?}",
                delivery.epoch
            )
        };
        self.ask(what, call).await
    }

    async fn record_cursor_loss(
        &self,
        channel: &Channel,
        epoch: Epoch,
        gap: &Gap,
    ) -> Result<(), StoreError> {
        let call = self.world.intake.record_cursor_loss(channel, epoch, gap);
        self.ask(|| "lose the position".to_owned(), call).await
    }

    async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Admission>, StoreError> {
        let call = self.world.intake.enqueue(jobs);
        self.ask(|| "enqueue".to_owned(), call).await
    }

    async fn requested_redrives(
        &self,
        channel: &Channel,
        limit: usize,
    ) -> Result<Vec<DeadLetterView>, StoreError> {
        let call = self.world.intake.requested_redrives(channel, limit);
        self.ask(|| "asked letters".to_owned(), call).await
    }

    async fn redrive(
        &self,
        channel: &Channel,
        epoch: Epoch,
        letter: i64,
        read: &Result<NewJob, Undecodable>,
    ) -> Result<Admission, StoreError> {
        let call = async {
            let made = self.world.intake.redrive(channel, epoch, letter, read);
            let made = made.await?;
            self.say(|| format!("letter {letter} became {made:?}"));
            Ok(made)
        };
        self.ask(|| format!("redrive {letter}"), call).await
    }

    async fn act(&self, act: &AdminCommand, by: &str, reason: &str) -> Result<CommandResult, StoreError> {
        let call = self.world.intake.act(act, by, reason);
        self.ask(|| act.name().to_owned(), call).await
    }
}

#[async_trait]
impl JobQueue for Seat {
    async fn claim(
        &self,
        owner: &Owner,
        limit: usize,
        ttl: Duration,
    ) -> Result<Vec<Claimed>, StoreError> {
        let claimed = self.world.queue.claim(owner, limit, ttl);
        let call = async {
            let claimed = claimed.await?;
            for claimed in &claimed {
                let (order, fence) = (claimed.job.order, &claimed.lease.token);
                self.say(|| format!("claimed {order}, job {} as {fence}", claimed.job.id));
            }
            Ok(claimed)
        };
        self.ask(|| "claim".to_owned(), call).await
    }

    async fn renew(&self, leases: &[Lease], ttl: Duration) -> Result<Vec<Lease>, StoreError> {
        let call = self.world.queue.renew(leases, ttl);
        self.ask(|| format!("renew {} leases", leases.len()), call)
            .await
    }

    async fn record(
        &self,
        lease: &Lease,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        let call = self.world.queue.record(lease, facts, calls);
        let what = || format!("{}: record {facts:?}", lease.order);
        self.fenced(what, lease, call).await
    }

    async fn release(
        &self,
        lease: &Lease,
        release: Release,
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        let call = self.world.queue.release(lease, release, calls);
        let what = || format!("{}: release {release:?}", lease.order);
        self.fenced(what, lease, call).await
    }

    async fn finish(
        &self,
        lease: &Lease,
        outcome: JobOutcome,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        let call = self.world.queue.finish(lease, outcome, facts, calls);
        let what = || format!("{}: finish {outcome:?} {facts:?}", lease.order);
        self.fenced(what, lease, call).await
    }

    async fn wait(&self, limit: Duration) {
        self.here().await;
        self.world.queue.wait(limit).await;
        self.here().await;
    }
}
