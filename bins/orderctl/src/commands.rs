//! Operator commands, and the lists they are based on.

use job_store::Store;
use operations::{AdminCommand, CommandResult, Pausable};
use serde_json::json;

use crate::args::{Care, Format, OfChannel, OperatorArgs};
use crate::cli::{
    CursorVerb, DeadLetters, Dismiss, EventsVerb, PauseCommand, PauseTarget, Recent, Redrive,
};
use crate::screen::{Exit, Screen, Stop, Table};
use crate::{connect, cursor_import, show, tail};

/// Rows of the cursor history.
const HISTORY: usize = 20;
/// Page size of store queries.
const PAGE: usize = 500;

/// Runs a command after confirmation and prints the result.
pub(crate) async fn perform(
    store: &Store,
    command: &AdminCommand,
    what: &str,
    operator: &OperatorArgs,
    care: Care,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let confirmed = screen.confirm(what, care)?;
    if confirmed {
        execute(store, command, operator).await?;
    }
    let lines = [
        ("act", command.name().to_owned()),
        ("subject", command.subject()),
        ("by", operator.who.clone()),
        ("reason", operator.reason.clone()),
        ("done", confirmed.to_string()),
    ];
    let value = json!({
        "act": command.name(), "subject": command.subject(), "who": operator.who,
        "reason": operator.reason, "done": confirmed,
    });
    screen.show(&lines, &value)?;
    Ok(Exit::Fine)
}

/// Runs a command; what was not done is an error.
pub(crate) async fn execute(
    store: &Store,
    command: &AdminCommand,
    operator: &OperatorArgs,
) -> Result<(), Stop> {
    let OperatorArgs { who, reason } = operator;
    match store.ports.execute(command, who, reason).await? {
        CommandResult::Done => Ok(()),
        CommandResult::NotFound => Err(Stop::NotFound(format!(
            "{} does not exist",
            command.subject()
        ))),
        CommandResult::Running => {
            let text = "a worker is running a job of this order. Wait until it has finished";
            Err(Stop::failed(text))
        }
    }
}

pub(crate) async fn events(verb: EventsVerb, screen: &mut Screen) -> Result<Exit, Stop> {
    match verb {
        EventsVerb::DeadLetters(asked) => dead_letters(&asked, screen).await,
        EventsVerb::Tail(asked) => tail::run(&asked, screen).await,
        EventsVerb::Redrive(asked) => redrive(asked, screen).await,
        EventsVerb::Dismiss(asked) => dismiss(&asked, screen).await,
        EventsVerb::Gaps(asked) => gaps(&asked, screen).await,
    }
}

async fn dead_letters(asked: &DeadLetters, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.store).await?;
    let dead_letters = store.ports.dead_letters(!asked.all, None, asked.limit);
    let table = Table {
        columns: show::DEAD_LETTERS,
        rows: dead_letters.await?.iter().map(show::dead_letter).collect(),
    };
    screen.list(table)?;
    Ok(Exit::Fine)
}

async fn gaps(asked: &Recent, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.store).await?;
    let table = Table {
        columns: show::GAPS,
        rows: store
            .ports
            .gaps(asked.limit)
            .await?
            .iter()
            .map(show::gap)
            .collect(),
    };
    screen.list(table)?;
    Ok(Exit::Fine)
}

/// Redriving one dead letter is repeatable and needs no confirmation; all of them do.
async fn redrive(asked: Redrive, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.store).await?;
    if let Some(dead_letter) = asked.dead_letter {
        let care = Care {
            yes: true,
            ..asked.care
        };
        let (command, what) = (
            AdminCommand::Redrive { dead_letter },
            format!("redrive dead letter {dead_letter}"),
        );
        return perform(&store, &command, &what, &asked.operator, care, screen).await;
    }
    let mut dead_letters = Vec::new();
    let mut after = None;
    loop {
        let page = store.ports.dead_letters(true, after, PAGE).await?;
        dead_letters.extend(page.iter().map(|view| view.number));
        after = match page.last() {
            Some(last) => Some(last.number),
            None => break,
        };
    }
    let what = format!("redrive {} dead letters", dead_letters.len());
    let confirmed = screen.confirm(&what, asked.care)?;
    let mut done = 0;
    if confirmed {
        let OperatorArgs { who, reason } = &asked.operator;
        for dead_letter in dead_letters.iter().rev() {
            let command = AdminCommand::Redrive {
                dead_letter: *dead_letter,
            };
            let acted = store.ports.execute(&command, who, reason).await?;
            done += usize::from(acted == CommandResult::Done);
        }
    }
    let lines = [("requested", format!("{done} of {}", dead_letters.len()))];
    let value =
        json!({"act": "redrive", "open": dead_letters.len(), "asked": done, "done": confirmed});
    screen.show(&lines, &value)?;
    Ok(Exit::Fine)
}

async fn dismiss(asked: &Dismiss, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.store).await?;
    let dead_letter = asked.dead_letter;
    let (command, what) = (
        AdminCommand::Dismiss { dead_letter },
        format!("close dead letter {dead_letter}"),
    );
    perform(&store, &command, &what, &asked.operator, asked.care, screen).await
}

pub(crate) async fn cursor(verb: CursorVerb, screen: &mut Screen) -> Result<Exit, Stop> {
    match verb {
        CursorVerb::Show(asked) => show_cursor(&asked, screen).await,
        CursorVerb::Set(asked) => {
            let store = connect::store(&asked.of.store).await?;
            let command = AdminCommand::SetCursor {
                channel: asked.of.channel,
                replay_id: asked.replay_id,
            };
            let what = format!("move the cursor of {}", command.subject());
            perform(&store, &command, &what, &asked.operator, asked.care, screen).await
        }
        CursorVerb::Import(asked) => cursor_import::run(asked, screen).await,
        CursorVerb::Reset(asked) => {
            let store = connect::store(&asked.of.store).await?;
            let channel = asked.of.channel;
            let what = format!("remove the cursor of {channel}");
            let command = AdminCommand::ResetCursor { channel };
            perform(&store, &command, &what, &asked.operator, asked.care, screen).await
        }
    }
}

async fn show_cursor(asked: &OfChannel, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.store).await?;
    let view = store.ports.stream(&asked.channel).await?;
    let pauses = store.ports.pauses().await?;
    let intake = Pausable::Intake(asked.channel.clone());
    let paused = pauses.iter().find(|pause| pause.what == intake);
    let cursor = view.cursor.as_ref();
    let lines = [
        ("channel", asked.channel.to_string()),
        (
            "replay id",
            show::maybe(cursor.map(|cursor| cursor.replay_id.to_hex())),
        ),
        (
            "committed",
            show::when(cursor.map(|cursor| cursor.committed_at)),
        ),
        ("last event", show::when(view.last_event_at)),
        (
            "leader",
            show::maybe(view.leader.as_ref().map(|(owner, ..)| owner)),
        ),
        (
            "lease until",
            show::when(view.leader.as_ref().map(|(.., until)| *until)),
        ),
        (
            "paused by",
            show::maybe(paused.map(|pause| format!("{}: {}", pause.by, pause.reason))),
        ),
    ];
    let history = store.ports.cursor_history(&asked.channel, HISTORY).await?;
    let history: Vec<_> = history.iter().map(show::mark).collect();
    let mut value = show::stream(asked.channel.as_str(), &view, paused);
    value["history"] = history.iter().map(|(_, value)| value.clone()).collect();
    screen.show(&lines, &value)?;
    if screen.format == Format::Table && !history.is_empty() {
        screen.line("")?;
        screen.list(Table {
            columns: show::CURSOR_HISTORY,
            rows: history,
        })?;
    }
    Ok(Exit::Fine)
}

fn target(asked: &PauseCommand) -> Pausable {
    match asked.what {
        PauseTarget::Intake => Pausable::Intake(asked.of.channel.clone()),
        PauseTarget::Worker => Pausable::Worker,
    }
}

pub(crate) async fn pause(asked: PauseCommand, screen: &mut Screen) -> Result<Exit, Stop> {
    let what = target(&asked);
    let text = format!("pause {what}");
    pause_or_resume(&asked, &AdminCommand::Pause { what }, &text, screen).await
}

pub(crate) async fn resume(asked: PauseCommand, screen: &mut Screen) -> Result<Exit, Stop> {
    let what = target(&asked);
    let text = format!("resume {what}");
    pause_or_resume(&asked, &AdminCommand::Resume { what }, &text, screen).await
}

async fn pause_or_resume(
    asked: &PauseCommand,
    command: &AdminCommand,
    text: &str,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let store = connect::store(&asked.of.store).await?;
    let care = Care {
        dry_run: asked.dry_run,
        yes: true,
    };
    perform(&store, command, text, &asked.operator, care, screen).await
}

pub(crate) async fn audit(asked: &Recent, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.store).await?;
    let lines = store.ports.audit(asked.limit).await?;
    screen.list(Table {
        columns: show::AUDIT,
        rows: lines.iter().map(show::audit).collect(),
    })?;
    Ok(Exit::Fine)
}
