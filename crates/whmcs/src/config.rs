//! Settings of the WHMCS adapter.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use outbound::ca_file;
use settings::{
    Endpoint, Problem, Problems, Reload, ReloadableSecret, SecretArg, SecretSetting, flag,
    secret_setting, within,
};

secret_setting! {
    /// Identifier of the API credential
    pub Identifier = "WHMCS_IDENTIFIER"
}

secret_setting! {
    /// Secret of the API credential
    pub CredentialSecret = "WHMCS_SECRET"
}

secret_setting! {
    /// API access key, where the install uses one
    pub AccessKey = "WHMCS_ACCESS_KEY"
}

/// The settings as given.
#[derive(Args, Clone, Debug)]
pub struct WhmcsArgs {
    /// Base URL of WHMCS; the API is below it
    #[arg(long, env, value_parser = Endpoint::parse)]
    pub whmcs_url: Option<Endpoint>,
    /// Extra certificate authority for WHMCS (PEM file)
    #[arg(long, env, value_parser = ca_file)]
    pub whmcs_ca_file: Option<PathBuf>,
    #[command(flatten)]
    identifier: SecretArg<Identifier>,
    #[command(flatten)]
    secret: SecretArg<CredentialSecret>,
    #[command(flatten)]
    access_key: SecretArg<AccessKey>,
    /// System name of the gateway for new orders
    #[arg(long, env, value_parser = settings::text)]
    pub whmcs_payment_method: Option<String>,
    /// Source of prices
    #[arg(long, env, default_value = "whmcs")]
    pub whmcs_prices: Prices,
    /// Whether WHMCS creates its invoice
    #[arg(long, env, default_value = "true", value_parser = flag, action = ArgAction::Set)]
    pub whmcs_invoice: bool,
    /// Whether WHMCS sends its e-mails
    #[arg(long, env, default_value = "true", value_parser = flag, action = ArgAction::Set)]
    pub whmcs_emails: bool,
    /// Timeout of one call
    #[arg(long, env, default_value = "90s", value_parser = within("10ms", "10m"))]
    pub whmcs_timeout: Duration,
}

/// Where the prices of new orders come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Prices {
    /// The WHMCS catalogue.
    Whmcs,
    /// The sales prices, sent as overrides.
    Salesforce,
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

impl WhmcsArgs {
    /// The files of secrets, with the settings that name them.
    #[must_use]
    pub fn secret_files(&self) -> Vec<(&'static str, &std::path::Path)> {
        [
            ("WHMCS_IDENTIFIER_FILE", self.identifier.path()),
            ("WHMCS_SECRET_FILE", self.secret.path()),
            ("WHMCS_ACCESS_KEY_FILE", self.access_key.path()),
        ]
        .into_iter()
        .filter_map(|(name, path)| Some((name, path?)))
        .collect()
    }

    /// Validates the settings and collects every problem.
    #[must_use]
    pub fn check(&self, problems: &mut Problems) -> Option<Config> {
        let url = problems.required("WHMCS_URL", self.whmcs_url.clone());
        let identifier = self
            .identifier
            .required(reloadable(&self.identifier), problems);
        let secret = self.secret.required(reloadable(&self.secret), problems);
        let access_key = problems.take(reloadable(&self.access_key));
        let payment_method =
            problems.required("WHMCS_PAYMENT_METHOD", self.whmcs_payment_method.clone());
        Some(Config {
            url: url?,
            ca_file: self.whmcs_ca_file.clone(),
            identifier: identifier?,
            secret: secret?,
            access_key: access_key?,
            payment_method: payment_method?,
            override_prices: self.whmcs_prices == Prices::Salesforce,
            invoice: self.whmcs_invoice,
            emails: self.whmcs_emails,
            timeout: self.whmcs_timeout,
        })
    }
}

/// A secret that WHMCS made: any text may be one.
fn reloadable<S: SecretSetting>(
    secret: &SecretArg<S>,
) -> Result<Option<ReloadableSecret>, Problem> {
    secret.reloadable("", |_| Ok(()))
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

    /// The problems of valid settings with this one added.
    fn problems_with(setting: Option<(&str, &str)>) -> String {
        let valid = [
            ("WHMCS_URL", "https://billing.example.com"),
            ("WHMCS_IDENTIFIER", "id"),
            ("WHMCS_SECRET", "hunter2"),
            ("WHMCS_PAYMENT_METHOD", "banktransfer"),
        ];
        match settings::given::<WhmcsArgs>(valid.into_iter().chain(setting)) {
            Ok(given) => {
                let mut problems = Problems::new();
                assert!(given.args.check(&mut problems).is_some());
                problems.to_string()
            }
            Err(rejected) => rejected.to_string(),
        }
    }

    #[test]
    fn unusable_values_are_named() {
        assert_eq!(problems_with(None), "");
        let text = problems_with(Some(("WHMCS_CA_FILE", "/nowhere/ca.pem")));
        assert!(text.starts_with("WHMCS_CA_FILE: "), "{text}");
        for timeout in ["0", "1h"] {
            let text = problems_with(Some(("WHMCS_TIMEOUT", timeout)));
            assert!(text.starts_with("WHMCS_TIMEOUT: "), "{text}");
            assert!(text.contains("from 10ms to 10m"), "{text}");
        }
    }
}
