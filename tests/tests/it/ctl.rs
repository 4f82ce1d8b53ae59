//! The command line between the real programs and the simulated systems.

use std::io::Write;
use std::sync::{Arc, Mutex};

use clap::Parser;
use domain::id::OrderId;
use orderctl::{Cli, Exit, Screen, Stop};
use serde_json::{Value, json};

use simulators::salesforce::SalesforceOptions;
use simulators::whmcs::WhmcsOptions;

use crate::house::{Engine, TestEnv, flags};

/// What the command line is not asked for.
const OF_OTHERS: [&str; 2] = ["HTTP_ADDR", "WHMCS_QUIET_PERIOD"];

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a command that needs the outside systems, and answers how it ended and its result.
async fn run(house: &TestEnv, words: &[&str]) -> (Result<Exit, Stop>, Value) {
    run_with(house, words, &[]).await
}

async fn run_with(
    house: &TestEnv,
    words: &[&str],
    more: &[(&'static str, &str)],
) -> (Result<Exit, Stop>, Value) {
    let mut settings = crate::house::with(house.worker_settings(), more);
    settings.retain(|(name, _)| !OF_OTHERS.contains(name));
    // A retry asks Salesforce only.
    let retry = words.contains(&"retry");
    settings.retain(|(name, _)| !(retry && name.starts_with("WHMCS_")));
    let mut line = vec!["orderctl".to_owned(), "-o".to_owned(), "json".to_owned()];
    line.extend(words.iter().map(|word| (*word).to_owned()));
    line.extend(flags("", &settings).into_iter().skip(1));
    let cli = Cli::try_parse_from(line).unwrap();
    let out = Paper::default();
    let mut screen = Screen {
        out: Box::new(out.clone()),
        err: Box::new(std::io::sink()),
        terminal: false,
        format: cli.output,
    };
    let ended = orderctl::run(cli, &mut screen).await;
    let text = out.0.lock().unwrap().clone();
    (ended, serde_json::from_slice(&text).unwrap_or_default())
}

/// The kinds of difference that a check finds; none is exit code 0.
async fn check(house: &TestEnv) -> Vec<String> {
    let (ended, found) = run(house, &["reconcile", "--check", "--after", "0"]).await;
    let differences = found["differences"].as_array().unwrap();
    let expected = match differences.is_empty() {
        true => Exit::Fine,
        false => Exit::Difference,
    };
    assert_eq!(ended.unwrap(), expected);
    assert_eq!(found["complete"], true);
    let kind = |difference: &Value| difference["kind"].as_str().unwrap().to_owned();
    differences.iter().map(kind).collect()
}

/// A house with one order that was provisioned.
async fn provisioned() -> (TestEnv, OrderId, u64) {
    let house = TestEnv::new().await;
    let order = house.place();
    house.salesforce.approve(order.as_str()).unwrap();
    let (ended, found) = run(&house, &["reconcile", "--after", "0"]).await;
    assert_eq!(ended.unwrap(), Exit::Fine);
    assert_eq!(found["differences"][0]["enqueued"], true);
    let worker = house.work();
    house.until_activation(&order, "Activated").await;
    worker.stop().await;
    let whmcs_order = house.whmcs.orders_for(order.as_str())[0].id;
    (house, order, whmcs_order)
}

fn refusal(ended: Result<Exit, Stop>) -> String {
    match ended {
        Err(Stop::Failed(runtime::Failure::Run(error))) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_activation_without_job_is_a_difference_until_it_is_enqueued() {
    let house = TestEnv::new().await;
    assert!(check(&house).await.is_empty());
    let order = house.place();
    house.salesforce.approve(order.as_str()).unwrap();
    assert_eq!(check(&house).await, ["no_job"]);
    assert!(house.store.reader.jobs_of(order).await.unwrap().is_empty());
    let (ended, _) = run(&house, &["reconcile"]).await;
    assert_eq!(ended.unwrap(), Exit::Fine, "its event may still come");
    assert!(house.store.reader.jobs_of(order).await.unwrap().is_empty());
    let (ended, found) = run(&house, &["reconcile", "--after", "0"]).await;
    assert_eq!(ended.unwrap(), Exit::Fine);
    let difference = &found["differences"][0];
    assert_eq!(difference["order"], order.as_str());
    assert_eq!(found["counts"], json!({"no_job": 1}));
    house.assert_one_job_each(&[order].into()).await;
    assert!(check(&house).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn balanced_books_have_no_difference() {
    let (house, ..) = provisioned().await;
    assert!(check(&house).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_live_whmcs_order_with_the_mark_is_a_difference() {
    let (house, _, whmcs_order) = provisioned().await;
    let first = house.whmcs.order(whmcs_order).unwrap();
    house.whmcs.foreign_order(first.userid);
    let newest = house
        .whmcs
        .orders()
        .iter()
        .map(|order| order.id)
        .max()
        .unwrap();
    assert!(
        check(&house).await.is_empty(),
        "an order of somebody else's"
    );
    house.whmcs.set_notes(newest, &first.notes);
    assert_eq!(check(&house).await, ["duplicate"]);
    house.whmcs.set_order_status(newest, "Cancelled");
    assert!(check(&house).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_that_does_not_stand_on_the_order_is_a_difference() {
    let (house, order, whmcs_order) = provisioned().await;
    let field = "WHMCS_Order_ID__c";
    house
        .salesforce
        .set_field(order.as_str(), field, "999999")
        .unwrap();
    assert_eq!(check(&house).await, ["not_written_back"]);
    let text = whmcs_order.to_string();
    house
        .salesforce
        .set_field(order.as_str(), field, text)
        .unwrap();
    assert!(check(&house).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whmcs_order_that_staff_ended_is_a_difference_and_may_be_forgotten() {
    let (house, order, whmcs_order) = provisioned().await;
    let forget = [
        "orders",
        "forget-whmcs",
        order.as_str(),
        "--reason",
        "by mistake",
        "--as",
        "ada",
        "--yes",
    ];
    let (ended, _) = run(&house, &forget).await;
    assert!(refusal(ended).contains("Cancel it in WHMCS first"));
    house.whmcs.set_order_status(whmcs_order, "Cancelled");
    assert_eq!(check(&house).await, ["gone_from_whmcs"]);
    let (ended, done) = run(&house, &forget).await;
    assert_eq!((ended.unwrap(), &done["done"]), (Exit::Fine, &json!(true)));
    assert!(check(&house).await.is_empty());
    // The operator asks again, and a new order is placed.
    house.salesforce.retry(order.as_str()).unwrap();
    let (subscriber, worker) = (house.subscribe(), house.work());
    house.until_activation(&order, "Activated").await;
    subscriber.stop().await;
    worker.stop().await;
    house.assert_provisioned_once(&order);
    assert_ne!(
        house.field(&order, "WHMCS_Order_ID__c"),
        whmcs_order.to_string()
    );
    let log = house.store.reader.audit(9).await.unwrap();
    assert_eq!((log.len(), log[0].act.as_str()), (1, "forget"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_what_provisioning_then_does() {
    let house = TestEnv::new().await;
    let order = house.place();
    house.salesforce.approve(order.as_str()).unwrap();
    let (ended, plan) = run(&house, &["orders", "plan", order.as_str()]).await;
    assert_eq!(ended.unwrap(), Exit::Fine);
    let calls = plan["whmcs"].as_array().unwrap();
    let actions: Vec<_> = calls
        .iter()
        .map(|call| call["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["AddOrder", "AcceptOrder"]);
    assert!(house.whmcs.orders().is_empty(), "nothing was written");
    assert!(house.salesforce.api_writes(order.as_str()).is_empty());
    let planned: Vec<(String, String)> =
        serde_json::from_value(calls[0]["fields"].clone()).unwrap();
    run(&house, &["reconcile", "--after", "0"]).await.0.unwrap();
    let worker = house.work();
    house.until_activation(&order, "Activated").await;
    worker.stop().await;
    let order_row = &house.whmcs.orders_for(order.as_str())[0];
    assert!(
        planned.contains(&("notes".to_owned(), order_row.notes.clone())),
        "{planned:?}"
    );
    let field = |name: &str| house.field(&order, name);
    let expected = plan["salesforce"]["order"].as_object().unwrap();
    for name in ["Status", "Activation_Status__c"] {
        assert_eq!(expected[name], field(name), "{name}");
    }
    // Now that it is done, there is nothing left but to say so again.
    let (_, again) = run(&house, &["orders", "plan", order.as_str()]).await;
    assert_eq!(again["whmcs"], json!([]));
    assert_eq!(
        again["salesforce"]["order"]["WHMCS_Order_ID__c"],
        field("WHMCS_Order_ID__c")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_says_what_refuses_the_order() {
    let house = TestEnv::new().await;
    let account = house
        .salesforce
        .create_account("Unlinked Ltd", None)
        .unwrap();
    let order = house.place_for(&account, serde_json::Map::new());
    house.salesforce.approve(order.as_str()).unwrap();
    let (ended, plan) = run(&house, &["orders", "plan", order.as_str()]).await;
    assert_eq!(ended.unwrap(), Exit::Difference);
    assert_eq!(plan["refusal"]["code"], "CLIENT_NOT_LINKED");
    let fields = &plan["salesforce"]["order"];
    assert_eq!(fields["Activation_Error_Code__c"], "CLIENT_NOT_LINKED");
    assert_eq!(fields["Status"], "Failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_refuses_prices_in_another_currency_than_the_clients() {
    let org = SalesforceOptions::default().multi_currency();
    let house = TestEnv::between(org, WhmcsOptions::default(), Engine::Sqlite).await;
    let fields = serde_json::Map::from_iter([("CurrencyIsoCode".to_owned(), json!("EUR"))]);
    let order = house.place_for(house.account(), fields);
    house.salesforce.approve(order.as_str()).unwrap();
    let asked = ["orders", "plan", order.as_str()];
    let prices = [("WHMCS_PRICES", "salesforce")];
    let (ended, plan) = run_with(&house, &asked, &prices).await;
    assert_eq!(ended.unwrap(), Exit::Difference);
    assert_eq!(plan["refusal"]["code"], "MAPPING_INVALID");
    let (ended, _) = run(&house, &asked).await;
    assert_eq!(
        ended.unwrap(),
        Exit::Fine,
        "the catalogue's prices are used"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_finds_a_healthy_house_well_and_names_what_is_not() {
    let house = TestEnv::new().await;
    let (ended, found) = run(&house, &["doctor"]).await;
    assert_eq!(ended.unwrap(), Exit::Fine, "{found:#}");
    assert_eq!(found.as_array().unwrap().len(), 9);
    let wrong = [("WHMCS_SECRET", "wrong")];
    let (ended, found) = run_with(&house, &["doctor"], &wrong).await;
    assert_eq!(ended.unwrap(), Exit::Difference);
    let failed = found
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["ok"] == false);
    for check in failed {
        assert!(
            check["check"].as_str().unwrap().starts_with("whmcs "),
            "{check}"
        );
        assert!(check["mend"].is_string());
    }
    assert!(!found.to_string().contains("wrong\""), "no secret is shown");
    assert!(house.whmcs.orders().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_order_is_asked_for_again_and_one_that_has_not_failed_is_left_alone() {
    let house = TestEnv::new().await;
    let product = house.salesforce.records("Product2")[0]["Id"].clone();
    let map = |number: Value| {
        let product = product.as_str().unwrap();
        let field = "WHMCS_Product_Id__c";
        house.salesforce.set_field(product, field, number).unwrap();
    };
    map(Value::Null);
    let (subscriber, worker) = (house.subscribe(), house.work());
    let order = house.place();
    house.salesforce.approve(order.as_str()).unwrap();
    house.until_activation(&order, "Failed").await;
    map(json!("5"));
    let ask = [
        "orders",
        "retry",
        order.as_str(),
        "--as",
        "ada",
        "--reason",
        "mapped",
    ];
    let (dry, found) = run(&house, &[&ask[..], &["--dry-run"]].concat()).await;
    assert_eq!(
        (dry.unwrap(), &found["answer"]),
        (Exit::Fine, &json!("not asked"))
    );
    assert!(house.store.reader.audit(9).await.unwrap().is_empty());
    let (asked, found) = run(&house, &[&ask[..], &["--yes"]].concat()).await;
    assert_eq!((asked.unwrap(), &found["done"]), (Exit::Fine, &json!(true)));
    house.until_activation(&order, "Activated").await;
    let (again, found) = run(&house, &[&ask[..], &["--yes"]].concat()).await;
    assert_eq!(again.unwrap(), Exit::Difference);
    assert_eq!(found["answer"], "not failed");
    let audit = house.store.reader.audit(9).await.unwrap();
    let acts: Vec<_> = audit.iter().rev().map(|line| line.act.as_str()).collect();
    assert_eq!(
        acts,
        ["ask_again", "asked_again", "ask_again", "asked_again"]
    );
    for program in [subscriber, worker] {
        program.stop().await;
    }
}
