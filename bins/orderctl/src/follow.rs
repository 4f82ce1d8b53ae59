//! `orderctl orders follow`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use domain::job::JobOutcome;
use operations::align_calls;

use crate::args::Format;
use crate::cli::FollowOrder;
use crate::lookup::find;
use crate::screen::{Exit, Screen, Stop};
use crate::{connect, show};

const POLL_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) async fn run(asked: &FollowOrder, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.one.store).await?;
    let order = find(&*store.ports, &asked.one.order).await?.order;
    let begun = Instant::now();
    let mut printed = 0;
    // The last printed call of each job.
    let mut last_calls = HashMap::new();
    loop {
        // Jobs before facts: a finished job has recorded its last fact.
        let jobs = store.ports.jobs_of(order).await?;
        let facts = store.ports.facts_of(order).await?;
        let mut calls = store.ports.calls_of(order).await?;
        align_calls(&facts, &mut calls);
        calls.retain(|call| {
            let last = last_calls.entry(call.job.clone()).or_insert(0);
            let new = call.number > *last;
            *last = call.number.max(*last);
            new
        });
        let new = facts.get(printed..).unwrap_or_default();
        for (cells, value) in show::timeline(new, &calls) {
            match screen.format {
                Format::Table => screen.line(cells.join("  ").trim_end())?,
                // One value per line: the timeline is open-ended.
                Format::Json | Format::Jsonl => writeln!(screen.out, "{value}")?,
            }
        }
        screen.out.flush()?;
        printed = facts.len();
        let live = jobs.iter().any(|job| job.stage.outcome().is_none());
        if let (false, Some(last)) = (live, jobs.last()) {
            screen.note(&format!("order {order}: {}", last.stage.name()));
            return Ok(match last.stage.outcome() {
                Some(JobOutcome::Succeeded) => Exit::Fine,
                _ => Exit::Difference,
            });
        }
        let Some(left) = asked.timeout.checked_sub(begun.elapsed()) else {
            screen.note("timed out; the order's job has not finished");
            return Ok(Exit::Difference);
        };
        tokio::time::sleep(POLL_INTERVAL.min(left)).await;
    }
}
