//! `orderctl db`.

use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use job_store::{Progress, StoreArgs, StoreConfig};
use operations::{AUDIT_RETENTION, MIN_RETENTION};
use runtime::SystemClock;
use serde_json::json;

use crate::cli::{Backup, CopyStore, DbVerb, Migrate, Prune};
use crate::connect;
use crate::screen::{Exit, Screen, Stop, Table};

pub(crate) async fn run(verb: DbVerb, screen: &mut Screen) -> Result<Exit, Stop> {
    match verb {
        DbVerb::Copy(asked) => copy(&asked, screen).await,
        DbVerb::Status(store) => status(&store, screen).await,
        DbVerb::Migrate(asked) => migrate(&asked, screen).await,
        DbVerb::Backup(asked) => backup(&asked, screen).await,
        DbVerb::Prune(asked) => prune(&asked, screen).await,
    }
}

/// Progress of a copy: a bar on a terminal, else a line per table.
struct CopyProgress {
    bar: Option<ProgressBar>,
    table: &'static str,
    /// Pending lines where there is no bar.
    lines: Vec<String>,
}

impl CopyProgress {
    fn new(terminal: bool) -> Self {
        let bar = terminal.then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{msg:12} {wide_bar} {pos}/{len} {eta}");
            style.map_or(bar.clone(), |style| bar.clone().with_style(style))
        });
        Self {
            bar,
            table: "",
            lines: Vec::new(),
        }
    }

    fn update(&mut self, progress: Progress) {
        if let Some(bar) = &self.bar {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
            bar.set_message(progress.table);
        } else if self.table != progress.table {
            let Progress { table, total, .. } = progress;
            self.lines.push(format!("copying {table}: {total} rows"));
        }
        self.table = progress.table;
    }
}

async fn copy(asked: &CopyStore, screen: &mut Screen) -> Result<Exit, Stop> {
    let (from, to) = (
        StoreConfig::parse(&asked.from)?,
        StoreConfig::parse(&asked.to)?,
    );
    let mut shown = CopyProgress::new(screen.terminal);
    let copying = {
        let (shown, screen) = (&mut shown, &mut *screen);
        let mut progress = move |progress| {
            shown.update(progress);
            for line in shown.lines.drain(..) {
                screen.note(&line);
            }
        };
        job_store::copy(&from, &to, Arc::new(SystemClock), &mut progress).await
    };
    if let Some(bar) = &shown.bar {
        bar.finish_and_clear();
    }
    let rows = copying?.into_iter().map(|copied| {
        let cells = vec![
            copied.table.to_owned(),
            copied.rows.to_string(),
            copied.checksum.clone(),
        ];
        let value = json!({
            "table": copied.table, "rows": copied.rows, "sha256": copied.checksum,
        });
        (cells, value)
    });
    let table = Table {
        columns: &["TABLE", "ROWS", "SHA-256"],
        rows: rows.collect(),
    };
    screen.list(table)?;
    screen.note(&format!("copied {from} to {to}; every row was compared"));
    Ok(Exit::Fine)
}

async fn backup(asked: &Backup, screen: &mut Screen) -> Result<Exit, Stop> {
    let config = connect::store_config(&asked.store)?;
    config.check_existing().await?;
    let counted = job_store::backup(&config, &asked.to).await?;
    let rows = counted.into_iter().map(|(table, rows)| {
        let cells = vec![table.to_owned(), rows.to_string()];
        (cells, json!({"table": table, "rows": rows}))
    });
    screen.list(Table {
        columns: &["TABLE", "ROWS"],
        rows: rows.collect(),
    })?;
    let to = asked.to.display();
    screen.note(&format!("copied {config} to `{to}` and checked it"));
    Ok(Exit::Fine)
}

async fn status(store: &StoreArgs, screen: &mut Screen) -> Result<Exit, Stop> {
    let config = connect::store_config(store)?;
    config.check_existing().await?;
    let schema = job_store::schema_status(&config).await?;
    let (pending, unknown) = (schema.pending(), schema.unknown());
    let status = match (pending.is_empty(), unknown.is_empty()) {
        (true, true) => "current",
        (_, false) => "newer than this release",
        (false, true) => "to be migrated",
    };
    let mut lines = vec![
        ("store", config.to_string()),
        ("engine", schema.engine.to_owned()),
        ("schema", status.to_owned()),
    ];
    let mut value = json!({
        "store": config.to_string(),
        "engine": schema.engine,
        "schema": status,
        "applied": schema.applied,
        "pending": pending,
        "unknown": unknown,
        "jobs": null,
        "openDeadLetters": null,
    });
    if status == "current" {
        let reader = connect::store(store).await?.ports;
        let queue_stats = reader.queue_stats().await?;
        for (stage, count) in &queue_stats.jobs {
            lines.push((stage.name(), count.to_string()));
        }
        lines.push(("dead letters", queue_stats.open_dead_letters.to_string()));
        value["jobs"] = queue_stats
            .jobs
            .iter()
            .map(|(stage, count)| (stage.name().to_owned(), json!(count)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        value["openDeadLetters"] = json!(queue_stats.open_dead_letters);
    }
    screen.show(&lines, &value)?;
    Ok(match status {
        "current" => Exit::Fine,
        _ => Exit::Difference,
    })
}

async fn migrate(asked: &Migrate, screen: &mut Screen) -> Result<Exit, Stop> {
    let config = connect::store_config(&asked.store)?;
    let (exists, pending) = match config.is_there().await {
        true => (true, job_store::schema_status(&config).await?.pending()),
        false => (false, Vec::new()),
    };
    let action = match (exists, pending.is_empty()) {
        (false, _) => "create the store",
        (true, false) => "bring the schema up to date",
        (true, true) => "change nothing: the schema is current",
    };
    if asked.dry_run {
        screen.note(&format!("would {action}"));
    } else {
        drop(connect::open(&config).await?);
    }
    let lines = [
        ("store", config.to_string()),
        (
            "migrations",
            if exists {
                format!("{pending:?}")
            } else {
                "all".to_owned()
            },
        ),
        ("applied", (!asked.dry_run).to_string()),
    ];
    let value = json!({
        "store": config.to_string(), "created": !exists && !asked.dry_run,
        "pending": pending, "applied": !asked.dry_run,
    });
    screen.show(&lines, &value)?;
    Ok(Exit::Fine)
}

async fn prune(asked: &Prune, screen: &mut Screen) -> Result<Exit, Stop> {
    if asked.older_than < MIN_RETENTION {
        let days = MIN_RETENTION.as_secs() / 86_400;
        let text = format!(
            "--older-than: rows younger than {days} days are never deleted. Give {days}d or more"
        );
        return Err(Stop::Usage(text));
    }
    let store = connect::store(&asked.store).await?;
    let config = connect::store_config(&asked.store)?;
    let clock = Arc::new(SystemClock);
    let found = job_store::prunable(&config, clock, asked.older_than).await?;
    let what = format!(
        "delete {} finished jobs, {} event ids, {} closed dead letters and {} gaps older than {}, and {} audit log entries older than {}",
        found.jobs,
        found.events,
        found.dead_letters,
        found.gaps,
        days(asked.older_than),
        found.audit,
        days(asked.older_than.max(AUDIT_RETENTION))
    );
    let done = screen.confirm(&what, asked.care)?;
    let pruned = match done {
        true => store.ports.prune(asked.older_than).await?,
        false => found,
    };
    let lines = [
        ("jobs", pruned.jobs.to_string()),
        ("events", pruned.events.to_string()),
        ("facts", pruned.facts.to_string()),
        ("dead letters", pruned.dead_letters.to_string()),
        ("gaps", pruned.gaps.to_string()),
        ("audit lines", pruned.audit.to_string()),
        ("pruned", done.to_string()),
    ];
    let value = json!({
        "jobs": pruned.jobs, "events": pruned.events, "facts": pruned.facts,
        "deadLetters": pruned.dead_letters, "gaps": pruned.gaps, "auditLines": pruned.audit,
        "pruned": done,
    });
    screen.show(&lines, &value)?;
    Ok(Exit::Fine)
}

fn days(age: Duration) -> String {
    format!("{} days", age.as_secs() / 86_400)
}
