//! Final verification: do all systems agree?

use domain::failure::Code;
use domain::job::JobOutcome;
use domain::key::DeadLetterId;
use domain::order::{ActivationStatus, Fact, OrderState, OrderStatus, ServiceStatus};
use operations::JobStage;
use testkit::StoreResult;

use crate::promise::Promise;
use crate::state::crm::OrderRecord;
use crate::world::World;

/// Whether no work is left.
pub(crate) async fn is_done(world: &World) -> bool {
    remaining_work(world).await.is_empty()
}

/// Describes the remaining work.
pub(crate) async fn remaining_work(world: &World) -> String {
    let mut open = Vec::new();
    for record in world.crm.records() {
        let ended = match record.details.activation {
            ActivationStatus::Activated => true,
            ActivationStatus::Failed => record.abandoned,
            _ => false,
        };
        if !ended {
            open.push(format!(
                "{} is {} ({:?})",
                record.details.id, record.details.activation, record.code
            ));
        }
    }
    let missing = world
        .bus
        .missing(world.bus.len(), |event| world.store.has(event));
    if !missing.is_empty() {
        open.push(format!("unstored events {missing:?}"));
    }
    let dead_letters = decodable_dead_letters(world).await;
    if !dead_letters.is_empty() {
        open.push(format!("dead letters {dead_letters:?} were not redriven"));
    }
    match world.store.inner.queue_stats().await {
        Ok(queue_stats) => {
            let live = queue_stats.count(JobStage::Queued) + queue_stats.count(JobStage::Leased);
            if live > 0 {
                open.push(format!("{live} live jobs"));
            }
        }
        Err(error) => open.push(error.to_string()),
    }
    open.join("; ")
}

/// Numbers of the open dead letters that are or will become decodable.
async fn decodable_dead_letters(world: &World) -> Vec<DeadLetterId> {
    let malformed = world.bus.undecodable();
    let store = &world.store.inner;
    let open = store.dead_letters(true, None, usize::MAX).await;
    let mut open = open.unwrap_or_default();
    open.retain(|view| !malformed.contains(&view.dead_letter.event));
    open.iter().map(|view| view.number).collect()
}

/// Compares Salesforce, WHMCS, the bus and the store.
pub(crate) async fn verify(world: &World) {
    let missing = world
        .bus
        .missing(world.bus.len(), |event| world.store.has(event));
    if !missing.is_empty() {
        let detail = format!("lost {missing:?}");
        world.breaches.record(Promise::NoEventLost, detail);
    }
    let dead_letters = world
        .bus
        .undecodable()
        .into_iter()
        .filter(|event| world.store.has(event))
        .count();
    match world.store.inner.queue_stats().await {
        Ok(queue_stats) if queue_stats.open_dead_letters == dead_letters as u64 => {}
        other => {
            let detail = format!("{dead_letters} dead letters expected, found {other:?}");
            world.breaches.record(Promise::DeadLettersOnce, detail);
        }
    }
    if !world.faults.idempotent {
        let twice = world.whmcs.built_twice();
        if !twice.is_empty() {
            let detail = format!("services {twice:?} were built twice");
            world.breaches.record(Promise::BuiltOnce, detail);
        }
    }
    for record in world.crm.records() {
        check_order_count(world, &record);
        if let Err(error) = compare(world, &record).await {
            world
                .breaches
                .record(Promise::SystemsAgree, error.to_string());
        }
    }
}

/// Checks that AddOrder was called once; duplicates made by the network do not count.
fn check_order_count(world: &World, record: &OrderRecord) {
    let order = record.details.id;
    let placed: Vec<_> = world
        .whmcs
        .all()
        .into_iter()
        .filter(|placed| placed.sf_order == order && !placed.duplicate)
        .map(|placed| placed.row.id)
        .collect();
    if placed.len() > 1 {
        let detail = format!("{order} was placed as {placed:?}");
        world.breaches.record(Promise::OneOrder, detail);
    }
}

async fn compare(world: &World, record: &OrderRecord) -> StoreResult<()> {
    let order = record.details.id;
    let disagree = |detail: String| {
        let detail = format!("{order}: {detail}");
        world.breaches.record(Promise::SystemsAgree, detail);
    };
    let facts: Vec<_> = world
        .store
        .inner
        .facts_of(order)
        .await?
        .into_iter()
        .map(|recorded| recorded.fact)
        .collect();
    let state = match OrderState::replay(&facts) {
        Ok(state) => state,
        Err(error) => {
            disagree(format!("invalid facts: {error}"));
            return Ok(());
        }
    };
    let jobs = world.store.inner.jobs_of(order).await?;
    match record.details.activation {
        ActivationStatus::Activated => {
            if !jobs
                .iter()
                .any(|job| job.stage.outcome() == Some(JobOutcome::Succeeded))
            {
                disagree("Activated, and no job succeeded".to_owned());
            }
            let placed: Vec<_> = world
                .whmcs
                .all()
                .into_iter()
                .filter(|placed| placed.sf_order == order && placed.is_live())
                .collect();
            let [placed] = placed.as_slice() else {
                disagree(format!("Activated with WHMCS orders {placed:?}"));
                return Ok(());
            };
            let seen = &placed.row;
            if record.whmcs_order != Some(seen.id) || state.whmcs_order() != Some(seen.id) {
                disagree(format!(
                    "WHMCS has order {}, Salesforce {:?}, the store {:?}",
                    seen.id,
                    record.whmcs_order,
                    state.whmcs_order()
                ));
            }
            let active = |line: &domain::order::WhmcsService| line.status == ServiceStatus::Active;
            if seen.status != OrderStatus::Active || !seen.lines.iter().all(active) {
                disagree(format!("Activated, but WHMCS says {seen:?}"));
            }
            let mut services: Vec<_> = seen.lines.iter().map(|line| line.service).collect();
            services.sort_unstable();
            let reported: Vec<_> = record.services.values().flatten().copied().collect();
            if reported != services {
                disagree(format!("services {services:?} reported as {reported:?}"));
            }
        }
        ActivationStatus::Failed => {
            let recorded: Option<Code> = facts.iter().rev().find_map(|fact| match fact {
                Fact::Refused(refusal) => Some(refusal.code),
                _ => None,
            });
            if recorded != record.code {
                disagree(format!(
                    "failed with {:?}, the store says {recorded:?}",
                    record.code
                ));
            }
            if !jobs
                .iter()
                .any(|job| job.stage.outcome() == Some(JobOutcome::Failed))
            {
                disagree("Failed, and no job failed".to_owned());
            }
        }
        // Not finished, which is a breach of `EveryOrderEnds`.
        _ => {}
    }
    Ok(())
}
