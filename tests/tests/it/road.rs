//! The whole road: an approved Salesforce order ends up provisioned in WHMCS, exactly once.

use serde_json::Value;
use simulators::When;
use simulators::whmcs::{Fault, FaultId, Module, ModuleScript};

use crate::house::TestEnv;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approved_orders_are_provisioned_once_and_say_so() {
    let house = TestEnv::new().await;
    let (subscriber, worker) = (house.subscribe(), house.work());
    let orders = house.approve(25);
    for order in &orders {
        house.until_activation(order, "Activated").await;
        house.assert_provisioned_once(order);
        assert!(!house.field(order, "Activation_Completed_At__c").is_empty());
    }
    assert!(house.whmcs.duplicates().is_empty());
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_module_is_told_and_the_operators_retry_finishes_the_order() {
    let house = TestEnv::new().await;
    house
        .whmcs
        .set_module(5, Module::failing("no room on the server"));
    let (subscriber, worker) = (house.subscribe(), house.work());
    let order = *house.approve(1).first().unwrap();
    house.until_activation(&order, "Failed").await;
    assert_eq!(
        house.field(&order, "Activation_Error_Code__c"),
        "WHMCS_MODULE_FAILED"
    );
    let message = house.field(&order, "Activation_Error_Message__c");
    assert!(message.contains("no room on the server"), "{message}");
    house.whmcs.set_module(5, Module::new(ModuleScript::Ok));
    house.salesforce.retry(order.as_str()).unwrap();
    house.until_activation(&order, "Activated").await;
    house.assert_provisioned_once(&order);
    assert_eq!(house.field(&order, "Activation_Error_Code__c"), "");
    worker.stop().await;
    subscriber.stop().await;
}

/// Every way in which AddOrder can have had its effect without our hearing of it properly.
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
    // Longer than one quiet period after we have gone, and shorter than two.
    faults.push(Fault::new(FaultId::F10).delay_ms(400));
    for status in [502, 504, 524] {
        faults.push(Fault::new(FaultId::F11).status(status));
    }
    faults.push(Fault::new(FaultId::F13));
    faults.push(Fault::new(FaultId::F13).style("productids"));
    faults
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_lost_or_garbled_answer_of_add_order_ends_with_exactly_one_order() {
    let house = TestEnv::new().await;
    let faults = lost_answers();
    let orders: Vec<_> = faults.iter().map(|_| house.place()).collect();
    for (order, fault) in orders.iter().zip(faults) {
        house
            .whmcs
            .fault(fault.on("AddOrder").marker(order.as_str()));
    }
    let (subscriber, worker) = (house.subscribe(), house.work());
    for order in &orders {
        house.salesforce.approve(order.as_str()).unwrap();
    }
    for order in &orders {
        house.until_activation(order, "Activated").await;
        house.assert_provisioned_once(order);
    }
    assert_eq!(house.whmcs.orders().len(), orders.len());
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_never_arrived_ends_unknown_and_the_operators_retry_places_it() {
    let house = TestEnv::new().await;
    house
        .whmcs
        .fault(Fault::new(FaultId::F08).on("AddOrder").when(When::Next(1)));
    let (subscriber, worker) = (house.subscribe(), house.work());
    let order = *house.approve(1).first().unwrap();
    house.until_activation(&order, "Failed").await;
    assert_eq!(
        house.field(&order, "Activation_Error_Code__c"),
        "WHMCS_OUTCOME_UNKNOWN"
    );
    assert!(house.whmcs.orders_for(order.as_str()).is_empty());
    house.salesforce.retry(order.as_str()).unwrap();
    house.until_activation(&order, "Activated").await;
    house.assert_provisioned_once(&order);
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_a_proxy_doubled_is_set_up_once_after_staff_cancelled_the_other() {
    let house = TestEnv::new().await;
    house.whmcs.fault(
        Fault::new(FaultId::F12)
            .with_effect()
            .on("AddOrder")
            .when(When::Next(1)),
    );
    let (subscriber, worker) = (house.subscribe(), house.work());
    let order = *house.approve(1).first().unwrap();
    house.until_activation(&order, "Failed").await;
    assert_eq!(
        house.field(&order, "Activation_Error_Code__c"),
        "WHMCS_DUPLICATE_FOUND"
    );
    let doubled = house.whmcs.orders_for(order.as_str());
    assert_eq!(doubled.len(), 2);
    let message = house.field(&order, "Activation_Error_Message__c");
    assert!(
        doubled
            .iter()
            .all(|order| message.contains(&order.id.to_string())),
        "{message}"
    );
    assert!(
        house.whmcs.remote_accounts().is_empty(),
        "nothing was set up"
    );
    house.whmcs.set_order_status(doubled[1].id, "Cancelled");
    house.salesforce.retry(order.as_str()).unwrap();
    house.until_activation(&order, "Activated").await;
    let left = doubled[0].id;
    assert_eq!(house.field(&order, "WHMCS_Order_ID__c"), left.to_string());
    let built: Vec<_> = house.whmcs.remote_accounts().into_iter().collect();
    let services = house.whmcs.services_of(left);
    let expected: Vec<_> = services.iter().map(|service| (service.id, 1)).collect();
    assert_eq!(built, expected, "services and how often each was built");
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_orders_of_an_account_without_client_share_the_one_that_is_created() {
    let house = TestEnv::new().await;
    let account = house.salesforce.create_account("New Ltd", None).unwrap();
    let orders = [(); 4].map(|()| house.place_billed(&account));
    let worker = house.work_with(&[("WHMCS_CREATE_CLIENTS", "true")]);
    let subscriber = house.subscribe();
    for order in &orders {
        house.salesforce.approve(order.as_str()).unwrap();
    }
    for order in &orders {
        house.until_activation(order, "Activated").await;
        house.assert_provisioned_once(order);
    }
    let clients = house.whmcs.clients();
    let created: Vec<_> = clients
        .iter()
        .filter(|client| client.firstname == "Grace")
        .collect();
    assert_eq!(created.len(), 1);
    assert_eq!(created[0].companyname, "New Ltd");
    let linked = house.salesforce.record(&account).unwrap();
    assert_eq!(
        linked["WHMCS_Client_ID__c"],
        Value::from(created[0].id.to_string())
    );
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prices_of_salesforce_go_along_only_where_they_are_asked_for() {
    for (prices, amount) in [("whmcs", "9.95"), ("salesforce", "9.50")] {
        let house = TestEnv::new().await;
        let worker = house.work_with(&[("WHMCS_PRICES", prices)]);
        let subscriber = house.subscribe();
        let order = *house.approve(1).first().unwrap();
        house.until_activation(&order, "Activated").await;
        let placed = house.whmcs.orders_for(order.as_str());
        let services = house.whmcs.services_of(placed[0].id);
        let amounts: Vec<_> = services
            .iter()
            .map(|service| format!("{:.2}", service.amount))
            .collect();
        assert_eq!(amounts, [amount, amount], "{prices}");
        worker.stop().await;
        subscriber.stop().await;
    }
}
