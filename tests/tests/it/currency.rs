//! Prices of Salesforce and the currency that a WHMCS client is billed in.

use serde_json::{Map, json};
use simulators::salesforce::SalesforceOptions;
use simulators::whmcs::WhmcsOptions;

use crate::house::{Engine, TestEnv};

/// The one client that the house begins with.
const CLIENT: u64 = 1;

async fn multi_currency() -> TestEnv {
    let org = SalesforceOptions::default().multi_currency();
    TestEnv::between(org, WhmcsOptions::default(), Engine::Sqlite).await
}

fn in_currency(code: &str) -> Map<String, serde_json::Value> {
    Map::from_iter([("CurrencyIsoCode".to_owned(), json!(code))])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_priced_in_another_currency_than_its_client_is_refused() {
    for code_shown in [true, false] {
        let house = multi_currency().await;
        house
            .whmcs
            .turn(|knobs| knobs.currency_code_shown = code_shown);
        house.whmcs.set_client_currency(CLIENT, "EUR");
        let (subscriber, worker) = (
            house.subscribe(),
            house.work_with(&[("WHMCS_PRICES", "salesforce")]),
        );
        let account = house.account().to_owned();
        let dollars = house.place_for(&account, in_currency("USD"));
        let euros = house.place_for(&account, in_currency("EUR"));
        for order in [dollars, euros] {
            house.salesforce.approve(order.as_str()).unwrap();
        }
        house.until_activation(&dollars, "Failed").await;
        assert_eq!(
            house.field(&dollars, "Activation_Error_Code__c"),
            "MAPPING_INVALID"
        );
        let message = house.field(&dollars, "Activation_Error_Message__c");
        assert!(
            message.contains("USD") && message.contains("EUR"),
            "{message}"
        );
        assert!(house.whmcs.orders_for(dollars.as_str()).is_empty());
        house.until_activation(&euros, "Activated").await;
        house.assert_provisioned_once(&euros);
        worker.stop().await;
        subscriber.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_client_is_read_back_before_prices_in_a_currency_are_sent() {
    let house = multi_currency().await;
    let account = house.salesforce.create_account("New Ltd", None).unwrap();
    let order = house.place_billed(&account);
    house
        .salesforce
        .update(order.as_str(), in_currency("EUR").into())
        .unwrap();
    let settings = [
        ("WHMCS_PRICES", "salesforce"),
        ("WHMCS_CREATE_CLIENTS", "true"),
    ];
    let (subscriber, worker) = (house.subscribe(), house.work_with(&settings));
    house.salesforce.approve(order.as_str()).unwrap();
    house.until_activation(&order, "Failed").await;
    let code = house.field(&order, "Activation_Error_Code__c");
    assert_eq!(code, "MAPPING_INVALID", "new clients are billed in USD");
    assert!(house.whmcs.orders().is_empty());
    worker.stop().await;
    subscriber.stop().await;
}
