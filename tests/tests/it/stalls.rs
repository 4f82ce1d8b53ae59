//! Outside systems and stores that hang or refuse: work goes on, few calls are made, and no
//! order is in doubt that was never sent.

use std::time::Duration;

use domain::id::OrderId;
use domain::ports::{AdminCommand, Pausable};
use serde_json::Map;
use simulators::When;
use simulators::whmcs::{Fault, FaultId, Module, ModuleScript};
use sqlx::Connection;

use crate::house::{Engine, TestEnv};
use crate::proxy::{Proxy, Road};

/// Longer than a call to the store may take, shorter than a lease.
const STALL: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_table_on_postgres_leaves_no_order_in_doubt() {
    let house = TestEnv::on(Engine::Postgres).await;
    let mut other = sqlx::PgConnection::connect(house.store_url())
        .await
        .unwrap();
    let stall = async |house: &TestEnv| {
        let mut transaction = other.begin().await.unwrap();
        sqlx::query("LOCK TABLE job IN ACCESS EXCLUSIVE MODE")
            .execute(&mut *transaction)
            .await
            .unwrap();
        house.whmcs.release(INTENTS);
        tokio::time::sleep(STALL).await;
        transaction.rollback().await.unwrap();
    };
    provision_while(&house, stall).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_file_on_sqlite_leaves_no_order_in_doubt() {
    let house = TestEnv::on(Engine::Sqlite).await;
    let mut other = sqlx::SqliteConnection::connect(house.store_url())
        .await
        .unwrap();
    let stall = async |house: &TestEnv| {
        sqlx::query("BEGIN EXCLUSIVE")
            .execute(&mut other)
            .await
            .unwrap();
        house.whmcs.release(INTENTS);
        tokio::time::sleep(STALL).await;
        sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    };
    provision_while(&house, stall).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_without_an_answer_on_postgres_leave_no_order_in_doubt() {
    let house = TestEnv::on(Engine::Postgres).await;
    let (host, through) = house.postgres_through();
    let proxy = Proxy::before(host).await;
    let url = through(proxy.address);
    let stall = async |house: &TestEnv| {
        proxy.set(Road::CommitsUnanswered);
        house.whmcs.release(INTENTS);
        // A little longer than the worker waits for its store.
        tokio::time::sleep(STALL + Duration::from_millis(500)).await;
        proxy.set(Road::Open);
    };
    provision_through(&house, &[("DATABASE_URL", &url)], stall).await;
}

/// Where orders are parked that will commit their intents next.
const INTENTS: &str = "intents";

async fn provision_while(house: &TestEnv, stall: impl AsyncFnMut(&TestEnv)) {
    provision_through(house, &[], stall).await;
}

async fn provision_through(
    house: &TestEnv,
    settings: &[(&'static str, &str)],
    mut stall: impl AsyncFnMut(&TestEnv),
) {
    let parked = Fault::new(FaultId::HoldAfter).on("GetProducts");
    house.whmcs.fault(parked.text(INTENTS).when(When::Next(8)));
    let settings = [settings, &[("WHMCS_TIMEOUT", "60s")]].concat();
    let (subscriber, worker) = (house.subscribe(), house.work_with(&settings));
    let orders = house.approve(20);
    let asked = || house.whmcs.call_counts().get("getproducts").copied();
    house.until(async || asked().unwrap_or_default() >= 8).await;
    stall(house).await;
    let status = |order: &OrderId| house.field(order, "Activation_Status__c");
    let ended = async || orders.iter().all(|order| status(order) != "Activating");
    house.until(ended).await;
    for order in &orders {
        let code = house.field(order, "Activation_Error_Code__c");
        let found = (status(order), code);
        assert_eq!(found, ("Activated".to_owned(), String::new()), "{order}");
        house.assert_provisioned_once(order);
    }
    worker.stop().await;
    subscriber.stop().await;
}

impl TestEnv {
    /// A second customer.
    fn other_account(&self) -> String {
        let client = self
            .whmcs
            .add_client("Grace", "Hopper", "grace@example.com");
        self.salesforce
            .create_account("Grace Ltd", Some(&client.to_string()))
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_of_a_client_that_hangs_do_not_starve_another_clients_order() {
    let house = TestEnv::new().await;
    let other = house.other_account();
    let hanging = Fault::new(FaultId::F15).on("GetOrders").client(1);
    house
        .whmcs
        .fault(hanging.delay_ms(600_000).when(When::Always));
    let (subscriber, worker) = (house.subscribe(), house.work());
    let stuck = house.approve(8);
    let asked = || house.whmcs.call_counts().get("getorders").copied();
    house.until(async || asked().unwrap_or_default() >= 8).await;
    let healthy = house.place_for(&other, Map::new());
    house.salesforce.approve(healthy.as_str()).unwrap();
    house.until_activation(&healthy, "Activated").await;
    house.assert_provisioned_once(&healthy);
    for order in &stuck {
        let status = house.field(order, "Activation_Status__c");
        assert_eq!(status, "Activating", "{order} ended before the healthy one");
    }
    house.whmcs.clear_faults();
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_whose_sessions_are_refused_is_not_repeated_for_every_job() {
    let house = TestEnv::new().await;
    let subscriber = house.subscribe();
    let orders = house.approve(20);
    house.until_queued(20).await;
    subscriber.stop().await;
    house.salesforce.refuse_sessions(true);
    let before = house.salesforce.logins();
    let worker = house.work();
    let tried = async || {
        let mut n_tried = 0;
        for order in &orders {
            let jobs = house.store.reader.jobs_of(*order).await.unwrap();
            let waits =
                |job: &domain::ports::JobView| job.state == "queued" && job.started_at.is_some();
            n_tried += usize::from(jobs.iter().all(waits));
        }
        n_tried == orders.len()
    };
    house.until(tried).await;
    let logins = house.salesforce.logins() - before;
    assert!(logins <= 3, "{logins} logins for 20 jobs");
    worker.stop().await;
    house.salesforce.refuse_sessions(false);
    let worker = house.work();
    for order in &orders {
        house.until_activation(order, "Activated").await;
        house.assert_provisioned_once(order);
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_retry_asks_a_suspended_whmcs_at_once() {
    let house = TestEnv::new().await;
    house.whmcs.set_module(5, Module::failing("no room"));
    let hour = Some(Duration::from_secs(3600));
    let (subscriber, worker) = (house.subscribe(), house.work_probing(&[], hour));
    let failed = *house.approve(1).first().unwrap();
    house.until_activation(&failed, "Failed").await;
    house.whmcs.set_module(5, Module::new(ModuleScript::Ok));
    house
        .whmcs
        .fault(Fault::new(FaultId::F17).when(When::Always));
    house.approve(1);
    house
        .until(async || house.facts_named("held").await == 1)
        .await;
    house.whmcs.clear_faults();
    // Nobody probes by itself for an hour.
    house.salesforce.retry(failed.as_str()).unwrap();
    house.until_activation(&failed, "Activated").await;
    house.assert_provisioned_once(&failed);
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resuming_the_workers_asks_a_suspended_whmcs_at_once() {
    let house = TestEnv::new().await;
    let hour = Some(Duration::from_secs(3600));
    house
        .whmcs
        .fault(Fault::new(FaultId::F17).when(When::Always));
    let (subscriber, worker) = (house.subscribe(), house.work_probing(&[], hour));
    house.approve(1);
    house
        .until(async || house.facts_named("held").await == 1)
        .await;
    let what = Pausable::Worker;
    let pause = AdminCommand::Pause { what: what.clone() };
    let asked = house
        .store
        .intake
        .act(&pause, "Ada", "new credential")
        .await;
    asked.unwrap();
    house.whmcs.clear_faults();
    let resume = AdminCommand::Resume { what };
    house
        .store
        .intake
        .act(&resume, "Ada", "done")
        .await
        .unwrap();
    // Nobody probes by itself for an hour.
    let probed = async || {
        let calls = house.whmcs.calls();
        calls.iter().any(|call| call.action == "getorderstatuses")
    };
    house.until(probed).await;
    worker.stop().await;
    subscriber.stop().await;
}
