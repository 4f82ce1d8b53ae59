//! Port wrappers that pass a crash point before and after each call.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::id::{AccountId, OrderId};
use domain::job::{Admission, Lease, NewJob, ProvisionRequest};
use domain::key::{Channel, ClientId, DeadLetterId, Owner, ProductId, ServiceId, WhmcsOrderId};
use domain::order::{
    CustomerOrder, Fact, ItemReport, OrderDetails, OrderGuard, PlaceRequest, Placed, Report,
    RetryAnswer, WhmcsClient, WhmcsOrder,
};
use domain::ports::{
    Batch, CallError, CatalogueEntry, Claimed, CrmOrders, Cursor, CustomerOrders, DeadLetter,
    DeadLetterView, Delivery, Epoch, EventIntake, EventSource, EventStream, Gap, JobChange,
    JobQueue, JobUpdate, LeaderElection, Leadership, NewClient, NewOrder, PlaceAnswer, Provisioner,
    ProvisionerReads, ReportAnswer, RetryRequests, Start, StoreError, StreamError, Undecodable,
};
use operations::{
    AdminCommand, AdminCommands, Alert, AlertStore, AuditEntry, CommandResult, Pause,
};

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
    fn around(inner: Arc<P>, crash_points: &Arc<CrashPoints>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            crash_points: Arc::clone(crash_points),
        })
    }

    async fn at<T>(&self, name: &str, call: impl Future<Output = T>) -> T {
        self.crash_points.pass(Side::Before, name);
        let answer = call.await;
        self.crash_points.pass(Side::After, name);
        answer
    }

    async fn of<T>(&self, order: OrderId, name: &str, call: impl Future<Output = T>) -> T {
        self.crash_points.reach_for(Some(order), Side::Before, name);
        let answer = call.await;
        self.crash_points.reach_for(Some(order), Side::After, name);
        answer
    }
}

#[async_trait]
impl JobQueue for Crashing<dyn JobQueue> {
    async fn claim(
        &self,
        owner: &Owner,
        limit: usize,
        ttl: Duration,
    ) -> Result<Vec<Claimed>, StoreError> {
        let claimed = self.inner.claim(owner, limit, ttl).await?;
        for job in &claimed {
            let order = Some(job.job.order);
            self.crash_points
                .reach_for(order, Side::After, "queue.claim");
        }
        Ok(claimed)
    }

    async fn renew(&self, leases: &[Lease], ttl: Duration) -> Result<Vec<Lease>, StoreError> {
        self.inner.renew(leases, ttl).await
    }

    async fn update(&self, lease: &Lease, update: &JobUpdate) -> Result<(), StoreError> {
        let name = match &update.change {
            JobChange::Keep => {
                let fact = update.facts.first().map_or("nothing", Fact::name);
                &format!("queue.record {fact}")
            }
            JobChange::Release(_) => "queue.release",
            JobChange::Finish(_) | JobChange::SetAside { .. } => "queue.finish",
        };
        self.of(lease.order, name, self.inner.update(lease, update))
            .await
    }

    async fn wait_for_work(&self, limit: Duration) {
        self.inner.wait_for_work(limit).await;
    }
}

#[async_trait]
impl CrmOrders for Crashing<dyn CrmOrders> {
    async fn details(&self, order: OrderId) -> Result<Option<OrderDetails>, CallError> {
        // The first call of every job.
        self.crash_points.set_order(order);
        self.at("salesforce.details", self.inner.details(order))
            .await
    }

    async fn order_guard(&self, order: OrderId) -> Result<Option<OrderGuard>, CallError> {
        self.at("salesforce.standing", self.inner.order_guard(order))
            .await
    }

    async fn link_client(&self, account: AccountId, client: ClientId) -> Result<(), CallError> {
        let call = self.inner.link_client(account, client);
        self.at("salesforce.link_client", call).await
    }

    async fn report_items(&self, items: &[ItemReport]) -> Result<(), CallError> {
        let call = self.inner.report_items(items);
        self.at("salesforce.report_items", call).await
    }

    async fn report(&self, order: OrderId, report: &Report) -> Result<ReportAnswer, CallError> {
        self.at("salesforce.report", self.inner.report(order, report))
            .await
    }
}

#[async_trait]
impl CustomerOrders for Crashing<dyn CustomerOrders> {
    async fn place(&self, request: &PlaceRequest) -> Result<Placed, CallError> {
        self.at("salesforce.place", self.inner.place(request)).await
    }

    async fn customer_orders(&self, orders: &[OrderId]) -> Result<Vec<CustomerOrder>, CallError> {
        self.inner.customer_orders(orders).await
    }
}

#[async_trait]
impl RetryRequests for Crashing<dyn RetryRequests> {
    async fn request_retry(&self, order: OrderId) -> Result<RetryAnswer, CallError> {
        self.at("salesforce.ask_again", self.inner.request_retry(order))
            .await
    }
}

#[async_trait]
impl ProvisionerReads for Crashing<dyn ProvisionerReads> {
    async fn client(&self, client: ClientId) -> Result<Option<WhmcsClient>, CallError> {
        self.at("whmcs.client", self.inner.client(client)).await
    }

    async fn client_by_email(&self, email: &str) -> Result<Option<WhmcsClient>, CallError> {
        let call = self.inner.client_by_email(email);
        self.at("whmcs.client_by_email", call).await
    }

    async fn catalogue(
        &self,
        products: &[ProductId],
    ) -> Result<Option<Vec<CatalogueEntry>>, CallError> {
        self.at("whmcs.catalogue", self.inner.catalogue(products))
            .await
    }

    async fn orders(
        &self,
        client: ClientId,
        above: Option<WhmcsOrderId>,
    ) -> Result<Vec<WhmcsOrder>, CallError> {
        self.at("whmcs.orders", self.inner.orders(client, above))
            .await
    }

    async fn order(
        &self,
        client: ClientId,
        order: WhmcsOrderId,
    ) -> Result<Option<WhmcsOrder>, CallError> {
        self.at("whmcs.order", self.inner.order(client, order))
            .await
    }

    async fn probe(&self) -> Result<(), CallError> {
        self.inner.probe().await
    }
}

#[async_trait]
impl Provisioner for Crashing<dyn Provisioner> {
    async fn create_client(&self, client: &NewClient) -> Result<ClientId, CallError> {
        let call = self.inner.create_client(client);
        self.at("whmcs.create_client", call).await
    }

    async fn place_order(&self, order: &NewOrder) -> Result<PlaceAnswer, CallError> {
        self.at("whmcs.place_order", self.inner.place_order(order))
            .await
    }

    async fn accept_order(&self, order: WhmcsOrderId, run_modules: bool) -> Result<(), CallError> {
        let call = self.inner.accept_order(order, run_modules);
        self.at("whmcs.accept_order", call).await
    }

    async fn create_service(&self, service: ServiceId) -> Result<(), CallError> {
        let call = self.inner.create_service(service);
        self.at("whmcs.create_service", call).await
    }
}

#[async_trait]
impl EventSource for Crashing<dyn EventSource> {
    async fn open(
        &self,
        channel: &Channel,
        start: &Start,
    ) -> Result<Box<dyn EventStream>, StreamError> {
        let inner = self
            .at("source.open", self.inner.open(channel, start))
            .await?;
        let crash_points = Arc::clone(&self.crash_points);
        Ok(Box::new(CrashingStream {
            inner,
            crash_points,
        }))
    }

    async fn read_again(
        &self,
        dead_letter: &DeadLetter,
    ) -> Result<Result<ProvisionRequest, Undecodable>, StreamError> {
        let call = self.inner.read_again(dead_letter);
        self.at("source.read_again", call).await
    }
}

struct CrashingStream {
    inner: Box<dyn EventStream>,
    crash_points: Arc<CrashPoints>,
}

#[async_trait]
impl EventStream for CrashingStream {
    async fn next(&mut self) -> Result<Batch, StreamError> {
        let batch = self.inner.next().await;
        let name = match &batch {
            Ok(batch) if batch.events.is_empty() => "source.next keepalive",
            Ok(_) => "source.next events",
            Err(_) => "source.next error",
        };
        self.crash_points.pass(Side::After, name);
        batch
    }
}

#[async_trait]
impl LeaderElection for Crashing<dyn LeaderElection> {
    async fn lead(
        &self,
        channel: &Channel,
        owner: &Owner,
        ttl: Duration,
    ) -> Result<Leadership, StoreError> {
        // Leadership of the watch uses the same call as a channel's.
        let name = match channel.as_str() {
            "watch" => "watch.lead",
            _ => "store.lead",
        };
        self.at(name, self.inner.lead(channel, owner, ttl)).await
    }

    async fn resign(&self, channel: &Channel, owner: &Owner) -> Result<(), StoreError> {
        self.inner.resign(channel, owner).await
    }
}

#[async_trait]
impl EventIntake for Crashing<dyn EventIntake> {
    async fn cursor(&self, channel: &Channel) -> Result<Option<Cursor>, StoreError> {
        self.at("store.cursor", self.inner.cursor(channel)).await
    }

    async fn accept(&self, delivery: &Delivery) -> Result<Vec<Admission>, StoreError> {
        let name = match delivery.entries.is_empty() {
            true => "store.accept keepalive",
            false => "store.accept events",
        };
        self.at(name, self.inner.accept(delivery)).await
    }

    async fn record_cursor_loss(
        &self,
        channel: &Channel,
        epoch: Epoch,
        gap: &Gap,
    ) -> Result<(), StoreError> {
        self.inner.record_cursor_loss(channel, epoch, gap).await
    }

    async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Admission>, StoreError> {
        self.inner.enqueue(jobs).await
    }

    async fn requested_redrives(
        &self,
        channel: &Channel,
        limit: usize,
    ) -> Result<Vec<DeadLetterView>, StoreError> {
        self.inner.requested_redrives(channel, limit).await
    }

    async fn redrive(
        &self,
        channel: &Channel,
        epoch: Epoch,
        dead_letter: DeadLetterId,
        read: &Result<NewJob, Undecodable>,
    ) -> Result<Admission, StoreError> {
        let call = self.inner.redrive(channel, epoch, dead_letter, read);
        self.at("store.redrive", call).await
    }
}

#[async_trait]
impl AdminCommands for Crashing<dyn AdminCommands> {
    async fn execute(
        &self,
        command: &AdminCommand,
        by: &str,
        reason: &str,
    ) -> Result<CommandResult, StoreError> {
        let name = format!("store.act {}", command.name());
        self.at(&name, self.inner.execute(command, by, reason))
            .await
    }

    async fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        self.inner.pauses().await
    }

    async fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.inner.audit(limit).await
    }
}

#[async_trait]
impl AlertStore for Crashing<dyn AlertStore> {
    async fn save_alerts(
        &self,
        watch: &Channel,
        epoch: Epoch,
        alerts: &[Alert],
    ) -> Result<(), StoreError> {
        // Named by the notification state: `firing` is saved after the webhook call.
        let state = alerts
            .first()
            .map_or("nothing", |alert| alert.notified.name());
        let name = format!("store.save_alerts {state}");
        self.at(&name, self.inner.save_alerts(watch, epoch, alerts))
            .await
    }

    async fn alerts(&self) -> Result<Vec<Alert>, StoreError> {
        self.inner.alerts().await
    }
}
