//! Options of the simulated installation.
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::Listen;

/// WHMCS versions with relevant differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Version {
    /// Up to 7.7 the response of AddOrder has `productids`.
    #[serde(rename = "7.7")]
    V7_7,
    /// Scalars are accepted as arrays.
    #[serde(rename = "8.5")]
    V8_5,
    /// `qty` has an effect from here on.
    #[serde(rename = "8.12")]
    V8_12,
    /// Last 8.x version.
    #[serde(rename = "8.13")]
    V8_13,
    /// AddClient requires `password2`.
    #[serde(rename = "9.0")]
    V9_0,
}

impl Version {
    /// The version number.
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

/// Representation of an empty list.
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

/// Options that can change at runtime.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct RuntimeOptions {
    /// Version.
    pub version: Version,
    /// Whether AddOrder stores `notes`.
    pub notes_stored: bool,
    /// Whether AddOrder stores custom fields.
    pub custom_fields_stored: bool,
    /// Domain that AddOrder stores instead of the requested one.
    pub rewrite_domain: Option<String>,
    /// Whether GetOrders starts with the newest order.
    pub newest_first: bool,
    /// Whether ids and counts are strings.
    pub string_ids: bool,
    /// Representation of an empty list.
    pub empty_list: EmptyList,
    /// Whether a list with one element is the bare object.
    pub bare_single: bool,
    /// Whether GetClientsDetails returns the code of a client's currency beside its id.
    pub currency_code_shown: bool,
    /// Whether lists are objects with keys `"0"`, `"2"`, …
    pub numeric_keys: bool,
    /// Seconds by which the server's clock is ahead.
    pub clock_skew_seconds: i64,
    /// Whether the caller's address is on the allow-list.
    pub ip_allowed: bool,
    /// Whether the credential is valid.
    pub credential_valid: bool,
    /// Actions that the role lacks, in lower case.
    pub denied_actions: BTreeSet<String>,
    /// PHP's limit of form variables.
    pub max_input_vars: usize,
}

impl Default for RuntimeOptions {
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

/// Options of the simulated installation.
#[derive(Debug, Clone)]
pub struct WhmcsOptions {
    /// Address, name and TLS of the port.
    pub listen: Listen,
    /// Port, 0 for any.
    pub port: u16,
    /// Folder of the installation below the server's root, such as `billing`; empty for none.
    pub folder: String,
    /// Seed of all randomness.
    pub seed: u64,
    /// API credential.
    pub identifier: String,
    /// Its secret.
    pub secret: String,
    /// Grants access to addresses that are not on the allow-list.
    pub access_key: Option<String>,
    /// System names of the gateways.
    pub payment_methods: Vec<String>,
    /// Initial runtime options.
    pub runtime: RuntimeOptions,
}

impl WhmcsOptions {
    /// The path of the installation: empty, or with a leading slash.
    pub(crate) fn base(&self) -> String {
        match self.folder.trim_matches('/') {
            "" => String::new(),
            folder => format!("/{folder}"),
        }
    }
}

impl Default for WhmcsOptions {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            port: 0,
            folder: String::new(),
            seed: 7,
            identifier: "simulated-identifier".to_owned(),
            secret: "simulated-secret".to_owned(),
            access_key: None,
            payment_methods: vec!["banktransfer".to_owned(), "mailin".to_owned()],
            runtime: RuntimeOptions::default(),
        }
    }
}

/// API credentials for a client.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// `identifier`.
    pub identifier: String,
    /// `secret`.
    pub secret: String,
}
