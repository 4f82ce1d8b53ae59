//! Access to WHMCS. A sent call continues whatever happens to its sender.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::id::OrderId;
use domain::key::{ClientId, ProductId, ServiceId, WhmcsOrderId};
use domain::order::{OrderStatus, WhmcsClient, WhmcsOrder};
use domain::ports::{
    CallError, CatalogueEntry, Freshness, Module, ModuleKind, NewClient, NewOrder, OrderDetail,
    PlaceAnswer, Provisioner, ProvisionerReads,
};
use serde_json::json;
use testkit::CallResult;
use tokio::sync::oneshot;
use whmcs::CallKind;

use super::{SimProcess, not_sent, unknown};
use crate::fault_config::UnansweredCall;
use crate::promise::Promise;
use crate::state::whmcs::Whmcs;
use crate::world::{QUIET, World};

/// Call timeout.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(3);

/// Maximum delay of an effect: the whole assumed window, less the cost of reading the clock over
/// the network.
fn latest() -> u64 {
    let window = TIMEOUT + 2 * QUIET - Duration::from_secs(2);
    u64::try_from(window.as_millis()).unwrap_or(u64::MAX)
}

/// Messages of panels, shells and mail servers that WHMCS or its modules pass on.
const WORDS: [&str; 6] = [
    "no room on the server",
    "Plesk API: authentication failed for user admin",
    "Authentication Failed",
    "sh: 1: provision: command not found",
    "Invalid IP assigned to node",
    "Invalid permissions on /home/ada",
];

/// The error of a response, as the real adapter classifies it.
fn answered(world: &World, kind: CallKind, status: u16, body: &str) -> CallError {
    match world.mutation.classify(kind, status, body) {
        Err(error) => error,
        Ok(_) => unknown(),
    }
}

/// An error response of WHMCS.
fn error_answer(world: &World, kind: CallKind, status: u16, message: &str) -> CallError {
    let body = json!({"result": "error", "message": message}).to_string();
    answered(world, kind, status, &body)
}

impl SimProcess {
    /// A failure before anything is sent.
    fn rejection(&self) -> Option<CallError> {
        if self.world.is_down(|outages| outages.denied) {
            let (kind, words) = (CallKind::Read, "Invalid IP 192.0.2.1");
            return Some(error_answer(&self.world, kind, 403, words));
        }
        let away = self.world.is_down(|outages| outages.whmcs)
            || self.injects(self.world.faults.whmcs_not_sent);
        away.then(not_sent)
    }

    async fn read<T: Send>(
        &self,
        what: impl FnOnce() -> String + Send,
        read: impl FnOnce(&Whmcs) -> T + Send,
    ) -> CallResult<T> {
        self.until_resumed().await;
        self.network_delay().await;
        let failed = self.rejection().or_else(|| {
            let lost = self.injects(self.world.faults.whmcs_reply_lost / 4);
            lost.then(unknown)
        });
        let seen = match failed {
            Some(error) => Err(error),
            None => Ok(read(&self.world.whmcs)),
        };
        self.say(|| {
            let end = seen.as_ref().map_or_else(CallError::class, |_| "seen");
            format!("WHMCS: {} → {end}", what())
        });
        self.until_resumed().await;
        seen
    }

    /// Makes a call with an effect. A pause does not delay it: production checks its lease and
    /// sends at once, and a slow sender is equivalent to the slow network of
    /// [`FaultConfig::whmcs_late`].
    ///
    /// [`FaultConfig::whmcs_late`]: crate::fault_config::FaultConfig::whmcs_late
    async fn effect<T: Send + 'static>(
        &self,
        what: String,
        order: Option<OrderId>,
        action: impl Future<Output = Result<T, CallError>> + Send + 'static,
    ) -> CallResult<T> {
        self.check_lease(&what, order);
        if let Some(order) = order {
            self.world.store.mark_sent(order);
        }
        if let Some(error) = self.rejection() {
            self.say(|| format!("WHMCS: {what} → {}", error.class()));
            self.network_delay().await;
            self.until_resumed().await;
            return Err(error);
        }
        let faults = &self.world.faults;
        let unanswered = faults
            .never_answered
            .is_some_and(|unanswered| match unanswered {
                UnansweredCall::AddOrder => what.starts_with("AddOrder"),
                UnansweredCall::AcceptOrder => what.starts_with("AcceptOrder"),
                UnansweredCall::ModuleCreate => what.starts_with("ModuleCreate"),
            });
        let request_lost = unanswered || self.injects(faults.whmcs_request_lost);
        let reply_lost = self.injects(faults.whmcs_reply_lost);
        let delay = match self.injects(faults.whmcs_late) {
            true => self.world.rng.millis(0, latest()),
            false => self.world.latency(),
        };
        self.say(|| format!("WHMCS: {what} is sent"));
        let (reply, answer) = oneshot::channel();
        let (world, name) = (Arc::clone(&self.world), self.name.clone());
        tokio::spawn(async move {
            if request_lost {
                world.trace.say(&name, || format!("WHMCS: {what} was lost"));
                tokio::time::sleep(TIMEOUT).await;
                return;
            }
            tokio::time::sleep(delay).await;
            let done = action.await;
            world.trace.say(&name, || {
                let end = done
                    .as_ref()
                    .map_or_else(ToString::to_string, |_| "done".to_owned());
                let lost = if reply_lost { ", reply lost" } else { "" };
                format!("WHMCS: {what} → {end}{lost}")
            });
            if !reply_lost {
                tokio::time::sleep(world.latency()).await;
                // The receiver is gone after a crash or a timeout.
                let _ = reply.send(done);
            }
        });
        let answer = match tokio::time::timeout(TIMEOUT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(unknown()),
        };
        self.until_resumed().await;
        answer
    }

    /// Makes an activation call and records what the promises about such calls need.
    async fn activation_call(
        &self,
        what: String,
        order: Option<OrderId>,
        run_modules: bool,
        action: impl Future<Output = Result<(), CallError>> + Send + 'static,
    ) -> CallResult<()> {
        let store = &self.world.store;
        let job = order.and_then(|order| store.leased_job(order));
        if let (Some(job), true) = (&job, run_modules) {
            store.check_operator_decision(job, &what);
        }
        let module_failed = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&module_failed);
        let marked = async move {
            let done = action.await;
            noted.store(done.is_err(), Ordering::Relaxed);
            done
        };
        let answer = self.effect(what.clone(), order, marked).await;
        if let Some(job) = job {
            match &answer {
                Err(CallError::Unknown { .. }) => store.count_unknown_call(&job),
                // A module failed, however the adapter classified it.
                Err(_) if run_modules && module_failed.load(Ordering::Relaxed) => {
                    store.note_module_failure(job, &what);
                }
                _ => {}
            }
        }
        answer
    }

    fn check_lease(&self, what: &str, order: Option<OrderId>) {
        let Some(order) = order else { return };
        if !self.world.store.is_leased_by(order, &self.name) {
            let detail = format!("{} begins {what} for {order}", self.name);
            self.world.breaches.record(Promise::NoStaleEffect, detail);
        }
    }
}

/// The module builds the service; WHMCS may show it with a delay.
async fn build(world: &World, service: ServiceId) {
    world.whmcs.build(service);
    if world.injects(world.faults.whmcs_slow_status) {
        tokio::time::sleep(world.rng.millis(0, 15_000)).await;
    }
    world.whmcs.activate(service);
}

/// A random module error message.
fn words(world: &World) -> &'static str {
    let at = world.rng.below(WORDS.len() as u64);
    WORDS[usize::try_from(at).unwrap_or(0)]
}

/// AcceptOrder in WHMCS: runs the modules one after the other.
async fn accept(world: Arc<World>, order: WhmcsOrderId, run_modules: bool) -> CallResult<()> {
    let failed = |text: &str| error_answer(&world, CallKind::Module, 200, text);
    if !world.whmcs.is_pending(order) {
        return Err(failed("Order ID not found or Status not Pending"));
    }
    if world.injects(world.faults.whmcs_rejected) {
        return Err(failed("the server is busy"));
    }
    let mut failures = Vec::new();
    let services = match run_modules {
        true => world.whmcs.pending(order),
        false => Vec::new(),
    };
    for service in services {
        if world.injects(world.faults.whmcs_module_failure) {
            failures.push(words(&world));
            continue;
        }
        build(&world, service).await;
        tokio::time::sleep(world.rng.millis(0, 200)).await;
    }
    // Installations differ in what a failing module does to the order.
    if failures.is_empty() || world.rng.chance(500) {
        world
            .whmcs
            .edit(order, |placed| placed.row.status = OrderStatus::Active);
    }
    // WHMCS returns the first module's message.
    match failures.first() {
        None => Ok(()),
        Some(text) => Err(failed(text)),
    }
}

#[async_trait]
impl ProvisionerReads for SimProcess {
    async fn client(&self, client: ClientId) -> CallResult<Option<WhmcsClient>> {
        let what = || format!("client {client}");
        self.read(what, |whmcs| whmcs.client(client)).await
    }

    async fn client_by_email(&self, email: &str) -> CallResult<Option<WhmcsClient>> {
        let what = || "client by e-mail".to_owned();
        self.read(what, |whmcs| whmcs.client_by_email(email)).await
    }

    async fn catalogue(
        &self,
        products: &[ProductId],
        _freshness: Freshness,
    ) -> CallResult<Option<Vec<CatalogueEntry>>> {
        let kind = match self.world.faults.idempotent {
            true => ModuleKind::Idempotent,
            false => ModuleKind::Unlisted,
        };
        let entry = |product: &ProductId| CatalogueEntry {
            product: *product,
            module: Module {
                name: "panel".to_owned(),
                kind,
            },
            closed_cycles: Vec::new(),
        };
        let entries = products.iter().map(entry).collect();
        let what = || "catalogue".to_owned();
        self.read(what, |_| Some(entries)).await
    }

    async fn orders(
        &self,
        client: ClientId,
        above: Option<WhmcsOrderId>,
        _detail: OrderDetail,
    ) -> CallResult<Vec<WhmcsOrder>> {
        let what = || format!("orders of client {client} above {above:?}");
        self.read(what, |whmcs| {
            let all = whmcs.all().into_iter().map(|order| order.row);
            all.filter(|order| order.client == client)
                .filter(|order| above.is_none_or(|above| order.id > above))
                .collect()
        })
        .await
    }

    async fn order(
        &self,
        _client: ClientId,
        order: WhmcsOrderId,
    ) -> CallResult<Option<WhmcsOrder>> {
        if self.injects(self.world.faults.panic) {
            self.say(|| "panics".to_owned());
            // A panic macro would print its message.
            std::panic::resume_unwind(Box::new("injected panic"));
        }
        let what = || format!("order {order}");
        self.read(what, |whmcs| {
            let mut all = whmcs.all().into_iter().map(|order| order.row);
            all.find(|found| found.id == order)
        })
        .await
    }

    async fn probe(&self) -> CallResult<()> {
        self.read(|| "probe".to_owned(), |_| ()).await
    }
}

#[async_trait]
impl Provisioner for SimProcess {
    async fn create_client(&self, client: &NewClient) -> CallResult<ClientId> {
        let world = Arc::clone(&self.world);
        let email = client.contact.email.clone();
        let action = async move {
            let made = world.whmcs.create_client(&email);
            let taken = "A user already exists with that email address";
            made.ok_or_else(|| error_answer(&world, CallKind::Effect, 200, taken))
        };
        self.effect("AddClient".to_owned(), None, action).await
    }

    async fn place_order(&self, order: &NewOrder) -> CallResult<PlaceAnswer> {
        let (world, order) = (Arc::clone(&self.world), order.clone());
        let sf_order = order.marker.order;
        let faults = &self.world.faults;
        let (refuse, write_first) = (
            self.injects(faults.whmcs_rejected),
            self.world.rng.chance(300),
        );
        let doubled = self.injects(faults.whmcs_duplicated);
        let page = self.injects(faults.whmcs_page_after);
        let action = async move {
            if refuse && !write_first {
                let text = "the gateway says: authentication failed";
                return Err(error_answer(&world, CallKind::Effect, 200, text));
            }
            let drop_notes = world.drops_notes();
            let first = world.whmcs.place(&order, drop_notes, false);
            let last = match doubled {
                true => world.whmcs.place(&order, drop_notes, true),
                false => first,
            };
            if page {
                let page = "<html>SMTP 535 authentication failed</html>";
                return Err(answered(&world, CallKind::Effect, 500, page));
            }
            match refuse {
                true => {
                    let text = "an error after the row was written";
                    Err(error_answer(&world, CallKind::Effect, 200, text))
                }
                false => Ok(PlaceAnswer { order: last }),
            }
        };
        let placed = self
            .effect(format!("AddOrder for {sf_order}"), Some(sf_order), action)
            .await?;
        self.world.whmcs.answer(placed.order);
        Ok(placed)
    }

    async fn accept_order(&self, order: WhmcsOrderId, run_modules: bool) -> CallResult<()> {
        let whmcs = &self.world.whmcs;
        let sf_order = whmcs.sf_order_of(|placed| placed.row.id == order);
        let action = accept(Arc::clone(&self.world), order, run_modules);
        let what = format!("AcceptOrder {order}");
        self.activation_call(what, sf_order, run_modules, action)
            .await
    }

    async fn create_service(&self, service: ServiceId) -> CallResult<()> {
        let world = Arc::clone(&self.world);
        let sf_order = world.whmcs.sf_order_of(|placed| {
            let lines = &placed.row.lines;
            lines.iter().any(|line| line.service == service)
        });
        let action = async move {
            if world.injects(world.faults.whmcs_module_failure) {
                let text = words(&world);
                return Err(error_answer(&world, CallKind::Module, 200, text));
            }
            build(&world, service).await;
            Ok(())
        };
        let what = format!("ModuleCreate {service}");
        self.activation_call(what, sf_order, true, action).await
    }
}
