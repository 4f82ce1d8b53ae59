//! Settings of the worker.

use std::time::Duration;

use app::{ProgramArgs, SystemArgs, SystemConfig};
use runtime::{HTTP_ADDR, default_address};
use settings::{Given, Problems, number, within};

/// Claims jobs, provisions them in WHMCS, reports to Salesforce.
///
/// Every flag is also an environment variable.
#[derive(clap::Parser, Clone, Debug)]
#[command(
    name = "worker",
    version,
    mut_arg(HTTP_ADDR, default_address("127.0.0.1:9102"))
)]
pub struct Args {
    /// What every program has.
    #[command(flatten)]
    pub program: ProgramArgs,
    /// Salesforce and WHMCS.
    #[command(flatten)]
    pub systems: SystemArgs,
    /// How long orders wait while WHMCS denies access
    #[arg(long, env, default_value = "15m", value_parser = within("1s", "168h"))]
    pub whmcs_pause_limit: Duration,
    /// Number of concurrent jobs
    #[arg(long, env, default_value = "8", value_parser = number(1_usize..=1000))]
    pub worker_concurrency: usize,
    /// Lease of a claimed job
    #[arg(long, env, default_value = "15s", value_parser = within("1s", "10m"))]
    pub worker_lease: Duration,
    /// How long one attempt may repeat calls that had no effect
    #[arg(long, env, default_value = "60s", value_parser = within("0s", "1h"))]
    pub worker_retry_budget: Duration,
    /// Time for running jobs to finish after SIGTERM
    #[arg(long, env, default_value = "30s", value_parser = within("0s", "1h"))]
    pub worker_drain: Duration,
}

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every program has.
    pub program: app::Settings,
    /// Salesforce and WHMCS.
    pub systems: SystemConfig,
    /// How to provision.
    pub provisioning: provisioning::Settings,
}

impl Config {
    /// Starts logging and checks everything.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn of(given: &Given<Args>) -> Result<Self, Problems> {
        let args = &given.args;
        let check = |problems: &mut Problems| args.systems.check(problems);
        let (program, systems) = args.program.check(&given.origins, check)?;
        Ok(Self {
            program,
            provisioning: provisioning::Settings {
                concurrency: args.worker_concurrency,
                lease: args.worker_lease,
                retry_budget: args.worker_retry_budget,
                drain: args.worker_drain,
                pause_limit: args.whmcs_pause_limit,
                rules: systems.rules.clone(),
                ..provisioning::Settings::default()
            },
            systems,
        })
    }
}
