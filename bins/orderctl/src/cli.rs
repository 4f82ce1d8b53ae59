//! What can be asked for: nouns and verbs, each with an example.

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use domain::failure::Code;
use domain::key::{Channel, ReplayId};
use domain::ports::JobStage;
use job_store::StoreArgs;
use runtime::LogArgs;

use crate::config::Given;
use crate::connect::Outside;

const CHANNEL: &str = "/event/OrderProvisionRequested__e";

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
        after_help = "Enqueues nothing with --check. What else differs is for people; each line names the mend.\n\nExample:\n  orderctl reconcile --check -o json"
    )]
    Reconcile(Reconcile),
    /// What people did, newest first
    #[command(after_help = "Example:\n  orderctl audit --limit 10")]
    Audit(Recent),
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

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum OrdersVerb {
    /// Orders, those with the newest activity first
    #[command(
        after_help = "Example:\n  orderctl orders list --code WHMCS_OUTCOME_UNKNOWN -o jsonl"
    )]
    List(OrdersList),
    /// One order with its jobs and its timeline
    #[command(after_help = "Example:\n  orderctl orders show 801000000000001AAA")]
    Show(OneOrder),
    /// One order's timeline as it grows, until its last job has ended
    #[command(
        after_help = "Exit code 0 when the order succeeded, 1 when it ended otherwise or the time was up.\n\nExample:\n  orderctl orders follow 00000100 --timeout 5m"
    )]
    Follow(FollowOrder),
    /// The calls to WHMCS and the fields in Salesforce that provisioning it would produce
    #[command(
        after_help = "Writes nothing.\n\nExample:\n  orderctl orders plan 801000000000001AAA"
    )]
    Plan(PlanOrder),
    /// Allow a new WHMCS order after staff ended ours
    #[command(
        after_help = "Refused while the order is live in WHMCS: that would place it twice.\n\nExample:\n  orderctl orders forget-whmcs 00000100 --reason 'cancelled by mistake' --yes"
    )]
    ForgetWhmcs(ForgetWhmcs),
    /// Mark an order as seen to, until it is asked for again
    #[command(after_help = "Example:\n  orderctl orders handle 00000100 --reason 'customer told'")]
    Handle(HandleOrder),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct OrdersList {
    /// Last job is queued, leased, succeeded, failed, skipped or superseded
    #[arg(long, value_parser = stage)]
    pub(crate) state: Option<JobStage>,
    /// Refused with this error code
    #[arg(long, value_parser = |text: &str| text.parse::<Code>())]
    pub(crate) code: Option<Code>,
    /// Known by exactly this: Salesforce order id or number, WHMCS order id, account id
    #[arg(long)]
    pub(crate) search: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct OneOrder {
    /// Salesforce order id or number, or WHMCS order id
    pub(crate) order: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct FollowOrder {
    #[command(flatten)]
    pub(crate) one: OneOrder,
    /// Stop after so long
    #[arg(long, value_parser = duration, default_value = "10m")]
    pub(crate) timeout: Duration,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct PlanOrder {
    #[command(flatten)]
    pub(crate) one: OneOrder,
    #[command(flatten)]
    pub(crate) outside: Outside,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ForgetWhmcs {
    #[command(flatten)]
    pub(crate) one: OneOrder,
    /// The WHMCS order to forget [default: the one that the store knows]
    #[arg(long)]
    pub(crate) whmcs_order: Option<u64>,
    #[command(flatten)]
    pub(crate) outside: Outside,
    #[command(flatten)]
    pub(crate) person: Person,
    #[command(flatten)]
    pub(crate) care: Care,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct HandleOrder {
    #[command(flatten)]
    pub(crate) one: OneOrder,
    #[command(flatten)]
    pub(crate) person: Person,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum JobsVerb {
    /// Jobs, newest first
    #[command(after_help = "Example:\n  orderctl jobs list --limit 10")]
    List(JobsList),
    /// One job
    #[command(after_help = "Example:\n  orderctl jobs show event:3f6b")]
    Show(OneJob),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct JobsList {
    /// queued, leased, succeeded, failed, skipped or superseded
    #[arg(long, value_parser = stage)]
    pub(crate) state: Option<JobStage>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct OneJob {
    /// Its id
    pub(crate) job: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum EventsVerb {
    /// Events that nobody could act on, newest first
    #[command(after_help = "Example:\n  orderctl events dead-letters --all")]
    DeadLetters(DeadLetters),
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

#[derive(Args, Clone, Debug)]
pub(crate) struct OfChannel {
    /// Platform event channel
    #[arg(long, env = "SF_PROVISION_EVENT_CHANNEL", default_value = CHANNEL, value_parser = channel)]
    pub(crate) channel: Channel,
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
pub(crate) enum DbVerb {
    /// Copy everything to another store, compared row by row
    #[command(
        after_help = "Stop subscribers and workers first. Stopped anywhere, a second run goes on from there.\n\nExample:\n  orderctl db copy --from sqlite:data/orderbridge.db --to postgres://orderbridge@db/orderbridge"
    )]
    Copy(CopyStore),
    /// The store's schema and what is in it
    #[command(
        after_help = "Changes nothing, the schema included.\n\nExample:\n  orderctl db status"
    )]
    Status(StoreArgs),
    /// Create the store, or bring its schema up to date
    #[command(after_help = "Example:\n  orderctl db migrate --dry-run")]
    Migrate(Migrate),
    /// Forget what is old and no longer needed
    #[command(
        after_help = "What tells that an order was provisioned is kept for good, and nothing younger than 7 days goes.\n\nExample:\n  orderctl db prune --older-than 90d --dry-run"
    )]
    Prune(Prune),
}

#[derive(Args, Clone)]
pub(crate) struct CopyStore {
    /// The store to copy
    #[arg(
        long,
        value_name = "URL",
        env = "ORDERCTL_COPY_FROM",
        hide_env_values = true
    )]
    pub(crate) from: String,
    /// The store to copy to, empty or begun
    #[arg(
        long,
        value_name = "URL",
        env = "ORDERCTL_COPY_TO",
        hide_env_values = true
    )]
    pub(crate) to: String,
}

impl std::fmt::Debug for CopyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The addresses may hold passwords.
        f.debug_struct("CopyStore").finish_non_exhaustive()
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Migrate {
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Prune {
    /// Age, such as 90d
    #[arg(long, value_parser = duration)]
    pub(crate) older_than: Duration,
    #[command(flatten)]
    pub(crate) care: Care,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
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
    Channel::new(text)
        .filter(|_| text.starts_with("/event/"))
        .ok_or_else(|| format!("give a channel such as {CHANNEL}"))
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
    fn a_replay_id_is_hexadecimal_and_whole_bytes() {
        assert_eq!(replay_id("00ff").unwrap().as_bytes(), [0, 255]);
        for text in ["", "0", "zz", "0x10", "ü"] {
            assert!(replay_id(text).is_err(), "{text}");
        }
    }
}
