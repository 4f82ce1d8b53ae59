//! Many orders at once, provisioned by the real programs.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use simulators::salesforce::{RestFault, RestFaultKind, Route};
use simulators::whmcs::{Fault, FaultId};
use simulators::{When, World, WorldOptions};

use crate::programs::{STORES, Store, StoreKind};
use crate::{Common, at, say};

/// How long they may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(300);

/// Many orders at once, until all are provisioned
#[derive(Args)]
pub(crate) struct Options {
    /// Orders that are approved before the programs start
    #[arg(long, default_value_t = 2000)]
    orders: usize,
    /// How long each call to the systems takes, in milliseconds
    #[arg(long, default_value_t = 5)]
    delay_ms: u64,
    /// Jobs in hand at once
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// Limit of the rate, in orders a second
    #[arg(long, default_value_t = 400.0)]
    limit: f64,
}

pub(crate) async fn measure(common: &Common, options: &Options) -> anyhow::Result<bool> {
    say("| store | orders/s (median, all) |\n|---|---|");
    let mut rates = STORES.map(|_| Vec::new());
    for _ in 0..common.rounds {
        for (kind, rates) in STORES.into_iter().zip(&mut rates) {
            rates.push(round(common, options, kind).await?);
        }
    }
    let mut held = true;
    for (kind, mut rates) in STORES.into_iter().zip(rates) {
        let all: Vec<_> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
        let rate = at(&mut rates, 50);
        say(&format!(
            "| {} | {rate:.0} ({}) |",
            kind.name(),
            all.join(", ")
        ));
        held &= rate >= options.limit;
    }
    Ok(held)
}

async fn round(common: &Common, options: &Options, kind: StoreKind) -> anyhow::Result<f64> {
    // A client each: the search before AddOrder reads all orders of a client.
    let world = World::start(WorldOptions {
        accounts: options.orders,
        ..WorldOptions::default()
    })
    .await?;
    let mut orders = Vec::new();
    for number in 0..options.orders {
        let order = world.place_and_approve(number, &[(0, 1)]);
        orders.push(order.map_err(|refusal| anyhow::anyhow!("no order was placed: {refusal:?}"))?);
    }
    let delay_ms = options.delay_ms;
    world.whmcs.fault(
        Fault::new(FaultId::F15)
            .delay_ms(delay_ms)
            .when(When::Always),
    );
    let slow = RestFault::new(Route::Any, RestFaultKind::Delay { ms: delay_ms });
    world.salesforce.fault(slow.when(When::Always));
    let store = Store::new(kind).await?;
    let concurrency = options.concurrency.to_string();
    let settings = [
        ("WORKER_CONCURRENCY", concurrency.as_str()),
        ("RECONCILE_EVERY", "0"),
    ];
    let mut programs = Vec::new();
    for name in ["subscriber", "worker"] {
        programs.push(store.start(&common.bins, name, &world, &settings)?);
    }
    let (mut first, begun) = (None, Instant::now());
    let mut open: VecDeque<_> = orders.into();
    let is_done = |order: &String| {
        let record = world.salesforce.order(order).unwrap_or_default();
        record["Activation_Status__c"] == "Activated"
    };
    // Only the front is looked at: reading all of them would take a core of its own.
    loop {
        while open.pop_front_if(|order| is_done(order)).is_some() {
            first.get_or_insert_with(|| (Instant::now(), open.len()));
        }
        match first {
            Some((since, rest)) if open.is_empty() => {
                return Ok(f64::from(u32::try_from(rest)?) / since.elapsed().as_secs_f64());
            }
            _ if begun.elapsed() > PATIENCE => bail!("{} orders are not provisioned", open.len()),
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
