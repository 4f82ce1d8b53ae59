//! An org that gives scripted answers and remembers the requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use salesforce_rest::{RestConfig, RestOrders};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::connect;

const KEY: &str = include_str!("../../../simulators/keys/simulator-only.pem");

/// A request, as the snapshots show it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) query: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) if_unmodified_since: Option<String>,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) body: Value,
}

#[derive(Clone, Default)]
pub(crate) struct Org {
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    pub(crate) script: Arc<Mutex<VecDeque<Response>>>,
    pub(crate) without: Arc<Mutex<Vec<&'static str>>>,
    pub(crate) closed: Arc<Mutex<bool>>,
    /// Its `Date` header; hyper's if unset.
    pub(crate) date: Arc<Mutex<Option<&'static str>>>,
    pub(crate) url: String,
}

async fn answer(
    State(org): State<Org>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let date = *org.date.lock().unwrap();
    let mut response = answer_now(org, method, uri, headers, body).await;
    if let Some(date) = date {
        let headers = response.headers_mut();
        headers.insert("date", date.parse().unwrap());
    }
    response
}

async fn answer_now(
    org: Org,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    if path == "/services/oauth2/token" {
        return axum::Json(json!({
            "access_token": "token",
            "instance_url": org.url,
            "id": "https://login.salesforce.com/id/00D000000000001EAA/005000000000001AAA",
        }))
        .into_response();
    }
    if let Some(object) = path.strip_suffix("/describe") {
        if *org.closed.lock().unwrap() {
            return error(404, "NOT_FOUND", "no such thing");
        }
        let object = object.rsplit('/').next().unwrap();
        return axum::Json(json!({"fields": fields(object, &org.without.lock().unwrap())}))
            .into_response();
    }
    let query = form_urlencoded::parse(uri.query().unwrap_or("").as_bytes());
    let query: Vec<_> = query
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let condition = headers.get("if-unmodified-since");
    let mut body: Value = serde_json::from_slice(&body).unwrap_or_default();
    body.sort_all_objects();
    org.seen.lock().unwrap().push(Seen {
        method: method.to_string(),
        path,
        query: query.join("&"),
        if_unmodified_since: condition.map(|value| value.to_str().unwrap().to_owned()),
        body,
    });
    let next = org.script.lock().unwrap().pop_front();
    next.unwrap_or_else(|| error(500, "NOT_SCRIPTED", "the test did not expect this call"))
}

fn fields(object: &str, without: &[&str]) -> Vec<Value> {
    let names: &[&str] = match object {
        "Order" => &[
            "Status",
            "Activation_Status__c",
            "Activation_Error_Code__c",
            "Activation_Error_Message__c",
            "Activation_Completed_At__c",
            "WHMCS_Order_ID__c",
            "Activation_IdemKey__c",
            "Activation_Correlation_Id__c",
            "Activation_Last_Attempt_At__c",
            "BillingCountryCode",
        ],
        "OrderItem" => &["WHMCS_Service_ID__c", "Billing_Cycle__c"],
        "Product2" => &["WHMCS_Product_Id__c", "Billing_Cycle__c"],
        _ => &["WHMCS_Client_ID__c"],
    };
    names
        .iter()
        .filter(|name| !without.contains(name))
        .map(|name| match *name {
            "Activation_Error_Message__c" => json!({"name": name, "length": 10}),
            _ => json!({"name": name, "length": 255, "updateable": true}),
        })
        .collect()
}

pub(crate) fn error(status: u16, code: &str, message: &str) -> Response {
    let body = json!([{"errorCode": code, "message": message}]);
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

pub(crate) fn ok(body: Value) -> Response {
    axum::Json(body).into_response()
}

pub(crate) fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

impl Org {
    pub(crate) async fn start(script: Vec<Response>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let org = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            script: Arc::new(Mutex::new(script.into())),
            ..Self::default()
        };
        let router = Router::new().fallback(answer).with_state(org.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        org
    }

    pub(crate) fn orders_with(&self, adjust: impl FnOnce(&mut RestConfig)) -> RestOrders {
        let login = [
            ("SF_LOGIN_URL", self.url.clone()),
            ("SF_CLIENT_ID", "app".to_owned()),
            ("SF_USERNAME", "u".to_owned()),
            ("SF_PRIVATE_KEY", KEY.to_owned()),
        ];
        connect(login, adjust)
    }

    pub(crate) fn orders(&self) -> RestOrders {
        self.orders_with(|_| {})
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}
