//! Runs a call with a fault before, during or after its effect.
use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    actions,
    faults::{Fault, FaultId},
    http::refusal_of,
    install::{Context, Install},
    modules,
    options::EmptyList,
    oracle,
    php::Php,
    wire::{Outcome, Reply},
};
use crate::listener::ConnectionHandle;

const TEN_MINUTES_MS: u64 = 600_000;

pub(super) async fn run(
    install: &Arc<Install>,
    action: &str,
    params: &Php,
    fault: Option<Fault>,
    call: usize,
    connection: &ConnectionHandle,
    disconnected: &CancellationToken,
) -> Reply {
    let mut context = install.context();
    let Some(fault) = fault else {
        let outcome = actions::run(install, &context, action, params).await;
        note(install, call, &outcome);
        return died(&outcome).unwrap_or_else(|| Reply::of(&outcome));
    };
    if let Some(reply) = refusal_of(&fault, install, action) {
        return reply;
    }
    apply_to_context(&mut context, &fault);
    match fault.id {
        FaultId::F08 if !fault.effect => {
            install.outcome(call, "connection reset before any effect");
            connection.cut();
            return Reply::html(500, "reset");
        }
        FaultId::F10 => {
            install.outcome(call, "waiting for the client to leave");
            disconnected.cancelled().await;
            sleep(fault.delay_ms.unwrap_or(0)).await;
        }
        FaultId::F15 => sleep(fault.delay_ms.unwrap_or(0)).await,
        FaultId::F26 => oracle::foreign_order(install, params.number("userid").unwrap_or(0)),
        FaultId::F30 if action != "addorder" => {
            let order = params.number("orderid").or_else(|| params.number("id"));
            edit_as_staff(install, order, &fault);
        }
        FaultId::HoldBefore => hold(install, &fault).await,
        _ => {}
    }
    let mut outcome = actions::run(install, &context, action, params).await;
    if fault.id == FaultId::F12 {
        let second = actions::run(install, &context, action, params).await;
        if fault.effect {
            outcome = second;
        }
    }
    note(install, call, &outcome);
    if let Some(page) = died(&outcome) {
        return page;
    }
    corrupt(install, action, &fault, &outcome, call, connection).await
}

/// The response to a call in which PHP died.
fn died(outcome: &Outcome) -> Option<Reply> {
    let died = outcome.as_ref().is_err_and(|text| text == modules::DIED);
    died.then(|| Reply::html(500, "Maximum execution time of 60 seconds exceeded"))
}

fn note(install: &Install, call: usize, outcome: &Outcome) {
    install.outcome(
        call,
        outcome.as_ref().map_or_else(String::as_str, |_| "success"),
    );
}

fn edit_as_staff(install: &Install, order: Option<u64>, fault: &Fault) {
    let edit = fault.style.as_deref().unwrap_or("cancel");
    oracle::edit_as_staff(install, order.unwrap_or(0), edit);
}

async fn hold(install: &Install, fault: &Fault) {
    let name = fault.text.as_deref().unwrap_or_default();
    install.holds.named(name).park().await;
}

async fn sleep(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Applies faults that change how the action runs.
fn apply_to_context(context: &mut Context, fault: &Fault) {
    let runtime = &mut context.runtime;
    let style = fault.style.as_deref();
    match fault.id {
        FaultId::F14 => {
            let limit = fault.services.unwrap_or(0);
            context.service_limit = Some(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        FaultId::F24 => runtime.string_ids = true,
        FaultId::F25 => match style {
            Some("text") => runtime.empty_list = EmptyList::Text,
            Some("array") => runtime.empty_list = EmptyList::Array,
            Some("object") => runtime.empty_list = EmptyList::Object,
            Some("null") => runtime.empty_list = EmptyList::Null,
            Some("keys") => runtime.numeric_keys = true,
            _ => runtime.bare_single = true,
        },
        FaultId::F29 => match style {
            Some("custom_fields") => runtime.custom_fields_stored = false,
            Some("domain") => {
                runtime.rewrite_domain = Some("rewritten.simulated.example".to_owned());
            }
            _ => runtime.notes_stored = false,
        },
        FaultId::F31 => context.module.clone_from(&fault.module),
        FaultId::F32 => {
            runtime.clock_skew_seconds +=
                i64::try_from(fault.services.unwrap_or(3600)).unwrap_or(0);
        }
        _ => {}
    }
}

/// Applies faults that change only the response.
async fn corrupt(
    install: &Arc<Install>,
    action: &str,
    fault: &Fault,
    outcome: &Outcome,
    call: usize,
    connection: &ConnectionHandle,
) -> Reply {
    let mut reply = Reply::of(outcome);
    match fault.id {
        FaultId::F03 => {
            let noise: &[u8] = match fault.style.as_deref() {
                Some("bom") => b"\xef\xbb\xbf",
                Some("blank") => b"\n\n  \n",
                _ => b"<br />\n<b>Notice</b>:  Undefined index: x in <b>hook.php</b> on connection <b>7</b><br />\n",
            };
            reply.body.splice(0..0, noise.iter().copied());
        }
        FaultId::F04 => {
            return Reply::html(
                500,
                fault
                    .text
                    .as_deref()
                    .unwrap_or("Output has been emitted previously; cannot emit response"),
            );
        }
        FaultId::F05 => reply.body.clear(),
        FaultId::F06 => reply.body = b"null".to_vec(),
        FaultId::F07 => reply.body.truncate(reply.body.len() / 2),
        FaultId::F08 => {
            install.outcome(call, "connection reset after the effect");
            connection.cut();
        }
        FaultId::F09 => sleep(fault.delay_ms.unwrap_or(TEN_MINUTES_MS)).await,
        FaultId::F11 => return Reply::html(fault.status.unwrap_or(504), "Gateway Time-out"),
        FaultId::F13 => {
            if let Ok(rest) = outcome {
                let mut rest = rest.clone();
                let services = rest.remove("serviceids").unwrap_or_default();
                rest.remove("orderid");
                if fault.is_style("productids") {
                    rest.clear();
                    rest.insert("productids".to_owned(), services);
                }
                return Reply::of(&Ok(rest));
            }
        }
        FaultId::F15 => reply.trickle = fault.is_style("trickle"),
        FaultId::F23 => {
            let result = if outcome.is_ok() { "success" } else { "error" };
            let xml = format!(
                "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<whmcsapi version=\"8.13.1\">\n<action>{action}</action>\n<result>{result}</result>\n</whmcsapi>"
            );
            return Reply::new(200, "application/xml", xml);
        }
        FaultId::F30 if action == "addorder" => {
            let id = outcome
                .as_ref()
                .ok()
                .and_then(|rest| match rest.get("orderid")? {
                    Value::String(text) => text.parse().ok(),
                    other => other.as_u64(),
                });
            edit_as_staff(install, id, fault);
        }
        FaultId::HoldAfter => hold(install, fault).await,
        _ => {}
    }
    reply
}
