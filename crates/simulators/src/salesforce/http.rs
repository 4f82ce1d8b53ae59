//! HTTP layer: sessions, faults and headers around `rest` and `oauth`.
use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, State},
    http::{HeaderMap, Method, Response, StatusCode, Uri},
};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    composite::decode,
    faults::{RestFaultKind, Route},
    history::Author,
    ids, oauth,
    org::Org,
    rest::{self, Answer, RestRequest},
    rules::Refusal,
};
use crate::{listener::ConnectionHandle, lock};

/// A request.
struct Incoming {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    connection: ConnectionHandle,
}

impl Incoming {
    /// HEAD is answered as GET; the server leaves out the body.
    fn method(&self) -> &str {
        match self.method.as_str() {
            "HEAD" => "GET",
            other => other,
        }
    }
}

pub(crate) fn router(org: Arc<Org>) -> Router {
    Router::new()
        .fallback(
            async |State(org): State<Arc<Org>>,
                   ConnectInfo(connection): ConnectInfo<ConnectionHandle>,
                   method: Method,
                   uri: Uri,
                   headers: HeaderMap,
                   body: Bytes| {
                let incoming = Incoming {
                    method,
                    uri,
                    headers,
                    body,
                    connection,
                };
                // A server continues although its client has disconnected.
                let work = tokio::spawn(async move { serve(&org, incoming).await });
                work.await
                    .unwrap_or_else(|error| plain(500, "text/plain", format!("simulator: {error}")))
            },
        )
        .with_state(org)
}

fn plain(status: u16, kind: &str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT);
    if let Ok(kind) = kind.parse() {
        response.headers_mut().insert("content-type", kind);
    }
    response
}

fn html(status: u16) -> Response<Body> {
    plain(
        status,
        "text/html; charset=UTF-8",
        "<html><head><title>Down for maintenance</title></head><body><h1>We are down for maintenance.</h1></body></html>"
            .to_owned(),
    )
}

async fn serve(org: &Arc<Org>, incoming: Incoming) -> Response<Body> {
    let path = incoming.uri.path().to_owned();
    let parts: Vec<String> = path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(decode)
        .collect();
    let names: Vec<&str> = parts.iter().map(String::as_str).collect();
    let route = Route::of(incoming.method(), &names);
    let call = org.called(incoming.method.as_str(), route.name(), &template(&parts));
    let fault = org.faults.pick(&org.rng, |fault| {
        let mentioned = |text: &String| {
            path.contains(text.as_str())
                || incoming
                    .uri
                    .query()
                    .is_some_and(|query| query.contains(text.as_str()))
                || incoming
                    .body
                    .windows(text.len().max(1))
                    .any(|window| window == text.as_bytes())
        };
        (fault.route == Route::Any || fault.route == route)
            && fault.containing.as_ref().is_none_or(mentioned)
    });
    let fault = fault.map(|fault| fault.kind);
    let start = std::time::Instant::now();
    let response = match before(org, &incoming, fault.as_ref()).await {
        Some(response) => response,
        None => {
            let answer = dispatch(org, &incoming, &parts);
            let response = render(org, &answer);
            after(org, &incoming, fault.as_ref())
                .await
                .unwrap_or(response)
        }
    };
    if !matches!(
        fault,
        Some(RestFaultKind::DropBefore | RestFaultKind::DropAfter)
    ) {
        org.answered(call, response.status().as_u16());
    }
    tracing::info!(
        method = %incoming.method,
        path = template(&parts),
        status = response.status().as_u16(),
        ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        fault = fault.as_ref().map(tracing::field::debug),
        "Salesforce call"
    );
    response
}

/// Applies faults before any effect; a response ends the call.
async fn before(
    org: &Org,
    incoming: &Incoming,
    fault: Option<&RestFaultKind>,
) -> Option<Response<Body>> {
    let refused = |refusal: Refusal| Some(render(org, &refusal.into()));
    match fault? {
        RestFaultKind::Error {
            status,
            code,
            message,
        } => refused(Refusal::new(*status, code, message.clone())),
        RestFaultKind::LockRow => refused(Refusal::bad(
            "UNABLE_TO_LOCK_ROW",
            "unable to obtain exclusive access to this record or 1 records",
        )),
        RestFaultKind::ExpiredSession => {
            org.sessions.revoke_all();
            refused(expired())
        }
        RestFaultKind::LimitExceeded => refused(Refusal::new(
            403,
            "REQUEST_LIMIT_EXCEEDED",
            "TotalRequests Limit exceeded.",
        )),
        RestFaultKind::Html {
            status,
            after: false,
        } => Some(html(*status)),
        RestFaultKind::DropBefore => {
            incoming.connection.cut();
            Some(html(500))
        }
        RestFaultKind::Delay { ms } => {
            tokio::time::sleep(Duration::from_millis(*ms)).await;
            None
        }
        RestFaultKind::HoldBefore { name } => {
            org.holds.named(name).park().await;
            None
        }
        RestFaultKind::TokenRefused { error, description } => {
            Some(render(org, &oauth::refused(error, description)))
        }
        _ => None,
    }
}

/// Applies faults after the effect; a response replaces the real one.
async fn after(
    org: &Org,
    incoming: &Incoming,
    fault: Option<&RestFaultKind>,
) -> Option<Response<Body>> {
    match fault? {
        RestFaultKind::Html {
            status,
            after: true,
        } => Some(html(*status)),
        RestFaultKind::DropAfter => {
            incoming.connection.cut();
            Some(html(500))
        }
        RestFaultKind::HoldAfter { name } => {
            org.holds.named(name).park().await;
            None
        }
        _ => None,
    }
}

fn expired() -> Refusal {
    Refusal::new(401, "INVALID_SESSION_ID", "Session expired or invalid")
}

/// The path with ids replaced.
fn template(parts: &[String]) -> String {
    let names = parts.iter().map(|part| {
        if ids::canonical(part).is_some() {
            "{id}"
        } else {
            part.as_str()
        }
    });
    names.fold(String::new(), |path, part| format!("{path}/{part}"))
}

fn render(org: &Org, answer: &Answer) -> Response<Body> {
    let body = answer.body.as_ref().map(Value::to_string);
    let mut response = match body {
        Some(text) => plain(answer.status, "application/json;charset=UTF-8", text),
        None => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() =
                StatusCode::from_u16(answer.status).unwrap_or(StatusCode::IM_A_TEAPOT);
            response
        }
    };
    let used = org.used_calls();
    let usage = format!("api-usage={used}/{}", org.options.daily_calls);
    let all = answer
        .headers
        .iter()
        .map(|(name, value)| (*name, value.clone()))
        .chain([("sforce-limit-info", usage), ("date", date(org))]);
    for (name, value) in all {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The org's clock, as an HTTP date.
fn date(org: &Org) -> String {
    let seconds = u64::try_from(org.clock.wall().as_second()).unwrap_or_default();
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(seconds))
}

fn dispatch(org: &Org, incoming: &Incoming, parts: &[String]) -> Answer {
    let names: Vec<&str> = parts.iter().map(String::as_str).collect();
    let method = incoming.method();
    match (method, names.as_slice()) {
        ("POST", ["services", "oauth2", "token"]) => {
            let own = lock(&org.instance_url).clone();
            let scheme = org.options.listen.scheme();
            let host = incoming
                .headers
                .get("host")
                .and_then(|host| host.to_str().ok())
                .map(|host| format!("{scheme}://{host}"));
            let origins: Vec<String> = host.into_iter().chain([own]).collect();
            return oauth::token(org, &incoming.body, &origins);
        }
        ("POST" | "GET", ["services", "oauth2", "revoke"]) => {
            let query = incoming.uri.query().unwrap_or_default();
            return oauth::revoke(org, &incoming.body, query.as_bytes());
        }
        ("GET", ["services", "data"]) => {
            let versions: Vec<Value> = (31..=68)
                .map(|n| json!({"label": format!("v{n}"), "version": format!("{n}.0"), "url": format!("/services/data/v{n}.0")}))
                .collect();
            return Answer::json(200, Value::Array(versions));
        }
        _ => {}
    }
    let token = incoming
        .headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| {
            value
                .strip_prefix("Bearer ")
                .or_else(|| value.strip_prefix("OAuth "))
        });
    // The identity URL takes the token as a parameter too.
    let given = form_urlencoded::parse(incoming.uri.query().unwrap_or_default().as_bytes())
        .find(|(name, _)| name == "oauth_token" && names.first() == Some(&"id"))
        .map(|(_, value)| value.into_owned());
    let token = token.or(given.as_deref());
    if !token.is_some_and(|token| org.sessions.accept(token, &org.clock)) {
        return expired().into();
    }
    match names.as_slice() {
        ["services", "oauth2", "userinfo"] => oauth::userinfo(org),
        ["id", org_id, user_id] => oauth::identity(org, org_id, user_id),
        ["services", "data", version, ..] if is_version(version) => {
            data(org, incoming, version, &parts[3..])
        }
        _ => Refusal::not_found().into(),
    }
}

fn is_version(part: &str) -> bool {
    part.strip_prefix('v')
        .and_then(|rest| rest.strip_suffix(".0"))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

fn data(org: &Org, incoming: &Incoming, version: &str, parts: &[String]) -> Answer {
    let header = |name: &str| {
        let value = incoming.headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    let body = if incoming.body.is_empty() {
        Value::Null
    } else {
        let json = header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
        if !json {
            return Refusal::new(
                415,
                "UNSUPPORTED_MEDIA_TYPE",
                "application/json is expected",
            )
            .into();
        }
        match serde_json::from_slice(&incoming.body) {
            Ok(body) => body,
            Err(error) => return Refusal::bad("JSON_PARSER_ERROR", error.to_string()).into(),
        }
    };
    let query = incoming.uri.query().unwrap_or_default();
    let batch_size = header("sforce-query-options")
        .and_then(|value| value.strip_prefix("batchSize=")?.trim().parse().ok());
    let rest_request = RestRequest {
        method: incoming.method(),
        version,
        parts: parts.to_vec(),
        query: form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        body,
        if_unmodified_since: header("if-unmodified-since"),
        if_modified_since: header("if-modified-since"),
        batch_size,
    };
    org.write(Author::Api, |tx| rest::answer(org, tx, &rest_request))
        .unwrap_or_else(Answer::from)
}
