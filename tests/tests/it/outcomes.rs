//! What an answer of WHMCS means: reported failures, unknown outcomes, and how often a call is
//! made before a person is asked.

use std::fs;
use std::time::Duration;

use domain::id::OrderId;
use simulators::When;
use simulators::whmcs::{Fault, FaultId, Module, ModuleScript};

use crate::house::TestEnv;

/// What panels say, in words that WHMCS uses to refuse the bridge.
const MODULE_ERRORS: [&str; 4] = [
    "Plesk: authentication failed for user admin",
    "sh: command not found",
    "Invalid IP assigned to node",
    "chmod: Invalid Permissions on /var/www",
];

impl TestEnv {
    /// How often an action was called about a WHMCS order or its services.
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

    /// Returns once the order has failed, or the action was called so often that it never will.
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
async fn a_module_error_in_the_words_of_a_denial_is_that_orders_failure_alone() {
    let house = TestEnv::new().await;
    let (subscriber, worker) = (
        house.subscribe(),
        house.work_with(&[("WHMCS_PAUSE_LIMIT", "2s")]),
    );
    for text in MODULE_ERRORS {
        let order = house.place();
        let fault = Fault::new(FaultId::F31)
            .on("AcceptOrder")
            .module(Module::failing(text));
        house
            .whmcs
            .fault(fault.marker(order.as_str()).when(When::Always));
        house.salesforce.approve(order.as_str()).unwrap();
        let others = house.approve(3);
        house.until_activation(&order, "Failed").await;
        house.assert_code(&order, "WHMCS_MODULE_FAILED");
        let message = house.field(&order, "Activation_Error_Message__c");
        assert!(message.contains(text), "{message}");
        assert_eq!(house.calls_about("acceptorder", &order), 1, "{text}");
        for other in &others {
            house.until_activation(other, "Activated").await;
            house.assert_provisioned_once(other);
        }
    }
    let probes = house.whmcs.call_counts().get("getorderstatuses").copied();
    assert_eq!(probes, None, "calls to WHMCS were never suspended");
    assert_eq!(house.facts_named("held").await, 0);
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_in_the_words_of_a_denial_after_add_order_places_no_second_order() {
    for notes_kept in [true, false] {
        let house = TestEnv::new().await;
        house.whmcs.turn(|knobs| knobs.notes_stored = notes_kept);
        let order = house.place();
        let fault = Fault::new(FaultId::F04)
            .on("AddOrder")
            .text("SMTP 535 authentication failed");
        house
            .whmcs
            .fault(fault.marker(order.as_str()).when(When::Always));
        let probe = Some(Duration::from_millis(200));
        let (subscriber, worker) = (house.subscribe(), house.work_probing(&[], probe));
        house.salesforce.approve(order.as_str()).unwrap();
        let n_placed = || house.whmcs.orders_for(order.as_str()).len();
        for _ in 0..3 {
            let ended = async || {
                let status = house.field(&order, "Activation_Status__c");
                n_placed() > 1 || status == "Activated" || status == "Failed"
            };
            house.until(ended).await;
            assert_eq!(n_placed(), 1, "notes kept: {notes_kept}");
            if house.field(&order, "Activation_Status__c") == "Activated" {
                break;
            }
            house.assert_code(&order, "WHMCS_OUTCOME_UNKNOWN");
            let message = house.field(&order, "Activation_Error_Message__c");
            let twin = house.whmcs.orders_for(order.as_str())[0].id.to_string();
            assert!(message.contains(&twin), "it names the order: {message}");
            house.salesforce.retry(order.as_str()).unwrap();
        }
        if notes_kept {
            house.assert_provisioned_once(&order);
        }
        worker.stop().await;
        subscriber.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accept_order_that_never_answers_is_given_up_with_an_unknown_outcome() {
    let house = TestEnv::new().await;
    let order = house.place();
    let marker = order.as_str();
    let built = Fault::new(FaultId::F30).style("build").on("AddOrder");
    house.whmcs.fault(built.marker(marker));
    let silent = Fault::new(FaultId::F08).on("AcceptOrder").marker(marker);
    house.whmcs.fault(silent.when(When::Always));
    let (subscriber, worker) = (house.subscribe(), house.work());
    house.salesforce.approve(marker).unwrap();
    house.until_failed_or_called(&order, "acceptorder", 5).await;
    let n_calls = house.calls_about("acceptorder", &order);
    assert!(n_calls <= 5, "AcceptOrder was called {n_calls} times");
    house.assert_code(&order, "WHMCS_OUTCOME_UNKNOWN");
    // Staff accept it; the retry finds nothing left to do.
    let placed = house.whmcs.orders_for(marker)[0].id;
    house.whmcs.set_order_status(placed, "Active");
    house.salesforce.retry(marker).unwrap();
    house.until_activation(&order, "Activated").await;
    house.assert_provisioned_once(&order);
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotent_module_create_that_never_answers_is_given_up_after_three() {
    let house = TestEnv::new().await;
    let module = Module::new(ModuleScript::Ok).idempotent();
    house.whmcs.set_module(5, module);
    let config = house.file("bridge.toml");
    fs::write(&config, "[whmcs]\nidempotent_modules = [\"simulated\"]\n").unwrap();
    let config = config.display().to_string();
    let order = house.place();
    let marker = order.as_str();
    for (action, when) in [
        ("AcceptOrder", When::Next(1)),
        ("ModuleCreate", When::Always),
    ] {
        let silent = Fault::new(FaultId::F08).on(action).marker(marker);
        house.whmcs.fault(silent.when(when));
    }
    let (subscriber, worker) = (
        house.subscribe(),
        house.work_with(&[("ORDERBRIDGE_CONFIG", &config)]),
    );
    house.salesforce.approve(marker).unwrap();
    house
        .until_failed_or_called(&order, "modulecreate", 6)
        .await;
    let n_calls = house.calls_about("modulecreate", &order);
    assert!(n_calls <= 6, "ModuleCreate was called {n_calls} times");
    house.assert_code(&order, "WHMCS_OUTCOME_UNKNOWN");
    house.whmcs.clear_faults();
    house.salesforce.retry(marker).unwrap();
    house.until_activation(&order, "Activated").await;
    house.assert_provisioned_once(&order);
    worker.stop().await;
    subscriber.stop().await;
}
