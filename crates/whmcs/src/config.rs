//! Settings of the WHMCS adapter.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use outbound::Roots;
use settings::{Endpoint, Problem, Problems, Reload, ReloadableSecret, SecretArgs};

/// The settings as given.
#[derive(Args, Clone, Default)]
pub struct WhmcsArgs {
    /// Base URL of WHMCS; the API is below it
    #[arg(long, env = "WHMCS_URL")]
    pub whmcs_url: Option<String>,
    /// Extra certificate authority for WHMCS (PEM file)
    #[arg(long, env = "WHMCS_CA_FILE")]
    pub whmcs_ca_file: Option<String>,
    /// Identifier of the API credential
    #[arg(
        long,
        env = "WHMCS_IDENTIFIER",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    pub whmcs_identifier: Option<String>,
    /// File holding the identifier
    #[arg(long, env = "WHMCS_IDENTIFIER_FILE")]
    pub whmcs_identifier_file: Option<String>,
    /// Secret of the API credential
    #[arg(
        long,
        env = "WHMCS_SECRET",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    pub whmcs_secret: Option<String>,
    /// File holding the secret
    #[arg(long, env = "WHMCS_SECRET_FILE")]
    pub whmcs_secret_file: Option<String>,
    /// API access key, where the install uses one
    #[arg(
        long,
        env = "WHMCS_ACCESS_KEY",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    pub whmcs_access_key: Option<String>,
    /// File holding the access key
    #[arg(long, env = "WHMCS_ACCESS_KEY_FILE")]
    pub whmcs_access_key_file: Option<String>,
    /// System name of the gateway for new orders
    #[arg(long, env = "WHMCS_PAYMENT_METHOD")]
    pub whmcs_payment_method: Option<String>,
    /// Source of prices: whmcs or salesforce [default: whmcs]
    #[arg(long, env = "WHMCS_PRICES")]
    pub whmcs_prices: Option<String>,
    /// Whether WHMCS creates its invoice [default: true]
    #[arg(long, env = "WHMCS_INVOICE")]
    pub whmcs_invoice: Option<String>,
    /// Whether WHMCS sends its e-mails [default: true]
    #[arg(long, env = "WHMCS_EMAILS")]
    pub whmcs_emails: Option<String>,
    /// Timeout of one call [default: 90s]
    #[arg(long, env = "WHMCS_TIMEOUT")]
    pub whmcs_timeout: Option<String>,
}

/// Validated settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Base URL.
    pub url: Endpoint,
    /// Extra certificate authority.
    pub ca_file: Option<PathBuf>,
    /// API credential.
    pub identifier: ReloadableSecret,
    /// Its secret.
    pub secret: ReloadableSecret,
    /// Access key, where the install uses one.
    pub access_key: Option<ReloadableSecret>,
    /// Gateway of new orders.
    pub payment_method: String,
    /// Whether to send the sales prices as overrides.
    pub override_prices: bool,
    /// Whether WHMCS creates its invoice.
    pub invoice: bool,
    /// Whether WHMCS sends its e-mails.
    pub emails: bool,
    /// Timeout of one call.
    pub timeout: Duration,
}

impl fmt::Debug for WhmcsArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhmcsArgs")
            .field("whmcs_url", &self.whmcs_url)
            .finish_non_exhaustive()
    }
}

impl WhmcsArgs {
    /// Validates the settings and collects every problem.
    #[must_use]
    pub fn check(&self, problems: &mut Problems) -> Option<Config> {
        let url = problems
            .required("WHMCS_URL", self.whmcs_url.as_deref())
            .and_then(|text| problems.take(Endpoint::parse("WHMCS_URL", &text)));
        let identifier = SecretArgs {
            name: "WHMCS_IDENTIFIER",
            file_name: "WHMCS_IDENTIFIER_FILE",
            value: self.whmcs_identifier.as_deref(),
            file: self.whmcs_identifier_file.as_deref(),
        };
        let identifier = identifier.required(reloadable(&identifier), problems);
        let secret = SecretArgs {
            name: "WHMCS_SECRET",
            file_name: "WHMCS_SECRET_FILE",
            value: self.whmcs_secret.as_deref(),
            file: self.whmcs_secret_file.as_deref(),
        };
        let secret = secret.required(reloadable(&secret), problems);
        let access_key = problems.take(reloadable(&SecretArgs {
            name: "WHMCS_ACCESS_KEY",
            file_name: "WHMCS_ACCESS_KEY_FILE",
            value: self.whmcs_access_key.as_deref(),
            file: self.whmcs_access_key_file.as_deref(),
        }));
        let payment_method =
            problems.required("WHMCS_PAYMENT_METHOD", self.whmcs_payment_method.as_deref());
        let override_prices = problems.parse(
            "WHMCS_PRICES",
            self.whmcs_prices.as_deref(),
            "whmcs",
            "Use whmcs or salesforce",
            |text| match text {
                "whmcs" => Some(false),
                "salesforce" => Some(true),
                _ => None,
            },
        );
        let invoice = problems.flag("WHMCS_INVOICE", self.whmcs_invoice.as_deref(), "true");
        let emails = problems.flag("WHMCS_EMAILS", self.whmcs_emails.as_deref(), "true");
        let timeout = problems.duration_within(
            "WHMCS_TIMEOUT",
            self.whmcs_timeout.as_deref(),
            "90s",
            ("10ms", "10m"),
        );
        let ca_file = problems.take(self.ca_file());
        Some(Config {
            url: url?,
            ca_file: ca_file?,
            identifier: identifier?,
            secret: secret?,
            access_key: access_key?,
            payment_method: payment_method?,
            override_prices: override_prices?,
            invoice: invoice?,
            emails: emails?,
            timeout: timeout?,
        })
    }

    fn ca_file(&self) -> Result<Option<PathBuf>, Problem> {
        let given = self.whmcs_ca_file.as_deref().map(str::trim);
        let path = given.filter(|path| !path.is_empty()).map(PathBuf::from);
        path.as_deref()
            .map_or(Ok(()), Roots::check)
            .map_err(|error| Problem {
                name: "WHMCS_CA_FILE",
                what: error.to_string(),
                fix: "Use a readable file with PEM certificates".to_owned(),
            })?;
        Ok(path)
    }
}

/// A secret that WHMCS made: any text may be one.
fn reloadable(args: &SecretArgs<'_>) -> Result<Option<ReloadableSecret>, Problem> {
    args.reloadable("", |_| Ok(()))
}

impl Config {
    /// Lets the API credential be read again.
    pub fn add_to(&self, reload: &Reload) {
        let secrets = [&self.identifier, &self.secret].into_iter();
        for secret in secrets.chain(&self.access_key) {
            reload.add_secret(secret);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(change: impl FnOnce(&mut WhmcsArgs)) -> String {
        let given = |text: &str| Some(text.to_owned());
        let mut args = WhmcsArgs {
            whmcs_url: given("https://billing.example.com"),
            whmcs_identifier: given("id"),
            whmcs_secret: given("hunter2"),
            whmcs_payment_method: given("banktransfer"),
            ..WhmcsArgs::default()
        };
        change(&mut args);
        let mut problems = Problems::new();
        let config = args.check(&mut problems);
        assert_eq!(config.is_some(), problems.is_empty());
        problems.to_string()
    }

    #[test]
    fn unusable_values_are_named() {
        assert_eq!(problems_of(|_| {}), "");
        let text = problems_of(|args| args.whmcs_ca_file = Some("/nowhere/ca.pem".to_owned()));
        assert!(text.starts_with("WHMCS_CA_FILE: "), "{text}");
        for timeout in ["0", "1h"] {
            let text = problems_of(|args| args.whmcs_timeout = Some(timeout.to_owned()));
            assert!(text.starts_with("WHMCS_TIMEOUT: "), "{text}");
            assert!(text.contains("from 10ms to 10m"), "{text}");
        }
    }
}
