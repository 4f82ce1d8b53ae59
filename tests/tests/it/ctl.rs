//! `orderctl` against the real programs and the simulated systems.

use clap::Parser;
use domain::id::OrderId;
use orderctl::{Cli, Exit, Screen, Stop};
use serde_json::{Value, json};

use simulators::salesforce::SalesforceOptions;
use simulators::whmcs::WhmcsOptions;
use testkit::SharedBuffer;

use crate::test_env::{Engine, TestEnv, flags};

/// Settings that the command does not accept.
const UNSUPPORTED: [&str; 2] = ["HTTP_ADDR", "WHMCS_QUIET_PERIOD"];

/// Runs a command that connects to the simulated systems; returns its exit and its output.
async fn run(env: &TestEnv, words: &[&str]) -> (Result<Exit, Stop>, Value) {
    run_with(env, words, &[]).await
}

pub(crate) async fn run_with(
    env: &TestEnv,
    words: &[&str],
    more: &[(&'static str, &str)],
) -> (Result<Exit, Stop>, Value) {
    let mut settings = crate::test_env::with(env.worker_settings(), more);
    settings.retain(|(name, _)| !UNSUPPORTED.contains(name));
    // A retry connects to Salesforce only.
    let retry = words.contains(&"retry");
    settings.retain(|(name, _)| !(retry && name.starts_with("WHMCS_")));
    let mut line = vec!["orderctl".to_owned(), "-o".to_owned(), "json".to_owned()];
    line.extend(words.iter().map(|word| (*word).to_owned()));
    line.extend(flags("", &settings).into_iter().skip(1));
    let cli = Cli::try_parse_from(line).unwrap();
    let out = SharedBuffer::default();
    let mut screen = Screen {
        out: Box::new(out.clone()),
        err: Box::new(std::io::sink()),
        terminal: false,
        format: cli.output,
    };
    let ended = orderctl::run(cli, &mut screen).await;
    (ended, serde_json::from_str(&out.text()).unwrap_or_default())
}

/// Kinds of the differences found; none means exit code 0.
async fn check(env: &TestEnv) -> Vec<String> {
    let (ended, found) = run(env, &["reconcile", "--check", "--after", "0"]).await;
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

/// Lets the order's activation be old. Salesforce's time is known to the second only, so that an
/// activation of this moment may not count as one of the past yet.
fn age_activation(env: &TestEnv, order: OrderId) {
    let past = "2026-01-01T00:00:00.000+0000";
    let field = "Activation_Last_Attempt_At__c";
    env.salesforce
        .set_field(order.as_str(), field, past)
        .unwrap();
}

/// An environment with one provisioned order.
async fn provisioned() -> (TestEnv, OrderId, u64) {
    let env = TestEnv::new().await;
    let order = env.place();
    env.salesforce.approve(order.as_str()).unwrap();
    age_activation(&env, order);
    let (ended, found) = run(&env, &["reconcile", "--after", "0"]).await;
    assert_eq!(ended.unwrap(), Exit::Fine);
    assert_eq!(found["differences"][0]["enqueued"], true);
    let worker = env.work();
    env.until_activation(&order, "Activated").await;
    worker.stop().await;
    let whmcs_order = env.whmcs.orders_for(order.as_str())[0].id;
    (env, order, whmcs_order)
}

fn refusal(ended: Result<Exit, Stop>) -> String {
    match ended {
        Err(Stop::Failed(runtime::Failure::Run(error))) => error.to_string(),
        Err(Stop::NotFound(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn activation_without_job_is_a_difference_until_enqueued() {
    let env = TestEnv::new().await;
    assert!(check(&env).await.is_empty());
    let order = env.place();
    env.salesforce.approve(order.as_str()).unwrap();
    let (ended, _) = run(&env, &["reconcile"]).await;
    assert_eq!(ended.unwrap(), Exit::Fine, "its event may still arrive");
    assert!(env.store.ports.jobs_of(order).await.unwrap().is_empty());
    age_activation(&env, order);
    assert_eq!(check(&env).await, ["no_job"]);
    assert!(env.store.ports.jobs_of(order).await.unwrap().is_empty());
    let (ended, found) = run(&env, &["reconcile", "--after", "0"]).await;
    assert_eq!(ended.unwrap(), Exit::Fine);
    let difference = &found["differences"][0];
    assert_eq!(difference["order"], order.as_str());
    assert_eq!(found["counts"], json!({"no_job": 1}));
    env.assert_one_job_each(&[order].into()).await;
    assert!(check(&env).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consistent_systems_have_no_difference() {
    let (env, ..) = provisioned().await;
    assert!(check(&env).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicate_marked_whmcs_order_is_a_difference() {
    let (env, _, whmcs_order) = provisioned().await;
    let first = env.whmcs.order(whmcs_order).unwrap();
    env.whmcs.foreign_order(first.userid);
    let newest = env
        .whmcs
        .orders()
        .iter()
        .map(|order| order.id)
        .max()
        .unwrap();
    assert!(check(&env).await.is_empty(), "an unrelated order");
    env.whmcs.set_notes(newest, &first.notes);
    assert_eq!(check(&env).await, ["duplicate"]);
    env.whmcs.set_order_status(newest, "Cancelled");
    assert!(check(&env).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreported_outcome_is_a_difference() {
    let (env, order, whmcs_order) = provisioned().await;
    let field = "WHMCS_Order_ID__c";
    env.salesforce
        .set_field(order.as_str(), field, "999999")
        .unwrap();
    assert_eq!(check(&env).await, ["not_written_back"]);
    let text = whmcs_order.to_string();
    env.salesforce
        .set_field(order.as_str(), field, text)
        .unwrap();
    assert!(check(&env).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_whmcs_order_is_a_difference_and_can_be_forgotten() {
    let (env, order, whmcs_order) = provisioned().await;
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
    let (ended, _) = run(&env, &forget).await;
    assert!(refusal(ended).contains("Cancel it in WHMCS first"));
    env.whmcs.set_order_status(whmcs_order, "Cancelled");
    assert_eq!(check(&env).await, ["gone_from_whmcs"]);
    let (ended, done) = run(&env, &forget).await;
    assert_eq!((ended.unwrap(), &done["done"]), (Exit::Fine, &json!(true)));
    assert!(check(&env).await.is_empty());
    // After an operator retry a new order is placed.
    env.salesforce.retry(order.as_str()).unwrap();
    let (subscriber, worker) = (env.subscribe(), env.work());
    env.until_activation(&order, "Activated").await;
    subscriber.stop().await;
    worker.stop().await;
    env.assert_provisioned_once(&order);
    assert_ne!(
        env.field(&order, "WHMCS_Order_ID__c"),
        whmcs_order.to_string()
    );
    let log = env.store.ports.audit(9).await.unwrap();
    assert_eq!((log.len(), log[0].act.as_str()), (1, "forget"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plan_matches_provisioning() {
    let env = TestEnv::new().await;
    let order = env.place();
    env.salesforce.approve(order.as_str()).unwrap();
    let (ended, plan) = run(&env, &["orders", "plan", order.as_str()]).await;
    assert_eq!(ended.unwrap(), Exit::Fine);
    let calls = plan["whmcs"].as_array().unwrap();
    let actions: Vec<_> = calls
        .iter()
        .map(|call| call["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["AddOrder", "AcceptOrder"]);
    assert!(env.whmcs.orders().is_empty(), "nothing was written");
    assert!(env.salesforce.api_writes(order.as_str()).is_empty());
    let planned: Vec<(String, String)> =
        serde_json::from_value(calls[0]["fields"].clone()).unwrap();
    age_activation(&env, order);
    run(&env, &["reconcile", "--after", "0"]).await.0.unwrap();
    let worker = env.work();
    env.until_activation(&order, "Activated").await;
    worker.stop().await;
    let order_row = &env.whmcs.orders_for(order.as_str())[0];
    assert!(
        planned.contains(&("notes".to_owned(), order_row.notes.clone())),
        "{planned:?}"
    );
    let field = |name: &str| env.field(&order, name);
    let expected = plan["salesforce"]["order"].as_object().unwrap();
    for name in ["Status", "Activation_Status__c"] {
        assert_eq!(expected[name], field(name), "{name}");
    }
    // Once provisioned, only the report is left to write.
    let (_, again) = run(&env, &["orders", "plan", order.as_str()]).await;
    assert_eq!(again["whmcs"], json!([]));
    assert_eq!(
        again["salesforce"]["order"]["WHMCS_Order_ID__c"],
        field("WHMCS_Order_ID__c")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plan_shows_rejection() {
    let env = TestEnv::new().await;
    let account = env.salesforce.create_account("Unlinked Ltd", None).unwrap();
    let order = env.place_for(&account, serde_json::Map::new());
    env.salesforce.approve(order.as_str()).unwrap();
    let (ended, plan) = run(&env, &["orders", "plan", order.as_str()]).await;
    assert_eq!(ended.unwrap(), Exit::Difference);
    assert_eq!(plan["refusal"]["code"], "CLIENT_NOT_LINKED");
    let fields = &plan["salesforce"]["order"];
    assert_eq!(fields["Activation_Error_Code__c"], "CLIENT_NOT_LINKED");
    assert_eq!(fields["Status"], "Failed");
}

/// The plan fails with the code that a worker reports.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plan_rejects_what_the_worker_rejects() {
    let env = TestEnv::new().await;
    let client = env.whmcs.add_client("Ada", "Closed", "closed@example.com");
    env.whmcs.set_client_status(client, "Closed");
    let account = |whmcs_client| {
        let created = env.salesforce.create_account("Ltd", whmcs_client);
        created.unwrap()
    };
    let zero = env.place_for(&account(Some("0")), serde_json::Map::new());
    let cases = [
        (zero, "CLIENT_NOT_FOUND"),
        (
            env.place_billed_to(&account(None), " "),
            "CLIENT_NOT_LINKED",
        ),
        (
            env.place_billed_to(&account(None), "closed@example.com"),
            "CLIENT_CLOSED",
        ),
    ];
    let settings = [("WHMCS_CREATE_CLIENTS", "true")];
    for (order, code) in &cases {
        env.salesforce.approve(order.as_str()).unwrap();
        let (ended, plan) = run_with(&env, &["orders", "plan", order.as_str()], &settings).await;
        assert_eq!(ended.unwrap(), Exit::Difference);
        assert_eq!(plan["refusal"]["code"], *code);
    }
    let (subscriber, worker) = (env.subscribe(), env.work_with(&settings));
    for (order, code) in &cases {
        env.until_activation(order, "Failed").await;
        assert_eq!(env.field(order, "Activation_Error_Code__c"), *code);
    }
    subscriber.stop().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plan_of_a_new_client_shows_every_call() {
    let env = TestEnv::new().await;
    let account = env.salesforce.create_account("New Ltd", None).unwrap();
    let order = env.place_billed(&account);
    env.salesforce.approve(order.as_str()).unwrap();
    let settings = [("WHMCS_CREATE_CLIENTS", "true")];
    let (ended, plan) = run_with(&env, &["orders", "plan", order.as_str()], &settings).await;
    assert_eq!(ended.unwrap(), Exit::Fine);
    let calls = plan["whmcs"].as_array().unwrap();
    let actions: Vec<_> = calls.iter().map(|call| &call["action"]).collect();
    assert_eq!(actions, ["AddClient", "AddOrder", "AcceptOrder"]);
    let fields = calls[1]["fields"].as_array().unwrap();
    assert!(fields.contains(&json!(["clientid", "(the new client)"])));
    let account = &plan["salesforce"]["account"];
    assert_eq!(account["WHMCS_Client_ID__c"], "(the new client)");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plan_rejects_prices_in_other_currency_than_client() {
    let org = SalesforceOptions::default().multi_currency();
    let env = TestEnv::between(org, WhmcsOptions::default(), Engine::Sqlite).await;
    let fields = serde_json::Map::from_iter([("CurrencyIsoCode".to_owned(), json!("EUR"))]);
    let order = env.place_for(env.account(), fields);
    env.salesforce.approve(order.as_str()).unwrap();
    let command = ["orders", "plan", order.as_str()];
    let prices = [("WHMCS_PRICES", "salesforce")];
    let (ended, plan) = run_with(&env, &command, &prices).await;
    assert_eq!(ended.unwrap(), Exit::Difference);
    assert_eq!(plan["refusal"]["code"], "MAPPING_INVALID");
    let (ended, _) = run(&env, &command).await;
    assert_eq!(
        ended.unwrap(),
        Exit::Fine,
        "the catalogue's prices are used"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_passes_healthy_setup_and_names_failed_checks() {
    let env = TestEnv::new().await;
    let pubsub = env.salesforce.pubsub_url();
    let events = ("SF_PUBSUB_ENDPOINT", pubsub.as_str());
    let (ended, found) = run_with(&env, &["doctor"], &[events]).await;
    assert_eq!(ended.unwrap(), Exit::Fine, "{found:#}");
    let wrong = [events, ("WHMCS_SECRET", "wrong-secret")];
    let (ended, found) = run_with(&env, &["doctor"], &wrong).await;
    assert_eq!(ended.unwrap(), Exit::Problem);
    assert!(
        !found.to_string().contains("wrong-secret"),
        "no secret is shown"
    );
    assert!(env.whmcs.orders().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_requests_failed_order_and_skips_others() {
    let env = TestEnv::new().await;
    let product = env.salesforce.records("Product2")[0]["Id"].clone();
    let map = |number: Value| {
        let product = product.as_str().unwrap();
        let field = "WHMCS_Product_Id__c";
        env.salesforce.set_field(product, field, number).unwrap();
    };
    map(Value::Null);
    let (subscriber, worker) = (env.subscribe(), env.work());
    let order = env.place();
    env.salesforce.approve(order.as_str()).unwrap();
    env.until_activation(&order, "Failed").await;
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
    let (dry, found) = run(&env, &[&ask[..], &["--dry-run"]].concat()).await;
    assert_eq!(
        (dry.unwrap(), &found["answer"]),
        (Exit::Fine, &json!("not asked"))
    );
    assert!(env.store.ports.audit(9).await.unwrap().is_empty());
    let (asked, found) = run(&env, &[&ask[..], &["--yes"]].concat()).await;
    assert_eq!((asked.unwrap(), &found["done"]), (Exit::Fine, &json!(true)));
    env.until_activation(&order, "Activated").await;
    let (again, found) = run(&env, &[&ask[..], &["--yes"]].concat()).await;
    assert_eq!(again.unwrap(), Exit::Difference);
    assert_eq!(found["answer"], "not failed");
    let audit = env.store.ports.audit(9).await.unwrap();
    let commands: Vec<_> = audit.iter().rev().map(|line| line.act.as_str()).collect();
    assert_eq!(
        commands,
        ["ask_again", "asked_again", "ask_again", "asked_again"]
    );
    for program in [subscriber, worker] {
        program.stop().await;
    }
}
