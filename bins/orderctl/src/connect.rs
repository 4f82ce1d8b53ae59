//! Opening the store and the other systems by their settings.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use domain::order::MappingOverrides;
use job_store::{Store, StoreArgs, StoreConfig};
use outbound::Roots;
use runtime::SystemClock;
use salesforce_auth::{SalesforceArgs, TokenManager};
use salesforce_rest::{FieldNames, RestConfig, RestOrders, mapping_overrides};
use settings::{ConfigFile, Problems};
use whmcs::{Api, Options, Whmcs, WhmcsArgs};

use crate::screen::Stop;

/// Settings of Salesforce and WHMCS, the same as the worker's.
#[derive(Args, Clone, Debug)]
pub(crate) struct SystemArgs {
    /// Whether to create a WHMCS client for an account without one [default: false]
    #[arg(long, env = "WHMCS_CREATE_CLIENTS")]
    pub(crate) whmcs_create_clients: Option<String>,
    /// Wait before each search for an order whose reply was lost [default: 180s]
    #[arg(long, env = "WHMCS_QUIET_PERIOD")]
    pub(crate) whmcs_quiet_period: Option<String>,
    /// TOML file: renamed fields, statuses, markers, mappings
    #[arg(long, env = "ORDERBRIDGE_CONFIG")]
    pub(crate) orderbridge_config: Option<String>,
    #[command(flatten)]
    pub(crate) salesforce: SalesforceArgs,
    #[command(flatten)]
    pub(crate) whmcs: WhmcsArgs,
}

/// Settings of Salesforce.
#[derive(Args, Clone, Debug)]
pub(crate) struct CrmArgs {
    /// TOML file: renamed fields and statuses
    #[arg(long, env = "ORDERBRIDGE_CONFIG")]
    pub(crate) orderbridge_config: Option<String>,
    #[command(flatten)]
    pub(crate) salesforce: SalesforceArgs,
}

impl CrmArgs {
    /// Checks every setting without connecting.
    pub(crate) fn orders(&self) -> Result<RestOrders, Stop> {
        let mut problems = Problems::new();
        let auth = self.salesforce.check(&mut problems);
        let fields = ConfigFile::read(self.orderbridge_config.as_deref(), &mut problems)
            .and_then(|file| FieldNames::of(&file, &mut problems));
        let (auth, fields) = problems.into_result(auth.zip(fields))?;
        let roots = Roots::load(auth.ca_file.as_deref())?;
        let rest = RestConfig {
            fields,
            ..RestConfig::new(auth.api_version.clone())
        };
        let tokens = Arc::new(TokenManager::new(auth, &roots)?);
        Ok(RestOrders::new(rest, tokens, &roots)?)
    }
}

/// Clients of Salesforce and WHMCS.
pub(crate) struct Systems {
    pub(crate) tokens: Arc<TokenManager>,
    pub(crate) salesforce: RestOrders,
    pub(crate) whmcs: Whmcs,
    pub(crate) overrides: MappingOverrides,
    pub(crate) create_clients: bool,
    pub(crate) override_prices: bool,
    pub(crate) timing: Timing,
}

/// How long calls to WHMCS may still take effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) call_timeout: Duration,
    pub(crate) quiet: Duration,
}

/// Opens an existing store: a mistyped path must not create an empty one.
pub(crate) async fn store(args: &StoreArgs) -> Result<Store, Stop> {
    let config = store_config(args)?;
    config.check_existing().await?;
    open(&config).await
}

/// Opens a store, and creates it if needed.
pub(crate) async fn open(config: &StoreConfig) -> Result<Store, Stop> {
    let opened = job_store::open(config, Arc::new(SystemClock)).await;
    opened.map_err(|error| match error.into_problem() {
        Ok(problem) => problem.into(),
        Err(error) => error.into(),
    })
}

pub(crate) fn store_config(args: &StoreArgs) -> Result<StoreConfig, Stop> {
    let mut problems = Problems::new();
    let config = args.check(&mut problems);
    Ok(problems.into_result(config)?)
}

impl SystemArgs {
    /// Checks every setting without connecting.
    pub(crate) fn systems(&self) -> Result<Systems, Stop> {
        let mut problems = Problems::new();
        let checked = self.check(&mut problems);
        let checked = problems.into_result(checked)?;
        let salesforce_roots = Roots::load(checked.auth.ca_file.as_deref())?;
        let whmcs_roots = Roots::load(checked.whmcs.ca_file.as_deref())?;
        let tokens = Arc::new(TokenManager::new(checked.auth, &salesforce_roots)?);
        Ok(Systems {
            override_prices: checked.whmcs.override_prices,
            timing: Timing {
                call_timeout: checked.whmcs.timeout,
                quiet: checked.quiet,
            },
            salesforce: RestOrders::new(checked.rest, Arc::clone(&tokens), &salesforce_roots)?,
            tokens,
            whmcs: Whmcs::new(Api::new(checked.whmcs, &whmcs_roots)?, checked.options),
            overrides: checked.overrides,
            create_clients: checked.create_clients,
        })
    }

    fn check(&self, problems: &mut Problems) -> Option<Checked> {
        let auth = self.salesforce.check(problems);
        let whmcs = self.whmcs.check(problems);
        let quiet = self.whmcs_quiet_period.as_deref();
        let quiet = problems.duration_within("WHMCS_QUIET_PERIOD", quiet, "180s", ("10ms", "1h"));
        let file = ConfigFile::read(self.orderbridge_config.as_deref(), problems)?;
        let fields = FieldNames::of(&file, problems);
        let options = Options::of(&file, problems);
        let overrides = mapping_overrides(&file, problems);
        let create_clients = problems.flag(
            "WHMCS_CREATE_CLIENTS",
            self.whmcs_create_clients.as_deref(),
            "false",
        )?;
        let auth = auth?;
        Some(Checked {
            rest: RestConfig {
                fields: fields?,
                bill_to: create_clients,
                ..RestConfig::new(auth.api_version.clone())
            },
            auth,
            whmcs: whmcs?,
            quiet: quiet?,
            options: options?,
            overrides: overrides?,
            create_clients,
        })
    }
}

/// Settings that were checked.
struct Checked {
    auth: salesforce_auth::Config,
    rest: RestConfig,
    whmcs: whmcs::Config,
    quiet: Duration,
    options: Options,
    overrides: MappingOverrides,
    create_clients: bool,
}
