//! The API endpoint. Each request runs in its own task, as under PHP.
use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, State},
    http::{HeaderMap, Method, Response, StatusCode},
    routing::any,
};
use bytes::Bytes;
use futures::StreamExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    actions, apply,
    faults::{Fault, FaultId},
    form,
    install::{ActionCall, Install},
    oracle::markers_of,
    php::Php,
    wire::Reply,
    xml,
};
use crate::{listener::ConnectionHandle, lock};

pub(crate) fn router(install: Arc<Install>) -> Router {
    let path = format!("{}/includes/api.php", install.options.base());
    Router::new().route(&path, any(answer)).with_state(install)
}

async fn answer(
    State(install): State<Arc<Install>>,
    ConnectInfo(connection): ConnectInfo<ConnectionHandle>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    if method != Method::POST {
        return render(Reply::error(400, "Empty action request"));
    }
    let kind = headers
        .get("content-type")
        .and_then(|kind| kind.to_str().ok());
    let limit = lock(&install.runtime).max_input_vars;
    let params = form::read(kind.unwrap_or_default(), body, limit).await;
    // Cancelled when this handler is dropped, that is when the client disconnects.
    let disconnected = CancellationToken::new();
    let _watch = disconnected.clone().drop_guard();
    let work =
        tokio::spawn(async move { serve(&install, params, &connection, &disconnected).await });
    match work.await {
        Ok(reply) => render(reply),
        Err(error) => render(Reply::html(500, &format!("simulator: {error}"))),
    }
}

fn render(reply: Reply) -> Response<Body> {
    let body = if reply.trickle {
        let bytes = futures::stream::iter(reply.body).then(async |byte| {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            Ok::<_, std::convert::Infallible>(Bytes::copy_from_slice(&[byte]))
        });
        Body::from_stream(bytes)
    } else {
        Body::from(reply.body)
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::IM_A_TEAPOT);
    let kind = ("content-type", reply.kind.to_owned());
    for (name, value) in reply.headers.into_iter().chain([kind]) {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

async fn serve(
    install: &Arc<Install>,
    params: Php,
    connection: &ConnectionHandle,
    disconnected: &CancellationToken,
) -> Reply {
    let action = params
        .text("action")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let notes = notes_of(install, &params);
    let client = params
        .number("userid")
        .or_else(|| params.number("clientid"));
    let fault = install.faults.pick(&install.rng, |fault| {
        fault
            .action
            .as_ref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(&action))
            && fault
                .marker
                .as_ref()
                .is_none_or(|wanted| notes.contains(wanted.as_str()))
            && (fault.client.is_none() || fault.client == client)
    });
    let call = log(install, &action, &params, fault.as_ref());
    let reply = match refuse(install, &params, &action) {
        Some(reply) => {
            install.outcome(call, "refused");
            reply
        }
        None => {
            apply::run(
                install,
                &action,
                &params,
                fault,
                call,
                connection,
                disconnected,
            )
            .await
        }
    };
    let mut calls = lock(&install.calls);
    if let Some(call) = calls.get_mut(call).filter(|call| call.outcome.is_empty()) {
        call.outcome = format!("HTTP {}", reply.status);
    }
    if let Some(call) = calls.get(call) {
        tracing::info!(
            action,
            about = call.about,
            outcome = call.outcome,
            status = reply.status,
            fault = call.fault,
            "WHMCS call"
        );
    }
    drop(calls);
    match params.text("responsetype") {
        Some(kind) if kind.eq_ignore_ascii_case("xml") => {
            let version = lock(&install.runtime).version.text();
            xml::rewrite(reply, &action, version)
        }
        _ => reply,
    }
}

/// The notes of a call or of its order.
fn notes_of(install: &Install, params: &Php) -> String {
    if let Some(notes) = params.text("notes") {
        return notes.to_owned();
    }
    let tables = lock(&install.tables);
    let order = params.number("orderid").or_else(|| {
        let service = tables.services.get(&params.number("serviceid")?)?;
        Some(service.orderid)
    });
    order
        .and_then(|id| tables.orders.get(&id))
        .map(|order| order.sent_notes.clone())
        .unwrap_or_default()
}

fn log(install: &Install, action: &str, params: &Php, fault: Option<&Fault>) -> usize {
    let about = [
        "orderid",
        "serviceid",
        "clientid",
        "userid",
        "id",
        "invoiceid",
        "pid",
    ]
    .iter()
    .find_map(|key| Some(format!("{key}={}", params.text(key)?)));
    let fault = fault.map(|fault| serde_json::to_value(fault.id).unwrap_or_default());
    let mut calls = lock(&install.calls);
    calls.push(ActionCall {
        at: Timestamp::now(),
        action: action.to_owned(),
        about,
        markers: markers_of(params.text("notes").unwrap_or_default()),
        outcome: String::new(),
        fault: fault.and_then(|id| id.as_str().map(str::to_owned)),
    });
    calls.len() - 1
}

/// Checks credentials, role, address and action, in this order.
fn refuse(install: &Install, params: &Php, action: &str) -> Option<Reply> {
    let runtime = lock(&install.runtime).clone();
    let identifier = params
        .text("identifier")
        .or_else(|| params.text("username"));
    let secret = params.text("secret").or_else(|| params.text("password"));
    let options = &install.options;
    let known =
        identifier == Some(options.identifier.as_str()) && secret == Some(options.secret.as_str());
    if !known || !runtime.credential_valid {
        return Some(Reply::error(403, "Invalid or missing credentials"));
    }
    if runtime
        .denied_actions
        .iter()
        .any(|denied| denied.eq_ignore_ascii_case(action))
    {
        return Some(denied(action));
    }
    let key = options.access_key.as_deref();
    let opened = key.is_some() && params.text("accesskey") == key;
    if !runtime.ip_allowed && !opened {
        return Some(Reply::error(403, "Invalid IP 127.0.0.1"));
    }
    if action.is_empty() {
        return Some(Reply::error(400, "Empty action request"));
    }
    if !actions::KNOWN.contains(&action) {
        let text = format!("Invalid API Action: \"{action}\" is not a valid API action");
        return Some(Reply::error(400, &text));
    }
    None
}

/// The role lacks the action.
pub(super) fn denied(action: &str) -> Reply {
    Reply::error(
        403,
        &format!("Invalid Permissions: API action \"{action}\" is not allowed"),
    )
}

/// The response of a fault that acts before any effect.
pub(super) fn refusal_of(fault: &Fault, install: &Install, action: &str) -> Option<Reply> {
    let text = fault.text.as_deref();
    Some(match fault.id {
        FaultId::F01 => Reply::html(200, "Down for Maintenance"),
        FaultId::F02 => {
            let page = Reply::html(503, "Down for Maintenance");
            match fault.retry_after {
                Some(seconds) => page.with("retry-after", seconds.to_string()),
                None => page,
            }
        }
        FaultId::F16 => Reply::error(403, text.unwrap_or("Authentication Failed")),
        FaultId::F17 => Reply::error(
            403,
            &format!("Invalid IP {}", text.unwrap_or("203.0.113.9")),
        ),
        FaultId::F18 => denied(action),
        FaultId::F19 => {
            lock(&install.runtime).credential_valid = false;
            Reply::error(403, "Invalid or missing credentials")
        }
        FaultId::F20 => match fault.style.as_deref() {
            Some("captcha") => Reply::html(200, "Please complete the captcha"),
            Some("503") => {
                Reply::html(503, "Just a moment...").with("cf-ray", "8a0simulated".to_owned())
            }
            _ => {
                Reply::html(403, "Attention Required!").with("cf-mitigated", "challenge".to_owned())
            }
        },
        FaultId::F21 => {
            let page = Reply::html(429, "Too Many Requests");
            match fault.retry_after {
                Some(seconds) => page.with("retry-after", seconds.to_string()),
                None => page,
            }
        }
        FaultId::F22 => Reply::html(301, "Moved Permanently").with(
            "location",
            "https://www.simulated.example/includes/api.php".to_owned(),
        ),
        FaultId::F27 => Reply::new(
            200,
            "text/plain",
            "Error generating JSON encoded response: Malformed UTF-8 characters, possibly incorrectly encoded",
        ),
        FaultId::F28 if fault.is_style("warning") => Reply::new(
            200,
            "application/json",
            format!(
                r#"{{"warning":"{}"}}"#,
                text.unwrap_or("The action could not be carried out")
            ),
        ),
        FaultId::F28 => Reply::new(
            200,
            "application/json",
            format!(
                r#"{{"status":"error","message":"{}"}}"#,
                text.unwrap_or("The action could not be carried out")
            ),
        ),
        _ => return None,
    })
}
