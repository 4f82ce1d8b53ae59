//! `orderctl adopt`: WHMCS orders that an older bridge placed.

use domain::id::OrderId;
use orderctl::Exit;
use serde_json::{Map, Value, json};
use simulators::whmcs::Product;

use crate::ctl::run_with;
use crate::test_env::TestEnv;

const OPERATOR: [&str; 4] = ["--reason", "from the old bridge", "--as", "ada"];

/// Places the order in WHMCS as another bridge does, with these (product, cycle) lines.
async fn placed_by_old_bridge(env: &TestEnv, client: u64, lines: &[(u64, &str)]) -> u64 {
    let credentials = env.whmcs.credentials();
    let mut form = vec![
        ("action".to_owned(), "AddOrder".to_owned()),
        ("responsetype".to_owned(), "json".to_owned()),
        ("identifier".to_owned(), credentials.identifier),
        ("secret".to_owned(), credentials.secret),
        ("clientid".to_owned(), client.to_string()),
        ("paymentmethod".to_owned(), "banktransfer".to_owned()),
        ("notes".to_owned(), "sfOrderId=old".to_owned()),
    ];
    for (index, (product, cycle)) in lines.iter().enumerate() {
        form.push((format!("pid[{index}]"), product.to_string()));
        form.push((format!("billingcycle[{index}]"), (*cycle).to_owned()));
    }
    let api = format!("{}/includes/api.php", env.whmcs.url());
    let sent = reqwest::Client::new().post(api).form(&form).send().await;
    let answer: Value = sent.unwrap().json().await.unwrap();
    assert_eq!(answer["result"], "success", "{answer}");
    let id = &answer["orderid"];
    id.as_u64()
        .or_else(|| id.as_str()?.parse().ok())
        .unwrap_or_else(|| panic!("{answer}"))
}

fn client(env: &TestEnv) -> u64 {
    env.whmcs.clients()[0].id
}

fn record(env: &TestEnv, order: OrderId, whmcs_order: impl ToString) {
    let value = whmcs_order.to_string();
    env.salesforce
        .set_field(order.as_str(), "WHMCS_Order_ID__c", value)
        .unwrap();
}

/// An order of two units that an older bridge placed.
async fn pair(env: &TestEnv) -> (OrderId, u64) {
    let order = env.place();
    let lines = [(5, "monthly"), (5, "monthly")];
    let whmcs_order = placed_by_old_bridge(env, client(env), &lines).await;
    record(env, order, whmcs_order);
    (order, whmcs_order)
}

/// Gives the product a custom field for line markers, and returns the configuration that names it.
fn with_line_field(env: &TestEnv) -> String {
    let product = Product::new(5, "Web hosting").with_custom_field(77, "Order line");
    env.whmcs.set_product(product);
    let file = env.file("orderbridge.toml");
    std::fs::write(&file, "[whmcs.line_marker_fields]\n5 = 77\n").unwrap();
    file.display().to_string()
}

/// Runs the command; returns its exit and its rows.
async fn adopt(env: &TestEnv, words: &[&str], config: Option<&str>) -> (Exit, Vec<Value>) {
    let words = [&["adopt"], words, &OPERATOR].concat();
    let more: Vec<_> = config
        .iter()
        .map(|file| ("ORDERBRIDGE_CONFIG", *file))
        .collect();
    let (ended, rows) = run_with(env, &words, &more).await;
    (ended.unwrap(), rows.as_array().unwrap().clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_of_an_older_bridge_is_marked_once_and_then_recognised() {
    let env = TestEnv::new().await;
    let config = with_line_field(&env);
    let (order, whmcs_order) = pair(&env).await;
    let item = env.salesforce.records("OrderItem")[0]["Id"].clone();
    let item = item.as_str().unwrap();

    let (exit, rows) = adopt(&env, &[], Some(&config)).await;
    assert_eq!((exit, rows.len()), (Exit::Fine, 1), "{rows:?}");
    let row = &rows[0];
    assert_eq!(row["order"], order.as_str());
    assert_eq!(row["whmcsOrder"], whmcs_order.to_string());
    assert_eq!(row["status"], "planned");
    let value = |at: usize| row["writes"][at]["value"].as_str().unwrap();
    assert_eq!(
        (value(0), value(1)),
        (&*format!("{item}#1"), &*format!("{item}#2"))
    );
    assert_eq!(row["writes"][0]["field"], 77);
    let fields = |env: &TestEnv| -> Vec<_> {
        let services = env.whmcs.services_of(whmcs_order).into_iter();
        services
            .filter_map(|service| service.custom_fields.get(&77).cloned())
            .collect()
    };
    assert!(
        fields(&env).iter().all(String::is_empty),
        "nothing was written"
    );
    assert!(env.store.ports.audit(9).await.unwrap().is_empty());

    let (exit, rows) = adopt(&env, &["--apply"], Some(&config)).await;
    assert_eq!(
        (exit, &rows[0]["status"]),
        (Exit::Fine, &json!("written")),
        "{rows:?}"
    );
    assert_eq!(fields(&env), [format!("{item}#1"), format!("{item}#2")]);
    assert_eq!(env.whmcs.order(whmcs_order).unwrap().notes, "sfOrderId=old");
    let audit = env.store.ports.audit(9).await.unwrap();
    assert_eq!((audit.len(), audit[0].act.as_str()), (1, "adopt"));
    assert_eq!(
        audit[0].subject,
        format!("{order}, WHMCS order {whmcs_order}")
    );

    // Repeated, it writes nothing.
    for words in [&[][..], &["--apply"]] {
        let (exit, rows) = adopt(&env, words, Some(&config)).await;
        assert_eq!((exit, &rows[0]["status"]), (Exit::Fine, &json!("marked")));
    }
    assert_eq!(env.store.ports.audit(9).await.unwrap().len(), 1);

    // When it is activated again, the worker adopts it and places nothing.
    env.salesforce.approve(order.as_str()).unwrap();
    let subscriber = env.subscribe();
    let worker = env.work_with(&[("ORDERBRIDGE_CONFIG", &config)]);
    env.until_activation(&order, "Activated").await;
    subscriber.stop().await;
    worker.stop().await;
    assert_eq!(env.whmcs.orders().len(), 1);
    assert_eq!(
        env.field(&order, "WHMCS_Order_ID__c"),
        whmcs_order.to_string()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_custom_field_the_marker_for_staff_is_named() {
    let env = TestEnv::new().await;
    let (order, whmcs_order) = pair(&env).await;
    let (exit, rows) = adopt(&env, &["--apply"], None).await;
    assert_eq!(
        (exit, &rows[0]["status"]),
        (Exit::Difference, &json!("by_hand"))
    );
    let marker = format!("orderbridge:v1:{}:{order}", env.salesforce.login().org_id);
    let detail = rows[0]["detail"].as_str().unwrap();
    assert!(detail.contains(&marker), "{detail}");
    assert!(env.store.ports.audit(9).await.unwrap().is_empty());
    let notes = format!("sfOrderId=old\n{marker}");
    env.whmcs.set_notes(whmcs_order, &notes);
    let (exit, rows) = adopt(&env, &["--apply"], None).await;
    assert_eq!((exit, &rows[0]["status"]), (Exit::Fine, &json!("marked")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairs_that_do_not_belong_together_are_refused() {
    let env = TestEnv::new().await;
    let config = with_line_field(&env);
    env.whmcs.set_product(Product::new(6, "Mail"));
    let own = client(&env);
    let other = env.whmcs.add_client("Ben", "Brook", "ben@example.com");
    let unlinked = env.salesforce.create_account("New Ltd", None).unwrap();
    let two = [(5, "monthly"), (5, "monthly")];
    let mut expected = Vec::new();
    for (client, lines, why) in [
        (other, &two[..], "client"),
        (own, &[(5, "monthly"), (6, "monthly")], "product 6"),
        (own, &[(5, "monthly"), (5, "annually")], "annually"),
        (own, &[(5, "monthly")], "missing"),
    ] {
        let order = env.place();
        record(&env, order, placed_by_old_bridge(&env, client, lines).await);
        expected.push((order, why));
    }
    for (recorded, why) in [
        ("999999", "no WHMCS order 999999"),
        ("abc", "no WHMCS order id"),
    ] {
        let order = env.place();
        record(&env, order, recorded);
        expected.push((order, why));
    }
    let shared = placed_by_old_bridge(&env, own, &two).await;
    for _ in 0..2 {
        let order = env.place();
        record(&env, order, shared);
        expected.push((order, "other orders record the same"));
    }
    let (marked, whmcs_order) = pair(&env).await;
    env.whmcs.set_notes(
        whmcs_order,
        "orderbridge:v1:00D000000000001EAA:801000000000001AAA",
    );
    expected.push((marked, "another marker"));
    let (cancelled, whmcs_order) = pair(&env).await;
    env.whmcs.set_order_status(whmcs_order, "Cancelled");
    expected.push((cancelled, "cancelled"));
    let without_client = env.place_for(&unlinked, Map::new());
    record(
        &env,
        without_client,
        placed_by_old_bridge(&env, own, &two).await,
    );
    expected.push((without_client, "no WHMCS client"));
    let (good, _) = pair(&env).await;

    let (exit, rows) = adopt(&env, &["--apply"], Some(&config)).await;
    assert_eq!((exit, rows.len()), (Exit::Difference, expected.len() + 1));
    let row = |order: OrderId| {
        rows.iter()
            .find(|row| row["order"] == order.as_str())
            .unwrap()
    };
    for (order, why) in expected {
        let row = row(order);
        assert_eq!(row["status"], "refused", "{why}: {row}");
        assert!(
            row["detail"].as_str().unwrap().contains(why),
            "{why}: {row}"
        );
        assert_eq!(row["writes"], json!([]));
    }
    assert_eq!(row(good)["status"], "written");
    assert_eq!(env.store.ports.audit(99).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_order_does_not_stop_the_others_and_can_be_repeated() {
    let env = TestEnv::new().await;
    let config = with_line_field(&env);
    for _ in 0..2 {
        pair(&env).await;
    }
    env.whmcs.turn(|options| {
        options
            .denied_actions
            .insert("updateclientproduct".to_owned());
    });
    let (exit, rows) = adopt(&env, &["--apply"], Some(&config)).await;
    assert_eq!((exit, rows.len()), (Exit::Difference, 2));
    for row in &rows {
        assert_eq!(row["status"], "failed", "{row}");
        let detail = row["detail"].as_str().unwrap();
        assert!(detail.contains("updateclientproduct"), "{detail}");
    }
    env.whmcs.turn(|options| options.denied_actions.clear());
    // A field that the product does not have: WHMCS says success and keeps nothing.
    let wrong = env.file("wrong.toml");
    std::fs::write(&wrong, "[whmcs.line_marker_fields]\n5 = 99\n").unwrap();
    let (exit, rows) = adopt(&env, &["--apply"], Some(wrong.to_str().unwrap())).await;
    let detail = rows[0]["detail"].as_str().unwrap();
    assert_eq!(
        (exit, &rows[0]["status"]),
        (Exit::Difference, &json!("failed"))
    );
    assert!(detail.contains("did not keep the marker"), "{detail}");
    // Page by page.
    let (_, first) = adopt(&env, &["--apply", "--limit", "1"], Some(&config)).await;
    assert_eq!((first.len(), &first[0]["status"]), (1, &json!("written")));
    let after = first[0]["order"].as_str().unwrap();
    let (exit, second) = adopt(&env, &["--apply", "--after", after], Some(&config)).await;
    assert_eq!((exit, second.len()), (Exit::Fine, 1));
    assert_eq!(second[0]["status"], "written");
}
