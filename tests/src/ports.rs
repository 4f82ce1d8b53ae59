//! Ports that pass a point before and after each call.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::id::{AccountId, OrderId};
use domain::job::{Admission, JobOutcome, Lease, NewJob, ProvisionRequest};
use domain::key::{Channel, ClientId, Owner, ProductId, ServiceId, WhmcsOrderId};
use domain::order::{
    RetryAnswer, WhmcsClient, CustomerOrder, Fact, ItemReport, OrderDetails, WhmcsOrder,
    PlaceRequest, Placed, Report, OrderGuard,
};
use domain::ports::{
    AdminCommand, CommandResult, Alert, Batch, CallError, CallRecord, CatalogueEntry, Claimed, CrmOrders, Cursor,
    DeadLetter, DeadLetterView, Delivery, Epoch, EventSource, EventStream, Gap, JobIntake,
    JobQueue, Leadership, NewClient, NewOrder, Pending, PlaceAnswer, ProcessReport, Provisioner,
    Pruned, Release, ReportAnswer, Start, StoreError, StreamError, Undecodable,
};

use crate::points::{Fate, Side};

/// A worker's ports that die by their fate.
#[must_use]
pub fn deadly_worker(ports: provisioning::Ports, fate: Arc<Fate>) -> provisioning::Ports {
    provisioning::Ports {
        queue: Deadly::around(ports.queue, &fate),
        crm: Deadly::around(ports.crm, &fate),
        provisioner: Deadly::around(ports.provisioner, &fate),
        ..ports
    }
}

/// A subscriber's ports that die by their fate.
#[must_use]
pub fn deadly_intake(ports: intake::Ports, fate: Arc<Fate>) -> intake::Ports {
    intake::Ports {
        source: Deadly::around(ports.source, &fate),
        store: Deadly::around(ports.store, &fate),
        ..ports
    }
}

/// A portal's ports that die by their fate.
#[must_use]
pub fn deadly_portal(ports: portal_web::Ports, fate: Arc<Fate>) -> portal_web::Ports {
    portal_web::Ports {
        crm: Deadly::around(ports.crm, &fate),
        intake: Deadly::around(ports.intake, &fate),
        ..ports
    }
}

struct Deadly<P: ?Sized> {
    inner: Arc<P>,
    fate: Arc<Fate>,
}

impl<P: ?Sized> Deadly<P> {
    fn around(inner: Arc<P>, fate: &Arc<Fate>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            fate: Arc::clone(fate),
        })
    }

    async fn at<T>(&self, name: &str, call: impl Future<Output = T>) -> T {
        self.fate.pass(Side::Before, name);
        let answer = call.await;
        self.fate.pass(Side::After, name);
        answer
    }

    async fn of<T>(&self, order: OrderId, name: &str, call: impl Future<Output = T>) -> T {
        self.fate.pass_for(Some(order), Side::Before, name);
        let answer = call.await;
        self.fate.pass_for(Some(order), Side::After, name);
        answer
    }
}

#[async_trait]
impl JobQueue for Deadly<dyn JobQueue> {
    async fn claim(
        &self,
        owner: &Owner,
        limit: usize,
        ttl: Duration,
    ) -> Result<Vec<Claimed>, StoreError> {
        let claimed = self.inner.claim(owner, limit, ttl).await?;
        for job in &claimed {
            let order = Some(job.job.order);
            self.fate.pass_for(order, Side::After, "queue.claim");
        }
        Ok(claimed)
    }

    async fn renew(&self, leases: &[Lease], ttl: Duration) -> Result<Vec<Lease>, StoreError> {
        self.inner.renew(leases, ttl).await
    }

    async fn record(
        &self,
        lease: &Lease,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        let fact = facts.first().map_or("nothing", Fact::name);
        let name = format!("queue.record {fact}");
        self.of(lease.order, &name, self.inner.record(lease, facts, calls))
            .await
    }

    async fn release(
        &self,
        lease: &Lease,
        release: Release,
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        let call = self.inner.release(lease, release, calls);
        self.of(lease.order, "queue.release", call).await
    }

    async fn finish(
        &self,
        lease: &Lease,
        outcome: JobOutcome,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        let call = self.inner.finish(lease, outcome, facts, calls);
        self.of(lease.order, "queue.finish", call).await
    }

    async fn wait(&self, limit: Duration) {
        self.inner.wait(limit).await;
    }
}

#[async_trait]
impl CrmOrders for Deadly<dyn CrmOrders> {
    async fn details(&self, order: OrderId) -> Result<Option<OrderDetails>, CallError> {
        // The first call of every job.
        self.fate.works_on(order);
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

    async fn pending(
        &self,
        older_than: Duration,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Vec<Pending>, CallError> {
        self.inner.pending(older_than, after, limit).await
    }

    async fn place(&self, request: &PlaceRequest) -> Result<Placed, CallError> {
        self.at("salesforce.place", self.inner.place(request)).await
    }

    async fn customer_orders(&self, orders: &[OrderId]) -> Result<Vec<CustomerOrder>, CallError> {
        self.inner.customer_orders(orders).await
    }

    async fn request_retry(&self, order: OrderId) -> Result<RetryAnswer, CallError> {
        self.at("salesforce.ask_again", self.inner.request_retry(order))
            .await
    }
}

#[async_trait]
impl Provisioner for Deadly<dyn Provisioner> {
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

    async fn probe(&self) -> Result<(), CallError> {
        self.inner.probe().await
    }
}

#[async_trait]
impl EventSource for Deadly<dyn EventSource> {
    async fn open(
        &self,
        channel: &Channel,
        start: &Start,
    ) -> Result<Box<dyn EventStream>, StreamError> {
        let inner = self
            .at("source.open", self.inner.open(channel, start))
            .await?;
        let fate = Arc::clone(&self.fate);
        Ok(Box::new(DeadlyStream { inner, fate }))
    }

    async fn read_again(
        &self,
        letter: &DeadLetter,
    ) -> Result<Result<ProvisionRequest, Undecodable>, StreamError> {
        let call = self.inner.read_again(letter);
        self.at("source.read_again", call).await
    }
}

struct DeadlyStream {
    inner: Box<dyn EventStream>,
    fate: Arc<Fate>,
}

#[async_trait]
impl EventStream for DeadlyStream {
    async fn next(&mut self) -> Result<Batch, StreamError> {
        let batch = self.inner.next().await;
        let name = match &batch {
            Ok(batch) if batch.events.is_empty() => "source.next keepalive",
            Ok(_) => "source.next events",
            Err(_) => "source.next error",
        };
        self.fate.pass(Side::After, name);
        batch
    }
}

#[async_trait]
impl JobIntake for Deadly<dyn JobIntake> {
    async fn lead(
        &self,
        channel: &Channel,
        owner: &Owner,
        ttl: Duration,
    ) -> Result<Leadership, StoreError> {
        // The watch is led as a channel is.
        let name = match channel.as_str() {
            "watch" => "watch.lead",
            _ => "store.lead",
        };
        self.at(name, self.inner.lead(channel, owner, ttl)).await
    }

    async fn resign(&self, channel: &Channel, owner: &Owner) -> Result<(), StoreError> {
        self.inner.resign(channel, owner).await
    }

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
        letter: i64,
        read: &Result<NewJob, Undecodable>,
    ) -> Result<Admission, StoreError> {
        let call = self.inner.redrive(channel, epoch, letter, read);
        self.at("store.redrive", call).await
    }

    async fn act(&self, act: &AdminCommand, by: &str, reason: &str) -> Result<CommandResult, StoreError> {
        let name = format!("store.act {}", act.name());
        self.at(&name, self.inner.act(act, by, reason)).await
    }

    async fn prune(&self, older_than: Duration) -> Result<Pruned, StoreError> {
        self.inner.prune(older_than).await
    }

    async fn report_process(&self, report: &ProcessReport) -> Result<(), StoreError> {
        self.inner.report_process(report).await
    }

    async fn retire_process(&self, id: &Owner) -> Result<(), StoreError> {
        self.inner.retire_process(id).await
    }

    async fn save_alerts(
        &self,
        watch: &Channel,
        epoch: Epoch,
        alerts: &[Alert],
    ) -> Result<(), StoreError> {
        // By what the receiver was told: that it fires is marked behind the post of it.
        let told = alerts.first().map_or("nothing", |alert| alert.notified.name());
        let name = format!("store.save_alerts {told}");
        self.at(&name, self.inner.save_alerts(watch, epoch, alerts))
            .await
    }
}
