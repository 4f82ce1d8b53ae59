//! Test environment: the real programs between a simulated Salesforce and a simulated WHMCS.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::id::OrderId;
use domain::key::Channel;
use e2e::crash_points::CRASH_POINTS_FILE;
use job_store::{Store, StoreConfig};
use operations::{JobStage, StreamView};
use runtime::{Metrics, SystemClock};
use serde_json::{Map, Value, json};
use simulators::salesforce::{Line, NewOrder, SalesforceOptions, SalesforceSim};
use simulators::whmcs::{Product, WhmcsOptions, WhmcsSim};
use test_postgres::Database;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use crate::flags::{INTERVALS, Settings, flags, with};

/// Upper limit of every wait, generous for loaded machines.
const PATIENCE: Duration = Duration::from_secs(120);

/// The job store's engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// Both simulated systems, a job store, and the programs a test starts.
pub(crate) struct TestEnv {
    pub(crate) salesforce: SalesforceSim,
    pub(crate) whmcs: WhmcsSim,
    pub(crate) store: Store,
    pub(crate) engine: Engine,
    url: String,
    folder: tempfile::TempDir,
    /// Dropped last, after its connections.
    _database: Option<Database>,
    account: String,
    entry: String,
    last_sold: String,
}

/// A running program.
pub(crate) struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Requests shutdown and waits for it.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

impl TestEnv {
    pub(crate) async fn new() -> Self {
        Self::on(Engine::Sqlite).await
    }

    /// An environment with this store.
    pub(crate) async fn on(engine: Engine) -> Self {
        Self::with(engine, WhmcsOptions::default()).await
    }

    /// An environment with this store and these WHMCS options.
    pub(crate) async fn with(engine: Engine, whmcs: WhmcsOptions) -> Self {
        Self::between(SalesforceOptions::default(), whmcs, engine).await
    }

    /// An environment with these simulator options and this store.
    pub(crate) async fn between(
        org: SalesforceOptions,
        whmcs: WhmcsOptions,
        engine: Engine,
    ) -> Self {
        outbound::install_crypto_provider();
        let salesforce = SalesforceSim::start(org).await.unwrap();
        let whmcs = WhmcsSim::start(whmcs).await.unwrap();
        whmcs.set_product(Product::new(5, "Web hosting"));
        let client = whmcs
            .add_client("Ada", "Byron", "ada@example.com")
            .to_string();
        let account = salesforce.create_account("Ada Ltd", Some(&client)).unwrap();
        let (_, entry) = salesforce
            .create_product("Web hosting", Some("5"), Some("monthly"), 9.5)
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Database::create().await),
        };
        let url = match &database {
            None => format!("sqlite:{}", folder.path().join("jobs.db").display()),
            Some(database) => database.url(),
        };
        let config = StoreConfig::parse(&url).unwrap();
        let store = job_store::open(&config, Arc::new(SystemClock)).await;
        Self {
            salesforce,
            whmcs,
            store: store.unwrap(),
            engine,
            url,
            folder,
            _database: database,
            account,
            last_sold: entry.clone(),
            entry,
        }
    }

    /// Settings for the store and Salesforce, common to all programs.
    pub(crate) fn common_settings(&self) -> Settings {
        let login = self.salesforce.login();
        vec![
            ("DATABASE_URL", self.url.clone()),
            ("HTTP_ADDR", "127.0.0.1:0".to_owned()),
            ("SF_LOGIN_URL", self.salesforce.rest_url()),
            ("SF_CLIENT_ID", login.client_id),
            ("SF_USERNAME", login.username),
            ("SF_PRIVATE_KEY", login.private_key_pem),
        ]
    }

    /// Settings of a subscriber.
    pub(crate) fn subscriber_settings(&self) -> Settings {
        let mut settings = self.common_settings();
        settings.extend([
            ("SF_PUBSUB_ENDPOINT", self.salesforce.pubsub_url()),
            ("SF_EVENTS_REPLAY", "ALL".to_owned()),
            ("SUBSCRIBER_LEASE", "1s".to_owned()),
        ]);
        settings
    }

    /// Settings of a worker with short timeouts.
    pub(crate) fn worker_settings(&self) -> Settings {
        let credentials = self.whmcs.credentials();
        let mut settings = self.common_settings();
        settings.extend([
            ("WHMCS_URL", self.whmcs.url()),
            ("WHMCS_IDENTIFIER", credentials.identifier),
            ("WHMCS_SECRET", credentials.secret),
            ("WHMCS_PAYMENT_METHOD", "banktransfer".to_owned()),
            ("WHMCS_QUIET_PERIOD", "300ms".to_owned()),
            ("WHMCS_TIMEOUT", "2s".to_owned()),
        ]);
        settings
    }

    /// Settings of a worker with a short lease.
    pub(crate) fn short_lease_worker_settings(&self) -> Settings {
        let mut settings = self.worker_settings();
        settings.push(("WORKER_LEASE", "1s".to_owned()));
        settings
    }

    /// Adds an empty crash points file.
    pub(crate) fn without_crashes(&self, mut settings: Settings) -> Settings {
        let crash_points = self.file("crash_points");
        std::fs::write(&crash_points, "").unwrap();
        settings.push((CRASH_POINTS_FILE, crash_points.display().to_string()));
        settings
    }

    /// The PostgreSQL host, and a function that points the store URL to another address.
    pub(crate) fn postgres_through(&self) -> (String, impl Fn(SocketAddr) -> String) {
        let url = url::Url::parse(&self.url).unwrap();
        let host = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let through = move |place: SocketAddr| {
            let mut url = url.clone();
            url.set_host(Some(&place.ip().to_string())).unwrap();
            url.set_port(Some(place.port())).unwrap();
            url.to_string()
        };
        (host, through)
    }

    /// The number of facts of this name, over all orders.
    pub(crate) async fn facts_named(&self, name: &str) -> usize {
        let mut count = 0;
        for order in self.salesforce.records("Order") {
            let order = OrderId::parse(order["Id"].as_str().unwrap()).unwrap();
            let facts = self.store.ports.facts_of(order).await.unwrap();
            count += facts.iter().filter(|fact| fact.fact.name() == name).count();
        }
        count
    }

    /// State of the event stream.
    pub(crate) async fn stream_view(&self) -> StreamView {
        let channel = Channel::new(self.salesforce.channel()).unwrap();
        self.store.ports.stream(&channel).await.unwrap()
    }

    /// A path in the environment's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a subscriber.
    pub(crate) fn subscribe(&self) -> Running {
        self.subscribe_with(&[])
    }

    /// Starts a subscriber with these settings added or replaced.
    pub(crate) fn subscribe_with(&self, more: &[(&'static str, &str)]) -> Running {
        let settings = with(self.subscriber_settings(), more);
        let given = settings::given(settings).unwrap();
        let mut config = subscriber::Config::of(&given).unwrap();
        config.program.alerts.settings.schedule = INTERVALS;
        start(|shutdown| async move { subscriber::run(config, Metrics::install(), shutdown).await })
    }

    /// Starts the portal and returns its URL.
    pub(crate) async fn open_portal(&self, more: &[(&'static str, &str)]) -> (Running, String) {
        let settings = with(self.common_settings(), more);
        let given = settings::given(settings).unwrap();
        let mut config = portal::Config::of(&given).unwrap();
        config.program.alerts.settings.schedule = INTERVALS;
        let listener = runtime::Listener::bind(config.program.listener.http)
            .await
            .unwrap();
        let url = format!("http://{}", listener.address().unwrap());
        let running = start(|shutdown| async move {
            portal::serve(config, listener, Metrics::install(), shutdown).await
        });
        (running, url)
    }

    /// URL of the store.
    pub(crate) fn store_url(&self) -> &str {
        &self.url
    }

    /// The customer's account.
    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    /// The body of a new order.
    pub(crate) fn order_body(&self) -> Value {
        json!({"accountId": self.account,
            "items": [{"pricebookEntryId": self.entry, "quantity": 1}]})
    }

    /// Starts a worker.
    pub(crate) fn work(&self) -> Running {
        self.work_with(&[])
    }

    /// Starts a worker with these settings added or replaced.
    pub(crate) fn work_with(&self, more: &[(&'static str, &str)]) -> Running {
        self.work_with_probe(more, None)
    }

    /// Starts a worker with this probe interval.
    pub(crate) fn work_with_probe(
        &self,
        more: &[(&'static str, &str)],
        every: Option<Duration>,
    ) -> Running {
        let mut settings = self.worker_settings();
        settings.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        settings.extend(
            more.iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        let given = settings::given(settings).unwrap();
        let mut config = worker::Config::of(&given).unwrap();
        config.program.alerts.settings.schedule = INTERVALS;
        if let Some(every) = every {
            config.provisioning.probe_every = every;
        }
        start(|shutdown| async move { worker::run(config, Metrics::install(), shutdown).await })
    }

    /// Places an order for two units of the default product.
    pub(crate) fn place(&self) -> OrderId {
        self.place_for(&self.account, Map::new())
    }

    /// Places an order for an account, with additional fields.
    pub(crate) fn place_for(&self, account: &str, fields: Map<String, Value>) -> OrderId {
        self.place_entry(&self.entry, account, fields)
    }

    fn place_entry(&self, entry: &str, account: &str, fields: Map<String, Value>) -> OrderId {
        let order = NewOrder {
            account: account.to_owned(),
            lines: vec![Line::new(entry, 2)],
            fields,
        };
        OrderId::parse(&self.salesforce.place_order(order).unwrap()).unwrap()
    }

    /// Adds a Salesforce product for a WHMCS product.
    pub(crate) fn sell(&mut self, name: &str, pid: u64) {
        let pid = pid.to_string();
        let (_, entry) = self
            .salesforce
            .create_product(name, Some(&pid), Some("monthly"), 24.0)
            .unwrap();
        self.last_sold = entry;
    }

    /// Places an order for two units of the product added last.
    pub(crate) fn place_last_sold(&self) -> OrderId {
        self.place_entry(&self.last_sold, &self.account, Map::new())
    }

    /// Places an order with the bill-to contact that client creation needs.
    pub(crate) fn place_billed(&self, account: &str) -> OrderId {
        self.place_billed_to(account, &format!("{account}@example.com"))
    }

    /// As [`place_billed`](Self::place_billed), with the contact's e-mail address.
    pub(crate) fn place_billed_to(&self, account: &str, email: &str) -> OrderId {
        let contact = json!({"AccountId": account, "FirstName": "Grace", "LastName": "Hopper",
            "Email": email, "Phone": "+44 20 7946 0000"});
        let contact = self.salesforce.create("Contact", contact).unwrap();
        let fields = [
            ("BillToContactId", contact.as_str()),
            ("BillingStreet", "1 Market Row"),
            ("BillingCity", "London"),
            ("BillingState", "London"),
            ("BillingPostalCode", "E1 6AN"),
            ("BillingCountryCode", "GB"),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), Value::from(value)));
        self.place_for(account, fields.into_iter().collect())
    }

    /// Places and approves this many orders.
    pub(crate) fn approve(&self, n_orders: usize) -> BTreeSet<OrderId> {
        (0..n_orders)
            .map(|_| {
                let order = self.place();
                self.salesforce.approve(order.as_str()).unwrap();
                order
            })
            .collect()
    }

    /// Waits until this many jobs are queued.
    pub(crate) async fn until_queued(&self, n_jobs: u64) {
        self.until(async || {
            self.store
                .ports
                .queue_stats()
                .await
                .unwrap()
                .count(JobStage::Queued)
                >= n_jobs
        })
        .await;
    }

    /// Whether the store has this many jobs, in any state.
    pub(crate) async fn has_jobs(&self, n_jobs: u64) -> bool {
        let queue_stats = self.store.ports.queue_stats().await.unwrap();
        queue_stats.jobs.iter().map(|(_, count)| count).sum::<u64>() >= n_jobs
    }

    /// Waits for an activation status of the order in Salesforce.
    pub(crate) async fn until_activation(&self, order: &OrderId, status: &str) {
        self.until(async || self.field(order, "Activation_Status__c") == status)
            .await;
    }

    /// Waits for a condition, checking after each write to the store.
    pub(crate) async fn until(&self, holds: impl AsyncFn() -> bool) {
        let waiting = async {
            while !holds().await {
                self.store
                    .ports
                    .wait_for_work(Duration::from_millis(100))
                    .await;
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
                self.store.ports.jobs_of(*order).await.unwrap().len(),
                1,
                "{order}"
            );
        }
    }

    /// Asserts that WHMCS has exactly one live order with each service built exactly once.
    pub(crate) fn assert_provisioned_once(&self, order: &OrderId) {
        let mut orders = self.whmcs.orders_for(order.as_str());
        orders.retain(|order| order.status != "Cancelled");
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
