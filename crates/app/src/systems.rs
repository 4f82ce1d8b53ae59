//! Settings of Salesforce and WHMCS.

use std::path::PathBuf;
use std::time::Duration;

use ::settings::{ConfigFile, Problems, flag, within};
use clap::{ArgAction, Args};
use domain::order::PlanRules;
use salesforce_auth::SalesforceArgs;
use salesforce_rest::{FieldNames, RestConfig, mapping_overrides};
use whmcs::{Options, WhmcsArgs};

/// The default of `RECONCILE_AFTER`: how long an order must be `Activating` before its event counts
/// as missing.
pub const RECONCILE_AFTER: &str = "2m";

/// Settings of Salesforce, as given.
#[derive(Args, Clone, Debug)]
pub struct CrmArgs {
    /// TOML file: renamed fields, statuses, markers, mappings
    #[arg(long, env)]
    pub orderbridge_config: Option<PathBuf>,
    /// Login.
    #[command(flatten)]
    pub salesforce: SalesforceArgs,
}

/// Checked settings of Salesforce.
#[derive(Clone, Debug)]
pub struct CrmConfig {
    /// Login.
    pub auth: salesforce_auth::Config,
    /// REST.
    pub rest: RestConfig,
}

impl CrmArgs {
    /// Checks everything, noting each problem.
    pub fn check(&self, problems: &mut Problems) -> Option<CrmConfig> {
        let file = self.file(problems);
        let auth = self.salesforce.check(problems);
        of_crm(auth, &file?, problems)
    }

    /// Reads the configuration file.
    pub fn file(&self, problems: &mut Problems) -> Option<ConfigFile> {
        ConfigFile::read(self.orderbridge_config.as_deref(), problems)
    }
}

/// The settings of Salesforce with this file.
fn of_crm(
    auth: Option<salesforce_auth::Config>,
    file: &ConfigFile,
    problems: &mut Problems,
) -> Option<CrmConfig> {
    let fields = FieldNames::of(file, problems);
    let auth = auth?;
    let rest = RestConfig {
        fields: fields?,
        ..RestConfig::new(auth.api_version.clone())
    };
    Some(CrmConfig { auth, rest })
}

/// Settings of Salesforce and WHMCS, as given: what a worker needs, and a dry run of it.
#[derive(Args, Clone, Debug)]
pub struct SystemArgs {
    /// Salesforce.
    #[command(flatten)]
    pub crm: CrmArgs,
    /// Whether to create a WHMCS client for an account without one
    #[arg(long, env, default_value = "false", value_parser = flag, action = ArgAction::Set)]
    pub whmcs_create_clients: bool,
    // Without a wait, the search for a lost order could miss one that is still being written.
    /// Wait before each search for an order whose reply was lost
    #[arg(long, env, default_value = "180s", value_parser = within("10ms", "1h"))]
    pub whmcs_quiet_period: Duration,
    /// WHMCS.
    #[command(flatten)]
    pub whmcs: WhmcsArgs,
}

/// Checked settings of Salesforce and WHMCS.
#[derive(Clone, Debug)]
pub struct SystemConfig {
    /// Salesforce.
    pub crm: CrmConfig,
    /// WHMCS.
    pub whmcs: whmcs::Config,
    /// What the configuration file says about WHMCS.
    pub whmcs_options: Options,
    /// How orders are planned.
    pub rules: PlanRules,
}

impl SystemArgs {
    /// Checks everything, noting each problem.
    pub fn check(&self, problems: &mut Problems) -> Option<SystemConfig> {
        let auth = self.crm.salesforce.check(problems);
        let whmcs = self.whmcs.check(problems);
        let file = self.crm.file(problems)?;
        let crm = of_crm(auth, &file, problems);
        let whmcs_options = Options::of(&file, problems);
        let overrides = mapping_overrides(&file, problems);
        let (mut crm, whmcs) = (crm?, whmcs?);
        crm.rest.bill_to = self.whmcs_create_clients;
        Some(SystemConfig {
            crm,
            whmcs_options: whmcs_options?,
            rules: PlanRules {
                create_clients: self.whmcs_create_clients,
                override_prices: whmcs.override_prices,
                overrides: overrides?,
                quiet_period: self.whmcs_quiet_period,
                call_timeout: whmcs.timeout,
            },
            whmcs,
        })
    }
}
