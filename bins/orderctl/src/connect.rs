//! Opening the store and the other systems by their settings.

use std::sync::Arc;

use app::{CrmArgs, CrmConfig, SystemArgs};
use domain::order::PlanRules;
use job_store::{Store, StoreArgs, StoreConfig};
use outbound::Roots;
use runtime::SystemClock;
use salesforce_auth::TokenManager;
use salesforce_rest::RestOrders;
use settings::Problems;
use whmcs::{Api, Whmcs};

use crate::screen::Stop;

/// Clients of Salesforce and WHMCS.
pub(crate) struct Systems {
    pub(crate) tokens: Arc<TokenManager>,
    pub(crate) salesforce: RestOrders,
    pub(crate) whmcs: Whmcs,
    pub(crate) rules: PlanRules,
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

/// A client of Salesforce. Checks every setting without connecting.
pub(crate) fn salesforce(args: &CrmArgs) -> Result<RestOrders, Stop> {
    let mut problems = Problems::new();
    let config = args.check(&mut problems);
    let (orders, _) = crm(problems.into_result(config)?)?;
    Ok(orders)
}

/// Clients of both systems. Checks every setting without connecting.
pub(crate) fn systems(args: &SystemArgs) -> Result<Systems, Stop> {
    let mut problems = Problems::new();
    let config = args.check(&mut problems);
    let config = problems.into_result(config)?;
    let roots = Roots::load(config.whmcs.ca_file.as_deref())?;
    let (salesforce, tokens) = crm(config.crm)?;
    Ok(Systems {
        rules: config.rules,
        salesforce,
        tokens,
        whmcs: Whmcs::new(Api::new(config.whmcs, &roots)?, config.whmcs_options),
    })
}

fn crm(config: CrmConfig) -> Result<(RestOrders, Arc<TokenManager>), Stop> {
    let roots = Roots::load(config.auth.ca_file.as_deref())?;
    let tokens = Arc::new(TokenManager::new(config.auth, &roots)?);
    Ok((
        RestOrders::new(config.rest, Arc::clone(&tokens), &roots)?,
        tokens,
    ))
}
