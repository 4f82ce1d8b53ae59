//! Settings of the login.

use std::path::PathBuf;

use clap::Args;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use outbound::Roots;
use settings::{Endpoint, Problem, Problems, ReloadableSecret, Secret, SecretArgs};

use crate::hosts;

/// Flags and environment variables of the Salesforce login, as given.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Salesforce")]
pub struct SalesforceArgs {
    /// My Domain of the org; the token endpoint is {SF_LOGIN_URL}/services/oauth2/token
    #[arg(long, env = "SF_LOGIN_URL", value_name = "URL")]
    pub sf_login_url: Option<String>,
    /// Extra certificate authority for Salesforce, REST and Pub/Sub (PEM)
    #[arg(long, env = "SF_CA_FILE", value_name = "FILE")]
    pub sf_ca_file: Option<String>,
    /// `aud` of the assertion [default: origin of SF_LOGIN_URL]
    #[arg(long, env = "SF_AUDIENCE", value_name = "URL")]
    pub sf_audience: Option<String>,
    /// Consumer key of the connected app (`iss`)
    #[arg(long, env = "SF_CLIENT_ID", value_name = "KEY")]
    pub sf_client_id: Option<String>,
    /// The integration user (`sub`)
    #[arg(long, env = "SF_USERNAME", value_name = "NAME")]
    pub sf_username: Option<String>,
    /// RSA private key, PEM, PKCS#1 or PKCS#8
    #[arg(
        long,
        env = "SF_PRIVATE_KEY",
        allow_hyphen_values = true,
        value_name = "PEM",
        hide_env_values = true
    )]
    pub sf_private_key: Option<String>,
    /// File with the RSA private key; read again when it changes
    #[arg(long, env = "SF_PRIVATE_KEY_FILE", value_name = "FILE")]
    pub sf_private_key_file: Option<String>,
    /// Further hosts that the token endpoint may name, comma-separated [default: none]
    #[arg(long, env = "SF_ALLOWED_HOSTS", value_name = "HOSTS")]
    pub sf_allowed_hosts: Option<String>,
    /// REST version [default: 66.0]
    #[arg(long, env = "SF_API_VERSION", value_name = "VERSION")]
    pub sf_api_version: Option<String>,
}

impl std::fmt::Debug for SalesforceArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SalesforceArgs")
            .field("sf_login_url", &self.sf_login_url)
            .field("sf_username", &self.sf_username)
            .finish_non_exhaustive()
    }
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
    /// Validates the settings and collects every problem.
    pub fn check(&self, problems: &mut Problems) -> Option<Config> {
        let login = problems
            .required("SF_LOGIN_URL", self.sf_login_url.as_deref())
            .and_then(|text| problems.take(Endpoint::parse("SF_LOGIN_URL", &text)));
        let client_id = problems.required("SF_CLIENT_ID", self.sf_client_id.as_deref());
        let username = problems.required("SF_USERNAME", self.sf_username.as_deref());
        let key = self.key(problems);
        let api_version = problems.parse(
            "SF_API_VERSION",
            self.sf_api_version.as_deref(),
            "66.0",
            "Use a version such as 66.0",
            api_version,
        );
        let allowed_hosts = problems.parse(
            "SF_ALLOWED_HOSTS",
            self.sf_allowed_hosts.as_deref(),
            "",
            "Use host names such as salesforce.example.com, separated by commas",
            hosts::parse,
        );
        let ca_file = problems.take(self.ca_file());
        let login = login?;
        Some(Config {
            audience: present(self.sf_audience.as_deref()).map_or_else(
                || login.origin(),
                |text| text.trim_end_matches('/').to_owned(),
            ),
            login,
            ca_file: ca_file?,
            allowed_hosts: allowed_hosts?,
            client_id: client_id?,
            username: username?,
            key: key?,
            api_version: api_version?,
        })
    }

    fn ca_file(&self) -> Result<Option<PathBuf>, Problem> {
        let path = present(self.sf_ca_file.as_deref()).map(PathBuf::from);
        path.as_deref()
            .map_or(Ok(()), Roots::check)
            .map_err(|error| Problem {
                name: "SF_CA_FILE",
                what: error.to_string(),
                fix: "Use a readable file with PEM certificates".to_owned(),
            })?;
        Ok(path)
    }

    fn key(&self, problems: &mut Problems) -> Option<ReloadableSecret> {
        let args = SecretArgs {
            name: "SF_PRIVATE_KEY",
            file_name: "SF_PRIVATE_KEY_FILE",
            value: self.sf_private_key.as_deref(),
            file: self.sf_private_key_file.as_deref(),
        };
        let key = args.reloadable(
            "Use an RSA private key in PEM, PKCS#1 or PKCS#8, without a passphrase",
            |secret| signing_key(secret).map(|_| ()),
        );
        args.required(key, problems)
    }
}

fn present(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

fn api_version(text: &str) -> Option<String> {
    let text = text.trim_start_matches(['v', 'V']);
    let (major, minor) = text.split_once('.')?;
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (digits(major) && digits(minor)).then(|| text.to_owned())
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

    fn args(key: &str) -> SalesforceArgs {
        SalesforceArgs {
            sf_login_url: Some("https://x.my.salesforce.com/".to_owned()),
            sf_client_id: Some("app".to_owned()),
            sf_username: Some("u@x".to_owned()),
            sf_private_key: Some(key.to_owned()),
            ..SalesforceArgs::default()
        }
    }

    fn problems_of(args: &SalesforceArgs) -> String {
        let mut problems = Problems::new();
        let config = args.check(&mut problems);
        assert_eq!(config.is_some(), problems.is_empty());
        problems.to_string()
    }

    #[test]
    fn rsa_keys_are_accepted_in_both_formats_and_on_one_line() {
        for key in [PKCS8, PKCS1, &PKCS8.trim_end().replace('\n', "\\n")] {
            assert_eq!(problems_of(&args(key)), "");
        }
    }

    #[test]
    fn unusable_key_is_rejected_and_not_shown() {
        for key in [PUBLIC, "hunter2", &PKCS8[..400]] {
            let text = problems_of(&args(key));
            assert!(text.contains("SF_PRIVATE_KEY: not a usable"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn every_missing_setting_is_reported() {
        let text = problems_of(&SalesforceArgs {
            sf_api_version: Some("new".to_owned()),
            ..SalesforceArgs::default()
        });
        for name in [
            "SF_LOGIN_URL",
            "SF_CLIENT_ID",
            "SF_USERNAME",
            "SF_PRIVATE_KEY",
            "SF_API_VERSION",
        ] {
            assert!(text.contains(name), "{name}: {text}");
        }
    }

    #[test]
    fn unreadable_certificate_file_is_named() {
        let text = problems_of(&SalesforceArgs {
            sf_ca_file: Some("/nowhere/ca.pem".to_owned()),
            ..args(PKCS8)
        });
        assert!(text.starts_with("SF_CA_FILE: "), "{text}");
        assert!(text.contains("/nowhere/ca.pem"), "{text}");
    }

    #[test]
    fn audience_defaults_to_login_origin() {
        let config = args(PKCS8).check(&mut Problems::new()).unwrap();
        assert_eq!(config.audience, "https://x.my.salesforce.com");
        assert_eq!(config.api_version, "66.0");
        let given = SalesforceArgs {
            sf_audience: Some("https://login.salesforce.com/".to_owned()),
            ..args(PKCS8)
        };
        let config = given.check(&mut Problems::new()).unwrap();
        assert_eq!(config.audience, "https://login.salesforce.com");
    }

    #[test]
    fn debug_shows_no_secrets() {
        let args = args(PKCS8);
        let shown = format!("{args:?} {:?}", args.check(&mut Problems::new()));
        assert!(!shown.contains("PRIVATE KEY"), "{shown}");
    }
}
