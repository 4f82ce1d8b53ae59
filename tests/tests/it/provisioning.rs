//! Provisioning from an approved Salesforce order to WHMCS, exactly once.

use serde_json::Value;
use simulators::When;
use simulators::whmcs::{Fault, FaultId, Module, ModuleScript};

use crate::test_env::TestEnv;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approved_orders_are_provisioned_once_and_reported() {
    let env = TestEnv::new().await;
    let (subscriber, worker) = (env.subscribe(), env.work());
    let orders = env.approve(25);
    for order in &orders {
        env.until_activation(order, "Activated").await;
        env.assert_provisioned_once(order);
        assert!(!env.field(order, "Activation_Completed_At__c").is_empty());
    }
    assert!(env.whmcs.duplicates().is_empty());
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn module_failure_is_reported_and_operator_retry_completes_order() {
    let env = TestEnv::new().await;
    env.whmcs
        .set_module(5, Module::failing("no room on the server"));
    let (subscriber, worker) = (env.subscribe(), env.work());
    let order = *env.approve(1).first().unwrap();
    env.until_activation(&order, "Failed").await;
    assert_eq!(
        env.field(&order, "Activation_Error_Code__c"),
        "WHMCS_MODULE_FAILED"
    );
    let message = env.field(&order, "Activation_Error_Message__c");
    assert!(message.contains("no room on the server"), "{message}");
    env.whmcs.set_module(5, Module::new(ModuleScript::Ok));
    env.salesforce.retry(order.as_str()).unwrap();
    env.until_activation(&order, "Activated").await;
    env.assert_provisioned_once(&order);
    assert_eq!(env.field(&order, "Activation_Error_Code__c"), "");
    worker.stop().await;
    subscriber.stop().await;
}

/// Faults after which AddOrder has had its effect.
fn lost_answers() -> Vec<Fault> {
    let mut faults = Vec::new();
    for style in ["notice", "bom", "blank"] {
        faults.push(Fault::new(FaultId::F03).style(style));
    }
    for id in [FaultId::F04, FaultId::F05, FaultId::F06, FaultId::F07] {
        faults.push(Fault::new(id));
    }
    faults.push(Fault::new(FaultId::F08).with_effect());
    faults.push(Fault::new(FaultId::F09));
    // Longer than one quiet period after the timeout, shorter than two.
    faults.push(Fault::new(FaultId::F10).delay_ms(400));
    for status in [502, 504, 524] {
        faults.push(Fault::new(FaultId::F11).status(status));
    }
    faults.push(Fault::new(FaultId::F13));
    faults.push(Fault::new(FaultId::F13).style("productids"));
    faults
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_or_garbled_add_order_answer_yields_exactly_one_order() {
    let env = TestEnv::new().await;
    let faults = lost_answers();
    let orders: Vec<_> = faults.iter().map(|_| env.place()).collect();
    for (order, fault) in orders.iter().zip(faults) {
        env.whmcs.fault(fault.on("AddOrder").marker(order.as_str()));
    }
    let (subscriber, worker) = (env.subscribe(), env.work());
    for order in &orders {
        env.salesforce.approve(order.as_str()).unwrap();
    }
    for order in &orders {
        env.until_activation(order, "Activated").await;
        env.assert_provisioned_once(order);
    }
    assert_eq!(env.whmcs.orders().len(), orders.len());
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_add_order_request_ends_unknown_and_retry_places_order() {
    let env = TestEnv::new().await;
    env.whmcs
        .fault(Fault::new(FaultId::F08).on("AddOrder").when(When::Next(1)));
    let (subscriber, worker) = (env.subscribe(), env.work());
    let order = *env.approve(1).first().unwrap();
    env.until_activation(&order, "Failed").await;
    assert_eq!(
        env.field(&order, "Activation_Error_Code__c"),
        "WHMCS_OUTCOME_UNKNOWN"
    );
    assert!(env.whmcs.orders_for(order.as_str()).is_empty());
    env.salesforce.retry(order.as_str()).unwrap();
    env.until_activation(&order, "Activated").await;
    env.assert_provisioned_once(&order);
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_duplicated_by_proxy_is_provisioned_once_after_cancellation() {
    let env = TestEnv::new().await;
    env.whmcs.fault(
        Fault::new(FaultId::F12)
            .with_effect()
            .on("AddOrder")
            .when(When::Next(1)),
    );
    let (subscriber, worker) = (env.subscribe(), env.work());
    let order = *env.approve(1).first().unwrap();
    env.until_activation(&order, "Failed").await;
    assert_eq!(
        env.field(&order, "Activation_Error_Code__c"),
        "WHMCS_DUPLICATE_FOUND"
    );
    let doubled = env.whmcs.orders_for(order.as_str());
    assert_eq!(doubled.len(), 2);
    let message = env.field(&order, "Activation_Error_Message__c");
    assert!(
        doubled
            .iter()
            .all(|order| message.contains(&order.id.to_string())),
        "{message}"
    );
    assert!(
        env.whmcs.remote_accounts().is_empty(),
        "no service was created"
    );
    env.whmcs.set_order_status(doubled[1].id, "Cancelled");
    env.salesforce.retry(order.as_str()).unwrap();
    env.until_activation(&order, "Activated").await;
    let left = doubled[0].id;
    assert_eq!(env.field(&order, "WHMCS_Order_ID__c"), left.to_string());
    let built: Vec<_> = env.whmcs.remote_accounts().into_iter().collect();
    let services = env.whmcs.services_of(left);
    let expected: Vec<_> = services.iter().map(|service| (service.id, 1)).collect();
    assert_eq!(built, expected, "services and how often each was built");
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_orders_share_the_created_client() {
    let env = TestEnv::new().await;
    let account = env.salesforce.create_account("New Ltd", None).unwrap();
    let orders = [(); 4].map(|()| env.place_billed(&account));
    let worker = env.work_with(&[("WHMCS_CREATE_CLIENTS", "true")]);
    let subscriber = env.subscribe();
    for order in &orders {
        env.salesforce.approve(order.as_str()).unwrap();
    }
    for order in &orders {
        env.until_activation(order, "Activated").await;
        env.assert_provisioned_once(order);
    }
    let clients = env.whmcs.clients();
    let created: Vec<_> = clients
        .iter()
        .filter(|client| client.firstname == "Grace")
        .collect();
    assert_eq!(created.len(), 1);
    assert_eq!(created[0].companyname, "New Ltd");
    let linked = env.salesforce.record(&account).unwrap();
    assert_eq!(
        linked["WHMCS_Client_ID__c"],
        Value::from(created[0].id.to_string())
    );
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn salesforce_prices_are_sent_only_when_configured() {
    for (prices, amount) in [("whmcs", "9.95"), ("salesforce", "9.50")] {
        let env = TestEnv::new().await;
        let worker = env.work_with(&[("WHMCS_PRICES", prices)]);
        let subscriber = env.subscribe();
        let order = *env.approve(1).first().unwrap();
        env.until_activation(&order, "Activated").await;
        let placed = env.whmcs.orders_for(order.as_str());
        let services = env.whmcs.services_of(placed[0].id);
        let amounts: Vec<_> = services
            .iter()
            .map(|service| format!("{:.2}", service.amount))
            .collect();
        assert_eq!(amounts, [amount, amount], "{prices}");
        worker.stop().await;
        subscriber.stop().await;
    }
}
