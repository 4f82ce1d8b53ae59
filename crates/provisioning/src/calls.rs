//! Call records: times and classifies every external call of an attempt.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::id::{AccountId, OrderId};
use domain::key::{ClientId, ProductId, ServiceId, WhmcsOrderId};
use domain::order::{ItemReport, OrderDetails, OrderGuard, Report, WhmcsClient, WhmcsOrder};
use domain::ports::{
    CallAction, CallError, CallOutcome, CallRecord, CatalogueEntry, Claimed, Clock, CrmOrders,
    NewClient, NewOrder, PlaceAnswer, Provisioner, ProvisionerReads, ReportAnswer, System,
};
use domain::time::Timestamp;
use error_chain::chain;
use tracing::Instrument;

use crate::stall::STALL_THRESHOLD;
use crate::worker::Ports;
use crate::{FailureTime, ProcessState};

/// The calls that are not committed yet.
pub(crate) struct Calls {
    clock: Arc<dyn Clock>,
    process: Arc<ProcessState>,
    order: OrderId,
    /// Time of the claim by the store's clock and by our monotonic clock.
    claimed: (Timestamp, Duration),
    waiting: Mutex<Vec<CallRecord>>,
}

impl Calls {
    /// An empty record, and ports whose calls are added to it.
    pub(crate) fn recording(
        ports: &Ports,
        process: &Arc<ProcessState>,
        claimed: &Claimed,
        started: Duration,
    ) -> (Arc<Self>, Ports) {
        let calls = Arc::new(Self {
            clock: Arc::clone(&ports.clock),
            process: Arc::clone(process),
            order: claimed.job.order,
            claimed: (claimed.at, started),
            waiting: Mutex::default(),
        });
        let ports = Ports {
            crm: Arc::new(Recording {
                port: Arc::clone(&ports.crm),
                calls: Arc::clone(&calls),
            }),
            reads: Arc::new(Recording {
                port: Arc::clone(&ports.reads),
                calls: Arc::clone(&calls),
            }),
            provisioner: Arc::new(Recording {
                port: Arc::clone(&ports.provisioner),
                calls: Arc::clone(&calls),
            }),
            ..ports.clone()
        };
        (calls, ports)
    }

    /// Takes the calls since the last time. A failed commit loses them: they are only missing in
    /// the timeline.
    pub(crate) fn take(&self) -> Vec<CallRecord> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn time<T>(
        &self,
        action: CallAction,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let (at, started) = self.claimed;
        let sent = self.clock.monotonic();
        let span = tracing::info_span!(
            "call",
            "otel.name" = action.name(),
            "otel.kind" = "client",
            outcome = tracing::field::Empty,
        );
        let call = self.release_slot_when_slow(action.system(), call);
        let answer = call.instrument(span.clone()).await;
        span.record("outcome", CallOutcome::of(&answer).name());
        let record = CallRecord {
            at: at + sent.saturating_sub(started),
            took: self.clock.monotonic().saturating_sub(sent),
            action,
            outcome: CallOutcome::of(&answer),
        };
        if action.system() == System::Salesforce {
            self.update_breaker(&answer);
        }
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(record);
        answer
    }

    /// Makes the call. After [`STALL_THRESHOLD`] without an answer, another job may use this one's
    /// slot.
    async fn release_slot_when_slow<T>(&self, system: System, call: impl Future<Output = T>) -> T {
        tokio::pin!(call);
        tokio::select! {
            biased;
            answer = &mut call => return answer,
            () = self.clock.sleep(STALL_THRESHOLD) => {}
        }
        let _stalled = self.process.stalls.enter(system);
        call.await
    }

    fn update_breaker<T>(&self, answer: &Result<T, CallError>) {
        let breaker = &self.process.salesforce;
        let (claimed_at, started) = self.claimed;
        let monotonic = self.clock.monotonic();
        let now = FailureTime {
            at: claimed_at + monotonic.saturating_sub(started),
            monotonic,
        };
        match answer {
            Ok(_) | Err(CallError::Refused(_)) => breaker.succeeded(),
            Err(CallError::Denied { detail, .. }) => breaker.refused(now, detail),
            Err(error @ (CallError::NotSent { .. } | CallError::Unknown { .. })) => {
                breaker.failed(self.order, now, &chain(error).to_string());
            }
        }
    }
}

/// A port whose calls are recorded.
struct Recording<P: ?Sized> {
    port: Arc<P>,
    calls: Arc<Calls>,
}

#[async_trait]
impl CrmOrders for Recording<dyn CrmOrders> {
    async fn details(&self, order: OrderId) -> Result<Option<OrderDetails>, CallError> {
        let call = self.port.details(order);
        self.calls.time(CallAction::Details, call).await
    }

    async fn order_guard(&self, order: OrderId) -> Result<Option<OrderGuard>, CallError> {
        let call = self.port.order_guard(order);
        self.calls.time(CallAction::OrderGuard, call).await
    }

    async fn link_client(&self, account: AccountId, client: ClientId) -> Result<(), CallError> {
        let call = self.port.link_client(account, client);
        self.calls.time(CallAction::LinkClient, call).await
    }

    async fn report_items(&self, items: &[ItemReport]) -> Result<(), CallError> {
        let call = self.port.report_items(items);
        self.calls.time(CallAction::ReportItems, call).await
    }

    async fn report(&self, order: OrderId, report: &Report) -> Result<ReportAnswer, CallError> {
        let call = self.port.report(order, report);
        self.calls.time(CallAction::Report, call).await
    }
}

#[async_trait]
impl ProvisionerReads for Recording<dyn ProvisionerReads> {
    async fn client(&self, client: ClientId) -> Result<Option<WhmcsClient>, CallError> {
        let call = self.port.client(client);
        self.calls.time(CallAction::GetClient, call).await
    }

    async fn client_by_email(&self, email: &str) -> Result<Option<WhmcsClient>, CallError> {
        let call = self.port.client_by_email(email);
        self.calls.time(CallAction::GetClient, call).await
    }

    async fn catalogue(
        &self,
        products: &[ProductId],
    ) -> Result<Option<Vec<CatalogueEntry>>, CallError> {
        let call = self.port.catalogue(products);
        self.calls.time(CallAction::GetProducts, call).await
    }

    async fn orders(
        &self,
        client: ClientId,
        above: Option<WhmcsOrderId>,
    ) -> Result<Vec<WhmcsOrder>, CallError> {
        let call = self.port.orders(client, above);
        self.calls.time(CallAction::GetOrders, call).await
    }

    async fn order(
        &self,
        client: ClientId,
        order: WhmcsOrderId,
    ) -> Result<Option<WhmcsOrder>, CallError> {
        let call = self.port.order(client, order);
        self.calls.time(CallAction::GetOrders, call).await
    }

    async fn probe(&self) -> Result<(), CallError> {
        self.port.probe().await
    }
}

#[async_trait]
impl Provisioner for Recording<dyn Provisioner> {
    async fn create_client(&self, client: &NewClient) -> Result<ClientId, CallError> {
        let call = self.port.create_client(client);
        self.calls.time(CallAction::AddClient, call).await
    }

    async fn place_order(&self, order: &NewOrder) -> Result<PlaceAnswer, CallError> {
        let call = self.port.place_order(order);
        self.calls.time(CallAction::AddOrder, call).await
    }

    async fn accept_order(&self, order: WhmcsOrderId, run_modules: bool) -> Result<(), CallError> {
        let call = self.port.accept_order(order, run_modules);
        self.calls.time(CallAction::AcceptOrder, call).await
    }

    async fn create_service(&self, service: ServiceId) -> Result<(), CallError> {
        let call = self.port.create_service(service);
        self.calls.time(CallAction::ModuleCreate, call).await
    }
}
