//! How the simulated install is set up, and what can be turned while it runs.
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The versions that differ for a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Version {
    /// Before 7.8 the answer of AddOrder says `productids`.
    #[serde(rename = "7.7")]
    V7_7,
    /// Scalars are taken for arrays.
    #[serde(rename = "8.5")]
    V8_5,
    /// `qty` counts from here on.
    #[serde(rename = "8.12")]
    V8_12,
    /// Last of the 8 line.
    #[serde(rename = "8.13")]
    V8_13,
    /// AddClient wants `password2`.
    #[serde(rename = "9.0")]
    V9_0,
}

impl Version {
    /// What WhmcsDetails says.
    pub fn text(self) -> &'static str {
        match self {
            Self::V7_7 => "7.7.1",
            Self::V8_5 => "8.5.2",
            Self::V8_12 => "8.12.0",
            Self::V8_13 => "8.13.1",
            Self::V9_0 => "9.0.9",
        }
    }
}

/// How an empty list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyList {
    /// `{"order": []}`.
    Wrapped,
    /// `""`.
    Text,
    /// `[]`.
    Array,
    /// `{}`.
    Object,
    /// `null`.
    Null,
}

/// What can be turned while the install runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Knobs {
    /// Version.
    pub version: Version,
    /// AddOrder stores `notes`.
    pub notes_stored: bool,
    /// AddOrder stores custom fields.
    pub custom_fields_stored: bool,
    /// AddOrder writes this instead of the domain asked for.
    pub rewrite_domain: Option<String>,
    /// GetOrders begins with the newest.
    pub newest_first: bool,
    /// Ids and counts are strings.
    pub string_ids: bool,
    /// How an empty list is written.
    pub empty_list: EmptyList,
    /// A list of one is the bare object.
    pub bare_single: bool,
    /// GetClientsDetails tells the code of a client's currency, and not only its id.
    pub currency_code_shown: bool,
    /// Lists are objects with keys `"0"`, `"2"`, …
    pub numeric_keys: bool,
    /// Seconds the server's clock is ahead.
    pub clock_skew_seconds: i64,
    /// The caller's address is on the allow-list.
    pub ip_allowed: bool,
    /// The credential works.
    pub credential_valid: bool,
    /// Actions the role lacks, lower case.
    pub denied_actions: BTreeSet<String>,
    /// PHP's limit of form variables.
    pub max_input_vars: usize,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            version: Version::V8_13,
            notes_stored: true,
            custom_fields_stored: true,
            rewrite_domain: None,
            newest_first: true,
            string_ids: false,
            empty_list: EmptyList::Wrapped,
            bare_single: false,
            currency_code_shown: true,
            numeric_keys: false,
            clock_skew_seconds: 0,
            ip_allowed: true,
            credential_valid: true,
            denied_actions: BTreeSet::new(),
            max_input_vars: 1000,
        }
    }
}

/// How the simulated install is set up.
#[derive(Debug, Clone)]
pub struct WhmcsOptions {
    /// Port, 0 for any.
    pub port: u16,
    /// Everything random comes from this.
    pub seed: u64,
    /// API credential.
    pub identifier: String,
    /// Its secret.
    pub secret: String,
    /// Opens the door for addresses that are not on the list.
    pub access_key: Option<String>,
    /// System names of the gateways.
    pub payment_methods: Vec<String>,
    /// Knobs at start.
    pub knobs: Knobs,
}

impl Default for WhmcsOptions {
    fn default() -> Self {
        Self {
            port: 0,
            seed: 7,
            identifier: "simulated-identifier".to_owned(),
            secret: "simulated-secret".to_owned(),
            access_key: None,
            payment_methods: vec!["banktransfer".to_owned(), "mailin".to_owned()],
            knobs: Knobs::default(),
        }
    }
}

/// What a client needs to call.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// `identifier`.
    pub identifier: String,
    /// `secret`.
    pub secret: String,
}
