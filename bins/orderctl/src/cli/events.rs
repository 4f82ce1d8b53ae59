//! Commands on events and the cursor.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use domain::key::{DeadLetterId, ReplayId};
use job_store::StoreArgs;

use crate::args::{Care, OfChannel, OperatorArgs, replay_id};
use crate::cursor_import::foreign_replay_id;

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum EventsVerb {
    /// Events that could not be processed, newest first
    #[command(after_help = "Example:\n  orderctl events dead-letters --all")]
    DeadLetters(DeadLetters),
    /// Decode dead letters again after the cause is fixed
    #[command(
        after_help = "The leading subscriber decodes them within seconds and enqueues their jobs, or keeps them with the new reason.\n\nExample:\n  orderctl events redrive 12 --reason 'schema is back'"
    )]
    Redrive(Redrive),
    /// Accepted requests and dead letters as they arrive
    #[command(
        after_help = "One line each, until interrupted or timed out (exit code 0).\n\nExample:\n  orderctl events tail --last 10 -o jsonl"
    )]
    Tail(Tail),
    /// Close a dead letter
    #[command(after_help = "Example:\n  orderctl events dismiss 12 --reason 'test event' --yes")]
    Dismiss(Dismiss),
    /// Ranges of the stream that were or may have been lost, newest first
    #[command(after_help = "Example:\n  orderctl events gaps")]
    Gaps(Recent),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct DeadLetters {
    /// Closed ones too
    #[arg(long)]
    pub(crate) all: bool,
    /// Maximum number of rows
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Recent {
    /// Maximum number of rows
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Tail {
    /// Print this many earlier ones of each first
    #[arg(long, default_value_t = 0)]
    pub(crate) last: usize,
    /// Stop after this time [default: never]
    #[arg(long, value_parser = settings::duration)]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Redrive {
    /// Number of the dead letter
    #[arg(required_unless_present = "all_open")]
    pub(crate) dead_letter: Option<DeadLetterId>,
    /// All open dead letters
    #[arg(long, conflicts_with = "dead_letter")]
    pub(crate) all_open: bool,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
    #[command(flatten)]
    pub(crate) care: Care,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Dismiss {
    /// Number of the dead letter
    pub(crate) dead_letter: DeadLetterId,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
    #[command(flatten)]
    pub(crate) care: Care,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum CursorVerb {
    /// The stored cursor, the leader and the cursor history
    #[command(after_help = "Example:\n  orderctl cursor show -o json")]
    Show(OfChannel),
    /// Continue after another replay id
    #[command(
        after_help = "The leading subscriber restarts from there at once.\n\nExample:\n  orderctl cursor set 00000000000a3f10 --reason 'replay the morning' --yes"
    )]
    Set(SetCursor),
    /// Take over the position of another bridge
    #[command(
        after_help = "Shows what would be set; --apply sets it, as `cursor set` does: a leading subscriber restarts from there. Accepts hexadecimal, base64 and decimal; where a text could be two of them, write hex:, base64: or decimal: before it. A file holds one of them, or the bytes.\n\nExample:\n  orderctl cursor import --replay-id 15728640 --reason 'from the old bridge'\n  orderctl cursor import --file replay.id --reason 'from the old bridge' --apply"
    )]
    Import(ImportCursor),
    /// Remove the cursor; start where SF_EVENTS_REPLAY says
    #[command(after_help = "Example:\n  orderctl cursor reset --reason 'new sandbox' --yes")]
    Reset(ResetCursor),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct SetCursor {
    /// The replay id, in hexadecimal
    #[arg(value_parser = replay_id)]
    pub(crate) replay_id: ReplayId,
    #[command(flatten)]
    pub(crate) of: OfChannel,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
    #[command(flatten)]
    pub(crate) care: Care,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ImportCursor {
    /// The replay id, in hexadecimal, base64 or decimal
    #[arg(long, value_name = "ID", allow_hyphen_values = true, value_parser = foreign_replay_id::parse, conflicts_with = "file", required_unless_present = "file")]
    pub(crate) replay_id: Option<ReplayId>,
    /// File with the replay id
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Set the cursor
    #[arg(long)]
    pub(crate) apply: bool,
    #[command(flatten)]
    pub(crate) of: OfChannel,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ResetCursor {
    #[command(flatten)]
    pub(crate) of: OfChannel,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
    #[command(flatten)]
    pub(crate) care: Care,
}
