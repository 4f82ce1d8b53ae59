//! `orderctl events tail`.

use std::io::Write;
use std::time::{Duration, Instant};

use domain::key::JobId;
use operations::JobStore;
use serde_json::{Value, json};

use crate::args::Format;
use crate::cli::Tail;
use crate::screen::{Exit, Screen, Stop};
use crate::{connect, show};

const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Page size of store queries.
const PAGE: usize = 200;
/// Pages per poll: more than arrive between two polls.
const MAX_PAGES: usize = 50;

/// The newest printed job and dead letter.
struct Position {
    job: Option<JobId>,
    dead_letter: i64,
}

pub(crate) async fn run(asked: &Tail, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.store).await?;
    let reader = &*store.ports;
    let begun = Instant::now();
    let mut position = start(reader, asked.last).await?;
    loop {
        for (cells, value) in new(reader, &mut position).await? {
            match screen.format {
                Format::Table => screen.line(cells.join("  ").trim_end())?,
                // One value per line: the output is open-ended.
                Format::Json | Format::Jsonl => writeln!(screen.out, "{value}")?,
            }
        }
        screen.out.flush()?;
        let left = asked
            .timeout
            .map(|limit| limit.saturating_sub(begun.elapsed()));
        if left == Some(Duration::ZERO) {
            return Ok(Exit::Fine);
        }
        tokio::time::sleep(left.map_or(POLL_INTERVAL, |left| POLL_INTERVAL.min(left))).await;
    }
}

/// The position that leaves the `last` ones to be printed.
async fn start(reader: &dyn JobStore, last: usize) -> Result<Position, Stop> {
    let jobs = reader.jobs(None, None, last.saturating_add(1)).await?;
    let dead_letters = reader
        .dead_letters(false, None, last.saturating_add(1))
        .await?;
    Ok(Position {
        job: jobs.get(last).map(|view| view.job.id.clone()),
        dead_letter: dead_letters.get(last).map_or(0, |view| view.number.0),
    })
}

/// New jobs and dead letters in order of arrival.
async fn new(
    reader: &dyn JobStore,
    position: &mut Position,
) -> Result<Vec<(Vec<String>, Value)>, Stop> {
    let mut lines = Vec::new();
    let mut after: Option<JobId> = None;
    let mut newest = None;
    'pages: for _ in 0..MAX_PAGES {
        let page = reader.jobs(None, after.as_ref(), PAGE).await?;
        for view in &page {
            if position.job.as_ref() == Some(&view.job.id) {
                break 'pages;
            }
            newest.get_or_insert_with(|| view.job.id.clone());
            let (mut cells, value) = show::job(view);
            cells.insert(0, "job".to_owned());
            lines.push((
                view.enqueued_at,
                cells,
                json!({"kind": "job", "job": value}),
            ));
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.job.id.clone()),
            _ => break,
        }
    }
    position.job = newest.or(position.job.take());
    let mut after = None;
    let mut newest = position.dead_letter;
    'dead_letters: for _ in 0..MAX_PAGES {
        let page = reader.dead_letters(false, after, PAGE).await?;
        for view in &page {
            if view.number.0 <= position.dead_letter {
                break 'dead_letters;
            }
            newest = newest.max(view.number.0);
            let (mut cells, value) = show::dead_letter(view);
            cells.insert(0, "dead letter".to_owned());
            let value = json!({"kind": "dead_letter", "letter": value});
            lines.push((view.received_at, cells, value));
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.number),
            _ => break,
        }
    }
    position.dead_letter = newest;
    // Queries return the newest first.
    lines.reverse();
    lines.sort_by_key(|(at, ..)| *at);
    Ok(lines
        .into_iter()
        .map(|(_, cells, value)| (cells, value))
        .collect())
}
