//! What people do, with who and why.

use domain::ports::{AdminCommand, CommandResult, Pausable};
use job_store::Store;
use serde_json::json;

use crate::cli::{
    Care, CursorVerb, DeadLetters, Dismiss, EventsVerb, Hold, Lane, OfChannel, Person, Recent,
    Redrive,
};
use crate::screen::{Exit, Screen, Stop, Table};
use crate::{connect, show, tail};

/// Past positions that are shown.
const HISTORY: usize = 20;
/// Letters read at a time.
const PAGE: usize = 500;

/// Does it unless the person would rather not, and shows what was done.
pub(crate) async fn perform(
    store: &Store,
    act: &AdminCommand,
    what: &str,
    person: &Person,
    care: Care,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let may = screen.may(what, care)?;
    if may {
        match store
            .ports
            .execute(act, &person.who, &person.reason)
            .await?
        {
            CommandResult::Done => {}
            CommandResult::NotFound => {
                return Err(Stop::failed(format!(
                    "{}: there is no such thing",
                    act.subject()
                )));
            }
            CommandResult::Running => {
                let text = "a worker has a job of this order in hand. Wait until it has ended";
                return Err(Stop::failed(text));
            }
        }
    }
    let lines = [
        ("act", act.name().to_owned()),
        ("subject", act.subject()),
        ("by", person.who.clone()),
        ("reason", person.reason.clone()),
        ("done", may.to_string()),
    ];
    let value = json!({
        "act": act.name(), "subject": act.subject(), "who": person.who,
        "reason": person.reason, "done": may,
    });
    screen.show(&lines, &value)?;
    // Whoever said no, or only wanted to see, has got what was asked for.
    Ok(Exit::Fine)
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
    let letters = store.ports.dead_letters(!asked.all, None, asked.limit);
    let table = Table {
        columns: show::LETTERS,
        rows: letters.await?.iter().map(show::letter).collect(),
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

/// One letter is an act that can be asked for again; all of them are asked about first.
async fn redrive(asked: Redrive, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.store).await?;
    if let Some(letter) = asked.letter {
        let care = Care {
            yes: true,
            ..asked.care
        };
        let (act, what) = (
            AdminCommand::Redrive { letter },
            format!("have dead letter {letter} read again"),
        );
        return perform(&store, &act, &what, &asked.person, care, screen).await;
    }
    let mut letters = Vec::new();
    let mut after = None;
    loop {
        let page = store.ports.dead_letters(true, after, PAGE).await?;
        letters.extend(page.iter().map(|view| view.number));
        after = match page.last() {
            Some(last) => Some(last.number),
            None => break,
        };
    }
    let what = format!("have {} dead letters read again", letters.len());
    let may = screen.may(&what, asked.care)?;
    let mut done = 0;
    if may {
        let Person { who, reason } = &asked.person;
        for letter in letters.iter().rev() {
            let act = AdminCommand::Redrive { letter: *letter };
            let acted = store.ports.execute(&act, who, reason).await?;
            done += usize::from(acted == CommandResult::Done);
        }
    }
    let lines = [("asked for", format!("{done} of {}", letters.len()))];
    let value = json!({"act": "redrive", "open": letters.len(), "asked": done, "done": may});
    screen.show(&lines, &value)?;
    Ok(Exit::Fine)
}

async fn dismiss(asked: &Dismiss, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.store).await?;
    let letter = asked.letter;
    let (act, what) = (
        AdminCommand::Dismiss { letter },
        format!("close dead letter {letter}"),
    );
    perform(&store, &act, &what, &asked.person, asked.care, screen).await
}

pub(crate) async fn cursor(verb: CursorVerb, screen: &mut Screen) -> Result<Exit, Stop> {
    match verb {
        CursorVerb::Show(asked) => position(&asked, screen).await,
        CursorVerb::Set(asked) => {
            let store = connect::store(&asked.of.store).await?;
            let act = AdminCommand::SetCursor {
                channel: asked.of.channel,
                replay_id: asked.replay_id,
            };
            let what = format!("move the cursor of {}", act.subject());
            perform(&store, &act, &what, &asked.person, asked.care, screen).await
        }
        CursorVerb::Reset(asked) => {
            let store = connect::store(&asked.of.store).await?;
            let channel = asked.of.channel;
            let what = format!("forget the cursor of {channel}");
            let act = AdminCommand::ResetCursor { channel };
            perform(&store, &act, &what, &asked.person, asked.care, screen).await
        }
    }
}

async fn position(asked: &OfChannel, screen: &mut Screen) -> Result<Exit, Stop> {
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
    if screen.format == crate::Format::Table && !history.is_empty() {
        screen.line("")?;
        screen.list(Table {
            columns: show::MARKS,
            rows: history,
        })?;
    }
    Ok(Exit::Fine)
}

fn held(asked: &Hold) -> Pausable {
    match asked.what {
        Lane::Intake => Pausable::Intake(asked.of.channel.clone()),
        Lane::Worker => Pausable::Worker,
    }
}

pub(crate) async fn pause(asked: Hold, screen: &mut Screen) -> Result<Exit, Stop> {
    let what = held(&asked);
    let text = format!("pause {what}");
    hold(&asked, &AdminCommand::Pause { what }, &text, screen).await
}

pub(crate) async fn resume(asked: Hold, screen: &mut Screen) -> Result<Exit, Stop> {
    let what = held(&asked);
    let text = format!("let {what} go on");
    hold(&asked, &AdminCommand::Resume { what }, &text, screen).await
}

async fn hold(
    asked: &Hold,
    act: &AdminCommand,
    text: &str,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let store = connect::store(&asked.of.store).await?;
    let care = Care {
        dry_run: asked.dry_run,
        yes: true,
    };
    perform(&store, act, text, &asked.person, care, screen).await
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
