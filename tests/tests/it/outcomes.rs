//! Interpretation of WHMCS responses: reported failures, unknown outcomes, and the number of
//! calls before an operator is needed.

use std::fs;
use std::time::Duration;

use domain::id::OrderId;
use simulators::When;
use simulators::whmcs::{Fault, FaultId, Module, ModuleScript};

use crate::test_env::TestEnv;

/// Module errors that resemble an API denial.
const MODULE_ERRORS: [&str; 4] = [
    "Plesk: authentication failed for user admin",
    "sh: command not found",
    "Invalid IP assigned to node",
    "chmod: Invalid Permissions on /var/www",
];

impl TestEnv {
    /// The number of calls of an action for an order and its services.
    fn calls_about(&self, action: &str, order: &OrderId) -> usize {
        let orders = self.whmcs.orders_for(order.as_str());
        let services = orders
            .iter()
            .flat_map(|order| self.whmcs.services_of(order.id));
        let about: Vec<_> = orders
            .iter()
            .map(|order| format!("orderid={}", order.id))
            .chain(services.map(|service| format!("serviceid={}", service.id)))
            .collect();
        let calls = self.whmcs.calls();
        let calls = calls.iter().filter(|call| call.action == action);
        calls
            .filter(|call| call.about.as_ref().is_some_and(|id| about.contains(id)))
            .count()
    }

    /// Waits until the order has failed or the action was called `most` times.
    async fn until_failed_or_called(&self, order: &OrderId, action: &str, most: usize) {
        self.until(async || {
            self.field(order, "Activation_Status__c") == "Failed"
                || self.calls_about(action, order) > most
        })
        .await;
    }

    fn assert_code(&self, order: &OrderId, code: &str) {
        let message = self.field(order, "Activation_Error_Message__c");
        assert_eq!(
            self.field(order, "Activation_Error_Code__c"),
            code,
            "{message}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn module_error_worded_like_a_denial_fails_only_its_order() {
    let env = TestEnv::new().await;
    let (subscriber, worker) = (
        env.subscribe(),
        env.work_with(&[("WHMCS_PAUSE_LIMIT", "2s")]),
    );
    for text in MODULE_ERRORS {
        let order = env.place();
        let fault = Fault::new(FaultId::F31)
            .on("AcceptOrder")
            .module(Module::failing(text));
        env.whmcs
            .fault(fault.marker(order.as_str()).when(When::Always));
        env.salesforce.approve(order.as_str()).unwrap();
        let others = env.approve(3);
        env.until_activation(&order, "Failed").await;
        env.assert_code(&order, "WHMCS_MODULE_FAILED");
        let message = env.field(&order, "Activation_Error_Message__c");
        assert!(message.contains(text), "{message}");
        assert_eq!(env.calls_about("acceptorder", &order), 1, "{text}");
        for other in &others {
            env.until_activation(other, "Activated").await;
            env.assert_provisioned_once(other);
        }
    }
    let probes = env.whmcs.call_counts().get("getorderstatuses").copied();
    assert_eq!(probes, None, "calls to WHMCS were never suspended");
    assert_eq!(env.facts_named("held").await, 0);
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denial_page_after_add_order_places_no_second_order() {
    for notes_kept in [true, false] {
        let env = TestEnv::new().await;
        env.whmcs.turn(|options| options.notes_stored = notes_kept);
        let order = env.place();
        let fault = Fault::new(FaultId::F04)
            .on("AddOrder")
            .text("SMTP 535 authentication failed");
        env.whmcs
            .fault(fault.marker(order.as_str()).when(When::Always));
        let probe = Some(Duration::from_millis(200));
        let (subscriber, worker) = (env.subscribe(), env.work_with_probe(&[], probe));
        env.salesforce.approve(order.as_str()).unwrap();
        let n_placed = || env.whmcs.orders_for(order.as_str()).len();
        for _ in 0..3 {
            let ended = async || {
                let status = env.field(&order, "Activation_Status__c");
                n_placed() > 1 || status == "Activated" || status == "Failed"
            };
            env.until(ended).await;
            assert_eq!(n_placed(), 1, "notes kept: {notes_kept}");
            if env.field(&order, "Activation_Status__c") == "Activated" {
                break;
            }
            env.assert_code(&order, "WHMCS_OUTCOME_UNKNOWN");
            let message = env.field(&order, "Activation_Error_Message__c");
            let duplicate = env.whmcs.orders_for(order.as_str())[0].id.to_string();
            assert!(
                message.contains(&duplicate),
                "it names the order: {message}"
            );
            env.salesforce.retry(order.as_str()).unwrap();
        }
        if notes_kept {
            env.assert_provisioned_once(&order);
        }
        worker.stop().await;
        subscriber.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unanswered_accept_order_ends_with_unknown_outcome() {
    let env = TestEnv::new().await;
    let order = env.place();
    let marker = order.as_str();
    let built = Fault::new(FaultId::F30).style("build").on("AddOrder");
    env.whmcs.fault(built.marker(marker));
    let silent = Fault::new(FaultId::F08).on("AcceptOrder").marker(marker);
    env.whmcs.fault(silent.when(When::Always));
    let (subscriber, worker) = (env.subscribe(), env.work());
    env.salesforce.approve(marker).unwrap();
    env.until_failed_or_called(&order, "acceptorder", 5).await;
    let n_calls = env.calls_about("acceptorder", &order);
    assert!(n_calls <= 5, "AcceptOrder was called {n_calls} times");
    env.assert_code(&order, "WHMCS_OUTCOME_UNKNOWN");
    // After staff accept it, the retry has nothing left to do.
    let placed = env.whmcs.orders_for(marker)[0].id;
    env.whmcs.set_order_status(placed, "Active");
    env.salesforce.retry(marker).unwrap();
    env.until_activation(&order, "Activated").await;
    env.assert_provisioned_once(&order);
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unanswered_idempotent_module_create_stops_after_three_calls() {
    let env = TestEnv::new().await;
    let module = Module::new(ModuleScript::Ok).idempotent();
    env.whmcs.set_module(5, module);
    let config = env.file("bridge.toml");
    fs::write(&config, "[whmcs]\nidempotent_modules = [\"simulated\"]\n").unwrap();
    let config = config.display().to_string();
    let order = env.place();
    let marker = order.as_str();
    for (action, when) in [
        ("AcceptOrder", When::Next(1)),
        ("ModuleCreate", When::Always),
    ] {
        let silent = Fault::new(FaultId::F08).on(action).marker(marker);
        env.whmcs.fault(silent.when(when));
    }
    let (subscriber, worker) = (
        env.subscribe(),
        env.work_with(&[("ORDERBRIDGE_CONFIG", &config)]),
    );
    env.salesforce.approve(marker).unwrap();
    env.until_failed_or_called(&order, "modulecreate", 6).await;
    let n_calls = env.calls_about("modulecreate", &order);
    assert!(n_calls <= 6, "ModuleCreate was called {n_calls} times");
    env.assert_code(&order, "WHMCS_OUTCOME_UNKNOWN");
    env.whmcs.clear_faults();
    env.salesforce.retry(marker).unwrap();
    env.until_activation(&order, "Activated").await;
    env.assert_provisioned_once(&order);
    worker.stop().await;
    subscriber.stop().await;
}
