//! Faults of HTTP calls.
use serde::{Deserialize, Serialize};

use crate::faults::When;

/// Routes that a fault can select.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Every call.
    Any,
    /// `POST /services/oauth2/token`.
    Token,
    /// `/services/oauth2/userinfo` and `/id/…`.
    Userinfo,
    /// `/query` and its pages.
    Query,
    /// Reads an Order.
    OrderGet,
    /// Updates an Order, also by external id.
    OrderPatch,
    /// Creates an Order.
    OrderPost,
    /// Updates OrderItems, one or a collection.
    ItemsPatch,
    /// Updates an Account.
    AccountPatch,
    /// `describe`.
    Describe,
    /// `/composite`.
    Composite,
    /// `/limits`.
    Limits,
    /// Anything else.
    Other,
}

impl Route {
    /// The route of a call; `segments` are the path's parts.
    pub(crate) fn of(method: &str, segments: &[&str]) -> Self {
        let rest = segments.iter().map(|part| part.to_ascii_lowercase());
        let parts: Vec<String> = rest.collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["services", "oauth2", "token"] => Self::Token,
            ["services", "oauth2", "userinfo"] | ["id", ..] => Self::Userinfo,
            ["services", "data", _, "query" | "queryall", ..] => Self::Query,
            ["services", "data", _, "limits"] => Self::Limits,
            ["services", "data", _, "sobjects", _, "describe"] => Self::Describe,
            ["services", "data", _, "sobjects", "order", _] if method == "GET" => Self::OrderGet,
            ["services", "data", _, "sobjects", "order", ..] if method == "PATCH" => {
                Self::OrderPatch
            }
            ["services", "data", _, "sobjects", "order"] if method == "POST" => Self::OrderPost,
            ["services", "data", _, "sobjects", "orderitem", ..] if method == "PATCH" => {
                Self::ItemsPatch
            }
            // The bridge uses collections for items only.
            ["services", "data", _, "composite", "sobjects", ..] if method == "PATCH" => {
                Self::ItemsPatch
            }
            ["services", "data", _, "sobjects", "account", ..] if method == "PATCH" => {
                Self::AccountPatch
            }
            ["services", "data", _, "composite", ..] => Self::Composite,
            _ => Self::Other,
        }
    }

    /// The name used in logs and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Token => "token",
            Self::Userinfo => "userinfo",
            Self::Query => "query",
            Self::OrderGet => "order_get",
            Self::OrderPatch => "order_patch",
            Self::OrderPost => "order_post",
            Self::ItemsPatch => "items_patch",
            Self::AccountPatch => "account_patch",
            Self::Describe => "describe",
            Self::Composite => "composite",
            Self::Limits => "limits",
            Self::Other => "other",
        }
    }
}

/// The fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RestFaultKind {
    /// A Salesforce error, before any effect.
    Error {
        /// HTTP status.
        status: u16,
        /// `errorCode`.
        code: String,
        /// Message.
        message: String,
    },
    /// 400 UNABLE_TO_LOCK_ROW.
    LockRow,
    /// 401 INVALID_SESSION_ID, and every token is revoked.
    ExpiredSession,
    /// 403 REQUEST_LIMIT_EXCEEDED.
    LimitExceeded,
    /// An HTML page with this status, after the effect if `after`.
    Html {
        /// HTTP status.
        status: u16,
        /// Whether the call had its effect.
        #[serde(default)]
        after: bool,
    },
    /// The connection is reset before any effect.
    DropBefore,
    /// The connection is reset after the commit.
    DropAfter,
    /// The call is delayed.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// The call is held before its effect until the hold of this name is released.
    HoldBefore {
        /// Name of the hold.
        name: String,
    },
    /// The call is held after its effect until the hold of this name is released.
    HoldAfter {
        /// Name of the hold.
        name: String,
    },
    /// The token endpoint returns 400 with this error.
    TokenRefused {
        /// `error`.
        error: String,
        /// `error_description`.
        description: String,
    },
}

/// A fault for the next calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestFault {
    /// The route.
    pub route: Route,
    /// The calls of that route.
    #[serde(default)]
    pub when: When,
    /// Only calls whose path or body contains this text, for example an Order id.
    #[serde(default)]
    pub containing: Option<String>,
    /// The fault.
    #[serde(flatten)]
    pub kind: RestFaultKind,
}

impl RestFault {
    /// A fault in the next call of a route.
    pub fn new(route: Route, kind: RestFaultKind) -> Self {
        Self {
            route,
            when: When::Next(1),
            containing: None,
            kind,
        }
    }

    /// An error response to the next call of a route.
    pub fn error(route: Route, status: u16, code: &str, message: &str) -> Self {
        Self::new(
            route,
            RestFaultKind::Error {
                status,
                code: code.to_owned(),
                message: message.to_owned(),
            },
        )
    }

    /// Selects other calls than the next.
    #[must_use]
    pub fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    /// Only calls that contain this text.
    #[must_use]
    pub fn containing(mut self, text: &str) -> Self {
        self.containing = Some(text.to_owned());
        self
    }
}
