//! The program as its users start it.

#![expect(
    clippy::unwrap_used,
    reason = "clippy does not recognize test helpers as tests"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A child process that is killed with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Stops it as an operator does, and waits for its end.
    fn stop(mut self) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").arg(pid).status().unwrap();
        assert!(sent.success());
        assert!(self.0.wait().unwrap().success());
    }
}

/// The program with free ports and its files in a folder.
fn program(folder: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    command.env_clear();
    for port in ["salesforce", "pubsub", "whmcs", "control"] {
        let flag = format!("--{port}-port");
        if !flags.contains(&flag.as_str()) {
            command.args([&flag, "0"]);
        }
    }
    command.args(["--log-format", "text", "--key-out"]);
    command.arg(folder.join("new/key.pem"));
    command.arg("--ca-out").arg(folder.join("ca.pem"));
    command.args(flags);
    command
}

/// A sandbox that is ready, the URL of its control API, and the settings it printed.
fn start(folder: &Path, flags: &[&str]) -> (Running, String, BTreeMap<String, String>) {
    let mut command = program(folder, flags);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let running = Running(child);
    let mut settings = BTreeMap::new();
    let mut control = String::new();
    for line in output.lines().map(Result::unwrap) {
        if let Some(url) = line.strip_prefix("# sandbox is ready; control API: ") {
            url.clone_into(&mut control);
        } else if let Some((name, value)) = line
            .strip_prefix("export ")
            .and_then(|pair| pair.split_once('='))
        {
            settings.insert(name.to_owned(), value.trim_matches('"').to_owned());
        } else {
            break;
        }
    }
    (running, control, settings)
}

fn fails(folder: &Path, flags: &[&str]) -> String {
    let Output { status, stderr, .. } = program(folder, flags).output().unwrap();
    assert!(!status.success());
    String::from_utf8(stderr).unwrap()
}

async fn get(url: &str) -> Value {
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

async fn place(control: &str) -> String {
    let placed = reqwest::Client::new()
        .post(format!("{control}/orders"))
        .header("content-type", "application/json")
        .body(r#"{"approve":true}"#)
        .send()
        .await
        .unwrap();
    let placed: Value = placed.json().await.unwrap();
    placed["id"].as_str().unwrap().to_owned()
}

async fn order_statuses(client: &reqwest::Client, settings: &BTreeMap<String, String>) -> String {
    let form = format!(
        "action=GetOrderStatuses&responsetype=json&identifier={}&secret={}",
        settings["WHMCS_IDENTIFIER"], settings["WHMCS_SECRET"]
    );
    let answer = client
        .post(format!("{}/includes/api.php", settings["WHMCS_URL"]))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
        .unwrap();
    answer.text().await.unwrap()
}

#[tokio::test]
async fn printed_settings_work_and_orders_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let (_running, control, settings) = start(folder.path(), &[]);
    let key = std::fs::read_to_string(&settings["SF_PRIVATE_KEY_FILE"]).unwrap();
    assert!(key.contains("PRIVATE KEY"));
    let answer = order_statuses(&reqwest::Client::new(), &settings).await;
    assert!(answer.contains("success"));
    let order = place(&control).await;
    let read = get(&format!("{control}/books/salesforce/{order}")).await;
    assert_eq!(read["order"]["Activation_Status__c"], "Activating");
}

#[tokio::test]
async fn tls_settings_name_the_certificate_to_trust() {
    let folder = tempfile::tempdir().unwrap();
    let (_running, control, settings) = start(folder.path(), &["--tls"]);
    let ca = std::fs::read(&settings["WHMCS_CA_FILE"]).unwrap();
    assert_eq!(settings["SF_CA_FILE"], settings["WHMCS_CA_FILE"]);
    for name in ["SF_LOGIN_URL", "SF_PUBSUB_ENDPOINT", "WHMCS_URL"] {
        assert!(settings[name].starts_with("https://"), "{name}");
    }
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
        .build()
        .unwrap();
    assert!(order_statuses(&client, &settings).await.contains("success"));
    let told = get(&format!("{control}/environment")).await;
    assert_eq!(told["SF_CA_FILE"], settings["SF_CA_FILE"]);
}

#[tokio::test]
async fn environment_file_is_private_and_names_the_control_api() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sandbox.env");
    let (_running, control, settings) =
        start(folder.path(), &["--env-file", file.to_str().unwrap()]);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(&format!("SANDBOX_CONTROL_URL={control}\n")));
    for (name, value) in settings {
        assert!(text.contains(&format!("{name}={value}\n")), "{name}");
    }
}

#[tokio::test]
async fn taken_port_is_reported_with_its_flag() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for flag in [
        "--salesforce-port",
        "--pubsub-port",
        "--whmcs-port",
        "--control-port",
    ] {
        let text = fails(folder.path(), &[flag, &port]);
        let expected = format!("{flag}: 127.0.0.1:{port} cannot be opened: another program");
        assert!(text.contains(&expected), "{text}");
    }
}

#[tokio::test]
async fn state_file_keeps_orders_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.json");
    let flags = ["--state-file", state.to_str().unwrap()];
    let (running, control, _) = start(folder.path(), &flags);
    let order = place(&control).await;
    running.stop();
    let (_running, control, _) = start(folder.path(), &flags);
    let read = get(&format!("{control}/books/salesforce/{order}")).await;
    assert_eq!(read["order"]["Status"], "Approved");
    let events = get(&format!("{control}/events")).await;
    assert_eq!(events[0]["fields"]["OrderId__c"], order);
}

#[tokio::test]
async fn seed_file_is_read_as_toml_or_json_and_errors_name_it() {
    let folder = tempfile::tempdir().unwrap();
    let toml = "[[records]]\nobject = \"Account\"\n[records.fields]\nName = \"From a file\"\n";
    let json = r#"{"records":[{"object":"Account","fields":{"Name":"From a file"}}]}"#;
    for (name, text) in [("seed.toml", toml), ("seed.json", json)] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let (_running, control, _) = start(folder.path(), &["--seed-file", file.to_str().unwrap()]);
        let accounts = get(&format!("{control}/records/Account")).await;
        let accounts = accounts.as_array().unwrap();
        assert_eq!(accounts.last().unwrap()["Name"], "From a file", "{name}");
    }
    let file = folder.path().join("broken.toml");
    std::fs::write(&file, "[[record]]\n").unwrap();
    let text = fails(folder.path(), &["--seed-file", file.to_str().unwrap()]);
    assert!(
        text.contains("SANDBOX_SEED_FILE") && text.contains("record"),
        "{text}"
    );
}

#[tokio::test]
async fn requests_are_logged() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(folder.path(), &[]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let log = BufReader::new(child.stderr.take().unwrap());
    let _running = Running(child);
    // It prints to a pipe that must stay open until then.
    let printed = output
        .lines()
        .map(Result::unwrap)
        .take_while(|line| !line.starts_with("# an approved order"));
    let printed: Vec<String> = printed.collect();
    let login = printed
        .iter()
        .find_map(|line| line.strip_prefix("export SF_LOGIN_URL="));
    let url = format!("{}/services/data", login.unwrap());
    reqwest::get(url).await.unwrap();
    let line = log
        .lines()
        .map(Result::unwrap)
        .find(|line| line.contains("Salesforce call"));
    let line = line.unwrap();
    assert!(
        line.contains("/services/data") && line.contains("200"),
        "{line}"
    );
}
