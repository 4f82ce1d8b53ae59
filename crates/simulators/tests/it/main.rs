//! The simulators over the network.
#![expect(
    clippy::unwrap_used,
    reason = "clippy does not recognize test helpers as tests"
)]
mod control;
mod pubsub;
mod rest;
mod rest_rules;
mod sandbox;
mod soql;
mod streams;
mod tls;
mod whmcs;
mod whmcs_answers;
mod whmcs_faults;

use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use simulators::salesforce::SalesforceSim;

/// A signed assertion with these claims overriding the valid ones.
pub(crate) fn assertion(sim: &SalesforceSim, overrides: Value) -> String {
    let login = sim.login();
    let mut claims = json!({
        "iss": login.client_id, "sub": login.username, "aud": sim.rest_url(),
        "exp": sim.now().as_second() + 180,
    });
    for (key, value) in overrides.as_object().unwrap() {
        claims[key] = value.clone();
    }
    let key = EncodingKey::from_rsa_pem(login.private_key_pem.as_bytes()).unwrap();
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap()
}

pub(crate) async fn log_in_with(sim: &SalesforceSim, assertion: String) -> (u16, Value) {
    let form = [
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned(),
        ),
        ("assertion", assertion),
    ];
    let response = reqwest::Client::new()
        .post(format!("{}/services/oauth2/token", sim.rest_url()))
        .form(&form)
        .send()
        .await
        .unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

pub(crate) async fn token(sim: &SalesforceSim) -> String {
    let (status, body) = log_in_with(sim, assertion(sim, json!({}))).await;
    assert_eq!(status, 200, "{body}");
    body["access_token"].as_str().unwrap().to_owned()
}

/// A logged-in REST client.
pub(crate) struct Rest {
    http: reqwest::Client,
    base: String,
    pub(crate) token: String,
}

impl Rest {
    pub(crate) async fn new(sim: &SalesforceSim) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: format!("{}/services/data/v66.0", sim.rest_url()),
            token: token(sim).await,
        }
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method.parse().unwrap(), format!("{}{path}", self.base))
            .bearer_auth(&self.token)
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub(crate) async fn query(&self, soql: &str) -> (u16, Value) {
        let response = self
            .request("GET", "/query")
            .query(&[("q", soql)])
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }
}

/// `base64(serialize([field => value]))`.
pub(crate) fn php_map(field: u64, value: &str) -> String {
    STANDARD.encode(format!("a:1:{{i:{field};s:{}:\"{value}\";}}", value.len()))
}
