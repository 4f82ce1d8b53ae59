//! The adapter against a scripted and against a simulated org.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod customer;
mod org;
mod scripted_org;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use outbound::Roots;
use salesforce_auth::{SalesforceArgs, TokenManager};
use salesforce_rest::{RestConfig, RestOrders};
use settings::Problems;
use simulators::salesforce::SalesforceSim;

/// The adapter, with these credentials and without backoff for locked rows.
fn connect(login: [(&str, String); 4], adjust: impl FnOnce(&mut RestConfig)) -> RestOrders {
    let roots = Roots::load(None).unwrap();
    let args = settings::given::<SalesforceArgs>(login).unwrap().args;
    let config = args.check(&mut Problems::new()).unwrap();
    let mut rest = RestConfig::new(config.api_version.clone());
    rest.lock_backoff = Duration::from_millis(1);
    adjust(&mut rest);
    let tokens = Arc::new(TokenManager::new(config, &roots).unwrap());
    RestOrders::new(rest, tokens, &roots).unwrap()
}

fn connect_to(sim: &SalesforceSim, adjust: impl FnOnce(&mut RestConfig)) -> RestOrders {
    connect(sim.login_settings(), adjust)
}
