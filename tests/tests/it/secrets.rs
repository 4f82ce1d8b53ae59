//! No secret and no customer's data is ever written: canaries go in by every way, and
//! everything that was written is searched for them.

use std::fs;
use std::path::Path;
use std::process::Command;

use clap::Parser;
use e2e::points::{FATES, brisk};
use serde_json::json;
use simulators::When;
use simulators::salesforce::{RestFault, RestFaultKind, Route};
use simulators::whmcs::{Fault, FaultId, WhmcsOptions};

use crate::house::{Engine, TestEnv, Settings};
use crate::process::{Process, page};

const WORKER: &str = env!("CARGO_BIN_EXE_victim-worker");
const SUBSCRIBER: &str = env!("CARGO_BIN_EXE_victim-subscriber");

const IDENTIFIER: &str = "canary-identifier-4711";
const SECRET: &str = "canary-secret-4712";
const HOOK: &str = "canary-hook-4720";
const ACCESS_KEY: &str = "canary-access-key-4713";
const EMAIL: &str = "canary.4714@example.com";
const NAME: &str = "Canaryname4715";
const PHONE: &str = "+44 20 7946 4716";
const STREET: &str = "4717 Canary Row";

/// What must not be found anywhere.
fn canaries(house: &TestEnv) -> Vec<(&'static str, String)> {
    let login = house.salesforce.login();
    let key_line = login
        .private_key_pem
        .lines()
        .nth(2)
        .expect("a key has lines");
    let org = &house.salesforce.org_id()[..15];
    vec![
        ("WHMCS_IDENTIFIER", IDENTIFIER.to_owned()),
        ("WHMCS_SECRET", SECRET.to_owned()),
        ("WHMCS_ACCESS_KEY", ACCESS_KEY.to_owned()),
        ("ALERT_WEBHOOK_URL", HOOK.to_owned()),
        ("SF_PRIVATE_KEY", key_line.to_owned()),
        // How the simulated org's access tokens begin, and a signed assertion's header.
        ("access token", format!("{org}!AQ")),
        ("assertion", "eyJ".to_owned()),
        ("e-mail address", EMAIL.to_owned()),
        ("last name", NAME.to_owned()),
        ("phone number", PHONE.to_owned()),
        ("street", STREET.to_owned()),
    ]
}

fn assert_clean(what: &str, text: &str, canaries: &[(&'static str, String)]) {
    for (name, canary) in canaries {
        let Some(at) = text.find(canary.as_str()) else {
            continue;
        };
        let context: String = text[..at].chars().rev().take(200).collect();
        let context: String = context.chars().rev().collect();
        panic!("{what} holds the {name}, after: {context}");
    }
}

/// Everything there is to log.
fn talkative(mut settings: Settings, fates: &Path) -> Settings {
    settings.extend([
        (
            "RUST_LOG",
            "trace,hyper=trace,hyper_util=trace,h2=trace,reqwest=trace,rustls=trace,tonic=trace,sqlx=trace"
                .to_owned(),
        ),
        ("WHMCS_CREATE_CLIENTS", "true".to_owned()),
        // Nobody listens there: the alert about the dead letter cannot be posted.
        ("ALERT_WEBHOOK_URL", format!("http://127.0.0.1:9/{HOOK}")),
        (FATES, fates.display().to_string()),
        // Three of the faults close the lane until a probe opens it again.
        brisk(),
    ]);
    settings.retain(|(name, _)| *name != "WHMCS_ACCESS_KEY");
    settings.push(("WHMCS_ACCESS_KEY", ACCESS_KEY.to_owned()));
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_and_no_customers_data_is_written_anywhere() {
    let whmcs = WhmcsOptions {
        identifier: IDENTIFIER.to_owned(),
        secret: SECRET.to_owned(),
        access_key: Some(ACCESS_KEY.to_owned()),
        ..WhmcsOptions::default()
    };
    let house = TestEnv::with(Engine::Sqlite, whmcs).await;
    let canaries = canaries(&house);
    let account = house.salesforce.create_account("New Ltd", None).unwrap();
    let contact = json!({"AccountId": account, "FirstName": "Grace", "LastName": NAME,
        "Email": EMAIL, "Phone": PHONE});
    let contact = house.salesforce.create("Contact", contact).unwrap();
    let fields = json!({"BillToContactId": contact, "BillingStreet": STREET,
        "BillingCity": "London", "BillingState": "London", "BillingPostalCode": "E1 6AN",
        "BillingCountryCode": "GB"});
    let order = || house.place_for(&account, fields.as_object().unwrap().clone());
    let orders: Vec<_> = (0..8).map(|_| order()).collect();
    // Every way a call can go wrong, on both sides.
    for (order, id) in orders.iter().zip([
        FaultId::F04,
        FaultId::F07,
        FaultId::F08,
        FaultId::F12,
        FaultId::F28,
    ]) {
        let fault = Fault::new(id).on("AddOrder").marker(order.as_str());
        house.whmcs.fault(fault.with_effect());
    }
    for id in [
        FaultId::F16,
        FaultId::F17,
        FaultId::F20,
        FaultId::F21,
        FaultId::F22,
    ] {
        house
            .whmcs
            .fault(Fault::new(id).on("GetOrders").when(When::Next(1)));
    }
    let (status, after) = (500, false);
    for kind in [
        RestFaultKind::Html { status, after },
        RestFaultKind::ExpiredSession,
        RestFaultKind::DropBefore,
        RestFaultKind::LockRow,
    ] {
        house.salesforce.fault(RestFault::new(Route::Query, kind));
    }
    house.salesforce.publish_raw(vec![0xff; 40], None);

    let (fates, log) = (house.file("fates"), house.file("all.log"));
    fs::write(&fates, "").unwrap();
    let subscriber_log = house.file("subscriber.log");
    let worker = talkative(house.worker_settings(), &fates);
    let subscriber = talkative(house.subscriber_settings(), &fates);
    let running = [
        Process::start(WORKER, &worker, &log),
        Process::start(SUBSCRIBER, &subscriber, &subscriber_log),
    ];
    for order in &orders {
        house.salesforce.approve(order.as_str()).unwrap();
    }
    house
        .until(async || {
            orders
                .iter()
                .all(|order| house.field(order, "Activation_Status__c") != "Activating")
        })
        .await;
    house.salesforce.revoke_tokens();
    house.salesforce.retry(orders[2].as_str()).unwrap();
    house.until_activation(&orders[2], "Activated").await;
    for path in ["/readyz", "/metrics"] {
        assert_clean(path, &page(&log, "worker", path).await.1, &canaries);
    }
    for path in ["/readyz", "/metrics", "/health/sf-events"] {
        let page = page(&subscriber_log, "subscriber", path).await.1;
        assert_clean(path, &page, &canaries);
    }
    for process in running {
        process.stop().await;
    }
    for file in fs::read_dir(house.file("")).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let what = path.display().to_string();
        assert_clean(&what, &String::from_utf8_lossy(&bytes), &canaries);
    }
    let log = fs::read_to_string(&log).unwrap();
    assert!(log.contains(r#""DEBUG""#), "the logs were finer than usual");
    for order in &orders {
        let message = house.field(order, "Activation_Error_Message__c");
        assert_clean("the order in Salesforce", &message, &canaries);
    }
}

#[tokio::test]
async fn settings_that_are_refused_do_not_show_what_was_secret_in_them() {
    let house = TestEnv::new().await;
    let canary = "canary-4718";
    let canaries = [("secret", canary.to_owned())];
    for name in [
        "SF_PRIVATE_KEY",
        "WHMCS_SECRET",
        "WHMCS_IDENTIFIER",
        "WHMCS_ACCESS_KEY",
    ] {
        let mut settings = house.worker_settings();
        settings.retain(|(other, _)| *other != name);
        settings.push((name, canary.to_owned()));
        // Something else is wrong too, so that no run begins.
        settings.push(("WORKER_CONCURRENCY", "none".to_owned()));
        let flag = format!("--{}", name.to_ascii_lowercase().replace('_', "-"));
        for extra in [
            vec![],
            vec![flag, canary.to_owned()],
            vec![canary.to_owned()],
        ] {
            let output = Command::new(WORKER)
                .env_clear()
                .envs(settings.iter().map(|(name, value)| (name, value)))
                .args(extra)
                .output()
                .unwrap();
            assert!(!output.status.success());
            let printed = [output.stdout, output.stderr].concat();
            let printed = String::from_utf8_lossy(&printed).replace(
                &format!("unexpected argument '{canary}' found"),
                "what stands where no argument belongs is named",
            );
            assert_clean(name, &printed, &canaries);
        }
    }
}

#[tokio::test]
async fn debug_output_of_settings_shows_no_secret() {
    let house = TestEnv::new().await;
    let secret = house.whmcs.credentials().secret;
    let key = house.salesforce.login().private_key_pem;
    let mut flags = vec!["worker".to_owned()];
    for (name, value) in house.worker_settings() {
        let name = name.to_ascii_lowercase().replace('_', "-");
        flags.extend([format!("--{name}"), value]);
    }
    let args = worker::Args::parse_from(flags);
    let config = args.check().unwrap();
    let shown = format!("{config:?}");
    let line = key.lines().nth(2).unwrap();
    assert!(!shown.contains(&secret) && !shown.contains(line), "{shown}");
    let shown = format!("{args:?}");
    assert!(!shown.contains(&secret) && !shown.contains(line), "{shown}");
}
