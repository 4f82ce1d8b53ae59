//! What can be asked for: nouns and verbs, each with an example.

mod db;
mod events;
mod orders;

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use domain::key::{Channel, ReplayId};
use domain::ports::JobStage;
use job_store::StoreArgs;
use runtime::{DEFAULT_CHANNEL, LogArgs, event_channel};

pub(crate) use db::{Backup, CopyStore, DbVerb, Migrate, Prune};
pub(crate) use events::{CursorVerb, DeadLetters, Dismiss, EventsVerb, Recent, Redrive, Tail};
pub(crate) use orders::{
    FollowOrder, ForgetWhmcs, HandleOrder, JobsList, JobsVerb, OneJob, OneOrder, OrdersList,
    OrdersVerb, PlanOrder, RetryOrder,
};

use crate::config::Given;
use crate::connect::Outside;

/// Looks into orderbridge and acts on it.
///
/// Results go to standard output, everything else to standard error. Settings are those of the
/// other programs: every flag has an environment variable as its twin.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "orderctl",
    version,
    after_help = "Exit codes:\n  0  done\n  1  it failed, or a check found a difference\n  2  wrong usage\n  64 a setting cannot be used\n\nExample:\n  orderctl orders list --state failed"
)]
pub struct Cli {
    /// How results are written
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
    /// Logs.
    #[command(flatten)]
    pub(crate) logs: Logs,
    #[command(subcommand)]
    pub(crate) noun: Noun,
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people. May change with any release.
    #[default]
    Table,
    /// One JSON value. Keys are only ever added to.
    Json,
    /// One JSON value a line.
    Jsonl,
}

/// What is logged, to standard error.
#[derive(Args, Clone, Debug)]
pub(crate) struct Logs {
    #[command(flatten)]
    logs: LogArgs,
}

impl Logs {
    /// Warnings only, unless something else is asked for.
    pub(crate) fn quiet(&self) -> LogArgs {
        let rust_log = self.logs.rust_log.clone();
        LogArgs {
            rust_log: rust_log.or_else(|| Some("warn".to_owned())),
            ..self.logs.clone()
        }
    }
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum Noun {
    /// Orders: list, show, follow, plan
    #[command(subcommand, after_help = "Example:\n  orderctl orders show 00000100")]
    Orders(OrdersVerb),
    /// Jobs, each an attempt to provision an order
    #[command(
        subcommand,
        after_help = "Example:\n  orderctl jobs list --state queued"
    )]
    Jobs(JobsVerb),
    /// Events that could not become jobs
    #[command(subcommand, after_help = "Example:\n  orderctl events dead-letters")]
    Events(EventsVerb),
    /// The position in the event stream
    #[command(subcommand, after_help = "Example:\n  orderctl cursor show")]
    Cursor(CursorVerb),
    /// Hold back the intake of events or the workers' claims
    #[command(after_help = "Example:\n  orderctl pause worker --reason 'WHMCS is being upgraded'")]
    Pause(Hold),
    /// Let go on what was paused
    #[command(after_help = "Example:\n  orderctl resume worker --reason 'WHMCS is back'")]
    Resume(Hold),
    /// Compare Salesforce, the store and WHMCS, and enqueue activations without a job
    #[command(
        after_help = "Enqueues nothing with --check. What else differs is for people; each line names the fix.\n\nExample:\n  orderctl reconcile --check -o json"
    )]
    Reconcile(Reconcile),
    /// What people did, newest first
    #[command(after_help = "Example:\n  orderctl audit --limit 10")]
    AuditEntry(Recent),
    /// The job store
    #[command(subcommand, after_help = "Example:\n  orderctl db status")]
    Db(DbVerb),
    /// The settings
    #[command(subcommand, after_help = "Example:\n  orderctl config show")]
    Config(ConfigVerb),
    /// Check the store and both outside systems, each with its mend
    #[command(
        after_help = "Writes nothing anywhere. WHMCS actions that change something are not tried.\n\nExample:\n  orderctl doctor"
    )]
    Doctor(Doctor),
    /// Print completions for a shell
    #[command(
        after_help = "Example:\n  orderctl completions bash > /etc/bash_completion.d/orderctl"
    )]
    Completions(Completions),
    /// Print the manual page
    #[command(after_help = "Example:\n  orderctl man | man -l -")]
    Man,
}

/// Who acts, and why.
#[derive(Args, Clone, Debug)]
pub(crate) struct Person {
    /// Why, for the audit log
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) reason: String,
    /// Who, for the audit log
    #[arg(long = "as", env = "USER", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) who: String,
}

/// How carefully to act.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Care {
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask whether you are sure
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct OfChannel {
    /// Platform event channel
    #[arg(long, env = "SF_PROVISION_EVENT_CHANNEL", default_value = DEFAULT_CHANNEL, value_parser = channel)]
    pub(crate) channel: Channel,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Lane {
    /// The intake of the channel's events
    Intake,
    /// The workers' claims; jobs in hand go on
    Worker,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Hold {
    /// What
    pub(crate) what: Lane,
    #[command(flatten)]
    pub(crate) of: OfChannel,
    #[command(flatten)]
    pub(crate) person: Person,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Reconcile {
    /// Change nothing; exit with 1 if there is a difference
    #[arg(long, visible_alias = "dry-run")]
    pub(crate) check: bool,
    /// Ended orders that were modified within this time
    #[arg(long, value_parser = duration, default_value = "30d")]
    pub(crate) within: Duration,
    /// Compare at most so many orders
    #[arg(long, default_value_t = 10_000)]
    pub(crate) limit: usize,
    /// How long an order waits before its event counts as missing
    #[arg(long, env = "RECONCILE_AFTER", value_parser = duration, default_value = "2m")]
    pub(crate) after: Duration,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) outside: Outside,
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum ConfigVerb {
    /// Every setting, its value and where it comes from; secrets as set or unset
    #[command(after_help = "Example:\n  orderctl config show -o json")]
    Show(ShowConfig),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ShowConfig {
    #[command(flatten)]
    pub(crate) given: Given,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) outside: Outside,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

fn stage(text: &str) -> Result<JobStage, String> {
    JobStage::parse(text).ok_or_else(|| {
        let names = JobStage::ALL.map(JobStage::name);
        format!("give one of {}", names.join(", "))
    })
}

fn channel(text: &str) -> Result<Channel, String> {
    event_channel(text).ok_or_else(|| format!("give a channel such as {DEFAULT_CHANNEL}"))
}

fn replay_id(text: &str) -> Result<ReplayId, String> {
    let digits = text.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair)
            .ok()
            .filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    let bytes: Option<Vec<_>> = digits.collect();
    bytes
        .and_then(ReplayId::new)
        .ok_or_else(|| "give a replay id in hexadecimal, as `cursor show` prints it".to_owned())
}

/// As settings are written, and days.
fn duration(text: &str) -> Result<Duration, String> {
    let days = text.trim().strip_suffix('d');
    let days = days.and_then(|days| days.parse::<u32>().ok());
    days.map(|days| Duration::from_secs(u64::from(days) * 86_400))
        .or_else(|| settings::duration(text))
        .ok_or_else(|| "give a duration such as 90s, 5m, 2h or 90d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_may_be_days() {
        assert_eq!(duration("90d"), Ok(Duration::from_secs(7_776_000)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert!(duration("d").is_err() && duration("-1d").is_err() && duration("5").is_err());
    }

    #[test]
    fn replay_id_is_hex_with_whole_bytes() {
        assert_eq!(replay_id("00ff").unwrap().as_bytes(), [0, 255]);
        for text in ["", "0", "zz", "0x10", "ü"] {
            assert!(replay_id(text).is_err(), "{text}");
        }
    }
}
