//! A backlog of events, taken in by the real subscriber.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use job_store::StoreConfig;
use operations::JobStage;
use serde_json::json;
use simulators::{World, WorldOptions};

use crate::programs::{STORES, Store, StoreKind};
use crate::{Common, at, say};

/// How long a backlog may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(300);

/// A backlog of events, until all are jobs
#[derive(Args)]
pub(crate) struct Options {
    /// Events of the backlog
    #[arg(long, default_value_t = 50_000)]
    events: u32,
    /// Limit of the rate, in events a second
    #[arg(long, default_value_t = 14_200.0)]
    limit: f64,
    /// Limit of the subscriber's memory, in MiB
    #[arg(long, default_value_t = 40.0)]
    memory_limit: f64,
}

pub(crate) async fn measure(common: &Common, options: &Options) -> anyhow::Result<bool> {
    say(
        "| store | events/s (median, all) | processor time per event | most memory |\n|---|---|---|---|",
    );
    let mut held = true;
    let mut rates = STORES.map(|_| Vec::new());
    let mut others = STORES.map(|_| Vec::new());
    for _ in 0..common.rounds {
        for (place, kind) in STORES.into_iter().enumerate() {
            let round = round(common, options, kind).await?;
            rates[place].push(round.rate);
            others[place].push((round.cpu, round.memory));
        }
    }
    for ((kind, mut rates), others) in STORES.into_iter().zip(rates).zip(others) {
        let all: Vec<_> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
        let cpu = at(
            &mut others.iter().map(|(cpu, _)| *cpu).collect::<Vec<_>>(),
            50,
        );
        let memory = at(
            &mut others.iter().map(|(_, memory)| *memory).collect::<Vec<_>>(),
            50,
        );
        let rate = at(&mut rates, 50);
        say(&format!(
            "| {} | {rate:.0} ({}) | {cpu:.1?} | {memory:.1} MiB |",
            kind.name(),
            all.join(", "),
        ));
        held &= rate >= options.limit && memory <= options.memory_limit;
    }
    Ok(held)
}

struct Round {
    rate: f64,
    cpu: Duration,
    memory: f64,
}

async fn round(common: &Common, options: &Options, kind: StoreKind) -> anyhow::Result<Round> {
    let world = World::start(WorldOptions::default()).await?;
    for number in 0..options.events {
        let fields = json!({
            "OrderId__c": testkit::order_id(number).as_str(),
            "IdemKey__c": format!("key-{number}"),
            "CorrelationId__c": format!("correlation-{number}"),
        });
        let fields = fields.as_object().cloned().unwrap_or_default();
        world.salesforce.publish_event(&fields);
    }
    let store = Store::new(kind).await?;
    let config =
        StoreConfig::parse(&store.url()).map_err(|problem| anyhow::anyhow!("{problem:?}"))?;
    let jobs = job_store::open(&config, Arc::new(runtime::SystemClock)).await?;
    let settings = [("RECONCILE_EVERY", "0")];
    let subscriber = store.start(&common.bins, "subscriber", &world, &settings)?;
    let (mut first, begun) = (None, Instant::now());
    loop {
        let count = jobs.ports.queue_stats().await?.count(JobStage::Queued);
        match first {
            None if count > 0 => first = Some((Instant::now(), count)),
            Some((since, counted)) if count >= u64::from(options.events) => {
                let events = f64::from(u32::try_from(count - counted)?);
                return Ok(Round {
                    rate: events / since.elapsed().as_secs_f64(),
                    cpu: subscriber.cpu()? / options.events,
                    memory: megabytes(subscriber.memory_kib("VmHWM:")?),
                });
            }
            _ if begun.elapsed() > PATIENCE => bail!("{count} events are jobs, and no more"),
            _ => {}
        }
        // Counting takes the longer, the more there are.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

pub(crate) fn megabytes(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}
