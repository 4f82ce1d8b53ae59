//! The way to WHMCS: what was sent goes on by itself, whatever becomes of the sender.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::id::OrderId;
use domain::key::{ClientId, ProductId, ServiceId, WhmcsOrderId};
use domain::order::{WhmcsClient, WhmcsOrder, OrderStatus};
use domain::ports::{
    CallError, CatalogueEntry, Module, ModuleKind, NewClient, NewOrder, PlaceAnswer, Provisioner,
};
use serde_json::json;
use tokio::sync::oneshot;
use whmcs::CallKind;

use super::{Seat, not_sent, unknown};
use crate::books::whmcs::Whmcs;
use crate::climate::Silent;
use crate::judge::Promise;
use crate::world::{QUIET, World};

/// How long a call is waited for.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(3);

/// How late an effect may come: within the whole window that is assumed, with room for what
/// reading the clock over the wire costs.
fn latest() -> u64 {
    let window = TIMEOUT + 2 * QUIET - Duration::from_secs(2);
    u64::try_from(window.as_millis()).unwrap_or(u64::MAX)
}

/// What panels, shells and mail servers say, and WHMCS or its modules pass on.
const WORDS: [&str; 6] = [
    "no room on the server",
    "Plesk API: authentication failed for user admin",
    "Authentication Failed",
    "sh: 1: provision: command not found",
    "Invalid IP assigned to node",
    "Invalid permissions on /home/ada",
];

/// The error that an answer stands for, as the real adapter reads it.
fn answered(world: &World, kind: CallKind, status: u16, body: &str) -> CallError {
    match world.sabotage.classify(kind, status, body) {
        Err(error) => error,
        Ok(_) => unknown(),
    }
}

/// WHMCS's own error.
fn error_answer(world: &World, kind: CallKind, status: u16, message: &str) -> CallError {
    let body = json!({"result": "error", "message": message}).to_string();
    answered(world, kind, status, &body)
}

impl Seat {
    /// What can be said before anything is sent.
    fn turned_away(&self) -> Option<CallError> {
        if self.world.is_down(|outages| outages.denied) {
            let (kind, words) = (CallKind::Read, "Invalid IP 192.0.2.1");
            return Some(error_answer(&self.world, kind, 403, words));
        }
        let away = self.world.is_down(|outages| outages.whmcs)
            || self.strikes(self.world.climate.whmcs_not_sent);
        away.then(not_sent)
    }

    async fn look<T: Send>(
        &self,
        what: impl FnOnce() -> String + Send,
        look: impl FnOnce(&Whmcs) -> T + Send,
    ) -> Result<T, CallError> {
        self.here().await;
        self.travel().await;
        let failed = self.turned_away().or_else(|| {
            let lost = self.strikes(self.world.climate.whmcs_reply_lost / 4);
            lost.then(unknown)
        });
        let seen = match failed {
            Some(error) => Err(error),
            None => Ok(look(&self.world.whmcs)),
        };
        self.say(|| {
            let end = seen.as_ref().map_or_else(CallError::class, |_| "seen");
            format!("WHMCS: {} → {end}", what())
        });
        self.here().await;
        seen
    }

    /// Sends what has an effect. It is not held up by a stop of the process: production
    /// checks its lease and sends at once, and a request that is slow to leave the machine is
    /// as good as one that is slow on the wire, which [`Climate::whmcs_late`] makes.
    ///
    /// [`Climate::whmcs_late`]: crate::climate::Climate::whmcs_late
    async fn effect<T: Send + 'static>(
        &self,
        what: String,
        order: Option<OrderId>,
        deed: impl Future<Output = Result<T, CallError>> + Send + 'static,
    ) -> Result<T, CallError> {
        self.check_lease(&what, order);
        if let Some(order) = order {
            self.world.ledger.sent(order);
        }
        if let Some(error) = self.turned_away() {
            self.say(|| format!("WHMCS: {what} → {}", error.class()));
            self.travel().await;
            self.here().await;
            return Err(error);
        }
        let climate = &self.world.climate;
        let silent = climate.never_answered.is_some_and(|silent| match silent {
            Silent::AddOrder => what.starts_with("AddOrder"),
            Silent::AcceptOrder => what.starts_with("AcceptOrder"),
            Silent::ModuleCreate => what.starts_with("ModuleCreate"),
        });
        let request_lost = silent || self.strikes(climate.whmcs_request_lost);
        let reply_lost = self.strikes(climate.whmcs_reply_lost);
        let delay = match self.strikes(climate.whmcs_late) {
            true => self.world.dice.millis(0, latest()),
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
            let done = deed.await;
            world.trace.say(&name, || {
                let end = done
                    .as_ref()
                    .map_or_else(ToString::to_string, |_| "done".to_owned());
                let lost = if reply_lost { ", reply lost" } else { "" };
                format!("WHMCS: {what} → {end}{lost}")
            });
            if !reply_lost {
                tokio::time::sleep(world.latency()).await;
                // Nobody waits any more when the sender died or lost its patience.
                let _ = reply.send(done);
            }
        });
        let answer = match tokio::time::timeout(TIMEOUT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(unknown()),
        };
        self.here().await;
        answer
    }

    /// A call that sets an order up, and what the promises about such calls need to know.
    async fn set_up(
        &self,
        what: String,
        order: Option<OrderId>,
        run_modules: bool,
        deed: impl Future<Output = Result<(), CallError>> + Send + 'static,
    ) -> Result<(), CallError> {
        let ledger = &self.world.ledger;
        let job = order.and_then(|order| ledger.job_of(order));
        if let (Some(job), true) = (&job, run_modules) {
            ledger.check_decision(job, &what);
        }
        let failed_there = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&failed_there);
        let marked = async move {
            let done = deed.await;
            noted.store(done.is_err(), Ordering::Relaxed);
            done
        };
        let answer = self.effect(what.clone(), order, marked).await;
        if let Some(job) = job {
            match &answer {
                Err(CallError::Unknown { .. }) => ledger.unanswered(&job),
                // Whatever the adapter made of it, a module has failed and said so.
                Err(_) if run_modules && failed_there.load(Ordering::Relaxed) => {
                    ledger.reported(job, &what);
                }
                _ => {}
            }
        }
        answer
    }

    fn check_lease(&self, what: &str, order: Option<OrderId>) {
        let Some(order) = order else { return };
        if !self.world.ledger.is_worked_on_by(order, &self.name) {
            let detail = format!("{} begins {what} for {order}", self.name);
            self.world.judge.broken(Promise::NoStaleEffect, detail);
        }
    }
}

/// The module builds; WHMCS may take its time to show it.
async fn build(world: &World, service: ServiceId) {
    world.whmcs.build(service);
    if world.strikes(world.climate.whmcs_slow_status) {
        tokio::time::sleep(world.dice.millis(0, 15_000)).await;
    }
    world.whmcs.activate(service);
}

/// A module's own words.
fn words(world: &World) -> &'static str {
    let at = world.dice.below(WORDS.len() as u64);
    WORDS[usize::try_from(at).unwrap_or(0)]
}

/// AcceptOrder at WHMCS: the modules one after the other, some of them failing.
async fn accept(
    world: Arc<World>,
    order: WhmcsOrderId,
    run_modules: bool,
) -> Result<(), CallError> {
    let failed = |text: &str| error_answer(&world, CallKind::Module, 200, text);
    if !world.whmcs.is_pending(order) {
        return Err(failed("Order ID not found or Status not Pending"));
    }
    if world.strikes(world.climate.whmcs_refused) {
        return Err(failed("the server is busy"));
    }
    let mut failures = Vec::new();
    let services = match run_modules {
        true => world.whmcs.pending(order),
        false => Vec::new(),
    };
    for service in services {
        if world.strikes(world.climate.whmcs_broken_module) {
            failures.push(words(&world));
            continue;
        }
        build(&world, service).await;
        tokio::time::sleep(world.dice.millis(0, 200)).await;
    }
    // Installs differ in what a failing module does to the order.
    if failures.is_empty() || world.dice.chance(500) {
        world
            .whmcs
            .edit(order, |placed| placed.sighting.status = OrderStatus::Active);
    }
    // WHMCS passes on what the first module says.
    match failures.first() {
        None => Ok(()),
        Some(text) => Err(failed(text)),
    }
}

#[async_trait]
impl Provisioner for Seat {
    async fn client(&self, client: ClientId) -> Result<Option<WhmcsClient>, CallError> {
        let what = || format!("client {client}");
        self.look(what, |whmcs| whmcs.client(client)).await
    }

    async fn client_by_email(&self, email: &str) -> Result<Option<WhmcsClient>, CallError> {
        let what = || "client by e-mail".to_owned();
        self.look(what, |whmcs| whmcs.client_by_email(email)).await
    }

    async fn catalogue(
        &self,
        products: &[ProductId],
    ) -> Result<Option<Vec<CatalogueEntry>>, CallError> {
        let kind = match self.world.climate.idempotent {
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
        self.look(what, |_| Some(entries)).await
    }

    async fn orders(
        &self,
        client: ClientId,
        above: Option<WhmcsOrderId>,
    ) -> Result<Vec<WhmcsOrder>, CallError> {
        let what = || format!("orders of client {client} above {above:?}");
        self.look(what, |whmcs| {
            let all = whmcs.all().into_iter().map(|order| order.sighting);
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
    ) -> Result<Option<WhmcsOrder>, CallError> {
        if self.strikes(self.world.climate.panic) {
            self.say(|| "panics".to_owned());
            // Not by the macro, whose message would be printed.
            std::panic::resume_unwind(Box::new("met what it was not built for"));
        }
        let what = || format!("order {order}");
        self.look(what, |whmcs| {
            let mut all = whmcs.all().into_iter().map(|order| order.sighting);
            all.find(|found| found.id == order)
        })
        .await
    }

    async fn create_client(&self, client: &NewClient) -> Result<ClientId, CallError> {
        let world = Arc::clone(&self.world);
        let email = client.contact.email.clone();
        let deed = async move {
            let made = world.whmcs.create_client(&email);
            let taken = "A user already exists with that email address";
            made.ok_or_else(|| error_answer(&world, CallKind::Effect, 200, taken))
        };
        self.effect("AddClient".to_owned(), None, deed).await
    }

    async fn place_order(&self, order: &NewOrder) -> Result<PlaceAnswer, CallError> {
        let (world, order) = (Arc::clone(&self.world), order.clone());
        let truth = order.marker.order;
        let climate = &self.world.climate;
        let (refuse, write_first) = (
            self.strikes(climate.whmcs_refused),
            self.world.dice.chance(300),
        );
        let doubled = self.strikes(climate.whmcs_doubled);
        let page = self.strikes(climate.whmcs_page_after);
        let deed = async move {
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
            .effect(format!("AddOrder for {truth}"), Some(truth), deed)
            .await?;
        self.world.whmcs.answer(placed.order);
        Ok(placed)
    }

    async fn accept_order(&self, order: WhmcsOrderId, run_modules: bool) -> Result<(), CallError> {
        let whmcs = &self.world.whmcs;
        let truth = whmcs.truth_of(|placed| placed.sighting.id == order);
        let deed = accept(Arc::clone(&self.world), order, run_modules);
        let what = format!("AcceptOrder {order}");
        self.set_up(what, truth, run_modules, deed).await
    }

    async fn create_service(&self, service: ServiceId) -> Result<(), CallError> {
        let world = Arc::clone(&self.world);
        let truth = world.whmcs.truth_of(|placed| {
            let lines = &placed.sighting.lines;
            lines.iter().any(|line| line.service == service)
        });
        let deed = async move {
            if world.strikes(world.climate.whmcs_broken_module) {
                let text = words(&world);
                return Err(error_answer(&world, CallKind::Module, 200, text));
            }
            build(&world, service).await;
            Ok(())
        };
        let what = format!("ModuleCreate {service}");
        self.set_up(what, truth, true, deed).await
    }

    async fn probe(&self) -> Result<(), CallError> {
        self.look(|| "probe".to_owned(), |_| ()).await
    }
}
