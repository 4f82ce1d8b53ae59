//! Checks of the environment, each with its cause and its fix.
//!
//! A check that depends on a failed one is skipped, so that one thing that is broken is one failure.

mod host;
mod mapping;
mod probe;
mod rows;
mod salesforce;
mod store;
mod stream;
mod whmcs;

use error_chain::chain;
use outbound::Roots;
use salesforce_pubsub::PubSub;
use settings::Problems;

use crate::cli::{ConnectionArgs, Doctor};
use crate::connect;
use crate::screen::{Exit, Screen, Stop};
pub(crate) use probe::Probe;
use rows::Rows;

pub(crate) async fn run(asked: Doctor, screen: &mut Screen) -> Result<Exit, Stop> {
    let probe = asked.probe().transpose()?;
    check(&asked.connections, probe, screen).await
}

/// Checks everything that these settings connect to.
pub(crate) async fn check(
    asked: &ConnectionArgs,
    probe: Option<Probe>,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let mut problems = Problems::new();
    let config = asked.systems.check(&mut problems);
    outbound::Proxy::check(&mut problems);
    let config = problems.into_result(config)?;
    let systems = connect::systems(&asked.systems)?;
    let roots = Roots::load(config.crm.auth.ca_file.as_deref())?;
    let events = PubSub::new(asked.pubsub.clone(), systems.tokens.clone(), &roots)?;

    let mut rows = Rows::default();
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    host::variables(&mut rows, variables);
    host::secret_files(&mut rows, &asked.systems);
    store::check(&mut rows, asked).await;
    let org = salesforce::check(&mut rows, &systems).await;
    stream::check(&mut rows, asked, &events, org.is_some()).await;
    let answers = whmcs::check(&mut rows, &asked.systems, &systems).await;
    let both = org.is_some() && answers;
    mapping::check(&mut rows, &systems, both).await;
    if let Some(probe) = probe {
        probe::check(&mut rows, config, probe, org.as_deref(), answers).await?;
    }
    let exit = match rows.has_failed() {
        true => Exit::Problem,
        false => Exit::Fine,
    };
    screen.list(rows.into_table())?;
    Ok(exit)
}

/// The causes of an error, on one line.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    chain(&error).to_string()
}
