//! Operators who approve and retry orders, and staff who fix failures in WHMCS.

use std::sync::Arc;

use domain::failure::Code;
use domain::id::OrderId;
use domain::job::ProvisionRequest;
use domain::key::{EventId, IdemKey, Marker};
use domain::order::{ActivationStatus, Contact, OrderStatus, ServiceStatus};
use domain::ports::{Received, Undecodable, UndecodableReason};
use operations::AdminCommand;
use testkit::{details, order_id};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::promise::Promise;
use crate::state::crm::OrderRecord;
use crate::world::World;

/// Spawns an operator for each order, and the background actions.
pub(crate) fn spawn(world: &Arc<World>) -> Vec<JoinHandle<()>> {
    (1..=world.faults.orders)
        .map(|number| {
            add(world, number);
            tokio::spawn(operate(Arc::clone(world), order_id(number)))
        })
        .chain([
            tokio::spawn(redrive_dead_letters(Arc::clone(world))),
            tokio::spawn(accept_by_hand(Arc::clone(world))),
        ])
        .collect()
}

/// Redrives dead letters, decodable or not.
async fn redrive_dead_letters(world: Arc<World>) {
    loop {
        tokio::time::sleep(world.rng.millis(1_000, 8_000)).await;
        let open = world.store.inner.dead_letters(true, None, 100).await;
        for view in open.unwrap_or_default() {
            if world.rng.chance(500) {
                let dead_letter = view.number;
                world
                    .trace
                    .say("operator", || format!("redrives dead letter {dead_letter}"));
                let command = AdminCommand::Redrive { dead_letter };
                // It may be closed already.
                let _ = world
                    .store
                    .inner
                    .execute(&command, "operator", "the schema is available")
                    .await;
            }
        }
    }
}

/// Staff accept an order by hand without running its modules.
async fn accept_by_hand(world: Arc<World>) {
    while world.faults_active() {
        tokio::time::sleep(world.rng.millis(500, 5_000)).await;
        for placed in world.whmcs.all() {
            let id = placed.row.id;
            if placed.is_live() && world.injects(world.faults.whmcs_accepted_by_hand) {
                world
                    .trace
                    .say("staff", || format!("accept WHMCS order {id} by hand"));
                world
                    .whmcs
                    .edit(id, |placed| placed.row.status = OrderStatus::Active);
            }
        }
    }
}

fn add(world: &World, number: u32) {
    let mut order = details(order_id(number));
    order.items[0].quantity = i64::try_from(world.rng.between(1, 3)).unwrap_or(1).into();
    if world.faults.unmapped {
        order.items[0].product.whmcs_product = None;
    }
    if world.faults.new_clients {
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
    let fault_phase = u64::try_from(world.faults.fault_phase.as_millis()).unwrap_or(u64::MAX);
    tokio::time::sleep(world.rng.millis(0, fault_phase * 6 / 10)).await;
    activate(&world, order, "approves");
    let mut failures = 0;
    loop {
        // Longer than a commit takes, so that no decision is based on a state about to change.
        let lag = lag(&world);
        let max_delay = match world.faults.quick_operators {
            true => lag + 600,
            false => lag + 3_000,
        };
        tokio::time::sleep(world.rng.millis(lag + 500, max_delay)).await;
        let Some(record) = world.crm.record(order) else {
            return;
        };
        match (&record.details.activation, record.code) {
            (ActivationStatus::Failed, Some(code)) => {
                failures += 1;
                let give_up = world.faults.never_answered.is_some() && failures > 3;
                if give_up || world.injects(50) {
                    world.crm.edit(order, |record| record.abandoned = true);
                    world.trace.say("operator", || format!("abandons {order}"));
                    return;
                }
                let max_think_time = match world.faults.quick_operators {
                    true => 200,
                    false => 10_000,
                };
                tokio::time::sleep(world.rng.millis(0, max_think_time)).await;
                resolve(&world, order, code);
                activate(&world, order, "retries");
            }
            (ActivationStatus::Failed, None) => {
                let detail = format!("{order} failed without a code");
                world.breaches.record(Promise::SystemsAgree, detail);
                return;
            }
            _ if world.injects(world.faults.early_retry) => {
                activate(&world, order, "retries early");
            }
            (ActivationStatus::Activating, _) if is_abandoned_event(&world, &record).await => {
                activate(&world, order, "retries lost event of");
            }
            _ => {}
        }
    }
}

/// Whether the order's event will never be processed: it expired unread or was skipped, and there
/// is no sweep.
async fn is_abandoned_event(world: &World, record: &OrderRecord) -> bool {
    let exempt = |event: &EventId| world.bus.is_exempt(event) && !world.store.has(event);
    if world.faults.sweep || !record.event.as_ref().is_some_and(exempt) {
        return false;
    }
    let jobs = world.store.inner.jobs_of(record.details.id).await;
    jobs.is_ok_and(|jobs| jobs.iter().all(|job| job.stage.outcome().is_some()))
}

/// How long an event may precede its commit for the worker's last read to see it, in milliseconds.
const SEEN_IN_TIME: u64 = 4_000;

/// How long an event may precede its commit, in milliseconds. A sweep finds orders that were
/// skipped because they were seen too late.
fn lag(world: &World) -> u64 {
    match world.faults.sweep {
        true => 9_000,
        false => SEEN_IN_TIME,
    }
}

/// The Flow: one transaction, followed by the event.
fn activate(world: &Arc<World>, order: OrderId, what: &str) {
    let name = format!("e-{:016x}", world.rng.next_u64());
    let key = IdemKey::new(format!("k-{name}"));
    let event = EventId::new(&name).expect("the name is not blank");
    world
        .trace
        .say("operator", || format!("{what} {order}: event {name}"));
    let in_org = key.clone().filter(|_| world.faults.org_has_key);
    tokio::spawn(commit(Arc::clone(world), order, in_org, event.clone()));
    let received = Received {
        event,
        replay_id: None,
        request: Ok(ProvisionRequest {
            order,
            idem_key: key.filter(|_| world.faults.events_have_key),
            correlation: None,
            requested_by: None,
            version: 1,
            created_at: world.now(),
        }),
    };
    tokio::spawn(publish(Arc::clone(world), received));
}

/// The Flow's transaction, which its own event can precede.
async fn commit(world: Arc<World>, order: OrderId, key: Option<IdemKey>, event: EventId) {
    // Without a key two activations cannot be distinguished, so a retry of an `Activating` order
    // is left to the sweep.
    let record = world.crm.record(order);
    let activating =
        record.is_some_and(|record| record.details.activation == ActivationStatus::Activating);
    let has_keys = world.faults.org_has_key && world.faults.events_have_key;
    if (has_keys || !activating) && world.injects(world.faults.crm_stale) {
        // The job of a retry that is seen later than this runs the activation before it, and no
        // sweep enqueues the retry again.
        let most = if activating {
            SEEN_IN_TIME
        } else {
            lag(&world)
        };
        tokio::time::sleep(world.rng.millis(0, most)).await;
        world
            .trace
            .say("CRM", || format!("{order} is Activating by {event}"));
    }
    world.crm.activate(order, key, event, world.now());
}

/// Publishes the event; faults redeliver it, add another event for the same request or a
/// malformed one, or make its schema unavailable for a while.
async fn publish(world: Arc<World>, received: Received) {
    tokio::time::sleep(world.rng.millis(0, 200)).await;
    if world.injects(world.faults.bus_undecodable) {
        let until = Instant::now() + world.rng.millis(0, 30_000);
        world.bus.make_undecodable(&received.event, until);
    }
    world.bus.publish(received.clone());
    if world.injects(world.faults.bus_malformed) {
        let name = format!("malformed-{:016x}", world.rng.next_u64());
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
    if world.injects(world.faults.bus_redelivery) {
        tokio::time::sleep(world.rng.millis(0, 5_000)).await;
        world.bus.publish(received.clone());
    }
    if world.injects(world.faults.duplicate_event) {
        tokio::time::sleep(world.rng.millis(0, 5_000)).await;
        let name = format!("same-request-{:016x}", world.rng.next_u64());
        world.bus.publish(Received {
            event: EventId::new(name).expect("the name is not blank"),
            ..received
        });
    }
}

/// Does what the failure's message asks for.
fn resolve(world: &World, order: OrderId, code: Code) {
    match code {
        Code::MappingMissing => world.crm.edit(order, |record| {
            record.details.items[0].product.whmcs_product = Some("5".to_owned());
        }),
        Code::WhmcsDuplicateFound => cancel_duplicates(world, order),
        // Some operators retry without checking WHMCS.
        Code::WhmcsOutcomeUnknown if world.faults.quick_operators && world.rng.chance(500) => {}
        Code::WhmcsOutcomeUnknown => fix_in_whmcs(world, order),
        Code::WhmcsModuleFailed if world.faults.activated_by_hand && world.rng.chance(600) => {
            fix_in_whmcs(world, order);
        }
        Code::WhmcsModuleFailed
        | Code::WhmcsRejected
        | Code::WhmcsUnavailable
        | Code::WhmcsConfig => {}
        other => {
            let detail = format!("{order} failed with {other}, which no fault explains");
            world.breaches.record(Promise::SystemsAgree, detail);
        }
    }
}

/// Keeps the order that Salesforce names, else the oldest, and cancels the others.
fn cancel_duplicates(world: &World, order: OrderId) {
    let named = world
        .crm
        .record(order)
        .and_then(|record| record.whmcs_order);
    let ours: Vec<_> = world
        .whmcs
        .all()
        .into_iter()
        .filter(|placed| placed.sf_order == order && placed.is_live())
        .map(|placed| placed.row.id)
        .collect();
    let keep = named
        .filter(|named| ours.contains(named))
        .or(ours.first().copied());
    for id in ours.into_iter().filter(|id| Some(*id) != keep) {
        world
            .trace
            .say("staff", || format!("cancel WHMCS order {id}"));
        world.whmcs.edit(id, |placed| {
            placed.row.status = OrderStatus::Cancelled;
            placed.row.notes.clear();
        });
    }
}

/// Adds the missing markers to all live orders, since an unmarked one of another order is
/// ambiguous too, and activates the services of this order by hand.
fn fix_in_whmcs(world: &World, order: OrderId) {
    cancel_duplicates(world, order);
    for placed in world.whmcs.all() {
        // Staff do not edit an order between its response and its read-back.
        if !placed.is_live() || world.store.is_leased(placed.sf_order) {
            continue;
        }
        let (id, sf_order) = (placed.row.id, placed.sf_order);
        world.trace.say("staff", || {
            format!("look at WHMCS order {id} of {sf_order}")
        });
        world.whmcs.edit(id, |placed| {
            let org = details(sf_order).org;
            placed.row.notes = Marker {
                org,
                order: sf_order,
            }
            .to_string();
            if sf_order == order {
                placed.row.status = OrderStatus::Active;
                for line in &mut placed.row.lines {
                    line.status = ServiceStatus::Active;
                }
            }
        });
    }
}
