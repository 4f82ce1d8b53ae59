//! Settings of the portal.

use std::net::SocketAddr;

use clap::Args;
use domain::id::OrderId;
use domain::key::WhmcsOrderId;
use settings::{Endpoint, Problems, Secret, SecretArgs};

/// The settings as they were given.
#[derive(Args, Clone, Default)]
pub struct PortalArgs {
    /// Secret of HS256 customer tokens, at least 32 characters
    #[arg(
        long,
        env = "PORTAL_JWT_SECRET",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    pub portal_jwt_secret: Option<String>,
    /// File holding the secret
    #[arg(long, env = "PORTAL_JWT_SECRET_FILE")]
    pub portal_jwt_secret_file: Option<String>,
    /// URL of the key set (JWKS) of RS256 or ES256 customer tokens
    #[arg(long, env = "PORTAL_JWKS_URL")]
    pub portal_jwks_url: Option<String>,
    /// Audience that customer tokens must name
    #[arg(long, env = "PORTAL_JWT_AUDIENCE")]
    pub portal_jwt_audience: Option<String>,
    /// Issuer that customer tokens must name
    #[arg(long, env = "PORTAL_JWT_ISSUER")]
    pub portal_jwt_issuer: Option<String>,
    /// jwt or none; none on a loopback listener only [default: jwt]
    #[arg(long, env = "PORTAL_AUTH")]
    pub portal_auth: Option<String>,
    /// Token of the operator console; without it the console is off
    #[arg(
        long,
        env = "OPS_TOKEN",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    pub ops_token: Option<String>,
    /// File holding the token
    #[arg(long, env = "OPS_TOKEN_FILE")]
    pub ops_token_file: Option<String>,
    /// Read-only token of the operator console
    #[arg(
        long,
        env = "OPS_VIEWER_TOKEN",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    pub ops_viewer_token: Option<String>,
    /// File holding the token
    #[arg(long, env = "OPS_VIEWER_TOKEN_FILE")]
    pub ops_viewer_token_file: Option<String>,
}

impl std::fmt::Debug for PortalArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The values include secrets.
        f.write_str("PortalArgs")
    }
}

/// How customer tokens are verified.
#[derive(Clone, Debug)]
pub enum TokenKeys {
    /// Not at all: everyone on this machine sees everything.
    Nobody,
    /// HS256 with this secret.
    Secret(Secret),
    /// RS256 or ES256 with the keys behind this address.
    Jwks(Endpoint),
}

/// Who may use the operator console.
#[derive(Clone, Debug)]
pub enum OpsAccess {
    /// No access.
    Off,
    /// Everyone on this machine.
    Open,
    /// Holders of one of these tokens.
    Tokens {
        /// Reads and runs commands.
        operator: Secret,
        /// Reads only.
        viewer: Option<Secret>,
    },
}

/// Targets of the console's links.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// The org.
    pub salesforce: Option<Endpoint>,
    /// The WHMCS admin area.
    pub whmcs_admin: Option<Endpoint>,
}

impl Links {
    /// The order's record in Salesforce.
    pub(crate) fn order(&self, order: OrderId) -> Option<String> {
        let org = self.salesforce.as_ref()?;
        Some(org.join(&format!("/{order}")))
    }

    /// The order in WHMCS.
    pub(crate) fn whmcs(&self, order: &WhmcsOrderId) -> Option<String> {
        let admin = self.whmcs_admin.as_ref()?;
        Some(admin.join(&format!("/orders.php?action=view&id={order}")))
    }
}

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// How customer tokens are verified.
    pub keys: TokenKeys,
    /// Audience that they must name.
    pub audience: Option<String>,
    /// Issuer that they must name.
    pub issuer: Option<String>,
    /// Who may use the operator console.
    pub ops: OpsAccess,
    /// Whether cookies are for encrypted connections only: everywhere but on this machine.
    pub secure_cookies: bool,
    /// Where the console's links lead; nowhere unless the program says so.
    pub links: Links,
}

/// Shorter secrets can be guessed from one token.
const SHORTEST_SECRET: usize = 32;
const SHORTEST_OPS_TOKEN: usize = 16;

impl PortalArgs {
    /// Checks the settings for a listener on `address`, noting every problem.
    #[must_use]
    pub fn check(&self, address: SocketAddr, problems: &mut Problems) -> Option<Config> {
        let loopback = address.ip().is_loopback();
        let open = problems.parse(
            "PORTAL_AUTH",
            self.portal_auth.as_deref(),
            "jwt",
            "Give jwt or none",
            |text| match text {
                "jwt" => Some(false),
                "none" => Some(true),
                _ => None,
            },
        );
        let secret = problems.take(
            SecretArgs {
                name: "PORTAL_JWT_SECRET",
                file_name: "PORTAL_JWT_SECRET_FILE",
                value: self.portal_jwt_secret.as_deref(),
                file: self.portal_jwt_secret_file.as_deref(),
            }
            .read(),
        )?;
        let open = open?;
        let keys = self.keys(open, loopback, secret, problems);
        let ops = self.ops(open && loopback, problems)?;
        let given = |text: &Option<String>| {
            text.as_deref()
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        Some(Config {
            keys: keys?,
            audience: given(&self.portal_jwt_audience),
            issuer: given(&self.portal_jwt_issuer),
            ops,
            secure_cookies: !loopback,
            links: Links::default(),
        })
    }

    /// Access to the console; `None` after a problem was noted.
    fn ops(&self, local: bool, problems: &mut Problems) -> Option<OpsAccess> {
        let mut token = |name, file_name, value: &Option<String>, file: &Option<String>| {
            let args = SecretArgs {
                name,
                file_name,
                value: value.as_deref(),
                file: file.as_deref(),
            };
            let token = problems.take(args.read())?;
            if token
                .as_ref()
                .is_some_and(|token| token.expose().len() < SHORTEST_OPS_TOKEN)
            {
                problems.add(
                    name,
                    format!("it is shorter than {SHORTEST_OPS_TOKEN} characters"),
                    "Make one with `openssl rand -hex 32`",
                );
                return None;
            }
            Some(token)
        };
        let operator = token(
            "OPS_TOKEN",
            "OPS_TOKEN_FILE",
            &self.ops_token,
            &self.ops_token_file,
        );
        let viewer = token(
            "OPS_VIEWER_TOKEN",
            "OPS_VIEWER_TOKEN_FILE",
            &self.ops_viewer_token,
            &self.ops_viewer_token_file,
        );
        let wrong = match (operator?, viewer?) {
            (None, None) if local => return Some(OpsAccess::Open),
            (None, None) => return Some(OpsAccess::Off),
            (None, Some(_)) => "it is set without OPS_TOKEN",
            (Some(operator), Some(viewer)) if operator.expose() == viewer.expose() => {
                "it is the same as OPS_TOKEN: every viewer could act"
            }
            (Some(operator), viewer) => return Some(OpsAccess::Tokens { operator, viewer }),
        };
        problems.add(
            "OPS_VIEWER_TOKEN",
            wrong,
            "Give each role a token of its own, made with `openssl rand -hex 32`",
        );
        None
    }

    fn keys(
        &self,
        open: bool,
        loopback: bool,
        secret: Option<Secret>,
        problems: &mut Problems,
    ) -> Option<TokenKeys> {
        let url = self.portal_jwks_url.as_deref().map(str::trim);
        let url = url.filter(|text| !text.is_empty());
        if open {
            if !loopback {
                problems.add(
                    "PORTAL_AUTH",
                    "`none` would show every order to everybody who reaches HTTP_ADDR",
                    "Listen on a loopback address, or set PORTAL_JWT_SECRET or PORTAL_JWKS_URL",
                );
                return None;
            }
            if secret.is_some() || url.is_some() {
                problems.add(
                    "PORTAL_AUTH",
                    "`none` is set together with PORTAL_JWT_SECRET or PORTAL_JWKS_URL",
                    "Set only one of them",
                );
                return None;
            }
            return Some(TokenKeys::Nobody);
        }
        match (secret, url) {
            (Some(_), Some(_)) => {
                problems.add(
                    "PORTAL_JWT_SECRET",
                    "it is set together with PORTAL_JWKS_URL",
                    "Set only one of the two",
                );
                None
            }
            (Some(secret), None) if secret.expose().len() < SHORTEST_SECRET => {
                problems.add(
                    "PORTAL_JWT_SECRET",
                    format!("it is shorter than {SHORTEST_SECRET} characters"),
                    "Make one with `openssl rand -hex 32`",
                );
                None
            }
            (Some(secret), None) => Some(TokenKeys::Secret(secret)),
            (None, Some(url)) => problems
                .take(Endpoint::parse("PORTAL_JWKS_URL", url))
                .map(TokenKeys::Jwks),
            (None, None) => {
                problems.add(
                    "PORTAL_JWT_SECRET",
                    "neither it nor PORTAL_JWKS_URL is set",
                    "Set one of the two, or PORTAL_AUTH=none on a loopback listener",
                );
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(args: &PortalArgs, address: &str) -> String {
        let mut problems = Problems::new();
        let config = args.check(address.parse().unwrap(), &mut problems);
        assert_eq!(config.is_some(), problems.is_empty());
        problems.to_string()
    }

    #[test]
    fn portal_auth_none_requires_loopback() {
        let args = |edit: fn(&mut PortalArgs)| {
            let mut args = PortalArgs::default();
            edit(&mut args);
            args
        };
        let none = args(|args| args.portal_auth = Some("none".to_owned()));
        let secret = args(|args| args.portal_jwt_secret = Some("s".repeat(32)));
        let short = args(|args| args.portal_jwt_secret = Some("hunter2".to_owned()));
        let both = args(|args| {
            args.portal_jwt_secret = Some("s".repeat(32));
            args.portal_jwks_url = Some("https://id.example/keys".to_owned());
        });
        let plain = args(|args| args.portal_jwks_url = Some("http://id.example/keys".to_owned()));
        let tokens = |operator: Option<&str>, viewer: &str| PortalArgs {
            portal_jwt_secret: Some("s".repeat(32)),
            ops_token: operator.map(str::to_owned),
            ops_viewer_token: Some(viewer.to_owned()),
            ..PortalArgs::default()
        };
        let one = "0123456789abcdef";
        for (args, address, words) in [
            (
                tokens(Some(one), one),
                "127.0.0.1:0",
                "every viewer could act",
            ),
            (tokens(None, one), "127.0.0.1:0", "without OPS_TOKEN"),
            (tokens(Some(one), "short"), "127.0.0.1:0", "shorter than 16"),
            (PortalArgs::default(), "127.0.0.1:0", "neither it nor"),
            (none.clone(), "0.0.0.0:80", "loopback"),
            (short, "127.0.0.1:0", "shorter than 32"),
            (both, "127.0.0.1:0", "only one"),
            (plain, "127.0.0.1:0", "https"),
        ] {
            let text = problems(&args, address);
            assert!(text.contains(words) && !text.contains("hunter2"), "{text}");
        }
        assert_eq!(problems(&none, "127.0.0.1:0"), "");
        assert_eq!(problems(&secret, "0.0.0.0:80"), "");
        let config = secret.check("0.0.0.0:80".parse().unwrap(), &mut Problems::new());
        assert!(matches!(config.unwrap().ops, OpsAccess::Off));
    }
}
