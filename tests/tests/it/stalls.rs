//! External systems and stores that hang or reject calls: work continues, few calls are made, and
//! no unsent call has an unknown outcome.

use std::time::Duration;

use domain::id::OrderId;
use operations::{AdminCommand, Pausable};
use serde_json::Map;
use simulators::When;
use simulators::whmcs::{Fault, FaultId, Module, ModuleScript};
use sqlx::Connection;

use crate::proxy::{Proxy, Traffic};
use crate::test_env::{Engine, TestEnv};

/// Longer than the store's call timeout, shorter than a lease.
const STALL: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_table_lock_leaves_no_unknown_outcome() {
    let env = TestEnv::on(Engine::Postgres).await;
    let mut other = sqlx::PgConnection::connect(env.store_url()).await.unwrap();
    let stall = async |env: &TestEnv| {
        let mut transaction = other.begin().await.unwrap();
        sqlx::query("LOCK TABLE job IN ACCESS EXCLUSIVE MODE")
            .execute(&mut *transaction)
            .await
            .unwrap();
        env.whmcs.release(INTENTS);
        tokio::time::sleep(STALL).await;
        transaction.rollback().await.unwrap();
    };
    provision_while(&env, stall).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_file_lock_leaves_no_unknown_outcome() {
    let env = TestEnv::on(Engine::Sqlite).await;
    let mut other = sqlx::SqliteConnection::connect(env.store_url())
        .await
        .unwrap();
    let stall = async |env: &TestEnv| {
        sqlx::query("BEGIN EXCLUSIVE")
            .execute(&mut other)
            .await
            .unwrap();
        env.whmcs.release(INTENTS);
        tokio::time::sleep(STALL).await;
        sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    };
    provision_while(&env, stall).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unanswered_postgres_commits_leave_no_unknown_outcome() {
    let env = TestEnv::on(Engine::Postgres).await;
    let (host, through) = env.postgres_through();
    let proxy = Proxy::before(host).await;
    let url = through(proxy.address);
    let stall = async |env: &TestEnv| {
        proxy.set(Traffic::CommitsUnanswered);
        env.whmcs.release(INTENTS);
        // A little longer than the worker waits for its store.
        tokio::time::sleep(STALL + Duration::from_millis(500)).await;
        proxy.set(Traffic::Open);
    };
    provision_through(&env, &[("DATABASE_URL", &url)], stall).await;
}

/// The hold point just before the orders commit their intents.
const INTENTS: &str = "intents";

async fn provision_while(env: &TestEnv, stall: impl AsyncFnMut(&TestEnv)) {
    provision_through(env, &[], stall).await;
}

async fn provision_through(
    env: &TestEnv,
    settings: &[(&'static str, &str)],
    mut stall: impl AsyncFnMut(&TestEnv),
) {
    // The search that is made ahead fails, so each order searches again right before its intent.
    let lost = Fault::new(FaultId::F05).on("GetOrders");
    env.whmcs.fault(lost.when(When::Next(8)));
    let parked = Fault::new(FaultId::HoldAfter).on("GetOrders");
    env.whmcs.fault(parked.text(INTENTS).when(When::Next(8)));
    let settings = [settings, &[("WHMCS_TIMEOUT", "60s")]].concat();
    let (subscriber, worker) = (env.subscribe(), env.work_with(&settings));
    let orders = env.approve(20);
    let parked = || {
        let calls = env.whmcs.calls().into_iter();
        let held = calls.filter(|call| call.fault.as_deref() == Some("hold_after"));
        held.count()
    };
    env.until(async || parked() >= 8).await;
    stall(env).await;
    let status = |order: &OrderId| env.field(order, "Activation_Status__c");
    let ended = async || orders.iter().all(|order| status(order) != "Activating");
    env.until(ended).await;
    for order in &orders {
        let code = env.field(order, "Activation_Error_Code__c");
        let found = (status(order), code);
        assert_eq!(found, ("Activated".to_owned(), String::new()), "{order}");
        env.assert_provisioned_once(order);
    }
    worker.stop().await;
    subscriber.stop().await;
}

impl TestEnv {
    /// Creates a second customer.
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
async fn hanging_client_does_not_starve_other_clients() {
    let env = TestEnv::new().await;
    let other = env.other_account();
    let hanging = Fault::new(FaultId::F15).on("GetOrders").client(1);
    env.whmcs
        .fault(hanging.delay_ms(600_000).when(When::Always));
    let (subscriber, worker) = (env.subscribe(), env.work());
    let stuck = env.approve(8);
    let calls_made = || env.whmcs.call_counts().get("getorders").copied();
    env.until(async || calls_made().unwrap_or_default() >= 8)
        .await;
    let healthy = env.place_for(&other, Map::new());
    env.salesforce.approve(healthy.as_str()).unwrap();
    env.until_activation(&healthy, "Activated").await;
    env.assert_provisioned_once(&healthy);
    for order in &stuck {
        let status = env.field(order, "Activation_Status__c");
        assert_eq!(status, "Activating", "{order} ended before the healthy one");
    }
    env.whmcs.clear_faults();
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_sessions_do_not_cause_a_login_per_job() {
    let env = TestEnv::new().await;
    let subscriber = env.subscribe();
    let orders = env.approve(20);
    env.until_queued(20).await;
    subscriber.stop().await;
    env.salesforce.refuse_sessions(true);
    let before = env.salesforce.logins();
    let worker = env.work();
    let tried = async || {
        let mut n_tried = 0;
        for order in &orders {
            let jobs = env.store.ports.jobs_of(*order).await.unwrap();
            let waits = |job: &operations::JobView| {
                job.stage == operations::JobStage::Queued && job.started_at.is_some()
            };
            n_tried += usize::from(jobs.iter().all(waits));
        }
        n_tried == orders.len()
    };
    env.until(tried).await;
    let logins = env.salesforce.logins() - before;
    assert!(logins <= 3, "{logins} logins for 20 jobs");
    worker.stop().await;
    env.salesforce.refuse_sessions(false);
    let worker = env.work();
    for order in &orders {
        env.until_activation(order, "Activated").await;
        env.assert_provisioned_once(order);
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operator_retry_probes_open_circuit_at_once() {
    let env = TestEnv::new().await;
    env.whmcs.set_module(5, Module::failing("no room"));
    let hour = Some(Duration::from_secs(3600));
    let (subscriber, worker) = (env.subscribe(), env.work_with_probe(&[], hour));
    let failed = *env.approve(1).first().unwrap();
    env.until_activation(&failed, "Failed").await;
    env.whmcs.set_module(5, Module::new(ModuleScript::Ok));
    env.whmcs.fault(Fault::new(FaultId::F17).when(When::Always));
    env.approve(1);
    env.until(async || env.facts_named("held").await == 1).await;
    env.whmcs.clear_faults();
    // The periodic probe is an hour away.
    env.salesforce.retry(failed.as_str()).unwrap();
    env.until_activation(&failed, "Activated").await;
    env.assert_provisioned_once(&failed);
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resuming_workers_probes_open_circuit_at_once() {
    let env = TestEnv::new().await;
    let hour = Some(Duration::from_secs(3600));
    env.whmcs.fault(Fault::new(FaultId::F17).when(When::Always));
    let (subscriber, worker) = (env.subscribe(), env.work_with_probe(&[], hour));
    env.approve(1);
    env.until(async || env.facts_named("held").await == 1).await;
    let what = Pausable::Worker;
    let pause = AdminCommand::Pause { what: what.clone() };
    let paused = env
        .store
        .ports
        .execute(&pause, "Ada", "new credential")
        .await;
    paused.unwrap();
    env.whmcs.clear_faults();
    let resume = AdminCommand::Resume { what };
    env.store
        .ports
        .execute(&resume, "Ada", "done")
        .await
        .unwrap();
    // The periodic probe is an hour away.
    let probed = async || {
        let calls = env.whmcs.calls();
        calls.iter().any(|call| call.action == "getorderstatuses")
    };
    env.until(probed).await;
    worker.stop().await;
    subscriber.stop().await;
}
