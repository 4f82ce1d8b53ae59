//! Salesforce prices and the currency of a WHMCS client.

use serde_json::{Map, json};
use simulators::salesforce::SalesforceOptions;
use simulators::whmcs::WhmcsOptions;

use crate::test_env::{Engine, TestEnv};

/// The WHMCS client that every environment starts with.
const CLIENT: u64 = 1;

async fn multi_currency() -> TestEnv {
    let org = SalesforceOptions::default().multi_currency();
    TestEnv::between(org, WhmcsOptions::default(), Engine::Sqlite).await
}

fn in_currency(code: &str) -> Map<String, serde_json::Value> {
    Map::from_iter([("CurrencyIsoCode".to_owned(), json!(code))])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_in_other_currency_than_client_is_rejected() {
    for code_shown in [true, false] {
        let env = multi_currency().await;
        env.whmcs
            .turn(|options| options.currency_code_shown = code_shown);
        env.whmcs.set_client_currency(CLIENT, "EUR");
        let (subscriber, worker) = (
            env.subscribe(),
            env.work_with(&[("WHMCS_PRICES", "salesforce")]),
        );
        let account = env.account().to_owned();
        let dollars = env.place_for(&account, in_currency("USD"));
        let euros = env.place_for(&account, in_currency("EUR"));
        for order in [dollars, euros] {
            env.salesforce.approve(order.as_str()).unwrap();
        }
        env.until_activation(&dollars, "Failed").await;
        assert_eq!(
            env.field(&dollars, "Activation_Error_Code__c"),
            "MAPPING_INVALID"
        );
        let message = env.field(&dollars, "Activation_Error_Message__c");
        assert!(
            message.contains("USD") && message.contains("EUR"),
            "{message}"
        );
        assert!(env.whmcs.orders_for(dollars.as_str()).is_empty());
        env.until_activation(&euros, "Activated").await;
        env.assert_provisioned_once(&euros);
        worker.stop().await;
        subscriber.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_client_currency_is_checked_before_prices_are_sent() {
    let env = multi_currency().await;
    let account = env.salesforce.create_account("New Ltd", None).unwrap();
    let order = env.place_billed(&account);
    env.salesforce
        .update(order.as_str(), in_currency("EUR").into())
        .unwrap();
    let settings = [
        ("WHMCS_PRICES", "salesforce"),
        ("WHMCS_CREATE_CLIENTS", "true"),
    ];
    let (subscriber, worker) = (env.subscribe(), env.work_with(&settings));
    env.salesforce.approve(order.as_str()).unwrap();
    env.until_activation(&order, "Failed").await;
    let code = env.field(&order, "Activation_Error_Code__c");
    assert_eq!(code, "MAPPING_INVALID", "new clients are billed in USD");
    assert!(env.whmcs.orders().is_empty());
    worker.stop().await;
    subscriber.stop().await;
}
