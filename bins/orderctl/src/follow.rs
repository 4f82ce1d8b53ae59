//! One order's timeline as it grows.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use domain::job::JobOutcome;
use domain::ports::align_calls;

use crate::cli::FollowOrder;
use crate::screen::{Exit, Screen, Stop};
use crate::{Format, connect, orders, show};

/// How soon the store is looked at again when nothing says that it has changed.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) async fn run(asked: &FollowOrder, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.one.store).await?;
    let order = orders::find(&*store.ports, &asked.one.order).await?.order;
    let begun = Instant::now();
    let mut told = 0;
    // The last call of each job that was told.
    let mut called = HashMap::new();
    loop {
        // Jobs before facts: a job that has ended has recorded its last fact.
        let jobs = store.ports.jobs_of(order).await?;
        let facts = store.ports.facts_of(order).await?;
        let mut calls = store.ports.calls_of(order).await?;
        align_calls(&facts, &mut calls);
        calls.retain(|call| {
            let last = called.entry(call.job.clone()).or_insert(0);
            let new = call.number > *last;
            *last = call.number.max(*last);
            new
        });
        let new = facts.get(told..).unwrap_or_default();
        for (cells, value) in show::timeline(new, &calls) {
            match screen.format {
                Format::Table => screen.line(cells.join("  ").trim_end())?,
                // A timeline has no end that one value could wait for.
                Format::Json | Format::Jsonl => writeln!(screen.out, "{value}")?,
            }
        }
        screen.out.flush()?;
        told = facts.len();
        let live = jobs.iter().any(|job| job.outcome.is_none());
        if let (false, Some(last)) = (live, jobs.last()) {
            screen.note(&format!("order {order}: {}", last.state));
            return Ok(match last.outcome {
                Some(JobOutcome::Succeeded) => Exit::Fine,
                _ => Exit::Difference,
            });
        }
        let Some(left) = asked.timeout.checked_sub(begun.elapsed()) else {
            screen.note("the time is up; the order is still on its way");
            return Ok(Exit::Difference);
        };
        tokio::time::sleep(LOOK.min(left)).await;
    }
}
