//! `orderctl cursor import`: takes over the position of another bridge.

pub(crate) mod foreign_replay_id;

use std::path::Path;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::key::ReplayId;
use domain::ports::BUS_RETENTION;
use operations::AdminCommand;
use serde_json::json;

use crate::cli::ImportCursor;
use crate::screen::{Exit, Screen, Stop};
use crate::{commands, connect, show};

pub(crate) async fn run(asked: ImportCursor, screen: &mut Screen) -> Result<Exit, Stop> {
    let (replay_id, age) = match (&asked.replay_id, &asked.file) {
        (Some(replay_id), _) => (replay_id.clone(), None),
        (None, Some(path)) => read(path)?,
        (None, None) => return Err(Stop::Usage("give --replay-id or --file".to_owned())),
    };
    let store = connect::store(&asked.of.store).await?;
    let channel = asked.of.channel;
    let view = store.ports.stream(&channel).await?;
    let behind = view
        .cursor
        .as_ref()
        .map(|cursor| distance(&replay_id, &cursor.replay_id));
    let position = foreign_replay_id::position(&replay_id);
    let bytes = replay_id.as_bytes();
    let (hex, base64) = (replay_id.to_hex(), STANDARD.encode(bytes));

    if age.is_some_and(|age| age >= BUS_RETENTION) {
        screen.note("warning: the file is older than 72 h, and Salesforce keeps events no longer: the subscriber will find the position lost and do what SF_EVENTS_ON_REPLAY_LOSS says");
    }
    let command = AdminCommand::SetCursor {
        channel: channel.clone(),
        replay_id,
    };
    match asked.apply {
        true => commands::execute(&store, &command, &asked.operator).await?,
        false => screen.note(&format!(
            "would move the cursor of {}; add --apply to do so",
            command.subject()
        )),
    }
    let stored = view.cursor.as_ref();
    let lines = [
        ("channel", channel.to_string()),
        ("replay id", hex.clone()),
        ("base64", base64.clone()),
        ("decimal", show::maybe(position)),
        (
            "stored cursor",
            show::maybe(stored.map(|cursor| cursor.replay_id.to_hex())),
        ),
        (
            "committed",
            show::when(stored.map(|cursor| cursor.committed_at)),
        ),
        ("compared", show::maybe(behind.as_ref())),
        ("file written", show::maybe(age.map(ago))),
        (
            "leader",
            show::maybe(view.leader.as_ref().map(|(owner, ..)| owner)),
        ),
        ("done", asked.apply.to_string()),
    ];
    let value = json!({
        "act": command.name(), "subject": command.subject(),
        "who": asked.operator.who, "reason": asked.operator.reason,
        "replayId": hex, "base64": base64, "decimal": position.map(|at| at.to_string()),
        "storedReplayId": stored.map(|cursor| cursor.replay_id.to_hex()),
        "compared": behind, "fileAgeSeconds": age.map(|age| age.as_secs()),
        "done": asked.apply,
    });
    screen.show(&lines, &value)?;
    Ok(Exit::Fine)
}

/// The position in a file, and the file's age: the other bridge wrote it with its last event.
fn read(path: &Path) -> Result<(ReplayId, Option<Duration>), Stop> {
    let failed = |why: String| Stop::failed(format!("`{}`: {why}", path.display()));
    let metadata = path.metadata().map_err(|error| failed(error.to_string()))?;
    if !metadata.is_file() || metadata.len() > foreign_replay_id::MAX_FILE {
        return Err(failed(
            "not a file with a replay id alone. Write the id to a file of its own".to_owned(),
        ));
    }
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let replay_id = foreign_replay_id::of_file(&bytes).map_err(failed)?;
    let modified = metadata.modified().ok();
    // A file from the future has no age.
    let age = modified.and_then(|at| SystemTime::now().duration_since(at).ok());
    Ok((replay_id, age))
}

/// How the position compares with the stored one. For people only: Salesforce numbers the events of
/// the whole org with gaps, so the difference is no number of events of the channel.
fn distance(given: &ReplayId, stored: &ReplayId) -> String {
    use foreign_replay_id::position;
    let (Some(given), Some(stored)) = (position(given), position(stored)) else {
        return "in another form than the stored cursor; cannot be compared".to_owned();
    };
    match given.cmp(&stored) {
        std::cmp::Ordering::Equal => "the stored position".to_owned(),
        std::cmp::Ordering::Less => format!(
            "{} positions behind the stored cursor: events in between arrive again, and orders that are no longer Activating are skipped",
            stored - given
        ),
        std::cmp::Ordering::Greater => format!(
            "{} positions ahead of the stored cursor: events in between do not arrive; `orderctl reconcile` finds their orders",
            given - stored
        ),
    }
}

fn ago(age: Duration) -> String {
    let minutes = age.as_secs() / 60;
    format!("{} h {} min ago", minutes / 60, minutes % 60)
}
