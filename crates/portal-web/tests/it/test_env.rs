//! The routes on fakes.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use domain::id::{AccountId, OrderId};
use domain::order::{ActivationStatus, BusinessStatus, CustomerOrder};
use domain::ports::Clock;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use portal_web::{Config, Links, OpsAccess, Ports, TokenKeys, router};
use serde_json::{Value, json};
use settings::{Endpoint, Reload, Runbooks, Secret};
use testkit::{FakeClock, FakeCrm, FakeEntropy, MemoryStore, channel, order_id};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const OWN: &str = "001000000000001AAA";
pub(crate) const OTHER: &str = "001000000000002AAA";

pub(crate) struct TestEnv {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) crm: Arc<FakeCrm>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) reload: Reload,
    routes: Router,
}

pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) fn secret() -> TokenKeys {
    TokenKeys::Secret {
        current: Secret::new(SECRET).into(),
        previous: None,
    }
}

pub(crate) fn config(keys: TokenKeys) -> Config {
    Config {
        keys,
        audience: Some("shop".to_owned()),
        issuer: None,
        ops: OpsAccess::Off,
        proxy_names: None,
        secure_cookies: true,
        accept_prices: false,
        limits: settings::defaults().unwrap(),
        cors_origins: Vec::new(),
        links: Links {
            salesforce: Endpoint::parse("https://acme.my.salesforce.com").ok(),
            whmcs_admin: Endpoint::parse("https://billing.example/admin").ok(),
            runbooks: Runbooks::parse("https://wiki.example/runbooks").ok(),
        },
    }
}

impl TestEnv {
    pub(crate) fn new() -> Self {
        Self::with(config(secret()))
    }

    pub(crate) fn with(config: Config) -> Self {
        let clock = Arc::new(FakeClock::default());
        let store = Arc::new(MemoryStore::new(clock.clone()));
        Self::on(clock, store, Arc::new(FakeCrm::default()), config)
    }

    /// Another process on the same store.
    pub(crate) fn restarted(&self, config: Config) -> Self {
        let (clock, store, crm) = (&self.clock, &self.store, &self.crm);
        Self::on(clock.clone(), store.clone(), crm.clone(), config)
    }

    fn on(
        clock: Arc<FakeClock>,
        store: Arc<MemoryStore>,
        crm: Arc<FakeCrm>,
        config: Config,
    ) -> Self {
        let shutdown = CancellationToken::new();
        let reload = Reload::default();
        let ports = Ports {
            customers: crm.clone(),
            allowance: crm.clone(),
            retries: crm.clone(),
            orders: store.clone(),
            events: store.clone(),
            statistics: store.clone(),
            commands: store.clone(),
            sessions: store.clone(),
            processes: store.clone(),
            alerts: store.clone(),
            clock: clock.clone(),
            entropy: Arc::new(FakeEntropy::default()),
            channel: channel(),
            http: reqwest::Client::builder().build().unwrap(),
            reload: reload.clone(),
        };
        let routes = router(ports, config, shutdown.clone());
        Self {
            store,
            crm,
            clock,
            shutdown,
            reload,
            routes,
        }
    }

    /// An `Activating` order of the own account.
    pub(crate) fn order(&self) -> OrderId {
        self.put(OWN, ActivationStatus::Activating)
    }

    pub(crate) fn put(&self, account: &str, activation: ActivationStatus) -> OrderId {
        self.put_as(order_id(1), account, activation)
    }

    pub(crate) fn put_as(
        &self,
        id: OrderId,
        account: &str,
        activation: ActivationStatus,
    ) -> OrderId {
        self.crm.put_customer(CustomerOrder {
            id,
            account: AccountId::parse(account).unwrap(),
            number: Some("00000101".to_owned()),
            status: BusinessStatus::Approved,
            activation,
            updated_at: self.clock.now(),
        });
        id
    }

    /// A response whose body is left open.
    pub(crate) async fn open(&self, path: &str, token: &str) -> axum::response::Response {
        let request = Request::get(path).header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::empty()).unwrap();
        self.routes.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response {
        let response = self.routes.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        Response {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str, token: Option<&str>) -> Response {
        let mut request = Request::get(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn place(&self, key: &str, token: &str, body: &str) -> Response {
        let request = Request::post("/api/orders")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .header("idempotency-key", key);
        self.send(request.body(Body::from(body.to_owned())).unwrap())
            .await
    }

    /// The claims of a valid token.
    pub(crate) fn claims(&self) -> Value {
        let exp = self.clock.now().as_millis() / 1000 + 600;
        json!({"exp": exp, "account_id": OWN, "aud": "shop"})
    }

    pub(crate) fn token(&self) -> String {
        signed(&self.claims())
    }
}

pub(crate) fn signed(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}
