//! Port wrappers that pass a crash point before and after each call.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::id::OrderId;
use domain::job::{Admission, Lease};
use domain::key::{Channel, Owner};
use domain::order::OrderDetails;
use domain::ports::{
    Batch, Claimed, CrmOrders, CustomerOrders, Delivery, Epoch, EventIntake, EventSource,
    EventStream, JobChange, JobQueue, JobUpdate, LeaderElection, Leadership, Provisioner,
    ProvisionerReads, RetryRequests, Start,
};
use operations::{AdminCommand, AdminCommands, Alert, AlertStore, CommandResult};
use testkit::intercept::{
    AdminCommandsHooks, AlertStoreHooks, Around, CrmOrdersHooks, CustomerOrdersHooks,
    EventIntakeHooks, EventSourceHooks, Inner, Intercepted, JobQueueHooks, LeaderElectionHooks,
    ProvisionerHooks, ProvisionerReadsHooks, RetryRequestsHooks, intercept,
};
use testkit::{CallResult, StoreResult, StreamResult};

use crate::crash_points::{CrashPoints, Side};

/// A worker's ports, wrapped with crash points.
#[must_use]
pub fn crashing_worker_ports(
    ports: provisioning::Ports,
    crash_points: Arc<CrashPoints>,
) -> provisioning::Ports {
    provisioning::Ports {
        queue: Crashing::around(ports.queue, &crash_points),
        crm: Crashing::around(ports.crm, &crash_points),
        reads: Crashing::around(ports.reads, &crash_points),
        provisioner: Crashing::around(ports.provisioner, &crash_points),
        ..ports
    }
}

/// A subscriber's ports, wrapped with crash points.
#[must_use]
pub fn crashing_intake_ports(
    ports: intake::Ports,
    crash_points: Arc<CrashPoints>,
) -> intake::Ports {
    intake::Ports {
        source: Crashing::around(ports.source, &crash_points),
        election: Crashing::around(ports.election, &crash_points),
        store: Crashing::around(ports.store, &crash_points),
        ..ports
    }
}

/// A portal's ports, wrapped with crash points.
#[must_use]
pub fn crashing_portal_ports(
    ports: portal_web::Ports,
    crash_points: Arc<CrashPoints>,
) -> portal_web::Ports {
    portal_web::Ports {
        customers: Crashing::around(ports.customers, &crash_points),
        retries: Crashing::around(ports.retries, &crash_points),
        commands: Crashing::around(ports.commands, &crash_points),
        ..ports
    }
}

/// The ports of alerting, wrapped with crash points.
#[must_use]
pub fn crashing_monitoring_ports(
    ports: monitoring::Ports,
    crash_points: Arc<CrashPoints>,
) -> monitoring::Ports {
    monitoring::Ports {
        election: Crashing::around(ports.election, &crash_points),
        alerts: Crashing::around(ports.alerts, &crash_points),
        ..ports
    }
}

struct Crashing<P: ?Sized> {
    inner: Arc<P>,
    crash_points: Arc<CrashPoints>,
}

impl<P: ?Sized> Crashing<P> {
    fn around(inner: Arc<P>, crash_points: &Arc<CrashPoints>) -> Arc<Intercepted<Self>> {
        intercept(Arc::new(Self {
            inner,
            crash_points: Arc::clone(crash_points),
        }))
    }

    async fn at<T>(&self, name: &str, call: impl Future<Output = T>) -> T {
        self.crash_points.pass(Side::Before, name);
        let answer = call.await;
        self.crash_points.pass(Side::After, name);
        answer
    }
}

impl<P: Send + Sync + ?Sized> Inner<P> for Crashing<P> {
    fn inner(&self) -> &P {
        &self.inner
    }
}

#[async_trait]
impl<P: Send + Sync + ?Sized, E: Send> Around<E> for Crashing<P> {
    async fn around<T: Send>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        self.at(call, answer).await
    }
}

impl CustomerOrdersHooks for Crashing<dyn CustomerOrders> {}
impl RetryRequestsHooks for Crashing<dyn RetryRequests> {}
impl ProvisionerReadsHooks for Crashing<dyn ProvisionerReads> {}
impl ProvisionerHooks for Crashing<dyn Provisioner> {}

#[async_trait]
impl JobQueueHooks for Crashing<dyn JobQueue> {
    fn claimed(&self, claimed: &Vec<Claimed>, _ttl: Duration) {
        for job in claimed {
            let order = Some(job.job.order);
            self.crash_points
                .reach_for(order, Side::After, "queue.claim");
        }
    }

    async fn update(&self, lease: &Lease, update: &JobUpdate) -> StoreResult<()> {
        let facts = update.facts.iter();
        let mut names: Vec<_> = facts
            .map(|fact| format!("queue.record {}", fact.name()))
            .collect();
        match &update.change {
            JobChange::Keep => {}
            JobChange::Release(_) => names.push("queue.release".to_owned()),
            JobChange::Finish(_) | JobChange::SetAside { .. } => {
                names.push("queue.finish".to_owned());
            }
        }
        let reach = |side| {
            for name in &names {
                self.crash_points.reach_for(Some(lease.order), side, name);
            }
        };
        reach(Side::Before);
        let updated = self.inner.update(lease, update).await;
        reach(Side::After);
        updated
    }
}

#[async_trait]
impl CrmOrdersHooks for Crashing<dyn CrmOrders> {
    async fn details(&self, order: OrderId) -> CallResult<Option<OrderDetails>> {
        // The first call of every job.
        self.crash_points.set_order(order);
        self.at("salesforce.details", self.inner.details(order))
            .await
    }
}

#[async_trait]
impl EventSourceHooks for Crashing<dyn EventSource> {
    async fn open(&self, channel: &Channel, start: &Start) -> StreamResult<Box<dyn EventStream>> {
        let inner = self
            .at("source.open", self.inner.open(channel, start))
            .await?;
        let crash_points = Arc::clone(&self.crash_points);
        Ok(Box::new(CrashingStream {
            inner,
            crash_points,
        }))
    }
}

struct CrashingStream {
    inner: Box<dyn EventStream>,
    crash_points: Arc<CrashPoints>,
}

#[async_trait]
impl EventStream for CrashingStream {
    async fn next(&mut self) -> StreamResult<Batch> {
        let batch = self.inner.next().await;
        let name = match &batch {
            Ok(batch) if batch.events.is_empty() => "source.next keepalive",
            Ok(_) => "source.next events",
            Err(_) => "source.next error",
        };
        self.crash_points.pass(Side::After, name);
        batch
    }

    async fn arrived(&mut self) -> Option<Batch> {
        self.inner.arrived().await
    }
}

#[async_trait]
impl LeaderElectionHooks for Crashing<dyn LeaderElection> {
    async fn lead(
        &self,
        channel: &Channel,
        owner: &Owner,
        ttl: Duration,
    ) -> StoreResult<Leadership> {
        // Leadership of the watch uses the same call as a channel's.
        let name = match channel.as_str() {
            "watch" => "watch.lead",
            _ => "store.lead",
        };
        self.at(name, self.inner.lead(channel, owner, ttl)).await
    }
}

#[async_trait]
impl EventIntakeHooks for Crashing<dyn EventIntake> {
    async fn accept(&self, delivery: &Delivery) -> StoreResult<Vec<Admission>> {
        let name = match delivery.entries.is_empty() {
            true => "store.accept keepalive",
            false => "store.accept events",
        };
        self.at(name, self.inner.accept(delivery)).await
    }
}

#[async_trait]
impl AdminCommandsHooks for Crashing<dyn AdminCommands> {
    async fn execute(
        &self,
        command: &AdminCommand,
        by: &str,
        reason: &str,
    ) -> StoreResult<CommandResult> {
        let name = format!("store.execute {}", command.name());
        self.at(&name, self.inner.execute(command, by, reason))
            .await
    }
}

#[async_trait]
impl AlertStoreHooks for Crashing<dyn AlertStore> {
    async fn save_alerts(
        &self,
        watch: &Channel,
        epoch: Epoch,
        alerts: &[Alert],
    ) -> StoreResult<()> {
        // Named by the notification state: `firing` is saved after the webhook call.
        let state = alerts
            .first()
            .map_or("nothing", |alert| alert.notified.name());
        let name = format!("store.save_alerts {state}");
        self.at(&name, self.inner.save_alerts(watch, epoch, alerts))
            .await
    }
}
