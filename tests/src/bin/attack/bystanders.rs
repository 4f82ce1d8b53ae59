//! What others get during an attack.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use e2e::portal_process::PortalProcess;
use reqwest::{Client, RequestBuilder};

use crate::target::{OPS_TOKEN, Target};

const INTERVAL: Duration = Duration::from_secs(1);

/// Answers to one kind of request.
#[derive(Default)]
pub(crate) struct Times {
    pub(crate) took: Vec<Duration>,
    pub(crate) failures: BTreeMap<String, usize>,
}

/// What others saw.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) reads: Times,
    pub(crate) console: Times,
    pub(crate) probes: Times,
    /// The most memory that the portal took up.
    pub(crate) memory_kib: u64,
}

impl Times {
    fn add(&mut self, other: Self) {
        self.took.extend(other.took);
        for (failure, count) in other.failures {
            *self.failures.entry(failure).or_default() += count;
        }
    }

    /// The duration that this share of the answers, in thousandths, took at most.
    pub(crate) fn at(&self, share: usize) -> Duration {
        let mut took = self.took.clone();
        took.sort_unstable();
        let place = (took.len() * share / 1000).min(took.len().saturating_sub(1));
        took.get(place).copied().unwrap_or_default()
    }
}

/// Measures until `ends`.
pub(crate) async fn watch(
    target: &Target,
    portal: &PortalProcess,
    ends: Instant,
) -> anyhow::Result<Seen> {
    // Each request is a new connection, which is what attacks on connections are about.
    let http = Client::builder()
        .pool_max_idle_per_host(0)
        .timeout(Duration::from_secs(10))
        .build()?;
    let count = u32::try_from(target.bystanders.len())?;
    let reads = target.bystanders.iter().zip(0..).map(|(customer, number)| {
        let read = http.get(format!("{}/api/orders/{}", target.url, customer.order));
        let read = read.bearer_auth(&customer.token);
        repeat(read, INTERVAL / count * number, ends)
    });
    let console = http.get(format!("{}/ops/api/orders", target.url));
    let console = repeat(console.bearer_auth(OPS_TOKEN), INTERVAL / 2, ends);
    let probes = http.get(format!("{}/livez", portal.probes));
    let probes = repeat(probes, INTERVAL / 2, ends);
    let (reads, console, probes, memory_kib) = tokio::join!(
        futures::future::join_all(reads),
        console,
        probes,
        most_memory(portal, ends)
    );
    let mut seen = Seen {
        console,
        probes,
        memory_kib: memory_kib?,
        ..Seen::default()
    };
    for times in reads {
        seen.reads.add(times);
    }
    Ok(seen)
}

async fn repeat(request: RequestBuilder, first: Duration, ends: Instant) -> Times {
    let mut times = Times::default();
    let mut ticks = tokio::time::interval_at((Instant::now() + first).into(), INTERVAL);
    loop {
        let tick = ticks.tick().await;
        if tick.into_std() >= ends {
            return times;
        }
        let Some(request) = request.try_clone() else {
            return times;
        };
        let started = Instant::now();
        let answer = async {
            let answer = request.send().await?.error_for_status()?;
            answer.bytes().await
        };
        match answer.await {
            Ok(_) => times.took.push(started.elapsed()),
            Err(error) => {
                let failure = error.without_url().to_string();
                *times.failures.entry(failure).or_default() += 1;
            }
        }
    }
}

async fn most_memory(portal: &PortalProcess, ends: Instant) -> anyhow::Result<u64> {
    let mut most = 0;
    while Instant::now() < ends {
        most = most.max(portal.memory_kib()?);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(most)
}
