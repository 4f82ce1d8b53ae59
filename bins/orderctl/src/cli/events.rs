//! Events, and the position in their stream.

use std::time::Duration;

use clap::{Args, Subcommand};
use domain::key::ReplayId;
use job_store::StoreArgs;

use super::{Care, OfChannel, Person, duration, replay_id};

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum EventsVerb {
    /// Events that nobody could act on, newest first
    #[command(after_help = "Example:\n  orderctl events dead-letters --all")]
    DeadLetters(DeadLetters),
    /// Have dead letters read again, once what was wrong is mended
    #[command(
        after_help = "The subscriber that leads reads them within seconds and makes their jobs, or keeps them with the new reason.\n\nExample:\n  orderctl events redrive 12 --reason 'schema is back'"
    )]
    Redrive(Redrive),
    /// Accepted requests and dead letters as they come
    #[command(
        after_help = "Each as one line; goes on until it is interrupted or the time is up (exit code 0).\n\nExample:\n  orderctl events tail --last 10 -o jsonl"
    )]
    Tail(Tail),
    /// Close a dead letter
    #[command(after_help = "Example:\n  orderctl events dismiss 12 --reason 'test event' --yes")]
    Dismiss(Dismiss),
    /// Stretches of the stream that were lost, or may have been, newest first
    #[command(after_help = "Example:\n  orderctl events gaps")]
    Gaps(Recent),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct DeadLetters {
    /// Closed ones too
    #[arg(long)]
    pub(crate) all: bool,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Recent {
    /// At most so many
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Tail {
    /// So many of each that came before, first
    #[arg(long, default_value_t = 0)]
    pub(crate) last: usize,
    /// Stop after so long [default: never]
    #[arg(long, value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Redrive {
    /// Its number
    #[arg(required_unless_present = "all_open")]
    pub(crate) letter: Option<i64>,
    /// All that are open
    #[arg(long, conflicts_with = "letter")]
    pub(crate) all_open: bool,
    #[command(flatten)]
    pub(crate) person: Person,
    #[command(flatten)]
    pub(crate) care: Care,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Dismiss {
    /// Its number
    pub(crate) letter: i64,
    #[command(flatten)]
    pub(crate) person: Person,
    #[command(flatten)]
    pub(crate) care: Care,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum CursorVerb {
    /// The stored position, and who leads
    #[command(after_help = "Example:\n  orderctl cursor show -o json")]
    Show(OfChannel),
    /// Go on behind another position
    #[command(
        after_help = "The subscriber that leads starts anew from there at once.\n\nExample:\n  orderctl cursor set 00000000000a3f10 --reason 'replay the morning' --yes"
    )]
    Set(SetCursor),
    /// Start as on the first day, where SF_EVENTS_REPLAY says
    #[command(after_help = "Example:\n  orderctl cursor reset --reason 'new sandbox' --yes")]
    Reset(ResetCursor),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct SetCursor {
    /// The position, in hexadecimal
    #[arg(value_parser = replay_id)]
    pub(crate) replay_id: ReplayId,
    #[command(flatten)]
    pub(crate) of: OfChannel,
    #[command(flatten)]
    pub(crate) person: Person,
    #[command(flatten)]
    pub(crate) care: Care,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ResetCursor {
    #[command(flatten)]
    pub(crate) of: OfChannel,
    #[command(flatten)]
    pub(crate) person: Person,
    #[command(flatten)]
    pub(crate) care: Care,
}
