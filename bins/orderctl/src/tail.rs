//! What comes in, as it comes.

use std::io::Write;
use std::time::{Duration, Instant};

use domain::key::JobId;
use job_store::JobStore;
use serde_json::{Value, json};

use crate::cli::Tail;
use crate::screen::{Exit, Screen, Stop};
use crate::{Format, connect, show};

/// How soon the store is looked at again.
const LOOK: Duration = Duration::from_millis(500);
/// Rows read at a time.
const PAGE: usize = 200;
/// Pages of one look at most: more than come in between two.
const PAGES: usize = 50;

/// The newest job and letter that were told.
struct Notified {
    job: Option<JobId>,
    letter: i64,
}

pub(crate) async fn run(asked: &Tail, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.store).await?;
    let reader = &*store.ports;
    let begun = Instant::now();
    let mut told = before(reader, asked.last).await?;
    loop {
        for (cells, value) in new(reader, &mut told).await? {
            match screen.format {
                Format::Table => screen.line(cells.join("  ").trim_end())?,
                // There is no end that one value could wait for.
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
        tokio::time::sleep(left.map_or(LOOK, |left| LOOK.min(left))).await;
    }
}

/// What counts as told from the start: everything but the `last`.
async fn before(reader: &dyn JobStore, last: usize) -> Result<Notified, Stop> {
    let jobs = reader.jobs(None, None, last.saturating_add(1)).await?;
    let letters = reader
        .dead_letters(false, None, last.saturating_add(1))
        .await?;
    Ok(Notified {
        job: jobs.get(last).map(|view| view.job.id.clone()),
        letter: letters.get(last).map_or(0, |view| view.number),
    })
}

/// What came since, in the sequence of its coming.
async fn new(
    reader: &dyn JobStore,
    told: &mut Notified,
) -> Result<Vec<(Vec<String>, Value)>, Stop> {
    let mut lines = Vec::new();
    let mut after: Option<JobId> = None;
    let mut newest = None;
    'pages: for _ in 0..PAGES {
        let page = reader.jobs(None, after.as_ref(), PAGE).await?;
        for view in &page {
            if told.job.as_ref() == Some(&view.job.id) {
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
    told.job = newest.or(told.job.take());
    let mut after = None;
    let mut newest = told.letter;
    'letters: for _ in 0..PAGES {
        let page = reader.dead_letters(false, after, PAGE).await?;
        for view in &page {
            if view.number <= told.letter {
                break 'letters;
            }
            newest = newest.max(view.number);
            let (mut cells, value) = show::letter(view);
            cells.insert(0, "dead letter".to_owned());
            let value = json!({"kind": "dead_letter", "letter": value});
            lines.push((view.received_at, cells, value));
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.number),
            _ => break,
        }
    }
    told.letter = newest;
    // The newest came first.
    lines.reverse();
    lines.sort_by_key(|(at, ..)| *at);
    Ok(lines
        .into_iter()
        .map(|(_, cells, value)| (cells, value))
        .collect())
}
