//! Asking for the settings that have no default.

use dialoguer::{Input, Password};
use settings::{Endpoint, text};

use super::env_file::Settings;
use crate::screen::{Screen, Stop};

enum Kind {
    Url,
    Text,
    Secret,
}

/// What every installation has to say.
const NEEDED: [(&str, Kind, &str); 7] = [
    (
        "SF_LOGIN_URL",
        Kind::Url,
        "My Domain of the Salesforce org, such as https://NAME.my.salesforce.com",
    ),
    (
        "SF_CLIENT_ID",
        Kind::Text,
        "Consumer key of the External Client App (its certificate is uploaded afterwards)",
    ),
    (
        "SF_USERNAME",
        Kind::Text,
        "User name of the Salesforce integration user",
    ),
    (
        "WHMCS_URL",
        Kind::Url,
        "Base URL of WHMCS, such as https://billing.example.com",
    ),
    (
        "WHMCS_IDENTIFIER",
        Kind::Secret,
        "Identifier of the WHMCS API credential (not shown)",
    ),
    (
        "WHMCS_SECRET",
        Kind::Secret,
        "Secret of the WHMCS API credential (not shown)",
    ),
    (
        "WHMCS_PAYMENT_METHOD",
        Kind::Text,
        "System name of the WHMCS gateway for new orders, such as banktransfer",
    ),
];

const STORE: &str = "DATABASE_URL";
const STORE_DEFAULT: &str = "sqlite:data/orderbridge.db";

/// Asks for what is not given. Without a terminal, what is not given is wrong usage.
pub(super) fn complete(settings: &mut Settings, screen: &Screen) -> Result<(), Stop> {
    let missing = NEEDED.iter().filter(|(name, ..)| !settings.has(name));
    let missing: Vec<_> = missing.collect();
    if !screen.terminal && !missing.is_empty() {
        let names: Vec<_> = missing
            .iter()
            .map(|(name, kind, _)| how(name, kind))
            .collect();
        return Err(Stop::Usage(format!(
            "not given, and there is no terminal to ask on: {}",
            names.join(", ")
        )));
    }
    for (name, kind, prompt) in missing {
        settings.set(name, ask(kind, prompt)?);
    }
    if screen.terminal && !settings.has(STORE) {
        let store: String = Input::new()
            .with_prompt("Job store: sqlite:PATH or postgres://USER@HOST/DATABASE")
            .default(STORE_DEFAULT.to_owned())
            .interact_text()?;
        settings.set(STORE, store);
    }
    Ok(())
}

/// The file names its store, so that no program uses another one by a default.
pub(super) fn default_store(settings: &mut Settings) {
    if !settings.has(STORE) {
        settings.set(STORE, STORE_DEFAULT);
    }
}

/// How to give a setting without a terminal.
fn how(name: &str, kind: &Kind) -> String {
    match kind {
        Kind::Secret => format!("{name} or {name}_FILE (environment)"),
        Kind::Url | Kind::Text => {
            format!("--{} ({name})", name.to_ascii_lowercase().replace('_', "-"))
        }
    }
}

fn ask(kind: &Kind, prompt: &str) -> Result<String, Stop> {
    let given = match kind {
        Kind::Secret => Password::new().with_prompt(prompt).interact()?,
        Kind::Url => Input::<String>::new()
            .with_prompt(prompt)
            .validate_with(|given: &String| Endpoint::parse(given).map(|_| ()))
            .interact_text()?,
        Kind::Text => Input::<String>::new()
            .with_prompt(prompt)
            .validate_with(|given: &String| text(given).map(|_| ()))
            .interact_text()?,
    };
    Ok(given.trim().to_owned())
}
