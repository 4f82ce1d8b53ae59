//! The program as its users start it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A child process that is killed with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn printed_settings_work_and_orders_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .env_clear()
        .args(["--salesforce-port", "0", "--pubsub-port", "0"])
        .args(["--whmcs-port", "0", "--control-port", "0", "--key-out"])
        .arg(folder.path().join("new/key.pem"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let _running = Running(child);
    let mut settings = std::collections::BTreeMap::new();
    let mut control = String::new();
    for line in output.lines().map(Result::unwrap) {
        if let Some(url) = line.strip_prefix("# sandbox is ready; control API: ") {
            url.clone_into(&mut control);
        } else if let Some((name, value)) = line
            .strip_prefix("export ")
            .and_then(|pair| pair.split_once('='))
        {
            settings.insert(name.to_owned(), value.trim_matches('\'').to_owned());
        } else {
            break;
        }
    }
    let key = std::fs::read_to_string(&settings["SF_PRIVATE_KEY_FILE"]).unwrap();
    assert!(key.contains("PRIVATE KEY"));
    let http = reqwest::Client::new();
    let api = format!("{}/includes/api.php", settings["WHMCS_URL"]);
    let form = format!(
        "action=GetOrderStatuses&responsetype=json&identifier={}&secret={}",
        settings["WHMCS_IDENTIFIER"], settings["WHMCS_SECRET"]
    );
    let answer = http
        .post(api)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
        .unwrap();
    assert!(answer.text().await.unwrap().contains("success"));
    let placed = http
        .post(format!("{control}/orders"))
        .header("content-type", "application/json")
        .body(r#"{"approve":true}"#)
        .send()
        .await
        .unwrap();
    let placed: serde_json::Value = placed.json().await.unwrap();
    let order = placed["id"].as_str().unwrap();
    let read = http
        .get(format!("{control}/books/salesforce/{order}"))
        .send()
        .await
        .unwrap();
    let read: serde_json::Value = read.json().await.unwrap();
    assert_eq!(read["order"]["Activation_Status__c"], "Activating");
}
