//! The books at the end: does everybody tell the same story?

use domain::failure::Code;
use domain::job::JobOutcome;
use domain::order::{ActivationStatus, Fact, OrderState, OrderStatus, ServiceStatus};
use domain::ports::StoreError;

use crate::books::crm::Sheet;
use crate::judge::Promise;
use crate::world::World;

/// Whether nothing is left to do.
pub(crate) async fn is_settled(world: &World) -> bool {
    unsettled(world).await.is_empty()
}

/// What is left to do, for people.
pub(crate) async fn unsettled(world: &World) -> String {
    let mut open = Vec::new();
    for sheet in world.crm.sheets() {
        let ended = match sheet.details.activation {
            ActivationStatus::Activated => true,
            ActivationStatus::Failed => sheet.given_up,
            _ => false,
        };
        if !ended {
            open.push(format!(
                "{} is {} ({:?})",
                sheet.details.id, sheet.details.activation, sheet.code
            ));
        }
    }
    let missing = world
        .bus
        .missing(world.bus.len(), |event| world.ledger.has(event));
    if !missing.is_empty() {
        open.push(format!("events {missing:?} are not stored"));
    }
    let letters = sealed_letters(world).await;
    if !letters.is_empty() {
        open.push(format!("letters {letters:?} were not read again"));
    }
    match world.ledger.store.queue_stats().await {
        Ok(queue_stats) => {
            let live = queue_stats.count("queued") + queue_stats.count("leased");
            if live > 0 {
                open.push(format!("{live} jobs have not ended"));
            }
        }
        Err(error) => open.push(error.to_string()),
    }
    open.join("; ")
}

/// Open letters that can be read by now, or soon.
async fn sealed_letters(world: &World) -> Vec<i64> {
    let hopeless = world.bus.undecodable();
    let store = &world.ledger.store;
    let open = store.dead_letters(true, None, usize::MAX).await;
    let mut open = open.unwrap_or_default();
    open.retain(|view| !hopeless.contains(&view.letter.event));
    open.iter().map(|view| view.number).collect()
}

/// Compares Salesforce, WHMCS, the bus and the store.
pub(crate) async fn balance(world: &World) {
    let missing = world
        .bus
        .missing(world.bus.len(), |event| world.ledger.has(event));
    if !missing.is_empty() {
        let detail = format!("{missing:?} became nothing");
        world.judge.broken(Promise::NoEventLost, detail);
    }
    let letters = world
        .bus
        .undecodable()
        .into_iter()
        .filter(|event| world.ledger.has(event))
        .count();
    match world.ledger.store.queue_stats().await {
        Ok(queue_stats) if queue_stats.open_dead_letters == letters as u64 => {}
        other => {
            let detail = format!("{letters} dead letters expected, found {other:?}");
            world.judge.broken(Promise::LettersOnce, detail);
        }
    }
    if !world.climate.idempotent {
        let twice = world.whmcs.built_twice();
        if !twice.is_empty() {
            let detail = format!("services {twice:?} were built twice");
            world.judge.broken(Promise::BuiltOnce, detail);
        }
    }
    for sheet in world.crm.sheets() {
        count_orders(world, &sheet);
        if let Err(error) = compare(world, &sheet).await {
            world.judge.broken(Promise::BooksAgree, error.to_string());
        }
    }
}

/// However often something between us and WHMCS repeated our call, we called once.
fn count_orders(world: &World, sheet: &Sheet) {
    let order = sheet.details.id;
    let placed: Vec<_> = world
        .whmcs
        .all()
        .into_iter()
        .filter(|placed| placed.truth == order && !placed.echo)
        .map(|placed| placed.sighting.id)
        .collect();
    if placed.len() > 1 {
        let detail = format!("{order} was placed as {placed:?}");
        world.judge.broken(Promise::OneOrder, detail);
    }
}

async fn compare(world: &World, sheet: &Sheet) -> Result<(), StoreError> {
    let order = sheet.details.id;
    let disagree = |detail: String| {
        let detail = format!("{order}: {detail}");
        world.judge.broken(Promise::BooksAgree, detail);
    };
    let facts: Vec<_> = world
        .ledger
        .store
        .facts_of(order)
        .await?
        .into_iter()
        .map(|recorded| recorded.fact)
        .collect();
    let state = match OrderState::replay(&facts) {
        Ok(state) => state,
        Err(error) => {
            disagree(format!("its facts make no story: {error}"));
            return Ok(());
        }
    };
    let jobs = world.ledger.store.jobs_of(order).await?;
    match sheet.details.activation {
        ActivationStatus::Activated => {
            if !jobs.iter().any(|job| job.outcome == Some(JobOutcome::Succeeded)) {
                disagree("Activated, and no job succeeded".to_owned());
            }
            let placed: Vec<_> = world
                .whmcs
                .all()
                .into_iter()
                .filter(|placed| placed.truth == order && placed.stands())
                .collect();
            let [placed] = placed.as_slice() else {
                disagree(format!("Activated with WHMCS orders {placed:?}"));
                return Ok(());
            };
            let seen = &placed.sighting;
            if sheet.whmcs_order != Some(seen.id) || state.whmcs_order() != Some(seen.id) {
                disagree(format!(
                    "WHMCS has order {}, Salesforce {:?}, the store {:?}",
                    seen.id,
                    sheet.whmcs_order,
                    state.whmcs_order()
                ));
            }
            let active = |line: &domain::order::WhmcsService| line.status == ServiceStatus::Active;
            if seen.status != OrderStatus::Active || !seen.lines.iter().all(active) {
                disagree(format!("Activated, but WHMCS says {seen:?}"));
            }
            let mut services: Vec<_> = seen.lines.iter().map(|line| line.service).collect();
            services.sort_unstable();
            let reported: Vec<_> = sheet.services.values().flatten().copied().collect();
            if reported != services {
                disagree(format!("services {services:?} reported as {reported:?}"));
            }
        }
        ActivationStatus::Failed => {
            let told: Option<Code> = facts.iter().rev().find_map(|fact| match fact {
                Fact::Refused(refusal) => Some(refusal.code),
                _ => None,
            });
            if told != sheet.code {
                disagree(format!(
                    "failed with {:?}, the store says {told:?}",
                    sheet.code
                ));
            }
            if !jobs.iter().any(|job| job.outcome == Some(JobOutcome::Failed)) {
                disagree("Failed, and no job failed".to_owned());
            }
        }
        // Reported as an order that never ended.
        _ => {}
    }
    Ok(())
}
