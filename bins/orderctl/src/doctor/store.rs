//! The job store: reachable, migrated, its cursor young enough, its channel led.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::{BUS_RETENTION, Clock};
use error_chain::chain;
use runtime::SystemClock;

use super::rows::Rows;
use crate::cli::ConnectionArgs;
use crate::connect;

const CURSOR: &str = "cursor";
const LEADER: &str = "subscriber";

pub(super) async fn check(rows: &mut Rows, asked: &ConnectionArgs) {
    const REACH: &str = "Correct DATABASE_URL, or start the database";
    let Ok(config) = connect::store_config(&asked.store) else {
        rows.fail("store", "DATABASE_URL cannot be used", REACH);
        return rows.skip_all(&[CURSOR, LEADER], "no store");
    };
    let problem = match config.is_there().await {
        false => Some((
            format!("{config} does not exist"),
            "Correct DATABASE_URL, or create it with `orderctl db migrate`",
        )),
        true => match job_store::schema_status(&config).await {
            Err(error) => Some((chain(&error).to_string(), REACH)),
            Ok(schema) if !schema.unknown().is_empty() => Some((
                format!("{config}: its schema is newer than this release"),
                "Install the release that the other programs have",
            )),
            Ok(schema) => match schema.pending().as_slice() {
                [] => None,
                pending => Some((
                    format!("{config}: migrations {pending:?} are missing"),
                    "Run `orderctl db migrate`",
                )),
            },
        },
    };
    if let Some((detail, fix)) = problem {
        rows.fail("store", detail, fix);
        return rows.skip_all(&[CURSOR, LEADER], "the store cannot be used");
    }
    rows.ok("store", format!("{config}, schema current"));
    let opened = job_store::open(&config, Arc::new(SystemClock)).await;
    let stream = match &opened {
        Ok(store) => store.ports.stream(&asked.channel).await,
        Err(error) => return rows.fail(CURSOR, chain(error).to_string(), REACH),
    };
    let stream = match stream {
        Ok(stream) => stream,
        Err(error) => return rows.fail(CURSOR, chain(&error).to_string(), REACH),
    };
    let now = SystemClock.now();
    match stream.cursor {
        None => rows.skip(CURSOR, "no event was received yet"),
        Some(cursor) => age(rows, now.since(cursor.committed_at)),
    }
    match stream.leader {
        Some((owner, _, until)) if until > now => rows.ok(LEADER, format!("{owner} leads")),
        Some(_) => rows.warn(
            LEADER,
            "no subscriber leads the channel",
            "Start a subscriber, or look at its log and its /health/sf-events",
        ),
        None => rows.skip(LEADER, "no subscriber ever led the channel"),
    }
}

/// A cursor that is older than what the bus retains is lost.
fn age(rows: &mut Rows, age: Duration) {
    let hours = age.as_secs() / 3600;
    let text = format!("committed {hours} h ago; Salesforce keeps events for 72 h");
    let fix = "Start a subscriber; afterwards `orderctl reconcile --check` shows what was missed";
    if age >= BUS_RETENTION {
        rows.fail(CURSOR, text, fix);
    } else if age >= BUS_RETENTION * 2 / 3 {
        rows.warn(CURSOR, text, fix);
    } else {
        rows.ok(CURSOR, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_is_judged_by_what_the_bus_retains() {
        for (hours, status) in [(1, "Ok"), (47, "Ok"), (48, "Warn"), (72, "Fail")] {
            let mut rows = Rows::default();
            age(&mut rows, Duration::from_secs(hours * 3600));
            let text = format!("{rows:?}");
            assert!(text.contains(&format!("status: {status}")), "{text}");
        }
    }
}
