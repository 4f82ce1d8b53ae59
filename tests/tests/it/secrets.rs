//! Secrets and customer data never reach logs, pages or files: canary values are put into every
//! input, and all output is searched for them.

use std::fs;
use std::path::Path;
use std::process::Command;

use e2e::crash_points::{CRASH_POINTS_FILE, short_intervals};
use serde_json::json;
use simulators::When;
use simulators::salesforce::{RestFault, RestFaultKind, Route};
use simulators::whmcs::{Fault, FaultId, WhmcsOptions};

use crate::process::{Process, page};
use crate::test_env::{Engine, Settings, TestEnv};

const WORKER: &str = env!("CARGO_BIN_EXE_crashable-worker");
const PORTAL: &str = env!("CARGO_BIN_EXE_crashable-portal");
const SUBSCRIBER: &str = env!("CARGO_BIN_EXE_crashable-subscriber");

const IDENTIFIER: &str = "canary-identifier-4711";
const SECRET: &str = "canary-secret-4712";
const HOOK: &str = "canary-hook-4720";
const ACCESS_KEY: &str = "canary-access-key-4713";
const EMAIL: &str = "canary.4714@example.com";
const NAME: &str = "Canaryname4715";
const PHONE: &str = "+44 20 7946 4716";
const STREET: &str = "4717 Canary Row";

/// Values that must not be found anywhere.
fn canaries(env: &TestEnv) -> Vec<(&'static str, String)> {
    let login = env.salesforce.login();
    let key_line = login
        .private_key_pem
        .lines()
        .nth(2)
        .expect("a key has lines");
    let org = &env.salesforce.org_id()[..15];
    vec![
        ("WHMCS_IDENTIFIER", IDENTIFIER.to_owned()),
        ("WHMCS_SECRET", SECRET.to_owned()),
        ("WHMCS_ACCESS_KEY", ACCESS_KEY.to_owned()),
        ("ALERT_WEBHOOK_URL", HOOK.to_owned()),
        ("SF_PRIVATE_KEY", key_line.to_owned()),
        // Prefixes of the simulated org's access tokens and of a signed assertion.
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

/// Enables all log output.
fn verbose(mut settings: Settings, crash_points: &Path) -> Settings {
    settings.extend([
        (
            "RUST_LOG",
            "trace,hyper=trace,hyper_util=trace,h2=trace,reqwest=trace,rustls=trace,tonic=trace,sqlx=trace"
                .to_owned(),
        ),
        ("WHMCS_CREATE_CLIENTS", "true".to_owned()),
        // Nothing listens there, so the alert for the dead letter cannot be posted.
        ("ALERT_WEBHOOK_URL", format!("http://127.0.0.1:9/{HOOK}")),
        (CRASH_POINTS_FILE, crash_points.display().to_string()),
        ("RUST_BACKTRACE", "full".to_owned()),
        // Three of the faults open the circuit until a probe succeeds.
        short_intervals(),
    ]);
    settings.retain(|(name, _)| *name != "WHMCS_ACCESS_KEY");
    settings.push(("WHMCS_ACCESS_KEY", ACCESS_KEY.to_owned()));
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_and_customer_data_are_never_written() {
    let whmcs = WhmcsOptions {
        identifier: IDENTIFIER.to_owned(),
        secret: SECRET.to_owned(),
        access_key: Some(ACCESS_KEY.to_owned()),
        ..WhmcsOptions::default()
    };
    let env = TestEnv::with(Engine::Sqlite, whmcs).await;
    let canaries = canaries(&env);
    let account = env.salesforce.create_account("New Ltd", None).unwrap();
    let contact = json!({"AccountId": account, "FirstName": "Grace", "LastName": NAME,
        "Email": EMAIL, "Phone": PHONE});
    let contact = env.salesforce.create("Contact", contact).unwrap();
    let fields = json!({"BillToContactId": contact, "BillingStreet": STREET,
        "BillingCity": "London", "BillingState": "London", "BillingPostalCode": "E1 6AN",
        "BillingCountryCode": "GB"});
    let order = || env.place_for(&account, fields.as_object().unwrap().clone());
    let orders: Vec<_> = (0..8).map(|_| order()).collect();
    // Every kind of call failure, on both sides.
    for (order, id) in orders.iter().zip([
        FaultId::F04,
        FaultId::F07,
        FaultId::F08,
        FaultId::F12,
        FaultId::F28,
    ]) {
        let fault = Fault::new(id).on("AddOrder").marker(order.as_str());
        env.whmcs.fault(fault.with_effect());
    }
    for id in [
        FaultId::F16,
        FaultId::F17,
        FaultId::F20,
        FaultId::F21,
        FaultId::F22,
    ] {
        env.whmcs
            .fault(Fault::new(id).on("GetOrders").when(When::Next(1)));
    }
    let (status, after) = (500, false);
    for kind in [
        RestFaultKind::Html { status, after },
        RestFaultKind::ExpiredSession,
        RestFaultKind::DropBefore,
        RestFaultKind::LockRow,
    ] {
        env.salesforce.fault(RestFault::new(Route::Query, kind));
    }
    env.salesforce.publish_raw(vec![0xff; 40], None);

    let (crash_points, log) = (env.file("crash_points"), env.file("all.log"));
    let panics = ["salesforce.details", "whmcs.place_order"];
    let panics = panics.map(|call| format!("{} panic {call}\n", orders[7]));
    fs::write(&crash_points, panics.concat()).unwrap();
    let subscriber_log = env.file("subscriber.log");
    let worker = verbose(env.worker_settings(), &crash_points);
    let subscriber = verbose(env.subscriber_settings(), &crash_points);
    let running = [
        Process::start(WORKER, &worker, &log),
        Process::start(SUBSCRIBER, &subscriber, &subscriber_log),
    ];
    for order in &orders {
        env.salesforce.approve(order.as_str()).unwrap();
    }
    env.until(async || {
        orders
            .iter()
            .all(|order| env.field(order, "Activation_Status__c") != "Activating")
    })
    .await;
    env.salesforce.revoke_tokens();
    env.salesforce.retry(orders[2].as_str()).unwrap();
    env.until_activation(&orders[2], "Activated").await;
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
    for file in fs::read_dir(env.file("")).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let what = path.display().to_string();
        assert_clean(&what, &String::from_utf8_lossy(&bytes), &canaries);
    }
    let log = fs::read_to_string(&log).unwrap();
    assert!(log.contains(r#""DEBUG""#), "the logs were finer than usual");
    assert_eq!(log.matches("stack backtrace:").count(), panics.len());
    for order in &orders {
        let message = env.field(order, "Activation_Error_Message__c");
        assert_clean("the order in Salesforce", &message, &canaries);
    }
}

#[tokio::test]
async fn rejected_settings_do_not_reveal_secrets() {
    let env = TestEnv::new().await;
    let canary = "canary-4718";
    let canaries = [("secret", canary.to_owned())];
    for name in [
        "SF_PRIVATE_KEY",
        "WHMCS_SECRET",
        "WHMCS_IDENTIFIER",
        "WHMCS_ACCESS_KEY",
    ] {
        let mut settings = env.worker_settings();
        settings.retain(|(other, _)| *other != name);
        settings.push((name, canary.to_owned()));
        // A second invalid setting prevents the start.
        settings.push(("WORKER_CONCURRENCY", "none".to_owned()));
        settings.push(("RUST_BACKTRACE", "full".to_owned()));
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
                "clap names the unexpected argument",
            );
            assert_clean(name, &printed, &canaries);
        }
    }
}

#[tokio::test]
async fn debug_output_of_settings_shows_no_secret() {
    let env = TestEnv::new().await;
    let secret = env.whmcs.credentials().secret;
    let key = env.salesforce.login().private_key_pem;
    let given = settings::given(env.worker_settings()).unwrap();
    let config = worker::Config::of(&given).unwrap();
    let shown = format!("{config:?}");
    let line = key.lines().nth(2).unwrap();
    assert!(!shown.contains(&secret) && !shown.contains(line), "{shown}");
    let shown = format!("{given:?}");
    assert!(!shown.contains(&secret) && !shown.contains(line), "{shown}");
}

#[tokio::test]
async fn program_that_fails_at_start_reveals_no_secret() {
    let env = TestEnv::new().await;
    let canaries = canaries(&env);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (secret, token) = (
        "canary-jwt-4721-of-32-characters",
        "canary-token-4722-of-ops",
    );
    let own = [("jwt", secret.to_owned()), ("token", token.to_owned())];
    let mut worker = env.worker_settings();
    worker.retain(|(name, _)| *name != "WHMCS_SECRET");
    worker.push(("WHMCS_SECRET", SECRET.to_owned()));
    let mut portal = env.common_settings();
    portal.push(("PORTAL_JWT_SECRET", secret.to_owned()));
    portal.push(("OPS_TOKEN", token.to_owned()));
    for (program, settings) in [
        (WORKER, worker),
        (SUBSCRIBER, env.subscriber_settings()),
        (PORTAL, portal),
    ] {
        let mut settings = env.without_crashes(settings);
        settings.retain(|(name, _)| *name != "HTTP_ADDR");
        settings.push(("HTTP_ADDR", address.clone()));
        settings.push(("RUST_BACKTRACE", "full".to_owned()));
        settings.push(("RUST_LOG", "trace".to_owned()));
        let output = Command::new(program)
            .env_clear()
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(64), "{program}");
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        assert!(printed.contains("HTTP_ADDR"), "{printed}");
        assert_clean(program, &printed, &canaries);
        assert_clean(program, &printed, &own);
    }
}
