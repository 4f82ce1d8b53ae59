//! Settings of the subscriber.

use std::time::Duration;

use domain::ports::Start;
use intake::{OnLoss, SweepSettings};
use salesforce_rest::{FieldNames, RestConfig};
use settings::{ConfigFile, Problems};

/// Follows the Salesforce channel and turns every event into a job.
///
/// Every flag is also an environment variable.
#[derive(clap::Parser, Clone, Debug)]
#[command(name = "subscriber", version)]
pub struct Args {
    /// What every program has; first, see [`settings::Origins`].
    #[command(flatten)]
    pub program: app::ProgramArgs,
    /// LATEST or ALL, used while no cursor is stored [default: LATEST]
    #[arg(long, env = "SF_EVENTS_REPLAY")]
    pub sf_events_replay: Option<String>,
    /// ALL, LATEST or STOP, when Salesforce no longer knows the cursor [default: ALL]
    #[arg(long, env = "SF_EVENTS_ON_REPLAY_LOSS")]
    pub sf_events_on_replay_loss: Option<String>,
    /// Lease of the one active subscriber [default: 10s]
    #[arg(long, env = "SUBSCRIBER_LEASE")]
    pub subscriber_lease: Option<String>,
    /// Interval of the sweep for orders without a job; 0 disables it [default: 5m]
    #[arg(long, env = "RECONCILE_EVERY")]
    pub reconcile_every: Option<String>,
    /// How long an order must be `Activating` before its event counts as missing [default: 2m]
    #[arg(long, env = "RECONCILE_AFTER")]
    pub reconcile_after: Option<String>,
    /// TOML file: renamed fields and statuses
    #[arg(long, env = "ORDERBRIDGE_CONFIG")]
    pub orderbridge_config: Option<String>,
    /// Salesforce login.
    #[command(flatten)]
    pub salesforce: salesforce_auth::SalesforceArgs,
    /// Salesforce Pub/Sub API.
    #[command(flatten)]
    pub pubsub: salesforce_pubsub::PubSubArgs,
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
    /// Login.
    pub auth: salesforce_auth::Config,
    /// Pub/Sub API.
    pub pubsub: salesforce_pubsub::Config,
    /// REST, for the sweep.
    pub rest: RestConfig,
    /// When to sweep.
    pub sweep: SweepSettings,
}

impl Args {
    /// Checks everything and starts logging.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn check(&self) -> Result<Config, Problems> {
        self.program.check("127.0.0.1:9101", |known, problems| {
            self.config(known, problems)
        })
    }

    fn config(&self, known: app::Known, problems: &mut Problems) -> Option<Config> {
        let intake = self.intake(problems);
        let salesforce = if known.events_enabled? {
            let auth = self.salesforce.check(problems);
            let pubsub = self.pubsub.check(problems);
            let sweep = self.sweep(problems);
            let fields = ConfigFile::read(self.orderbridge_config.as_deref(), problems)
                .and_then(|file| FieldNames::of(&file, problems));
            let auth = auth?;
            Some(Salesforce {
                rest: RestConfig {
                    fields: fields?,
                    ..RestConfig::new(auth.api_version.clone())
                },
                auth,
                pubsub: pubsub?,
                sweep: sweep?,
            })
        } else {
            None
        };
        Some(Config {
            program: known.all?,
            intake: intake?,
            salesforce,
        })
    }

    fn sweep(&self, problems: &mut Problems) -> Option<SweepSettings> {
        let every = problems.parse(
            "RECONCILE_EVERY",
            self.reconcile_every.as_deref(),
            "5m",
            "Use a duration from 1s to 24h, such as 5m, or 0",
            |text| {
                let range = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
                settings::duration(text).filter(|every| every.is_zero() || range.contains(every))
            },
        );
        let after = problems.duration_within(
            "RECONCILE_AFTER",
            self.reconcile_after.as_deref(),
            "2m",
            ("0s", "24h"),
        );
        Some(SweepSettings {
            every: every?,
            after: after?,
        })
    }

    fn intake(&self, problems: &mut Problems) -> Option<intake::Settings> {
        // A problem of the channel is recorded with the settings of every program.
        let channel = self.program.events.channel(&mut Problems::new());
        let start = problems.parse(
            "SF_EVENTS_REPLAY",
            self.sf_events_replay.as_deref(),
            "LATEST",
            "Give LATEST or ALL",
            |text| match text {
                "LATEST" => Some(Start::Latest),
                "ALL" => Some(Start::Earliest),
                _ => None,
            },
        );
        let on_loss = problems.parse(
            "SF_EVENTS_ON_REPLAY_LOSS",
            self.sf_events_on_replay_loss.as_deref(),
            "ALL",
            "Give ALL, LATEST or STOP",
            |text| match text {
                "ALL" => Some(OnLoss::All),
                "LATEST" => Some(OnLoss::Latest),
                "STOP" => Some(OnLoss::Stop),
                _ => None,
            },
        );
        let lease = problems.duration_within(
            "SUBSCRIBER_LEASE",
            self.subscriber_lease.as_deref(),
            "10s",
            ("1s", "5m"),
        );
        Some(intake::Settings {
            channel: channel?,
            start: start?,
            on_loss: on_loss?,
            lease: lease?,
        })
    }
}
