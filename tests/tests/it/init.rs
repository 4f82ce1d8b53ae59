//! `orderctl init`: an administrator's first command.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use clap::Parser;
use orderctl::{Cli, Exit, Screen, Stop};
use serde_json::Value;
use simulators::{Control, World, WorldOptions};
use testkit::SharedBuffer;

use crate::test_env::{Settings, TestEnv, flags, with};

/// What a command has left behind.
struct Ran {
    ended: Result<Exit, Stop>,
    rows: Vec<Value>,
    /// Everything it wrote.
    text: String,
}

impl Ran {
    fn refusal(&self) -> String {
        match &self.ended {
            Err(Stop::Usage(text)) => text.clone(),
            Err(Stop::Failed(runtime::Failure::Run(error))) => error.to_string(),
            Err(Stop::Failed(runtime::Failure::Config(problems))) => problems.to_string(),
            other => panic!("{other:?}: {}", self.text),
        }
    }

    fn status(&self, check: &str) -> &str {
        let row = self.rows.iter().find(|row| row["check"] == check);
        row.unwrap()["status"].as_str().unwrap()
    }
}

async fn init(words: &[&str], settings: &Settings) -> Ran {
    outbound::install_crypto_provider();
    let mut line: Vec<_> = ["orderctl", "-o", "json", "init"].map(str::to_owned).into();
    line.extend(words.iter().map(|word| (*word).to_owned()));
    line.extend(flags("", settings).into_iter().skip(1));
    let cli = Cli::try_parse_from(line).unwrap();
    let (out, err) = (SharedBuffer::default(), SharedBuffer::default());
    let mut screen = Screen {
        out: Box::new(out.clone()),
        err: Box::new(err.clone()),
        terminal: false,
        format: cli.output,
    };
    let ended = orderctl::run(cli, &mut screen).await;
    Ran {
        ended,
        rows: serde_json::from_str(&out.text()).unwrap_or_default(),
        text: format!("{}{}", out.text(), err.text()),
    }
}

/// Settings of both systems, without a private key.
fn settings(env: &TestEnv) -> Settings {
    let mut settings = with(
        env.worker_settings(),
        &[("SF_PUBSUB_ENDPOINT", &env.salesforce.pubsub_url())],
    );
    let other = ["HTTP_ADDR", "SF_PRIVATE_KEY"];
    settings.retain(|(name, _)| !other.contains(name));
    settings
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_certificate_and_settings_are_written_for_their_owner_only() {
    let env = TestEnv::new().await;
    let file = env.file("new/bridge.env");
    let words = ["--env-file", file.to_str().unwrap()];
    let ran = init(&words, &settings(&env)).await;
    // The org does not know the new certificate: that is a step for a person.
    assert_eq!(*ran.ended.as_ref().unwrap(), Exit::Problem, "{}", ran.text);
    assert_eq!(ran.status("salesforce login"), "FAIL");
    for check in ["store", "whmcs credential", "whmcs role", "secret files"] {
        assert_eq!(ran.status(check), "OK", "{check}");
    }
    let (key, certificate) = (
        file.with_file_name("salesforce.key.pem"),
        file.with_file_name("salesforce.crt"),
    );
    for path in [&file, &key, &certificate] {
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
    let pem = std::fs::read_to_string(&key).unwrap();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"), "PKCS#8");
    let bytes = jsonwebtoken::EncodingKey::from_rsa_pem(pem.as_bytes());
    let signed = jsonwebtoken::encode(
        &jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256),
        &serde_json::json!({"sub": "x"}),
        &bytes.unwrap(),
    );
    // 256 bytes are a signature of 2048 bits; base64 makes 342 characters of them.
    assert_eq!(signed.unwrap().rsplit('.').next().unwrap().len(), 342);
    let text = std::fs::read_to_string(&certificate).unwrap();
    assert!(text.starts_with("-----BEGIN CERTIFICATE-----"), "{text}");
    let secret = env.whmcs.credentials().secret;
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.contains(&format!("WHMCS_SECRET={secret}\n")));
    let named = format!("SF_PRIVATE_KEY_FILE={}\n", key.display());
    assert!(written.contains(&named), "{written}");
    assert!(
        !written.contains("PRIVATE KEY-"),
        "the key has its own file"
    );
    // What is left to do is named, and no secret.
    for step in [
        "Order_Provisioning_Integration",
        "GetOrderStatuses, GetClientsDetails, GetOrders",
        "API IP Access Restriction",
        certificate.to_str().unwrap(),
    ] {
        assert!(ran.text.contains(step), "{step}: {}", ran.text);
    }
    for secret in [secret, env.whmcs.credentials().identifier] {
        assert!(!ran.text.contains(&secret), "{}", ran.text);
    }
    assert!(!ran.text.contains("BEGIN"), "{}", ran.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_is_overwritten_without_force() {
    let env = TestEnv::new().await;
    let file = env.file("bridge.env");
    let key = file.with_file_name("salesforce.key.pem");
    let words = ["--env-file", file.to_str().unwrap()];
    for taken in [&file, &key, &file.with_file_name("salesforce.crt")] {
        std::fs::write(taken, "mine").unwrap();
        let ran = init(&words, &settings(&env)).await;
        assert!(ran.refusal().contains("--force"), "{}", ran.refusal());
        assert!(ran.refusal().contains(taken.to_str().unwrap()));
        assert_eq!(std::fs::read_to_string(taken).unwrap(), "mine");
        let files = std::fs::read_dir(file.parent().unwrap()).unwrap();
        let names: Vec<_> = files.map(|entry| entry.unwrap().file_name()).collect();
        let ours = |name: &&std::ffi::OsString| !name.to_str().unwrap().starts_with("jobs.db");
        assert_eq!(names.iter().filter(ours).count(), 1, "{names:?}");
        std::fs::remove_file(taken).unwrap();
    }
    std::fs::write(&file, "mine").unwrap();
    let ran = init(&[&words[..], &["--force"]].concat(), &settings(&env)).await;
    assert!(ran.ended.is_ok(), "{}", ran.text);
    assert_eq!((mode(&file), mode(&key)), (0o600, 0o600));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn given_key_is_used_and_kept() {
    let env = TestEnv::new().await;
    let (file, key) = (env.file("bridge.env"), env.file("mine.pem"));
    std::fs::write(&key, env.salesforce.login().private_key_pem).unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    let given = [("SF_PRIVATE_KEY_FILE", key.to_str().unwrap())];
    let words = ["--env-file", file.to_str().unwrap()];
    let ran = init(&words, &with(settings(&env), &given)).await;
    assert_eq!(*ran.ended.as_ref().unwrap(), Exit::Fine, "{}", ran.text);
    assert!(!file.with_file_name("salesforce.key.pem").exists());
    let pem = std::fs::read_to_string(&key).unwrap();
    assert_eq!(pem, env.salesforce.login().private_key_pem);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_terminal_every_missing_setting_is_named_and_nothing_written() {
    let env = TestEnv::new().await;
    let file = env.file("bridge.env");
    let words = ["--env-file", file.to_str().unwrap()];
    let mut some = settings(&env);
    some.retain(|(name, _)| !["SF_CLIENT_ID", "WHMCS_SECRET"].contains(name));
    let ran = init(&words, &some).await;
    assert!(matches!(ran.ended, Err(Stop::Usage(_))), "{:?}", ran.ended);
    let text = ran.refusal();
    assert!(text.contains("--sf-client-id (SF_CLIENT_ID)"), "{text}");
    assert!(text.contains("WHMCS_SECRET or WHMCS_SECRET_FILE"), "{text}");
    assert!(!text.contains("WHMCS_URL"), "{text}");
    assert!(!file.exists() && !file.with_file_name("salesforce.key.pem").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sandbox_is_set_up_without_an_answer() {
    let world = Arc::new(World::start(WorldOptions::default()).await.unwrap());
    let control = Control::start(world.clone(), 0).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sandbox.env");
    let store = format!("sqlite:{}", folder.path().join("data/jobs.db").display());
    let sandbox = format!("--sandbox={}", control.url());
    let words = [&sandbox, "--env-file", file.to_str().unwrap()];
    // A setting of a real system is not mixed with simulated ones.
    let given: Settings = vec![
        ("DATABASE_URL", store.clone()),
        ("WHMCS_URL", "https://billing.example.com".to_owned()),
    ];
    let ran = init(&words, &given).await;
    assert_eq!(*ran.ended.as_ref().unwrap(), Exit::Fine, "{}", ran.text);
    for row in &ran.rows {
        assert!(
            ["OK", "SKIP"].contains(&row["status"].as_str().unwrap()),
            "{row}"
        );
    }
    for check in [
        "store",
        "salesforce login",
        "event channel",
        "whmcs role",
        "products",
    ] {
        assert_eq!(ran.status(check), "OK", "{check}");
    }
    let key = file.with_file_name("salesforce.key.pem");
    assert_eq!((mode(&file), mode(&key)), (0o600, 0o600));
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(
        written.contains(&format!("DATABASE_URL={store}\n")),
        "{written}"
    );
    assert!(written.contains(&format!("WHMCS_URL={}\n", world.whmcs.url())));
    assert!(!ran.text.contains(&world.whmcs.credentials().secret));

    control.stop().await;
    let ran = init(
        &[&sandbox, "--force", "--env-file", file.to_str().unwrap()],
        &given,
    )
    .await;
    let text = ran.refusal();
    assert!(text.contains("no sandbox answers"), "{text}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
}
