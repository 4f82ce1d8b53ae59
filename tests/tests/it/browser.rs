//! Screens in a real browser.

use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use test_browser::Browser;

use crate::test_env::TestEnv;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ACCESS: &[(&str, &str)] = &[
    ("PORTAL_JWT_SECRET", SECRET),
    ("OPS_TOKEN", "a token for operators"),
];

/// A customer token as the shop's identity provider issues it.
fn token(account: &str) -> String {
    let in_an_hour = SystemTime::now() + Duration::from_secs(3600);
    let in_an_hour = in_an_hour.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let claims = json!({"exp": in_an_hour.as_secs(), "account_id": account});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
}

/// Places an order from the browser, as the shop's page does.
async fn place(browser: &Browser, token: &str, key: &str, body: &Value) -> String {
    let script = r#"
        const [token, key, body, done] = arguments;
        fetch("/api/orders", {
            method: "POST",
            headers: {"Authorization": "Bearer " + token, "Idempotency-Key": key, "Content-Type": "application/json"},
            body: JSON.stringify(body),
        }).then((answer) => answer.json()).then(done);
    "#;
    let arguments = vec![json!(token), json!(key), body.clone()];
    let placed = browser.eval_async(script, arguments).await;
    placed["sfOrderId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn customer_follows_order_and_operator_retries_failed_one() {
    let env = TestEnv::new().await;
    let (portal, url) = env.open_portal(ACCESS).await;
    let (subscriber, worker) = (env.subscribe(), env.work());
    let browser = Browser::open().await;
    browser.size(1280, 800).await;
    let order = env.order_body();
    let token = token(env.account());

    browser.go(&format!("{url}/ops")).await;
    browser.wait_for_text("h1", "Operator console").await;
    let first = place(&browser, &token, "first", &order).await;
    browser
        .go(&format!("{url}/orders/{first}?token={token}"))
        .await;
    browser.wait_for_text(".sentence", "looking at it").await;
    browser.eval("window.neverReloaded = true").await;
    env.salesforce.approve(&first).unwrap();
    browser
        .wait_for_text(".sentence", "set up and ready to use")
        .await;
    let steps = "return document.querySelectorAll('ol.steps .done').length";
    assert_eq!(browser.eval(steps).await, json!(4));
    assert_eq!(
        browser.eval("return window.neverReloaded").await,
        json!(true)
    );

    let product = env.salesforce.records("Product2")[0]["Id"].clone();
    let map = |number: Value| {
        let product = product.as_str().unwrap();
        let mapped = env
            .salesforce
            .set_field(product, "WHMCS_Product_Id__c", number);
        mapped.unwrap();
    };
    map(Value::Null);
    let second = place(&browser, &token, "second", &order).await;
    browser.go(&format!("{url}/orders/{second}")).await;
    env.salesforce.approve(&second).unwrap();
    browser.wait_for_text(".sentence", "could not set up").await;

    browser.go(&format!("{url}/ops")).await;
    browser.fill("input[name=name]", "Ada").await;
    browser
        .fill("input[name=token]", "a token for operators")
        .await;
    browser.click("form.command button").await;
    browser
        .wait_for_text("h1", "One item needs attention")
        .await;
    browser.click("a[href='/ops/failures']").await;
    browser
        .wait_for_text("section.cause h2", "Product not mapped")
        .await;
    browser
        .wait_for_text("section.cause", "WHMCS_Product_Id__c")
        .await;
    map(json!("5"));
    browser.click(".choices a").await;
    browser
        .wait_for_text(".timeline", "Attempt ended: failed")
        .await;
    browser.fill("input[name=reason]", "mapped it").await;
    browser.click("button[value=retry]").await;
    browser.wait_for_text("main", "1 of 1").await;
    browser.go(&format!("{url}/ops/orders/{second}")).await;
    browser
        .wait_for_text(".timeline", "Attempt ended: provisioned")
        .await;
    assert_eq!(env.whmcs.orders_for(&second).len(), 1);
    let audit = env.store.ports.audit(9).await.unwrap();
    assert_eq!(audit[0].who, "Ada (typed)");
    assert!(audit[0].reason.contains("mapped it"));

    for program in [subscriber, worker, portal] {
        program.stop().await;
    }
}

/// A browser opens six connections per host and may keep left pages in its back/forward cache.
#[tokio::test]
async fn screens_do_not_exhaust_browser_connections() {
    let env = TestEnv::new().await;
    let (portal, url) = env.open_portal(&[("PORTAL_AUTH", "none")]).await;
    let browser = Browser::open().await;
    for _ in 0..3 {
        for (path, screen) in [
            ("/ops", "overview"),
            ("/ops/orders", "orders"),
            ("/ops/failures", "failures"),
            ("/ops/system", "system"),
        ] {
            browser.go(&format!("{url}{path}")).await;
            browser.wait_for_text(&format!(".at-{screen}"), "").await;
        }
    }
    portal.stop().await;
}
