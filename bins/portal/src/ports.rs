//! The portal's ports.

use std::sync::Arc;
use std::time::Duration;

use app::Salesforce;
use domain::key::Channel;
use operations::JobStore;
use outbound::ClientOptions;
use portal_web::Ports;
use runtime::{Failure, OsEntropy, SystemClock};
use settings::Reload;

/// The ports on this store and this Salesforce client.
///
/// # Errors
/// The HTTP client of the key set cannot be built.
pub(crate) fn ports(
    store: &Arc<dyn JobStore>,
    salesforce: &Salesforce,
    channel: Channel,
    reload: Reload,
) -> Result<Ports, Failure> {
    let options = ClientOptions {
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_secs(10),
        pool_idle: Duration::from_secs(20),
    };
    Ok(Ports {
        customers: Arc::clone(&salesforce.crm) as _,
        allowance: Arc::clone(&salesforce.crm) as _,
        retries: Arc::clone(&salesforce.crm) as _,
        orders: store.clone(),
        events: store.clone(),
        statistics: store.clone(),
        commands: store.clone(),
        sessions: store.clone(),
        processes: store.clone(),
        alerts: store.clone(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(OsEntropy),
        channel,
        http: outbound::build(&options, &salesforce.roots).map_err(Failure::run)?,
        reload,
    })
}
