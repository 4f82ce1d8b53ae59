//! Settings of the subscriber.

use std::time::Duration;

use app::{CrmArgs, CrmConfig, ProgramArgs};
use clap::ValueEnum;
use domain::ports::Start;
use intake::{OnLoss, SweepSettings};
use runtime::{HTTP_ADDR, default_address};
use settings::{Given, Problems, within, zero_or_within};

/// Follows the Salesforce channel and turns events into jobs.
///
/// Every flag is also an environment variable.
#[derive(clap::Parser, Clone, Debug)]
#[command(
    name = "subscriber",
    version,
    mut_arg(HTTP_ADDR, default_address("127.0.0.1:9101"))
)]
pub struct Args {
    /// What every program has.
    #[command(flatten)]
    pub program: ProgramArgs,
    /// Where to begin while no cursor is stored
    #[arg(long, env, default_value = "LATEST")]
    pub sf_events_replay: Replay,
    /// What to do when Salesforce no longer knows the cursor
    #[arg(long, env, default_value = "ALL")]
    pub sf_events_on_replay_loss: ReplayLoss,
    /// Lease of the one active subscriber
    #[arg(long, env, default_value = "10s", value_parser = within("1s", "5m"))]
    pub subscriber_lease: Duration,
    /// Interval of the sweep for orders without a job; 0 disables it
    #[arg(long, env, default_value = "5m", value_parser = zero_or_within("1s", "24h"))]
    pub reconcile_every: Duration,
    /// How long an order must be `Activating` before its event counts as missing
    #[arg(long, env, default_value = app::RECONCILE_AFTER, value_parser = within("0s", "24h"))]
    pub reconcile_after: Duration,
    /// Salesforce.
    #[command(flatten)]
    pub crm: CrmArgs,
    /// Salesforce Pub/Sub API.
    #[command(flatten)]
    pub pubsub: salesforce_pubsub::Config,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum Replay {
    /// With new events.
    Latest,
    /// With the oldest retained event.
    All,
}

/// What to do after a loss of the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum ReplayLoss {
    /// Begin with the oldest retained event.
    All,
    /// Begin with new events.
    Latest,
    /// Stop.
    Stop,
}

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every program has.
    pub program: app::Settings,
    /// How to follow the channel.
    pub intake: intake::Settings,
    /// How to reach Salesforce; `None` while events are disabled.
    pub salesforce: Option<Salesforce>,
}

/// How to reach Salesforce.
#[derive(Clone, Debug)]
pub struct Salesforce {
    /// Login, and REST for the sweep.
    pub crm: CrmConfig,
    /// Pub/Sub API.
    pub pubsub: salesforce_pubsub::Config,
    /// When to sweep.
    pub sweep: SweepSettings,
}

impl Config {
    /// Starts logging and checks everything.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn of(given: &Given<Args>) -> Result<Self, Problems> {
        let args = &given.args;
        let check = |problems: &mut Problems| match args.program.events.sf_events_enabled {
            true => args.crm.check(problems).map(Some),
            false => Some(None),
        };
        let (program, crm) = args.program.check(&given.origins, check)?;
        Ok(Self {
            intake: intake::Settings {
                channel: program.channel.clone(),
                start: match args.sf_events_replay {
                    Replay::Latest => Start::Latest,
                    Replay::All => Start::Earliest,
                },
                on_loss: match args.sf_events_on_replay_loss {
                    ReplayLoss::All => OnLoss::All,
                    ReplayLoss::Latest => OnLoss::Latest,
                    ReplayLoss::Stop => OnLoss::Stop,
                },
                lease: args.subscriber_lease,
            },
            program,
            salesforce: crm.map(|crm| Salesforce {
                crm,
                pubsub: args.pubsub.clone(),
                sweep: SweepSettings {
                    every: args.reconcile_every,
                    after: args.reconcile_after,
                },
            }),
        })
    }
}
