//! The way to WHMCS: what was sent goes on by itself, whatever becomes of the sender.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::failure::{Code, Refusal};
use domain::id::OrderId;
use domain::key::{ClientId, ProductId, ServiceId, WhmcsOrderId};
use domain::order::{ClientSighting, OrderSighting, OrderStatus};
use domain::ports::{
    CallError, CatalogueEntry, Module, ModuleKind, NewClient, NewOrder, PlaceAnswer, Provisioner,
};
use tokio::sync::oneshot;

use super::{Seat, cause, not_sent, unknown};
use crate::books::whmcs::Whmcs;
use crate::judge::Promise;
use crate::world::World;

/// How late an effect may come, in milliseconds: within the quiet period, with room for what
/// reading the clock over the wire costs.
const LATEST: u64 = 10_000;
/// How long a call is waited for.
const TIMEOUT: Duration = Duration::from_secs(3);

impl Seat {
    /// What can be said before anything is sent.
    fn turned_away(&self) -> Option<CallError> {
        if self.world.is_down(|outages| outages.denied) {
            return Some(CallError::Denied {
                detail: "Invalid IP 192.0.2.1".to_owned(),
                source: cause("403"),
            });
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
        if let Some(error) = self.turned_away() {
            self.say(|| format!("WHMCS: {what} → {}", error.class()));
            self.travel().await;
            self.here().await;
            return Err(error);
        }
        let climate = &self.world.climate;
        let request_lost = self.strikes(climate.whmcs_request_lost);
        let reply_lost = self.strikes(climate.whmcs_reply_lost);
        let delay = match self.strikes(climate.whmcs_late) {
            true => self.world.dice.millis(0, LATEST),
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

    fn check_lease(&self, what: &str, order: Option<OrderId>) {
        let Some(order) = order else { return };
        if !self.world.ledger.is_worked_on_by(order, &self.name) {
            let detail = format!("{} begins {what} for {order}", self.name);
            self.world.judge.broken(Promise::NoStaleEffect, detail);
        }
    }
}

fn refused(text: impl Into<String>) -> CallError {
    CallError::Refused(Refusal::new(Code::WhmcsRejected, text))
}

/// AcceptOrder at WHMCS: the modules one after the other, some of them failing.
async fn accept(
    world: Arc<World>,
    order: WhmcsOrderId,
    run_modules: bool,
) -> Result<(), CallError> {
    if world.strikes(world.climate.whmcs_refused) {
        return Err(refused("the server is busy"));
    }
    let mut failures = Vec::new();
    let services = match run_modules {
        true => world.whmcs.pending(order),
        false => Vec::new(),
    };
    for service in services {
        if world.strikes(world.climate.whmcs_broken_module) {
            failures.push(format!("service {service}: no room on the server"));
            continue;
        }
        world.whmcs.build(service);
        tokio::time::sleep(world.dice.millis(0, 200)).await;
    }
    // Installs differ in what a failing module does to the order.
    if failures.is_empty() || world.dice.chance(500) {
        world
            .whmcs
            .edit(order, |placed| placed.sighting.status = OrderStatus::Active);
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(refused(failures.join("; "))),
    }
}

#[async_trait]
impl Provisioner for Seat {
    async fn client(&self, client: ClientId) -> Result<Option<ClientSighting>, CallError> {
        let what = || format!("client {client}");
        self.look(what, |whmcs| whmcs.client(client)).await
    }

    async fn client_by_email(&self, email: &str) -> Result<Option<ClientSighting>, CallError> {
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
    ) -> Result<Vec<OrderSighting>, CallError> {
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
    ) -> Result<Option<OrderSighting>, CallError> {
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
            made.ok_or_else(|| refused("a client with that e-mail address exists"))
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
        let deed = async move {
            if refuse && !write_first {
                return Err(refused("the payment method is not active"));
            }
            let drop_notes = world.climate.drop_notes;
            let first = world.whmcs.place(&order, drop_notes, false);
            let last = match doubled {
                true => world.whmcs.place(&order, drop_notes, true),
                false => first,
            };
            match refuse {
                true => Err(refused("an error after the row was written")),
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
        self.effect(format!("AcceptOrder {order}"), truth, deed)
            .await
    }

    async fn create_service(&self, service: ServiceId) -> Result<(), CallError> {
        let world = Arc::clone(&self.world);
        let truth = world.whmcs.truth_of(|placed| {
            let lines = &placed.sighting.lines;
            lines.iter().any(|line| line.service == service)
        });
        let deed = async move {
            if world.strikes(world.climate.whmcs_broken_module) {
                return Err(refused("no room on the server"));
            }
            world.whmcs.build(service);
            Ok(())
        };
        self.effect(format!("ModuleCreate {service}"), truth, deed)
            .await
    }

    async fn probe(&self) -> Result<(), CallError> {
        self.look(|| "probe".to_owned(), |_| ()).await
    }
}
