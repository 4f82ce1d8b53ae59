//! Settings of the worker.

use domain::order::PlanRules;
use salesforce_rest::{FieldNames, RestConfig};
use settings::{ConfigFile, Problems};

/// Claims jobs, provisions them in WHMCS, reports to Salesforce.
///
/// Every flag is also an environment variable.
#[derive(clap::Parser, Clone, Debug)]
#[command(name = "worker", version)]
pub struct Args {
    /// What every program has; first, see [`settings::Origins`].
    #[command(flatten)]
    pub program: app::ProgramArgs,
    /// Whether to create a WHMCS client for an account without one [default: false]
    #[arg(long, env = "WHMCS_CREATE_CLIENTS")]
    pub whmcs_create_clients: Option<String>,
    /// How long orders wait while WHMCS denies access [default: 15m]
    #[arg(long, env = "WHMCS_PAUSE_LIMIT")]
    pub whmcs_pause_limit: Option<String>,
    /// Wait before each search for an order whose reply was lost [default: 180s]
    #[arg(long, env = "WHMCS_QUIET_PERIOD")]
    pub whmcs_quiet_period: Option<String>,
    /// Number of concurrent jobs [default: 8]
    #[arg(long, env = "WORKER_CONCURRENCY")]
    pub worker_concurrency: Option<String>,
    /// Lease of a claimed job [default: 15s]
    #[arg(long, env = "WORKER_LEASE")]
    pub worker_lease: Option<String>,
    /// How long one attempt may repeat calls that had no effect [default: 60s]
    #[arg(long, env = "WORKER_RETRY_BUDGET")]
    pub worker_retry_budget: Option<String>,
    /// Time for running jobs to finish after SIGTERM [default: 30s]
    #[arg(long, env = "WORKER_DRAIN")]
    pub worker_drain: Option<String>,
    /// TOML file: renamed fields, statuses, markers, mappings
    #[arg(long, env = "ORDERBRIDGE_CONFIG")]
    pub orderbridge_config: Option<String>,
    /// Salesforce login.
    #[command(flatten)]
    pub salesforce: salesforce_auth::SalesforceArgs,
    /// WHMCS.
    #[command(flatten)]
    pub whmcs: whmcs::WhmcsArgs,
}

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every program has.
    pub program: app::Settings,
    /// Salesforce login.
    pub auth: salesforce_auth::Config,
    /// Salesforce REST.
    pub rest: RestConfig,
    /// WHMCS.
    pub whmcs: whmcs::Config,
    /// What the configuration file says about WHMCS.
    pub whmcs_options: whmcs::Options,
    /// How to provision.
    pub provisioning: provisioning::Settings,
}

/// Without a wait, the search for a lost order could miss one that is still being written.
const QUIET_PERIOD: (&str, &str) = ("10ms", "1h");

impl Args {
    /// Checks everything and starts logging.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn check(&self) -> Result<Config, Problems> {
        self.program.check("127.0.0.1:9102", |known, problems| {
            self.config(known, problems)
        })
    }

    fn config(&self, known: app::Known, problems: &mut Problems) -> Option<Config> {
        let auth = self.salesforce.check(problems);
        let whmcs = self.whmcs.check(problems);
        let file = ConfigFile::read(self.orderbridge_config.as_deref(), problems);
        let provisioning = self.provisioning(problems);
        let file = file?;
        let fields = FieldNames::of(&file, problems);
        let overrides = salesforce_rest::mapping_overrides(&file, problems);
        let whmcs_options = whmcs::Options::of(&file, problems);
        let (auth, provisioning, whmcs) = (auth?, provisioning?, whmcs?);
        let rest = RestConfig {
            fields: fields?,
            bill_to: provisioning.rules.create_clients,
            ..RestConfig::new(auth.api_version.clone())
        };
        Some(Config {
            program: known.all?,
            auth,
            rest,
            provisioning: provisioning::Settings {
                rules: PlanRules {
                    overrides: overrides?,
                    override_prices: whmcs.override_prices,
                    call_timeout: whmcs.timeout,
                    ..provisioning.rules
                },
                ..provisioning
            },
            whmcs,
            whmcs_options: whmcs_options?,
        })
    }

    fn provisioning(&self, problems: &mut Problems) -> Option<provisioning::Settings> {
        let concurrency = problems.parse(
            "WORKER_CONCURRENCY",
            self.worker_concurrency.as_deref(),
            "8",
            "Give a number from 1 to 1000",
            |text| text.parse().ok().filter(|count| (1..=1000).contains(count)),
        );
        let mut within = |name, value: &Option<String>, default, range| {
            problems.duration_within(name, value.as_deref(), default, range)
        };
        let lease = within("WORKER_LEASE", &self.worker_lease, "15s", ("1s", "10m"));
        let retry_budget = within(
            "WORKER_RETRY_BUDGET",
            &self.worker_retry_budget,
            "60s",
            ("0s", "1h"),
        );
        let drain = within("WORKER_DRAIN", &self.worker_drain, "30s", ("0s", "1h"));
        let quiet_period = within(
            "WHMCS_QUIET_PERIOD",
            &self.whmcs_quiet_period,
            "180s",
            QUIET_PERIOD,
        );
        let pause_limit = within(
            "WHMCS_PAUSE_LIMIT",
            &self.whmcs_pause_limit,
            "15m",
            ("1s", "168h"),
        );
        let create_clients = problems.flag(
            "WHMCS_CREATE_CLIENTS",
            self.whmcs_create_clients.as_deref(),
            "false",
        );
        Some(provisioning::Settings {
            concurrency: concurrency?,
            lease: lease?,
            retry_budget: retry_budget?,
            drain: drain?,
            rules: PlanRules {
                quiet_period: quiet_period?,
                create_clients: create_clients?,
                ..PlanRules::default()
            },
            pause_limit: pause_limit?,
            ..provisioning::Settings::default()
        })
    }
}
