//! The operator who approves orders, and staff who mend what went wrong.

use std::sync::Arc;

use domain::failure::Code;
use domain::id::OrderId;
use domain::job::ProvisionRequest;
use domain::key::{EventId, IdemKey, Marker};
use domain::order::{ActivationStatus, Contact, OrderStatus, ServiceStatus};
use domain::ports::{AdminCommand, JobIntake, Received, Undecodable, UndecodableReason};
use testkit::{details, order_id};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::books::crm::Sheet;
use crate::judge::Promise;
use crate::world::World;

/// One operator for each order.
pub(crate) fn arrive(world: &Arc<World>) -> Vec<JoinHandle<()>> {
    (1..=world.climate.orders)
        .map(|number| {
            add(world, number);
            tokio::spawn(operate(Arc::clone(world), order_id(number)))
        })
        .chain([
            tokio::spawn(see_to_letters(Arc::clone(world))),
            tokio::spawn(accept_by_hand(Arc::clone(world))),
        ])
        .collect()
}

/// Asks for dead letters to be read again, whether or not anybody can.
async fn see_to_letters(world: Arc<World>) {
    loop {
        tokio::time::sleep(world.dice.millis(1_000, 8_000)).await;
        let open = world.ledger.store.dead_letters(true, None, 100).await;
        for view in open.unwrap_or_default() {
            if world.dice.chance(500) {
                let letter = view.number;
                world
                    .trace
                    .say("operator", || format!("wants letter {letter} read again"));
                let act = AdminCommand::Redrive { letter };
                // It may have been closed since.
                let _ = world
                    .ledger
                    .act(&act, "operator", "the schema is there")
                    .await;
            }
        }
    }
}

/// Staff accept an order by hand, and set nothing up.
async fn accept_by_hand(world: Arc<World>) {
    while world.is_stormy() {
        tokio::time::sleep(world.dice.millis(500, 5_000)).await;
        for placed in world.whmcs.all() {
            let id = placed.sighting.id;
            if placed.stands() && world.strikes(world.climate.whmcs_accepted_by_hand) {
                world
                    .trace
                    .say("staff", || format!("accept WHMCS order {id} by hand"));
                world
                    .whmcs
                    .edit(id, |placed| placed.sighting.status = OrderStatus::Active);
            }
        }
    }
}

fn add(world: &World, number: u32) {
    let mut order = details(order_id(number));
    order.items[0].quantity = i64::try_from(world.dice.between(1, 3)).unwrap_or(1).into();
    if world.climate.unmapped {
        order.items[0].product.whmcs_product = None;
    }
    if world.climate.new_clients {
        order.account.whmcs_client = None;
        order.bill_to = Some(contact());
    }
    world.crm.add(order);
}

fn contact() -> Contact {
    Contact {
        first_name: "Ada".to_owned(),
        last_name: "Example".to_owned(),
        email: "ada@example.com".to_owned(),
        phone: String::new(),
        company: String::new(),
        street: String::new(),
        city: String::new(),
        state: String::new(),
        postcode: String::new(),
        country: "GB".to_owned(),
    }
}

async fn operate(world: Arc<World>, order: OrderId) {
    let storm = u64::try_from(world.climate.storm.as_millis()).unwrap_or(u64::MAX);
    tokio::time::sleep(world.dice.millis(0, storm * 6 / 10)).await;
    activate(&world, order, "approves");
    let mut failures = 0;
    loop {
        // Longer than a commit takes, so that nobody acts on what is about to change.
        let lag = lag(&world);
        let pace = match world.climate.quick_operators {
            true => lag + 600,
            false => lag + 3_000,
        };
        tokio::time::sleep(world.dice.millis(lag + 500, pace)).await;
        let Some(sheet) = world.crm.sheet(order) else {
            return;
        };
        match (&sheet.details.activation, sheet.code) {
            (ActivationStatus::Failed, Some(code)) => {
                failures += 1;
                let hopeless = world.climate.never_answered.is_some() && failures > 3;
                if hopeless || world.strikes(50) {
                    world.crm.edit(order, |sheet| sheet.given_up = true);
                    world.trace.say("operator", || format!("gives {order} up"));
                    return;
                }
                let thinks = match world.climate.quick_operators {
                    true => 200,
                    false => 10_000,
                };
                tokio::time::sleep(world.dice.millis(0, thinks)).await;
                mend(&world, order, code);
                activate(&world, order, "asks again for");
            }
            (ActivationStatus::Failed, None) => {
                let detail = format!("{order} failed without a code");
                world.judge.broken(Promise::BooksAgree, detail);
                return;
            }
            _ if world.strikes(world.climate.impatience) => {
                activate(&world, order, "is impatient with");
            }
            (ActivationStatus::Activating, _) if is_forsaken(&world, &sheet).await => {
                activate(&world, order, "asks once more for");
            }
            _ => {}
        }
    }
}

/// Its event was purged before anybody read it, or skipped: nobody will ever act on it, unless
/// there is a sweep.
async fn is_forsaken(world: &World, sheet: &Sheet) -> bool {
    let excused = |event: &EventId| world.bus.is_excused(event) && !world.ledger.has(event);
    if world.climate.sweep || !sheet.event.as_ref().is_some_and(excused) {
        return false;
    }
    let jobs = world.ledger.store.jobs_of(sheet.details.id).await;
    jobs.is_ok_and(|jobs| jobs.iter().all(|job| job.outcome.is_some()))
}

/// How long an event may overtake its commit, in milliseconds: by less than the worker's last
/// second look, except where a sweep finds what was skipped.
fn lag(world: &World) -> u64 {
    match world.climate.sweep {
        true => 9_000,
        false => 4_000,
    }
}

/// What the Flow does: one transaction, and the event after it.
fn activate(world: &Arc<World>, order: OrderId, what: &str) {
    let name = format!("e-{:016x}", world.dice.roll());
    let key = IdemKey::new(format!("k-{name}"));
    let event = EventId::new(&name).expect("the name is not blank");
    world
        .trace
        .say("operator", || format!("{what} {order}: event {name}"));
    let in_org = key.clone().filter(|_| world.climate.org_has_key);
    tokio::spawn(commit(Arc::clone(world), order, in_org, event.clone()));
    let received = Received {
        event,
        replay_id: None,
        request: Ok(ProvisionRequest {
            order,
            idem_key: key.filter(|_| world.climate.events_have_key),
            correlation: None,
            requested_by: None,
            version: 1,
            created_at: world.now(),
        }),
    };
    tokio::spawn(publish(Arc::clone(world), received));
}

/// The Flow's transaction, which its own event can overtake.
async fn commit(world: Arc<World>, order: OrderId, key: Option<IdemKey>, event: EventId) {
    // Without a key nobody can tell one activation from the next, so an order that is asked
    // for while it is `Activating` is the sweep's affair there, not the worker's.
    let sheet = world.crm.sheet(order);
    let told_apart = world.climate.org_has_key && world.climate.events_have_key
        || sheet.is_some_and(|sheet| sheet.details.activation != ActivationStatus::Activating);
    if told_apart && world.strikes(world.climate.crm_stale) {
        tokio::time::sleep(world.dice.millis(0, lag(&world))).await;
        world
            .trace
            .say("CRM", || format!("{order} is Activating by {event}"));
    }
    world.crm.activate(order, key, event, world.now());
}

/// Publishes; with trouble twice, or with another event for the same request, or with
/// something beside it that nobody can read, or so that nobody can read it for a while.
async fn publish(world: Arc<World>, received: Received) {
    tokio::time::sleep(world.dice.millis(0, 200)).await;
    if world.strikes(world.climate.bus_sealed) {
        let until = Instant::now() + world.dice.millis(0, 30_000);
        world.bus.seal(&received.event, until);
    }
    world.bus.publish(received.clone());
    if world.strikes(world.climate.bus_junk) {
        let name = format!("junk-{:016x}", world.dice.roll());
        world.bus.publish(Received {
            event: EventId::new(name).expect("the name is not blank"),
            replay_id: None,
            request: Err(Undecodable {
                reason: UndecodableReason::Malformed,
                detail: "a byte is left over".to_owned(),
                schema_id: "s1".to_owned(),
                payload: vec![0],
                fields: Vec::new(),
            }),
        });
    }
    if world.strikes(world.climate.bus_again) {
        tokio::time::sleep(world.dice.millis(0, 5_000)).await;
        world.bus.publish(received.clone());
    }
    if world.strikes(world.climate.doubled_event) {
        tokio::time::sleep(world.dice.millis(0, 5_000)).await;
        let name = format!("twin-{:016x}", world.dice.roll());
        world.bus.publish(Received {
            event: EventId::new(name).expect("the name is not blank"),
            ..received
        });
    }
}

/// Does what the failure's message asks for.
fn mend(world: &World, order: OrderId, code: Code) {
    match code {
        Code::MappingMissing => world.crm.edit(order, |sheet| {
            sheet.details.items[0].product.whmcs_product = Some("5".to_owned());
        }),
        Code::WhmcsDuplicateFound => settle_duplicates(world, order),
        // Some follow the advice only as far as it names something.
        Code::WhmcsOutcomeUnknown if world.climate.quick_operators && world.dice.chance(500) => {}
        Code::WhmcsOutcomeUnknown => look_in_whmcs(world, order),
        Code::WhmcsModuleFailed if world.climate.set_up_by_hand && world.dice.chance(600) => {
            look_in_whmcs(world, order);
        }
        Code::WhmcsModuleFailed
        | Code::WhmcsRejected
        | Code::WhmcsUnavailable
        | Code::WhmcsConfig => {}
        other => {
            let detail = format!("{order} failed with {other}, for which nothing here gives cause");
            world.judge.broken(Promise::BooksAgree, detail);
        }
    }
}

/// Keeps the order that Salesforce names, else the oldest, and ends the others.
fn settle_duplicates(world: &World, order: OrderId) {
    let named = world.crm.sheet(order).and_then(|sheet| sheet.whmcs_order);
    let ours: Vec<_> = world
        .whmcs
        .all()
        .into_iter()
        .filter(|placed| placed.truth == order && placed.stands())
        .map(|placed| placed.sighting.id)
        .collect();
    let keep = named
        .filter(|named| ours.contains(named))
        .or(ours.first().copied());
    for id in ours.into_iter().filter(|id| Some(*id) != keep) {
        world
            .trace
            .say("staff", || format!("cancel WHMCS order {id}"));
        world.whmcs.edit(id, |placed| {
            placed.sighting.status = OrderStatus::Cancelled;
            placed.sighting.notes.clear();
        });
    }
}

/// Every order that stands gets the mark of whom it was placed for, since an unmarked one of
/// another order is in doubt as well; and what is not set up of this one is set up by hand.
fn look_in_whmcs(world: &World, order: OrderId) {
    settle_duplicates(world, order);
    for placed in world.whmcs.all() {
        // Nobody is so quick as to write to an order between its answer and its read-back.
        if !placed.stands() || world.ledger.is_worked_on(placed.truth) {
            continue;
        }
        let (id, truth) = (placed.sighting.id, placed.truth);
        world
            .trace
            .say("staff", || format!("look at WHMCS order {id} of {truth}"));
        world.whmcs.edit(id, |placed| {
            let org = details(truth).org;
            placed.sighting.notes = Marker { org, order: truth }.to_string();
            if truth == order {
                placed.sighting.status = OrderStatus::Active;
                for line in &mut placed.sighting.lines {
                    line.status = ServiceStatus::Active;
                }
            }
        });
    }
}
