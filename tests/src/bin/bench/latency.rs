//! Time from an order's approval to AddOrder and to the result in Salesforce, with systems that
//! answer slowly. Orders come one after the other; events are delivered at once.

use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use simulators::salesforce::{RestFault, RestFaultKind, Route};
use simulators::whmcs::{Fault, FaultId};
use simulators::{When, World, WorldOptions};

use crate::programs::{STORES, Store, StoreKind};
use crate::{Common, at, say};

/// Orders before the first that is measured: logins, and what the worker learns of the org.
const WARM_UP: usize = 3;
/// How long an order may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// From approval to AddOrder, and to the result in Salesforce
#[derive(Args)]
pub(crate) struct Options {
    /// Orders per store and delay
    #[arg(long, default_value_t = 100)]
    orders: usize,
    /// How long each call takes, in milliseconds
    #[arg(long, value_delimiter = ',', default_value = "1,20,200")]
    delays_ms: Vec<u64>,
    /// Limit of the median with the longest delay, in milliseconds
    #[arg(long, default_value_t = 1800)]
    limit_ms: u64,
}

/// Of one order, since its approval.
struct Took {
    /// Until AddOrder was received.
    placed: Duration,
    /// Until Salesforce shows the result.
    reported: Duration,
}

pub(crate) async fn measure(common: &Common, options: &Options) -> anyhow::Result<bool> {
    say("| store | each call takes | AddOrder, p50 / p99 | result, p50 / p99 |\n|---|---|---|---|");
    let limit = Duration::from_millis(options.limit_ms);
    let mut held = true;
    for kind in STORES {
        for delay_ms in &options.delays_ms {
            let took = orders(common, options, kind, *delay_ms).await?;
            let mut placed: Vec<_> = took.iter().map(|took| took.placed).collect();
            let mut reported: Vec<_> = took.iter().map(|took| took.reported).collect();
            say(&format!(
                "| {} | {delay_ms} ms | {:.1?} / {:.1?} | {:.1?} / {:.1?} |",
                kind.name(),
                at(&mut placed, 50),
                at(&mut placed, 99),
                at(&mut reported, 50),
                at(&mut reported, 99),
            ));
            held &= at(&mut reported, 50) <= limit;
        }
    }
    Ok(held)
}

/// The times of all orders with this store and delay.
async fn orders(
    common: &Common,
    options: &Options,
    kind: StoreKind,
    delay_ms: u64,
) -> anyhow::Result<Vec<Took>> {
    // A client each, as in the benchmark of many orders.
    let world = World::start(WorldOptions {
        accounts: WARM_UP + options.orders,
        ..WorldOptions::default()
    })
    .await?;
    let store = Store::new(kind).await?;
    let mut programs = Vec::new();
    for name in ["subscriber", "worker"] {
        programs.push(store.start(&common.bins, name, &world, &[])?);
    }
    for number in 0..WARM_UP {
        provision(&world, number).await?;
    }
    let slow = Fault::new(FaultId::F15).delay_ms(delay_ms);
    world.whmcs.fault(slow.when(When::Always));
    let slow = RestFault::new(Route::Any, RestFaultKind::Delay { ms: delay_ms });
    world.salesforce.fault(slow.when(When::Always));
    let mut took = Vec::new();
    for number in WARM_UP..WARM_UP + options.orders {
        took.push(provision(&world, number).await?);
    }
    Ok(took)
}

/// Approves an order of one line, waits until Salesforce shows it as activated, and reads from the
/// simulated systems what happened when.
async fn provision(world: &World, number: usize) -> anyhow::Result<Took> {
    let order = world.place_order(number, &[(0, 1)]);
    let order = order.map_err(|refusal| anyhow::anyhow!("no order was placed: {refusal:?}"))?;
    let approved = world.salesforce.approve(&order);
    approved.map_err(|refusal| anyhow::anyhow!("not approved: {refusal:?}"))?;
    let started = Instant::now();
    let written = |status: &str| {
        let writes = world.salesforce.history(&order);
        let write = writes
            .iter()
            .find(|write| write.text("Activation_Status__c") == Some(status));
        write.map(|write| write.at)
    };
    let reported = loop {
        if let Some(reported) = written("Activated") {
            break reported;
        }
        if written("Failed").is_some() {
            bail!("order {order} failed");
        }
        if started.elapsed() > PATIENCE {
            bail!("order {order} is not finished");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let calls = world.whmcs.calls();
    let placed = calls.iter().rev().find(|call| call.action == "addorder");
    let (Some(placed), Some(approved)) = (placed, written("Activating")) else {
        bail!("order {order} was activated without AddOrder or approval");
    };
    Ok(Took {
        placed: placed.at.duration_since(approved).try_into()?,
        reported: reported.duration_since(approved).try_into()?,
    })
}
