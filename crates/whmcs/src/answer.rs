//! Sorting every answer into exactly one class.
//!
//! Decided by text first and status second: installs disagree on statuses. A write whose
//! answer cannot be understood is *unknown*: newer releases answer HTTP 500 with a page, and
//! older ones with nothing or `null`, after the action has run.

use std::time::Duration;

use domain::failure::{Code, Refusal};
use domain::ports::CallError;
use serde_json::{Map, Value};

/// What kind of call was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing changes by it.
    Read,
    /// It creates or changes something.
    Effect,
    /// It runs modules, whose own words come back as errors.
    Module,
}

/// What WHMCS refuses about us. Carried as the source of [`CallError::Denied`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denial {
    /// Our address is not allowed.
    #[error("address not allowed")]
    Address,
    /// The credential's role lacks this action.
    #[error("action not allowed")]
    Role,
    /// The credential, or the user behind it.
    #[error("credential refused")]
    Credential,
    /// This WHMCS has no such action.
    #[error("no such action")]
    NoSuchAction,
    /// There is no WHMCS API at that address.
    #[error("no WHMCS API there")]
    NoApi,
}

impl Denial {
    const fn mend(self) -> &'static str {
        match self {
            Self::Address => {
                "allow this address in WHMCS (General Settings, Security, API IP Access Restriction)"
            }
            Self::Role => "allow this action in the API role of the credential",
            Self::Credential => {
                "check WHMCS_IDENTIFIER and WHMCS_SECRET and the admin user behind them"
            }
            Self::NoSuchAction | Self::NoApi => "check WHMCS_URL and the version of WHMCS",
        }
    }

    /// Whether an error says that this one action is closed to us, while others may work.
    pub(crate) fn closes_one_action(error: &CallError) -> bool {
        matches!(error, CallError::Denied { source, .. }
            if matches!(source.downcast_ref(), Some(Self::Role | Self::NoSuchAction)))
    }
}

/// The parts of an HTTP answer that decide.
#[derive(Clone, Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// A firewall says that it stopped the call before WHMCS saw it.
    pub(crate) blocked: bool,
    pub(crate) body: &'a [u8],
}

/// The answer's object when `result` is exactly `success`.
pub(crate) fn sort(kind: Kind, answer: &Answer<'_>) -> Result<Map<String, Value>, CallError> {
    if (300..400).contains(&answer.status) {
        return Err(denied(
            Denial::NoApi,
            "WHMCS_URL answers with a redirect; set it to the address it redirects to",
        ));
    }
    let Some(object) = object_in(answer.body) else {
        return Err(no_object(kind, answer));
    };
    let says = |key: &str, word: &str| {
        object
            .get(key)
            .and_then(Value::as_str)
            .is_some_and(|text| text.eq_ignore_ascii_case(word))
    };
    if says("result", "success") {
        return Ok(object);
    }
    if !says("result", "error") && !says("status", "error") {
        return Err(unknown(format!(
            "HTTP {} and neither success nor error",
            answer.status
        )));
    }
    let text = ["message", "error", "errormessage"]
        .into_iter()
        .find_map(|key| object.get(key).and_then(Value::as_str))
        .unwrap_or("WHMCS gives no reason")
        .trim();
    Err(refused(kind, answer, text))
}

/// The one JSON object in a body. Notices, a byte order mark or blank lines may stand before
/// it, and nothing after it.
fn object_in(body: &[u8]) -> Option<Map<String, Value>> {
    let text = std::str::from_utf8(body).ok()?;
    let text = text.trim_start_matches('\u{feff}').trim();
    let whole = serde_json::from_str::<Map<String, Value>>(text).ok();
    if whole.is_some() {
        return whole;
    }
    text.match_indices('{').take(64).find_map(|(at, _)| {
        let object = serde_json::from_str::<Map<String, Value>>(&text[at..]).ok()?;
        object.contains_key("result").then_some(object)
    })
}

fn no_object(kind: Kind, answer: &Answer<'_>) -> CallError {
    let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(4096)]).into_owned();
    if let Some(denial) = denial(Kind::Read, answer.status, &text) {
        return denial_said(denial, &text);
    }
    if answer.status == 404 {
        return denied(
            Denial::NoApi,
            "there is no WHMCS API at WHMCS_URL (HTTP 404)",
        );
    }
    let described = format!("HTTP {} without a usable answer", answer.status);
    if answer.blocked || kind == Kind::Read && matches!(answer.status, 403 | 429 | 503) {
        return CallError::NotSent {
            retry_after: answer.retry_after,
            source: described.into(),
        };
    }
    unknown(described)
}

fn refused(kind: Kind, answer: &Answer<'_>, text: &str) -> CallError {
    if let Some(denial) = denial(kind, answer.status, text) {
        return denial_said(denial, text);
    }
    let code = code_of(text);
    if answer.status >= 500 && code == Code::WhmcsRejected {
        return unknown(format!(
            "HTTP {} with an error we do not know",
            answer.status
        ));
    }
    CallError::Refused(Refusal::new(
        code,
        text.chars().take(1000).collect::<String>(),
    ))
}

/// What WHMCS refuses about us; `None` when the text is about the order.
fn denial(kind: Kind, status: u16, text: &str) -> Option<Denial> {
    let lower = text.to_ascii_lowercase();
    let says = |words: &str| lower.contains(words);
    // A module may well say "access denied" of its own server; WHMCS says it with a 403.
    let ours = kind != Kind::Module || matches!(status, 401 | 403);
    if says("invalid ip") || says("forbidden ip") {
        Some(Denial::Address)
    } else if says("invalid permissions") {
        Some(Denial::Role)
    } else if says("authentication failed")
        || says("invalid or missing credentials")
        || says("administrator account disabled")
        || ours && (says("access denied") || says("invalid password provided"))
    {
        Some(Denial::Credential)
    } else if says("invalid api action")
        || says("command not found")
        || says("empty action request")
    {
        Some(Denial::NoSuchAction)
    } else {
        None
    }
}

fn code_of(text: &str) -> Code {
    let lower = text.to_ascii_lowercase();
    let says = |words: &str| lower.contains(words);
    if says("client status is closed") {
        Code::ClientClosed
    } else if says("client id not found")
        || says("client not found")
        || says("either clientid or email")
    {
        Code::ClientNotFound
    } else if says("invalid payment method") {
        Code::WhmcsConfig
    } else if says("no items added to cart") {
        Code::MappingInvalid
    } else {
        Code::WhmcsRejected
    }
}

fn denial_said(denial: Denial, text: &str) -> CallError {
    let said: String = text.trim().chars().take(200).collect();
    denied(denial, &format!("WHMCS says `{said}`; {}", denial.mend()))
}

fn denied(denial: Denial, detail: &str) -> CallError {
    CallError::Denied {
        detail: detail.to_owned(),
        source: Box::new(denial),
    }
}

pub(crate) fn unknown(what: impl Into<String>) -> CallError {
    CallError::Unknown {
        source: what.into().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(kind: Kind, status: u16, body: &str) -> String {
        let answer = Answer {
            status,
            retry_after: None,
            blocked: false,
            body: body.as_bytes(),
        };
        match sort(kind, &answer) {
            Ok(_) => "ok".to_owned(),
            Err(CallError::Refused(refusal)) => refusal.code.to_string(),
            Err(error) => error.class().to_owned(),
        }
    }

    #[test]
    fn every_answer_has_exactly_one_class() {
        use Kind::{Effect, Module, Read};
        let html = "<html><body>Whoops</body></html>";
        for (kind, status, body, expected) in [
            (Effect, 200, r#"{"result":"success","orderid":"1"}"#, "ok"),
            (Effect, 200, "\u{feff}\n\n{\"result\":\"success\"}", "ok"),
            (
                Effect,
                200,
                "<b>Notice</b>: {x} in a.php\n{\"result\":\"success\"}",
                "ok",
            ),
            (
                Effect,
                200,
                r#"{"result":"success","warning":"deprecated"}"#,
                "ok",
            ),
            (Effect, 200, r#"{"result":"success"} trailing"#, "unknown"),
            (Effect, 200, "", "unknown"),
            (Effect, 200, "null", "unknown"),
            (Effect, 200, r#"{"result":"succ"#, "unknown"),
            (Effect, 200, html, "unknown"),
            (Effect, 500, html, "unknown"),
            (Effect, 502, html, "unknown"),
            (Effect, 524, "", "unknown"),
            (Effect, 429, "", "unknown"),
            (Read, 429, "", "not_sent"),
            (Read, 503, html, "not_sent"),
            (Read, 500, html, "unknown"),
            (Effect, 301, "", "denied"),
            (Read, 404, html, "denied"),
            (
                Effect,
                403,
                r#"{"result":"error","message":"Invalid IP 2001:db8::1"}"#,
                "denied",
            ),
            (
                Effect,
                200,
                r#"{"result":"error","message":"Authentication Failed"}"#,
                "denied",
            ),
            (
                Effect,
                403,
                r#"{"result":"error","message":"Invalid Permissions: API action \"addorder\" is not allowed"}"#,
                "denied",
            ),
            (
                Module,
                200,
                r#"{"result":"error","message":"Access denied for user root"}"#,
                "WHMCS_REJECTED",
            ),
            (
                Module,
                403,
                r#"{"result":"error","message":"Access Denied"}"#,
                "denied",
            ),
            (
                Effect,
                200,
                r#"{"result":"error","message":"Client ID Not Found"}"#,
                "CLIENT_NOT_FOUND",
            ),
            (
                Effect,
                200,
                r#"{"result":"error","message":"Unable to add order when client status is Closed"}"#,
                "CLIENT_CLOSED",
            ),
            (
                Effect,
                200,
                r#"{"result":"error","message":"Invalid Payment Method. Valid options include mailin"}"#,
                "WHMCS_CONFIG",
            ),
            (
                Effect,
                200,
                r#"{"result":"error","message":"No items added to cart so order cannot proceed"}"#,
                "MAPPING_INVALID",
            ),
            (
                Effect,
                200,
                r#"{"status":"error","message":"Something"}"#,
                "WHMCS_REJECTED",
            ),
            (
                Effect,
                500,
                r#"{"result":"error","message":"Something"}"#,
                "unknown",
            ),
            (Effect, 200, r#"{"warning":"it did not work"}"#, "unknown"),
        ] {
            assert_eq!(
                class(kind, status, body),
                expected,
                "{kind:?} {status} {body}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_body_makes_it_panic(status in 100_u16..600, body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let answer = Answer { status, retry_after: None, blocked: false, body: &body };
            let _ = sort(Kind::Effect, &answer);
        }
    }
}
