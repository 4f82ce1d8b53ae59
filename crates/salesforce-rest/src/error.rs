//! Errors and their classification.

use std::fmt;
use std::time::Duration;

use domain::failure::{Code, Refusal};
use domain::id::OrderId;
use domain::ports::{BoxError, CallError};
use salesforce_auth::AuthError;
use serde::Deserialize;

/// A required field that is not usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingField {
    /// The object.
    pub object: &'static str,
    /// The field.
    pub field: String,
    /// What is wrong with it.
    pub what: &'static str,
}

/// The org lacks required fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationError {
    /// Which.
    pub missing: Vec<MissingField>,
}

impl std::error::Error for ConfigurationError {}

impl fmt::Display for ConfigurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, field) in self.missing.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{}.{} {}", field.object, field.field, field.what)?;
        }
        f.write_str(
            ": deploy the fields, give the user of SF_USERNAME the permission set, or name your own fields in ORDERBRIDGE_CONFIG",
        )
    }
}

/// Why the org's fields could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// It lacks required fields.
    #[error("the org is not configured: {0}")]
    Configuration(#[from] ConfigurationError),
    /// The call failed.
    #[error("the org's fields cannot be read")]
    Call(#[source] CallError),
}

impl From<DescribeError> for CallError {
    fn from(error: DescribeError) -> Self {
        match error {
            DescribeError::Configuration(error) => Self::Denied {
                detail: format!("the Salesforce org is not configured: {error}"),
                source: Box::new(error),
            },
            DescribeError::Call(error) => error,
        }
    }
}

/// One error of an answer. Collections use another name for the code.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct ApiError {
    #[serde(alias = "errorCode", alias = "statusCode")]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) fields: Vec<String>,
}

impl ApiError {
    /// A lock has its own code or, behind a Flow or trigger, is only in the text.
    pub(crate) fn is_lock(&self) -> bool {
        self.code == "UNABLE_TO_LOCK_ROW" || self.message.contains("UNABLE_TO_LOCK_ROW")
    }
}

/// An error answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("HTTP {status}{}", .errors.first().map(|e| format!(" {}: {}", e.code, shortened(&e.message))).unwrap_or_default())]
pub(crate) struct ApiFailure {
    pub(crate) status: u16,
    pub(crate) errors: Vec<ApiError>,
}

fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(500).collect()
}

impl ApiFailure {
    pub(crate) fn has(&self, code: &str) -> bool {
        self.errors.iter().any(|error| error.code == code)
    }

    pub(crate) fn is_lock(&self) -> bool {
        self.errors.iter().any(ApiError::is_lock)
    }

    pub(crate) fn is_gone(&self) -> bool {
        (self.status == 404 && !self.errors.is_empty()) || self.has("ENTITY_IS_DELETED")
    }
}

/// Why a call failed, before the operation classifies it.
#[derive(Debug)]
pub(crate) enum Failure {
    NotSent(BoxError),
    Unknown(BoxError),
    Denied { detail: String, source: BoxError },
    Api(ApiFailure),
}

/// Codes of transient conditions; whether the call had an effect is unknown.
const PASSING: [&str; 8] = [
    "QUERY_TIMEOUT",
    "REQUEST_RUNNING_TOO_LONG",
    "TXN_SECURITY_METERING_ERROR",
    "SERVER_UNAVAILABLE",
    "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE",
    "ORG_IN_MAINTENANCE",
    "UNKNOWN_EXCEPTION",
    "APEX_ERROR",
];

/// Codes that deny access in general, independent of the order.
const SHUT_OUT: [&str; 3] = [
    "API_CURRENTLY_DISABLED",
    "API_DISABLED_FOR_ORG",
    "FUNCTIONALITY_NOT_ENABLED",
];

const LIMIT_WAIT: Duration = Duration::from_secs(60);

impl Failure {
    pub(crate) fn auth(error: AuthError) -> Self {
        match error {
            AuthError::Unreachable { .. } => Self::NotSent(Box::new(error)),
            AuthError::Refused { .. } | AuthError::SessionRefused { .. } => Self::Denied {
                detail: error.to_string(),
                source: Box::new(error),
            },
        }
    }

    /// An unexpected answer; whether the call had an effect is unknown.
    pub(crate) fn unexpected(what: impl Into<BoxError>) -> Self {
        Self::Unknown(what.into())
    }

    pub(crate) fn api(&self) -> Option<&ApiFailure> {
        match self {
            Self::Api(failure) => Some(failure),
            _ => None,
        }
    }
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        let failure = match failure {
            Failure::NotSent(source) => {
                return Self::NotSent {
                    retry_after: None,
                    source,
                };
            }
            Failure::Unknown(source) => return Self::Unknown { source },
            Failure::Denied { detail, source } => return Self::Denied { detail, source },
            Failure::Api(failure) => failure,
        };
        let any = |codes: &[&str]| codes.iter().any(|code| failure.has(code));
        match failure.status {
            401 => Self::Denied {
                detail: format!(
                    "Salesforce refused a new session too ({failure}): check the session settings and API access of the user of SF_USERNAME"
                ),
                source: Box::new(failure),
            },
            _ if any(&SHUT_OUT) => Self::Denied {
                detail: format!(
                    "Salesforce denies access to its API ({failure}): enable the API for the org and for the user of SF_USERNAME"
                ),
                source: Box::new(failure),
            },
            _ if failure.has("REQUEST_LIMIT_EXCEEDED") => Self::NotSent {
                retry_after: Some(LIMIT_WAIT),
                source: Box::new(failure),
            },
            // A lock rolls back the whole call.
            _ if failure.is_lock() => Self::NotSent {
                retry_after: None,
                source: Box::new(failure),
            },
            // A failed precondition rolls back the whole call too.
            412 => Self::NotSent {
                retry_after: None,
                source: Box::new(failure),
            },
            300..=399 | 406 | 408 | 420 | 429 | 500.. => Self::Unknown {
                source: Box::new(failure),
            },
            _ if any(&PASSING) || failure.errors.is_empty() => Self::Unknown {
                source: Box::new(failure),
            },
            _ => Self::Refused(refusal(Code::SalesforceRejected, &failure)),
        }
    }
}

/// A refusal with Salesforce's own messages.
pub(crate) fn refusal(code: Code, failure: &ApiFailure) -> Refusal {
    let messages: Vec<String> = failure
        .errors
        .iter()
        .take(3)
        .map(|error| format!("{}: {}", error.code, shortened(&error.message)))
        .collect();
    Refusal::new(code, format!("Salesforce answered {}", messages.join("; ")))
}

/// The refusal of an order that does not exist.
pub(crate) fn no_order(order: OrderId) -> CallError {
    CallError::Refused(Refusal::new(
        Code::OrderNotFound,
        format!("Salesforce has no order {order} that the integration user can see"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(status: u16, code: &str, message: &str) -> &'static str {
        let errors = if code.is_empty() {
            Vec::new()
        } else {
            vec![ApiError {
                code: code.to_owned(),
                message: message.to_owned(),
                fields: Vec::new(),
            }]
        };
        CallError::from(Failure::Api(ApiFailure { status, errors })).class()
    }

    #[test]
    fn errors_have_the_expected_class() {
        for (status, code, message, expected) in [
            (401, "INVALID_SESSION_ID", "", "denied"),
            (403, "REQUEST_LIMIT_EXCEEDED", "", "not_sent"),
            (403, "API_DISABLED_FOR_ORG", "", "denied"),
            (403, "INSUFFICIENT_ACCESS_OR_READONLY", "", "refused"),
            (400, "UNABLE_TO_LOCK_ROW", "", "not_sent"),
            (
                400,
                "CANNOT_EXECUTE_FLOW_TRIGGER",
                "… UNABLE_TO_LOCK_ROW …",
                "not_sent",
            ),
            (400, "CANNOT_EXECUTE_FLOW_TRIGGER", "boom", "refused"),
            (400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "", "refused"),
            (400, "STRING_TOO_LONG", "", "refused"),
            (400, "BRAND_NEW", "", "refused"),
            (
                412,
                "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE",
                "",
                "not_sent",
            ),
            (412, "", "", "not_sent"),
            (400, "QUERY_TIMEOUT", "", "unknown"),
            (429, "", "", "unknown"),
            (500, "UNKNOWN_EXCEPTION", "", "unknown"),
            (503, "SERVER_UNAVAILABLE", "", "unknown"),
            (502, "", "", "unknown"),
            (403, "", "", "unknown"),
        ] {
            assert_eq!(class(status, code, message), expected, "{status} {code}");
        }
    }

    #[test]
    fn both_spellings_of_error_code_parse() {
        let read = |json: &str| serde_json::from_str::<ApiError>(json).unwrap().code;
        assert_eq!(read(r#"{"errorCode":"A","message":"m"}"#), "A");
        assert_eq!(read(r#"{"statusCode":"B","message":"m","fields":[]}"#), "B");
    }
}
