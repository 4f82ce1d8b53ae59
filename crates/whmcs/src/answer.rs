//! Classification of answers: every answer has exactly one class.
//!
//! Only the `message` of WHMCS's own JSON object counts, and only as a whole sentence, since
//! modules report their failures in the same place. A write without such an object is *unknown*,
//! unless the status shows that WHMCS cannot have run: newer releases answer HTTP 500 with a page,
//! and older ones with nothing or `null`, after the action has run.

use std::time::Duration;

use domain::failure::{Code, Refusal};
use domain::ports::CallError;
use serde_json::{Map, Value};

/// The kind of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It changes nothing.
    Read,
    /// It creates or changes something.
    Effect,
    /// It runs modules, whose messages are returned as errors.
    Module,
}

/// Why WHMCS denies us access. The source of [`CallError::Denied`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denial {
    /// Our address is not allowed.
    #[error("address not allowed")]
    Address,
    /// The credential's role lacks this action.
    #[error("action not allowed")]
    Role,
    /// The credential or its user is refused.
    #[error("credential refused")]
    Credential,
    /// This WHMCS has no such action.
    #[error("no such action")]
    NoSuchAction,
    /// There is no WHMCS API at the configured URL.
    #[error("no WHMCS API at this URL")]
    NoApi,
    /// HTTP 401 or 403 without a reason from WHMCS.
    #[error("refused by HTTP status")]
    Barred,
}

impl Denial {
    const fn fix(self) -> &'static str {
        match self {
            Self::Address => {
                "allow this address in WHMCS (General Settings, Security, API IP Access Restriction)"
            }
            Self::Role => "allow this action in the API role of the credential",
            Self::Credential => {
                "check WHMCS_IDENTIFIER and WHMCS_SECRET and the admin user behind them"
            }
            Self::NoSuchAction | Self::NoApi => "check WHMCS_URL and the version of WHMCS",
            Self::Barred => {
                "check the API credential and role in WHMCS, and whether a firewall or web server in front of it refuses this machine"
            }
        }
    }

    /// Whether its message names an API action, which modules never do.
    const fn names_the_api(self) -> bool {
        matches!(self, Self::Role)
    }

    /// Whether the error denies this action only, while others may work.
    pub(crate) fn closes_one_action(error: &CallError) -> bool {
        matches!(error, CallError::Denied { source, .. }
            if matches!(source.downcast_ref(), Some(Self::Role | Self::NoSuchAction)))
    }
}

/// The relevant parts of an HTTP response.
#[derive(Clone, Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// A firewall reports that it blocked the call before it reached WHMCS.
    pub(crate) blocked: bool,
    pub(crate) body: &'a [u8],
}

/// Classifies an answer, for tests that simulate WHMCS.
///
/// # Errors
/// The class, when it is not a success.
pub fn classify(kind: Kind, status: u16, body: &[u8]) -> Result<Map<String, Value>, CallError> {
    let answer = Answer {
        status,
        retry_after: None,
        blocked: false,
        body,
    };
    classify_answer(kind, &answer)
}

/// Returns the answer's object when `result` is exactly `success`.
pub(crate) fn classify_answer(
    kind: Kind,
    answer: &Answer<'_>,
) -> Result<Map<String, Value>, CallError> {
    if (300..400).contains(&answer.status) {
        return Err(denied(
            Denial::NoApi,
            "WHMCS_URL answers with a redirect; set it to the address it redirects to",
        ));
    }
    let Some(object) = object_in(answer.body) else {
        return Err(no_object(kind, answer));
    };
    let has = |key: &str, word: &str| {
        object
            .get(key)
            .and_then(Value::as_str)
            .is_some_and(|text| text.eq_ignore_ascii_case(word))
    };
    if has("result", "success") {
        return Ok(object);
    }
    if !has("result", "error") && !has("status", "error") {
        return Err(unknown(format!(
            "HTTP {} with neither success nor error",
            answer.status
        )));
    }
    let text = ["message", "error", "errormessage"]
        .into_iter()
        .find_map(|key| object.get(key).and_then(Value::as_str))
        .unwrap_or("WHMCS gave no reason")
        .trim();
    Err(refused(kind, answer, text))
}

/// The JSON object in a body. PHP notices, a byte order mark or blank lines may come before it,
/// nothing after it.
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

/// Classifies an answer without a JSON object. Its text cannot be trusted: a page may quote the
/// error of a mail server or a hook, after the action has run. Only the status shows whether WHMCS
/// can have run at all.
fn no_object(kind: Kind, answer: &Answer<'_>) -> CallError {
    let described = format!("HTTP {} without a WHMCS answer", answer.status);
    match answer.status {
        404 => denied(
            Denial::NoApi,
            "there is no WHMCS API at WHMCS_URL (HTTP 404)",
        ),
        // A firewall challenged this call; the next one may pass.
        _ if answer.blocked => not_sent(answer, described),
        401 | 403 => denied(
            Denial::Barred,
            &format!("{described}; {}", Denial::Barred.fix()),
        ),
        429 | 503 if kind == Kind::Read => not_sent(answer, described),
        _ => unknown(described),
    }
}

fn not_sent(answer: &Answer<'_>, described: String) -> CallError {
    CallError::NotSent {
        retry_after: answer.retry_after,
        source: described.into(),
    }
}

/// Classifies a `result=error`.
fn refused(kind: Kind, answer: &Answer<'_>, text: &str) -> CallError {
    if let Some(denial) = denial(kind, answer.status, text) {
        return denied_with_message(denial, text);
    }
    let code = code_of(text);
    // Module failures come with any HTTP status.
    if answer.status >= 500 && code == Code::WhmcsRejected && kind != Kind::Module {
        return unknown(format!("HTTP {} with an unknown error", answer.status));
    }
    CallError::Refused(Refusal::new(
        code,
        text.chars().take(1000).collect::<String>(),
    ))
}

/// The denial in an error; `None` when the text is about the order or its services.
///
/// A denial is HTTP 401 or 403, or exactly one of WHMCS's own messages: a module may quote the same
/// words from its panel, shell or registrar.
fn denial(kind: Kind, status: u16, text: &str) -> Option<Denial> {
    let stated = denial_of_message(text);
    match status {
        401 | 403 => Some(stated.unwrap_or(Denial::Barred)),
        // If a module may use the same message, the caller has to find out.
        _ => stated.filter(|denial| kind != Kind::Module || denial.names_the_api()),
    }
}

/// Whether the text equals a message with which WHMCS denies access.
pub(crate) fn is_denial_message(text: &str) -> bool {
    denial_of_message(text).is_some()
}

/// The denial whose WHMCS message equals this text.
fn denial_of_message(text: &str) -> Option<Denial> {
    let lower = text.trim().trim_end_matches('.').to_ascii_lowercase();
    let names_action = |before: &str, after: &str| {
        let rest = lower.strip_prefix(before);
        let action = rest.and_then(|rest| rest.strip_suffix(after));
        action.is_some_and(|action| {
            let action = action.trim_matches(['"', '\'', '\\']);
            !action.is_empty() && action.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    };
    let names_address = |before: &str| {
        let address = lower.strip_prefix(before).map(str::trim);
        address.is_some_and(|address| address.parse::<std::net::IpAddr>().is_ok())
    };
    if names_address("invalid ip") || names_address("forbidden ip") {
        return Some(Denial::Address);
    }
    if names_action("invalid permissions: api action ", " is not allowed")
        || names_action("api action ", " is not allowed")
    {
        return Some(Denial::Role);
    }
    if names_action("invalid api action: ", " is not a valid api action") {
        return Some(Denial::NoSuchAction);
    }
    match lower.as_str() {
        "authentication failed"
        | "invalid or missing credentials"
        | "administrator account disabled"
        | "access denied"
        | "invalid password provided" => Some(Denial::Credential),
        "command not found" | "empty action request" => Some(Denial::NoSuchAction),
        _ => None,
    }
}

fn code_of(text: &str) -> Code {
    let lower = text.to_ascii_lowercase();
    let has = |words: &str| lower.contains(words);
    if has("client status is closed") {
        Code::ClientClosed
    } else if has("client id not found")
        || has("client not found")
        || has("either clientid or email")
    {
        Code::ClientNotFound
    } else if has("invalid payment method") {
        Code::WhmcsConfig
    } else if has("no items added to cart") {
        Code::MappingInvalid
    } else {
        Code::WhmcsRejected
    }
}

fn denied_with_message(denial: Denial, text: &str) -> CallError {
    let message: String = text.trim().chars().take(200).collect();
    denied(
        denial,
        &format!("WHMCS answered `{message}`; {}", denial.fix()),
    )
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
        match classify_answer(kind, &answer) {
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
            (Effect, 401, "", "denied"),
            (Effect, 403, html, "denied"),
            (Effect, 404, html, "denied"),
            (Read, 403, html, "denied"),
            (Read, 404, html, "denied"),
            (
                Effect,
                500,
                "<html>SMTP 535 authentication failed</html>",
                "unknown",
            ),
            (Effect, 200, "Invalid IP 192.0.2.1", "unknown"),
            (Effect, 503, "Authentication Failed", "unknown"),
            (Read, 500, "command not found", "unknown"),
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

    /// Known messages of panels, shells, registrars and mail servers.
    const MODULE_MESSAGES: [&str; 12] = [
        "Plesk API: authentication failed for user admin",
        "Authentication Failed",
        "authentication failed",
        "sh: 1: provision: command not found",
        "Command not found",
        "Invalid IP 10.0.0.5",
        "Invalid IP assigned to node",
        "Invalid permissions on /home/ada",
        "Access denied for user 'root'@'localhost'",
        "Access Denied",
        "Invalid password provided",
        "API action createAccount is not allowed for reseller ada",
    ];

    #[test]
    fn module_messages_are_not_denials() {
        for words in MODULE_MESSAGES {
            for status in [200, 400, 500] {
                let body = serde_json::json!({"result": "error", "message": words}).to_string();
                assert_eq!(
                    class(Kind::Module, status, &body),
                    "WHMCS_REJECTED",
                    "{status} {words}"
                );
            }
        }
    }

    #[test]
    fn denial_messages_match_as_a_whole() {
        use Kind::{Effect, Module, Read};
        for (kind, words, expected) in [
            (Effect, "Authentication Failed.", "denied"),
            (Effect, "SMTP: Authentication Failed", "WHMCS_REJECTED"),
            (Read, "Invalid IP 2001:db8::1", "denied"),
            (Read, "Invalid IP of nameserver ns1", "WHMCS_REJECTED"),
            (Effect, "Command Not Found", "denied"),
            (
                Module,
                r#"Invalid Permissions: API action "acceptorder" is not allowed"#,
                "denied",
            ),
            (Module, "API action 'modulecreate' is not allowed", "denied"),
        ] {
            let body = serde_json::json!({"result": "error", "message": words}).to_string();
            assert_eq!(class(kind, 200, &body), expected, "{kind:?} {words}");
        }
    }

    proptest::proptest! {
        #[test]
        fn classification_never_panics(status in 100_u16..600, body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let answer = Answer { status, retry_after: None, blocked: false, body: &body };
            let _ = classify_answer(Kind::Effect, &answer);
        }
    }
}
