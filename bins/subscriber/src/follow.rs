//! Everything that follows Salesforce: the stream, and the sweep for what it did not bring.

use std::sync::Arc;

use domain::ports::Clock;
use intake::{Intake, Retention, Sweep, SweepPorts};
use job_store::JobStore;
use outbound::Roots;
use runtime::{Failure, OsEntropy};
use salesforce_auth::TokenManager;
use salesforce_pubsub::PubSub;
use salesforce_rest::RestOrders;
use tokio_util::sync::CancellationToken;

use crate::config::Salesforce;

/// The stream and the sweep, over one login.
pub(crate) struct Follower {
    pub(crate) tokens: Arc<TokenManager>,
    pub(crate) crm: Arc<RestOrders>,
    pub(crate) intake: Intake,
    sweep: Sweep,
    retention: Retention,
}

impl Follower {
    /// Puts the parts together; connects to nothing.
    pub(crate) fn new(
        salesforce: &Salesforce,
        settings: intake::Settings,
        store: Arc<dyn JobStore>,
        clock: Arc<dyn Clock>,
        around: impl FnOnce(intake::Ports) -> intake::Ports,
    ) -> Result<Self, Failure> {
        let roots = Roots::load(salesforce.auth.ca_file.as_deref()).map_err(Failure::run)?;
        let tokens = TokenManager::new(salesforce.auth.clone(), &roots).map_err(Failure::run)?;
        let tokens = Arc::new(tokens);
        let source = PubSub::new(salesforce.pubsub.clone(), Arc::clone(&tokens), &roots)
            .map_err(Failure::run)?;
        let ports = around(intake::Ports {
            source: Arc::new(source),
            election: store.clone(),
            store: store.clone(),
            clock,
            entropy: Arc::new(OsEntropy),
        });
        let crm = RestOrders::new(salesforce.rest.clone(), Arc::clone(&tokens), &roots)
            .map_err(Failure::run)?;
        let crm = Arc::new(crm);
        let sweep = SweepPorts {
            crm: Arc::clone(&crm) as _,
            store: Arc::clone(&ports.store),
            clock: Arc::clone(&ports.clock),
        };
        let clock = Arc::clone(&ports.clock);
        let intake = Intake::new(ports, settings);
        let retention = Retention::new(store, clock, intake.health());
        let sweep = Sweep::new(sweep, salesforce.sweep, intake.health(), intake.missed());
        Ok(Self {
            tokens,
            crm,
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
