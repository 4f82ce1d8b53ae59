//! The real programs between a simulated Salesforce and a simulated WHMCS.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use domain::id::OrderId;
use domain::ports::{JobQueue, JobReader};
use job_store::SqliteStore;
use runtime::{Metrics, SystemClock};
use serde_json::Value;
use simulators::salesforce::{Line, NewOrder, SalesforceOptions, SalesforceSim};
use simulators::whmcs::{Product, WhmcsOptions, WhmcsSim};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Nothing here takes longer, however loaded the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Both outside systems, a store, and as many programs as a test starts.
pub(crate) struct House {
    pub(crate) salesforce: SalesforceSim,
    pub(crate) whmcs: WhmcsSim,
    pub(crate) store: SqliteStore,
    folder: tempfile::TempDir,
    account: String,
    entry: String,
}

/// A program at work.
pub(crate) struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Tells it to stop and waits until it has.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        outbound::install_crypto_provider();
        let salesforce = SalesforceSim::start(SalesforceOptions::default())
            .await
            .unwrap();
        let whmcs = WhmcsSim::start(WhmcsOptions::default()).await.unwrap();
        whmcs.set_product(Product::new(5, "Web hosting"));
        let client = whmcs
            .add_client("Ada", "Byron", "ada@example.com")
            .to_string();
        let account = salesforce.create_account("Ada Ltd", Some(&client)).unwrap();
        let (_, entry) = salesforce
            .create_product("Web hosting", Some("5"), Some("monthly"), 9.5)
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("jobs.db"), Arc::new(SystemClock))
            .await
            .unwrap();
        Self {
            salesforce,
            whmcs,
            store,
            folder,
            account,
            entry,
        }
    }

    /// The settings a user would give for Salesforce, to either program.
    fn salesforce_flags(&self) -> Vec<String> {
        let login = self.salesforce.login();
        [
            ("--database-url", url(&self.folder)),
            ("--http-addr", "127.0.0.1:0".to_owned()),
            ("--sf-login-url", self.salesforce.rest_url()),
            ("--sf-client-id", login.client_id),
            ("--sf-username", login.username),
            ("--sf-private-key", login.private_key_pem),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect()
    }

    /// Starts a subscriber.
    pub(crate) fn subscribe(&self) -> Running {
        let mut flags = vec!["subscriber".to_owned()];
        flags.extend(self.salesforce_flags());
        flags.extend([
            "--sf-pubsub-endpoint".to_owned(),
            self.salesforce.pubsub_url(),
        ]);
        flags.extend(["--sf-events-replay", "ALL", "--subscriber-lease", "1s"].map(str::to_owned));
        let config = subscriber::Args::parse_from(flags).check().unwrap();
        start(|shutdown| async move { subscriber::run(config, Metrics::install(), shutdown).await })
    }

    /// Starts a worker that gives lost replies little time.
    pub(crate) fn work(&self) -> Running {
        let credentials = self.whmcs.credentials();
        let mut flags = vec!["worker".to_owned()];
        flags.extend(self.salesforce_flags());
        for (flag, value) in [
            ("--whmcs-url", self.whmcs.url()),
            ("--whmcs-identifier", credentials.identifier),
            ("--whmcs-secret", credentials.secret),
            ("--whmcs-payment-method", "banktransfer".to_owned()),
            ("--whmcs-quiet-period", "300ms".to_owned()),
            ("--whmcs-timeout", "2s".to_owned()),
        ] {
            flags.extend([flag.to_owned(), value]);
        }
        let config = worker::Args::parse_from(flags).check().unwrap();
        start(|shutdown| async move { worker::run(config, Metrics::install(), shutdown).await })
    }

    /// Places and approves so many orders.
    pub(crate) fn approve(&self, n_orders: usize) -> BTreeSet<OrderId> {
        (0..n_orders)
            .map(|_| {
                let order = NewOrder {
                    account: self.account.clone(),
                    lines: vec![Line::new(&self.entry, 2)],
                    ..NewOrder::default()
                };
                let id = self.salesforce.place_order(order).unwrap();
                self.salesforce.approve(&id).unwrap();
                OrderId::parse(&id).unwrap()
            })
            .collect()
    }

    /// Returns once so many jobs are queued.
    pub(crate) async fn until_queued(&self, n_jobs: u64) {
        self.until(async || self.store.tally().await.unwrap().count("queued") >= n_jobs)
            .await;
    }

    /// Returns once the order has this activation status in Salesforce.
    pub(crate) async fn until_activation(&self, order: &OrderId, status: &str) {
        self.until(async || self.field(order, "Activation_Status__c") == status)
            .await;
    }

    /// Looks again whenever the store was written to, for as long as patience lasts.
    async fn until(&self, holds: impl AsyncFn() -> bool) {
        let waiting = async {
            while !holds().await {
                self.store.wait(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    }

    /// A field of the order in Salesforce, as text.
    pub(crate) fn field(&self, order: &OrderId, field: &str) -> String {
        let record = self.salesforce.order(order.as_str()).unwrap();
        match &record[field] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    pub(crate) async fn assert_one_job_each(&self, orders: &BTreeSet<OrderId>) {
        for order in orders {
            assert_eq!(
                self.store.jobs_of(*order).await.unwrap().len(),
                1,
                "{order}"
            );
        }
    }

    /// WHMCS's own books: exactly one order, everything built exactly once.
    pub(crate) fn assert_provisioned_once(&self, order: &OrderId) {
        let orders = self.whmcs.orders_for(order.as_str());
        assert_eq!(orders.len(), 1, "WHMCS orders of {order}");
        assert_eq!(self.field(order, "Status"), "Provisioned");
        assert_eq!(
            self.field(order, "WHMCS_Order_ID__c"),
            orders[0].id.to_string()
        );
        let built = self.whmcs.remote_accounts();
        for service in self.whmcs.services_of(orders[0].id) {
            assert_eq!(
                built.get(&service.id),
                Some(&1),
                "accounts of service {}",
                service.id
            );
        }
    }
}

fn start<F>(program: impl FnOnce(CancellationToken) -> F) -> Running
where
    F: Future<Output = Result<(), runtime::Failure>> + Send + 'static,
{
    let shutdown = CancellationToken::new();
    let running = program(shutdown.clone());
    let task = tokio::spawn(async move { running.await.unwrap() });
    Running { shutdown, task }
}

fn url(folder: &tempfile::TempDir) -> String {
    format!("sqlite:{}", folder.path().join("jobs.db").display())
}
