//! What follows Salesforce: the stream, and the sweep for missed events.

use std::sync::Arc;

use domain::ports::Clock;
use intake::{Intake, Retention, Sweep, SweepPorts};
use operations::JobStore;
use runtime::{Failure, OsEntropy};
use salesforce_pubsub::PubSub;
use settings::Reload;
use tokio_util::sync::CancellationToken;

use crate::config::Salesforce;

/// The stream and the sweep, over one login.
pub(crate) struct Follower {
    pub(crate) clients: Arc<app::Salesforce>,
    pub(crate) intake: Intake,
    sweep: Sweep,
    retention: Retention,
}

impl Follower {
    /// Builds the parts without connecting.
    pub(crate) fn new(
        salesforce: &Salesforce,
        reload: &Reload,
        settings: intake::Settings,
        store: Arc<dyn JobStore>,
        clock: Arc<dyn Clock>,
        around: impl FnOnce(intake::Ports) -> intake::Ports,
    ) -> Result<Self, Failure> {
        let clients = app::Salesforce::new(salesforce.crm.clone(), reload)?;
        let tokens = Arc::clone(&clients.tokens);
        let source =
            PubSub::new(salesforce.pubsub.clone(), tokens, &clients.roots).map_err(Failure::run)?;
        let ports = around(intake::Ports {
            source: Arc::new(source),
            election: store.clone(),
            store: store.clone(),
            clock,
            entropy: Arc::new(OsEntropy),
        });
        let sweep = SweepPorts {
            crm: Arc::clone(&clients.crm) as _,
            store: Arc::clone(&ports.store),
            clock: Arc::clone(&ports.clock),
        };
        let clock = Arc::clone(&ports.clock);
        let intake = Intake::new(ports, settings);
        let retention = Retention::new(store, clock, intake.health());
        let sweep = Sweep::new(sweep, salesforce.sweep, intake.health(), intake.missed());
        Ok(Self {
            clients: Arc::new(clients),
            intake,
            sweep,
            retention,
        })
    }

    /// Follows until `shutdown`.
    pub(crate) async fn run(&self, shutdown: CancellationToken) {
        tokio::join!(
            self.intake.run(shutdown.clone()),
            self.sweep.run(shutdown.clone()),
            self.retention.run(shutdown.clone())
        );
    }
}
