//! Settings of the login.

use std::path::PathBuf;

use clap::Args;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use outbound::ca_file;
use settings::{
    Endpoint, Invalid, List, Problems, ReloadableSecret, Secret, SecretArg, list, secret_setting,
};

use crate::hosts;

secret_setting! {
    /// RSA private key, PEM, PKCS#1 or PKCS#8
    pub PrivateKey = "SF_PRIVATE_KEY"
}

/// Flags and environment variables of the Salesforce login, as given.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Salesforce")]
pub struct SalesforceArgs {
    /// My Domain of the org; the token endpoint is {SF_LOGIN_URL}/services/oauth2/token
    #[arg(long, env, value_name = "URL", value_parser = Endpoint::parse)]
    pub sf_login_url: Option<Endpoint>,
    /// Extra certificate authority for Salesforce, REST and Pub/Sub (PEM)
    #[arg(long, env, value_name = "FILE", value_parser = ca_file)]
    pub sf_ca_file: Option<PathBuf>,
    /// `aud` of the assertion [default: origin of SF_LOGIN_URL]
    #[arg(long, env, value_name = "URL", value_parser = settings::text)]
    pub sf_audience: Option<String>,
    /// Consumer key of the connected app (`iss`)
    #[arg(long, env, value_name = "KEY", value_parser = settings::text)]
    pub sf_client_id: Option<String>,
    /// The integration user (`sub`)
    #[arg(long, env, value_name = "NAME", value_parser = settings::text)]
    pub sf_username: Option<String>,
    #[command(flatten)]
    private_key: SecretArg<PrivateKey>,
    /// Further hosts that the token endpoint may name, comma-separated [default: none]
    #[arg(long, env, value_name = "HOSTS", value_parser = list(hosts::parse))]
    pub sf_allowed_hosts: Option<List<String>>,
    /// REST version
    #[arg(long, env, value_name = "VERSION", default_value = "66.0", value_parser = api_version)]
    pub sf_api_version: String,
}

/// Validated settings of the login.
#[derive(Clone, Debug)]
pub struct Config {
    /// Base URL of the token endpoint.
    pub login: Endpoint,
    /// An extra certificate authority.
    pub ca_file: Option<PathBuf>,
    /// `aud`.
    pub audience: String,
    /// `iss`.
    pub client_id: String,
    /// `sub`.
    pub username: String,
    /// The signing key; read again for every login.
    pub key: ReloadableSecret,
    /// Hosts besides Salesforce's and the login's that an answer may name.
    pub allowed_hosts: Vec<String>,
    /// REST version, such as `66.0`.
    pub api_version: String,
}

impl SalesforceArgs {
    /// The file of the private key, if it is in one.
    #[must_use]
    pub fn key_file(&self) -> Option<&std::path::Path> {
        self.private_key.path()
    }

    /// Validates the settings and collects every problem.
    pub fn check(&self, problems: &mut Problems) -> Option<Config> {
        let login = problems.required("SF_LOGIN_URL", self.sf_login_url.clone());
        let client_id = problems.required("SF_CLIENT_ID", self.sf_client_id.clone());
        let username = problems.required("SF_USERNAME", self.sf_username.clone());
        let key = self.private_key.reloadable(
            "Use an RSA private key in PEM, PKCS#1 or PKCS#8, without a passphrase",
            |secret| signing_key(secret).map(|_| ()),
        );
        let key = self.private_key.required(key, problems);
        let login = login?;
        let audience = self.sf_audience.as_ref();
        Some(Config {
            audience: audience.map_or_else(
                || login.origin(),
                |text| text.trim_end_matches('/').to_owned(),
            ),
            login,
            ca_file: self.sf_ca_file.clone(),
            allowed_hosts: self
                .sf_allowed_hosts
                .clone()
                .map(|list| list.0)
                .unwrap_or_default(),
            client_id: client_id?,
            username: username?,
            key: key?,
            api_version: self.sf_api_version.clone(),
        })
    }
}

fn api_version(text: &str) -> Result<String, Invalid> {
    let text = text.trim().trim_start_matches(['v', 'V']);
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = text.split_once('.');
    match parts.is_some_and(|(major, minor)| digits(major) && digits(minor)) {
        true => Ok(text.to_owned()),
        false => Err(Invalid::new("Use a version such as 66.0")),
    }
}

/// Parses the key and tests it by signing: the PEM parser alone accepts a public key too.
pub(crate) fn signing_key(secret: &Secret) -> Result<EncodingKey, String> {
    let text = secret.expose();
    // Environment files often contain a PEM on one line with literal `\n`.
    let pem = if text.contains('\n') {
        text.to_owned()
    } else {
        text.replace("\\n", "\n")
    };
    let unusable =
        |error: jsonwebtoken::errors::Error| format!("not a usable RSA private key ({error})");
    let key = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(unusable)?;
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), &serde_json::json!({}), &key)
        .map_err(unusable)?;
    Ok(key)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const PKCS8: &str = include_str!("../../simulators/keys/simulator-only.pem");
    const PKCS1: &str = include_str!("../tests/keys/test-only-pkcs1.pem");
    const PUBLIC: &str = include_str!("../../simulators/keys/simulator-only.pub.pem");

    fn checked(settings: &[(&str, &str)]) -> Result<Config, String> {
        let given = settings::given::<SalesforceArgs>(settings.iter().copied());
        let args = given.map_err(|rejected| rejected.to_string())?.args;
        let mut problems = Problems::new();
        let config = args.check(&mut problems);
        problems
            .into_result(config)
            .map_err(|problems| problems.to_string())
    }

    /// Valid settings with this key, and one more.
    fn with(key: &str, more: Option<(&str, &str)>) -> Result<Config, String> {
        let valid = [
            ("SF_LOGIN_URL", "https://x.my.salesforce.com/"),
            ("SF_CLIENT_ID", "app"),
            ("SF_USERNAME", "u@x"),
            ("SF_PRIVATE_KEY", key),
        ];
        checked(&valid.into_iter().chain(more).collect::<Vec<_>>())
    }

    #[test]
    fn rsa_keys_are_accepted_in_both_formats_and_on_one_line() {
        for key in [PKCS8, PKCS1, &PKCS8.trim_end().replace('\n', "\\n")] {
            assert!(with(key, None).is_ok());
        }
    }

    #[test]
    fn unusable_key_is_rejected_and_not_shown() {
        for key in [PUBLIC, "hunter2", &PKCS8[..400]] {
            let text = with(key, None).unwrap_err();
            assert!(text.contains("SF_PRIVATE_KEY: not a usable"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn every_missing_setting_is_reported() {
        let text = checked(&[]).unwrap_err();
        for name in [
            "SF_LOGIN_URL",
            "SF_CLIENT_ID",
            "SF_USERNAME",
            "SF_PRIVATE_KEY",
        ] {
            assert!(text.contains(name), "{name}: {text}");
        }
    }

    #[test]
    fn unusable_values_are_named() {
        for (name, value) in [
            ("SF_CA_FILE", "/nowhere/ca.pem"),
            ("SF_API_VERSION", "new"),
            ("SF_ALLOWED_HOSTS", "x.example/path"),
        ] {
            let text = with(PKCS8, Some((name, value))).unwrap_err();
            assert!(text.starts_with(name) && text.contains(value), "{text}");
        }
    }

    #[test]
    fn audience_defaults_to_login_origin() {
        let config = with(PKCS8, None).unwrap();
        assert_eq!(config.audience, "https://x.my.salesforce.com");
        assert_eq!(config.api_version, "66.0");
        let audience = ("SF_AUDIENCE", "https://login.salesforce.com/");
        let config = with(PKCS8, Some(audience)).unwrap();
        assert_eq!(config.audience, "https://login.salesforce.com");
    }

    #[test]
    fn debug_shows_no_secrets() {
        let given = settings::given::<SalesforceArgs>([("SF_PRIVATE_KEY", PKCS8)]);
        let shown = format!("{given:?} {:?}", with(PKCS8, None));
        assert!(!shown.contains("PRIVATE KEY"), "{shown}");
    }
}
