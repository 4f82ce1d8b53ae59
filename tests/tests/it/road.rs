//! The whole road: an approved Salesforce order ends up provisioned in WHMCS, exactly once.

use simulators::When;
use simulators::whmcs::{Fault, FaultId, Module, ModuleScript};

use crate::house::House;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approved_orders_are_provisioned_once_and_say_so() {
    let house = House::new().await;
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
    let house = House::new().await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_lost_or_garbled_answer_of_add_order_ends_with_exactly_one_order() {
    for id in [
        FaultId::F03,
        FaultId::F04,
        FaultId::F05,
        FaultId::F06,
        FaultId::F07,
        FaultId::F09,
        FaultId::F11,
        FaultId::F13,
    ] {
        let house = House::new().await;
        house
            .whmcs
            .fault(Fault::new(id).on("AddOrder").when(When::Next(1)));
        let (subscriber, worker) = (house.subscribe(), house.work());
        let order = *house.approve(1).first().unwrap();
        house.until_activation(&order, "Activated").await;
        house.assert_provisioned_once(&order);
        worker.stop().await;
        subscriber.stop().await;
    }
}
