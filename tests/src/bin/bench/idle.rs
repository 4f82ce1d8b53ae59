//! What the programs take up while nothing happens.

use std::time::Duration;

use clap::Args;
use simulators::{World, WorldOptions};

use crate::ingest::megabytes;
use crate::programs::{STORES, Store};
use crate::{Common, say};

/// Until what happens at the start is over.
const SETTLE: Duration = Duration::from_secs(15);

/// What the programs take up while nothing happens
#[derive(Args)]
pub(crate) struct Options {
    /// How long they are watched
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Limit of the processor time, in percent of a core
    #[arg(long, default_value_t = 0.1)]
    limit: f64,
    /// Limit of the memory, in MiB
    #[arg(long, default_value_t = 18.0)]
    memory_limit: f64,
}

pub(crate) async fn measure(common: &Common, options: &Options) -> anyhow::Result<bool> {
    say("| store | program | processor time | memory | written |\n|---|---|---|---|---|");
    let mut held = true;
    for kind in STORES {
        let world = World::start(WorldOptions::default()).await?;
        let store = Store::new(kind).await?;
        let mut programs = Vec::new();
        for name in ["subscriber", "worker", "portal"] {
            programs.push((name, store.start(&common.bins, name, &world, &[])?));
        }
        tokio::time::sleep(SETTLE).await;
        let mut before = Vec::new();
        for (_, program) in &programs {
            before.push((program.cpu()?, program.written()?));
        }
        tokio::time::sleep(Duration::from_secs(options.seconds)).await;
        for ((name, program), (cpu, written)) in programs.iter().zip(before) {
            let used = (program.cpu()? - cpu).as_secs_f64();
            let share = used * 100.0 / Duration::from_secs(options.seconds).as_secs_f64();
            let memory = megabytes(program.memory_kib("VmRSS:")?);
            say(&format!(
                "| {} | {name} | {share:.2} % of a core | {memory:.1} MiB | {} KiB |",
                kind.name(),
                (program.written()? - written) / 1024,
            ));
            held &= share <= options.limit && memory <= options.memory_limit;
        }
    }
    Ok(held)
}
