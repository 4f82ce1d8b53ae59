//! Access to the job store, with failures before and after the commit, and latency.

use std::time::Duration;

use async_trait::async_trait;
use domain::job::{Admission, Lease};
use domain::key::DeadLetterId;
use domain::ports::{
    Claimed, Delivery, EventIntake, JobChange, JobQueue, JobUpdate, LeaderElection, StoreError,
};
use testkit::StoreResult;
use testkit::intercept::{Around, EventIntakeHooks, JobQueueHooks, LeaderElectionHooks};

use super::{SimProcess, cause};
use crate::promise::Promise;

impl SimProcess {
    async fn ask<T, F>(&self, what: impl FnOnce() -> String + Send, call: F) -> StoreResult<T>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
        T: Send,
    {
        self.until_resumed().await;
        let faults = &self.world.faults;
        let away = || StoreError::Unavailable(cause("store unavailable"));
        self.network_delay().await;
        if self.world.is_down(|outages| outages.store) || self.injects(faults.store_before) {
            self.say(|| format!("{} → store unavailable", what()));
            self.until_resumed().await;
            return Err(away());
        }
        let answer = call.await;
        let lost = self.injects(faults.store_after);
        self.say(|| {
            let end = match &answer {
                Ok(_) if lost => "done, reply lost".to_owned(),
                Ok(_) => "done".to_owned(),
                Err(error) => error.to_string(),
            };
            format!("{} → {end}", what())
        });
        if lost {
            self.network_delay().await;
        }
        self.until_resumed().await;
        if lost { Err(away()) } else { answer }
    }
}

testkit::inner!(SimProcess: LeaderElection = world.election, EventIntake = world.intake, JobQueue = world.queue);

#[async_trait]
impl Around<StoreError> for SimProcess {
    async fn around<T: Send>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> StoreResult<T> {
        self.ask(|| call.to_owned(), answer).await
    }
}

impl LeaderElectionHooks for SimProcess {}

#[async_trait]
impl EventIntakeHooks for SimProcess {
    async fn accept(&self, delivery: &Delivery) -> StoreResult<Vec<Admission>> {
        let call = self.world.intake.accept(delivery);
        let what = || {
            let (count, cursor) = (delivery.entries.len(), &delivery.cursor);
            format!(
                "accept {count} events, cursor {cursor:?}, epoch {:?}",
                delivery.epoch
            )
        };
        self.ask(what, call).await
    }

    fn redriven(&self, admission: &Admission, dead_letter: DeadLetterId) {
        self.say(|| format!("dead letter {dead_letter} became {admission:?}"));
    }
}

#[async_trait]
impl JobQueueHooks for SimProcess {
    fn claimed(&self, claimed: &Vec<Claimed>, _ttl: Duration) {
        for claimed in claimed {
            let (order, token) = (claimed.job.order, &claimed.lease.token);
            self.say(|| format!("claimed {order}, job {} as {token}", claimed.job.id));
        }
    }

    /// Checked against the current lease holder.
    async fn update(&self, lease: &Lease, update: &JobUpdate) -> StoreResult<()> {
        let what = || {
            let change = match &update.change {
                JobChange::Keep => "record".to_owned(),
                JobChange::Release(release) => format!("release {release:?}"),
                JobChange::Finish(outcome) => format!("finish {outcome:?}"),
                JobChange::SetAside { cause } => format!("set aside: {cause}"),
            };
            format!("{}: {change} {:?}", lease.order, update.facts)
        };
        let store = &self.world.store;
        let call = async {
            let held = store.holds(lease);
            let written = self.world.queue.update(lease, update).await;
            if written.is_ok() && !held {
                let detail = format!("{} under {}", what(), lease.token);
                self.world.breaches.record(Promise::NoStaleWrite, detail);
            }
            written
        };
        self.ask(what, call).await
    }

    async fn wait_for_work(&self, limit: Duration) {
        self.until_resumed().await;
        self.world.queue.wait_for_work(limit).await;
        self.until_resumed().await;
    }
}
