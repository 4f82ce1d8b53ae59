//! From an approval in Salesforce to a job, over the real wire.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use domain::id::OrderId;
use domain::ports::{JobQueue, JobReader};
use job_store::SqliteStore;
use runtime::{Metrics, SystemClock};
use simulators::salesforce::{Line, NewOrder, SalesforceOptions, SalesforceSim};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A simulated Salesforce, a store, and as many subscribers as a test starts.
struct House {
    salesforce: SalesforceSim,
    store: SqliteStore,
    folder: tempfile::TempDir,
    account: String,
    entry: String,
}

struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

impl House {
    async fn new() -> Self {
        outbound::install_crypto_provider();
        let salesforce = SalesforceSim::start(SalesforceOptions::default())
            .await
            .unwrap();
        let account = salesforce.create_account("Ada Ltd", Some("7")).unwrap();
        let (_, entry) = salesforce
            .create_product("Web hosting", Some("5"), Some("monthly"), 9.5)
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&url(&folder), Arc::new(SystemClock))
            .await
            .unwrap();
        Self {
            salesforce,
            store,
            folder,
            account,
            entry,
        }
    }

    /// Starts a subscriber by the settings a user would give.
    fn subscribe(&self) -> Running {
        let login = self.salesforce.login();
        let url = url(&self.folder);
        let args = subscriber::Args::parse_from([
            "subscriber",
            "--database-url",
            &url,
            "--http-addr",
            "127.0.0.1:0",
            "--sf-events-replay",
            "ALL",
            "--sf-login-url",
            &self.salesforce.rest_url(),
            "--sf-pubsub-endpoint",
            &self.salesforce.pubsub_url(),
            "--sf-client-id",
            &login.client_id,
            "--sf-username",
            &login.username,
            "--sf-private-key",
            &login.private_key_pem,
            "--subscriber-lease",
            "1s",
        ]);
        let config = args.check().unwrap();
        let shutdown = CancellationToken::new();
        let told = shutdown.clone();
        let task = tokio::spawn(async move {
            subscriber::run(config, Metrics::install(), told)
                .await
                .unwrap();
        });
        Running { shutdown, task }
    }

    fn approve(&self, n_orders: usize) -> BTreeSet<OrderId> {
        (0..n_orders)
            .map(|_| {
                let order = NewOrder {
                    account: self.account.clone(),
                    lines: vec![Line::new(&self.entry, 1)],
                    ..NewOrder::default()
                };
                let id = self.salesforce.place_order(order).unwrap();
                self.salesforce.approve(&id).unwrap();
                OrderId::parse(&id).unwrap()
            })
            .collect()
    }

    /// Returns once so many jobs are queued; woken by the store, bounded in time.
    async fn until_queued(&self, n_jobs: u64) {
        let waiting = async {
            while self.store.tally().await.unwrap().count("queued") < n_jobs {
                self.store.wait(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting)
            .await
            .unwrap();
    }

    async fn assert_one_job_each(&self, orders: &BTreeSet<OrderId>) {
        for order in orders {
            assert_eq!(
                self.store.jobs_of(*order).await.unwrap().len(),
                1,
                "{order}"
            );
        }
    }
}

fn url(folder: &tempfile::TempDir) -> String {
    format!("sqlite:{}", folder.path().join("jobs.db").display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_approval_becomes_one_job() {
    let house = House::new().await;
    let running = house.subscribe();
    let orders = house.approve(130);
    house.until_queued(130).await;
    house.assert_one_job_each(&orders).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_and_a_broken_stream_lose_nothing_and_double_nothing() {
    let house = House::new().await;
    let running = house.subscribe();
    let mut orders = house.approve(20);
    house.until_queued(20).await;
    running.stop().await;
    orders.extend(house.approve(20));
    let running = house.subscribe();
    house.until_queued(40).await;
    house.salesforce.kill_streams();
    orders.extend(house.approve(20));
    house.until_queued(60).await;
    house.salesforce.republish(orders.first().unwrap().as_str());
    orders.extend(house.approve(1));
    house.until_queued(61).await;
    house.assert_one_job_each(&orders).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_goes_to_the_dead_letters_and_the_stream_goes_on() {
    let house = House::new().await;
    let running = house.subscribe();
    house.salesforce.publish_raw(vec![0xff; 40], None);
    house
        .salesforce
        .publish_raw(vec![1, 2, 3], Some("no-such-schema-id-00000"));
    let orders = house.approve(1);
    house.until_queued(1).await;
    house.assert_one_job_each(&orders).await;
    assert_eq!(house.store.tally().await.unwrap().open_dead_letters, 2);
    running.stop().await;
}
