//! The commands, each with an example.

mod adopt;
mod db;
mod events;
mod init;
mod orders;

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use domain::key::{Channel, ClientId, ProductId};
use domain::order::UnknownCycle;
use job_store::StoreArgs;
use runtime::{DEFAULT_CHANNEL, LogArgs, event_channel};

pub(crate) use adopt::Adopt;
pub(crate) use db::{Backup, CopyStore, DbVerb, Migrate, Prune};
pub(crate) use events::{
    CursorVerb, DeadLetters, Dismiss, EventsVerb, ImportCursor, Recent, Redrive, Tail,
};
pub(crate) use init::Init;
pub(crate) use orders::{
    FollowOrder, ForgetWhmcs, HandleOrder, JobsList, JobsVerb, OneJob, OneOrder, OrdersList,
    OrdersVerb, PlanOrder, RetryOrder,
};

use crate::args::{Format, OfChannel, OperatorArgs};
use crate::doctor::Probe;
use crate::given::Given;
use crate::screen::Stop;
use app::SystemArgs;

/// Inspects and operates orderbridge.
///
/// Results go to standard output, everything else to standard error. Settings are those of the
/// other programs: every flag has an environment variable.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "orderctl",
    version,
    mut_arg("rust_log", |arg| arg.default_value("warn")),
    after_help = "Exit codes:\n  0  done\n  1  it failed, or a check found a difference\n  2  wrong usage\n  3  what was asked for does not exist\n  5  doctor found something wrong\n  64 a setting cannot be used\n\nExample:\n  orderctl orders list --state failed"
)]
pub struct Cli {
    /// How results are written
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
    /// Logs, to standard error.
    #[command(flatten)]
    pub(crate) logs: LogArgs,
    #[command(subcommand)]
    pub(crate) noun: Noun,
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum Noun {
    /// First set-up: key, certificate, environment file, and what is left to do by hand
    #[command(
        after_help = "Asks on a terminal for what no flag and no variable gives. Writes the files with mode 0600, creates the job store, and runs the doctor (exit code 5 until the steps that it prints are done). With --sandbox nothing is asked: the settings are those of a running `sandbox`.\n\nExample:\n  orderctl init --env-file orderbridge.env\n  orderctl init --sandbox"
    )]
    Init(Init),
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
    /// Pause the intake of events or the workers' claims
    #[command(after_help = "Example:\n  orderctl pause worker --reason 'WHMCS is being upgraded'")]
    Pause(PauseCommand),
    /// Resume what was paused
    #[command(after_help = "Example:\n  orderctl resume worker --reason 'WHMCS is back'")]
    Resume(PauseCommand),
    /// Compare Salesforce, the store and WHMCS, and enqueue activations without a job
    #[command(
        after_help = "Enqueues nothing with --check. Other differences need an operator; each line names the next step.\n\nExample:\n  orderctl reconcile --check -o json"
    )]
    Reconcile(Reconcile),
    /// Mark the WHMCS orders that another bridge placed as ours
    #[command(
        after_help = "Takes the pairs from WHMCS_Order_ID__c of the Salesforce orders, and shows what it would write; --apply writes it. A pair whose client, products or cycles differ from the plan is refused. WHMCS's API cannot change the notes of an order: markers go to the custom fields under whmcs.line_marker_fields in ORDERBRIDGE_CONFIG (action UpdateClientProduct), and where there is none the line says what to add by hand. Can be repeated.\n\nExit code 1 when an order was refused, failed or has to be marked by hand.\n\nExample:\n  orderctl adopt --reason 'from the old bridge'\n  orderctl adopt --reason 'from the old bridge' --apply"
    )]
    Adopt(Adopt),
    /// The audit log, newest first
    #[command(after_help = "Example:\n  orderctl audit --limit 10")]
    Audit(Recent),
    /// The job store
    #[command(subcommand, after_help = "Example:\n  orderctl db status")]
    Db(DbVerb),
    /// The settings
    #[command(subcommand, after_help = "Example:\n  orderctl config show")]
    Config(ConfigVerb),
    /// Check the store, Salesforce and WHMCS, each with the fix
    #[command(
        after_help = "Writes nothing anywhere, except with --probe. WHMCS actions that change something are called with ids that no record has.\n\nExample:\n  orderctl doctor -o json\n  orderctl doctor --probe --probe-client 7 --probe-product 3"
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

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PauseTarget {
    /// The intake of the channel's events
    Intake,
    /// The workers' claims; running jobs continue
    Worker,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct PauseCommand {
    /// What to pause or resume
    pub(crate) what: PauseTarget,
    #[command(flatten)]
    pub(crate) of: OfChannel,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
    /// Print what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Reconcile {
    /// Change nothing; exit with 1 if there is a difference
    #[arg(long, visible_alias = "dry-run")]
    pub(crate) check: bool,
    /// Ended orders that were modified within this time
    #[arg(long, value_parser = settings::duration, default_value = "30d")]
    pub(crate) within: Duration,
    /// Compare at most so many orders
    #[arg(long, default_value_t = 10_000)]
    pub(crate) limit: usize,
    /// How long an order waits before its event counts as missing
    #[arg(long, env = "RECONCILE_AFTER", value_parser = settings::duration, default_value = app::RECONCILE_AFTER)]
    pub(crate) after: Duration,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) systems: SystemArgs,
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
    /// Place an order in WHMCS that shows whether markers survive, without invoice and mails
    #[arg(long, requires_all = ["probe_client", "probe_product"])]
    probe: bool,
    /// WHMCS client of that order
    #[arg(long, value_name = "ID")]
    probe_client: Option<u64>,
    /// WHMCS product of that order, best a free one without a module
    #[arg(long, value_name = "ID")]
    probe_product: Option<u64>,
    /// Billing cycle of that order
    #[arg(long, value_name = "CYCLE", default_value = "free")]
    probe_cycle: String,
    #[command(flatten)]
    pub(crate) connections: ConnectionArgs,
}

/// Everything that the programs connect to.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConnectionArgs {
    /// Platform event channel
    #[arg(long = "sf-provision-event-channel", env = "SF_PROVISION_EVENT_CHANNEL", default_value = DEFAULT_CHANNEL, value_parser = event_channel)]
    pub(crate) channel: Channel,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Salesforce Pub/Sub API.
    #[command(flatten)]
    pub(crate) pubsub: salesforce_pubsub::Config,
    #[command(flatten)]
    pub(crate) systems: SystemArgs,
}

impl Doctor {
    /// The order that `--probe` asks for.
    pub(crate) fn probe(&self) -> Option<Result<Probe, Stop>> {
        let (client, product) = (self.probe_client?, self.probe_product?);
        let cycle = self.probe_cycle.parse();
        self.probe.then(|| {
            Ok(Probe {
                client: ClientId(client),
                product: ProductId(product),
                cycle: cycle.map_err(|error: UnknownCycle| Stop::Usage(error.to_string()))?,
            })
        })
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}
