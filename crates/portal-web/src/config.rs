//! Settings of the portal.

mod access;
mod limits;

use std::net::SocketAddr;

use axum::http::HeaderValue;
use clap::Args;
use domain::id::OrderId;
use domain::key::WhmcsOrderId;
use settings::{Endpoint, Problems, Runbooks};

pub use access::{OpsAccess, ProxyNames, TokenKeys};
pub use limits::{LimitArgs, Limits, Rate};

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
    /// Secret that is accepted beside PORTAL_JWT_SECRET while that is rotated
    #[arg(
        long,
        env = "PORTAL_JWT_SECRET_PREVIOUS",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    pub portal_jwt_secret_previous: Option<String>,
    /// File holding the previous secret
    #[arg(long, env = "PORTAL_JWT_SECRET_PREVIOUS_FILE")]
    pub portal_jwt_secret_previous_file: Option<String>,
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
    /// Whether new orders may name their prices, by tokens with the scope orders:price
    /// [default: false]
    #[arg(long, env = "PORTAL_ACCEPT_PRICES")]
    pub portal_accept_prices: Option<String>,
    /// Limits per account.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Comma-separated origins whose pages may call the customer API
    #[arg(long, env = "PORTAL_CORS_ORIGINS")]
    pub portal_cors_origins: Option<String>,
    /// Whether cookies are for encrypted connections only [default: true; false with
    /// PORTAL_AUTH=none]
    #[arg(long, env = "PORTAL_COOKIE_SECURE")]
    pub portal_cookie_secure: Option<String>,
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
    /// Header in which an authenticating proxy gives the operator's name
    #[arg(long, env = "OPS_AUTH_HEADER")]
    pub ops_auth_header: Option<String>,
    /// Comma-separated addresses or networks of the proxies that OPS_AUTH_HEADER is believed from
    #[arg(long, env = "OPS_TRUSTED_PROXIES")]
    pub ops_trusted_proxies: Option<String>,
}

impl std::fmt::Debug for PortalArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The values include secrets.
        f.write_str("PortalArgs")
    }
}

/// Targets of the console's links.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// The org.
    pub salesforce: Option<Endpoint>,
    /// The WHMCS admin area.
    pub whmcs_admin: Option<Endpoint>,
    /// The page with the runbooks.
    pub runbooks: Option<Runbooks>,
}

impl Links {
    /// The order's record in Salesforce.
    pub(crate) fn order(&self, order: OrderId) -> Option<String> {
        let org = self.salesforce.as_ref()?;
        Some(org.join(&format!("/{order}")))
    }

    /// The runbook of an alert.
    pub(crate) fn runbook(&self, alert: &str) -> Option<String> {
        Some(self.runbooks.as_ref()?.of(alert))
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
    /// Which proxies give the names of operators.
    pub proxy_names: Option<ProxyNames>,
    /// Whether cookies are for encrypted connections only.
    pub secure_cookies: bool,
    /// Whether new orders may name their prices, where the token permits it.
    pub accept_prices: bool,
    /// Limits per account.
    pub limits: Limits,
    /// Origins whose pages may call the customer API.
    pub cors_origins: Vec<HeaderValue>,
    /// Where the console's links lead; nowhere unless the program says so.
    pub links: Links,
}

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
        let accept_prices = problems.flag(
            "PORTAL_ACCEPT_PRICES",
            self.portal_accept_prices.as_deref(),
            "false",
        );
        let limits = self.limits.check(problems);
        let cors_origins = self.cors_origins(problems);
        let proxy_names = self.proxy_names(problems);
        let open = open?;
        let secure = if open { "false" } else { "true" };
        let secure_cookies = problems.flag(
            "PORTAL_COOKIE_SECURE",
            self.portal_cookie_secure.as_deref(),
            secure,
        );
        let keys = self.keys(open, loopback, problems);
        let ops = self.ops(open && loopback, loopback, problems);
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
            ops: ops?,
            proxy_names: proxy_names?,
            secure_cookies: secure_cookies?,
            accept_prices: accept_prices?,
            limits: limits?,
            cors_origins: cors_origins?,
            links: Links::default(),
        })
    }

    /// The origins of other pages; `None` after a problem was noted.
    fn cors_origins(&self, problems: &mut Problems) -> Option<Vec<HeaderValue>> {
        const NAME: &str = "PORTAL_CORS_ORIGINS";
        let origin = |text: &str, problems: &mut Problems| {
            let origin = problems.take(Endpoint::parse(NAME, text))?;
            if origin.base() != origin.origin() {
                let what = format!("`{text}` has a path");
                problems.add(NAME, what, "Use origins such as https://shop.example");
                return None;
            }
            HeaderValue::try_from(origin.origin()).ok()
        };
        let given = self.portal_cors_origins.as_deref().unwrap_or_default();
        let origins = access::list(given).map(|text| origin(text, problems));
        // Every origin is checked, so that one start reports all problems.
        origins.collect::<Vec<_>>().into_iter().collect()
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
        let previous = |previous: &str, edit: fn(&mut PortalArgs)| {
            let mut args = args(edit);
            args.portal_jwt_secret_previous = Some(previous.to_owned());
            args
        };
        for (args, address, words) in [
            (
                tokens(Some(one), one),
                "127.0.0.1:0",
                "every viewer could act",
            ),
            (tokens(None, one), "127.0.0.1:0", "without OPS_TOKEN"),
            (tokens(Some(one), "short"), "127.0.0.1:0", "shorter than 16"),
            (tokens(Some(one), "short"), "0.0.0.0:80", "shorter than 24"),
            (PortalArgs::default(), "127.0.0.1:0", "neither it nor"),
            (
                previous("hunter2", |args| {
                    args.portal_jwt_secret = Some("s".repeat(32));
                }),
                "127.0.0.1:0",
                "PORTAL_JWT_SECRET_PREVIOUS: it is shorter than 32",
            ),
            (
                previous(&"t".repeat(32), |args| {
                    args.portal_jwks_url = Some("https://id.example/keys".to_owned());
                }),
                "127.0.0.1:0",
                "without PORTAL_JWT_SECRET",
            ),
            (
                args(|args| {
                    args.portal_jwt_secret = Some("s".repeat(32));
                    args.ops_auth_header = Some("X-User".to_owned());
                }),
                "127.0.0.1:0",
                "OPS_TRUSTED_PROXIES",
            ),
            (
                args(|args| {
                    args.portal_jwt_secret = Some("s".repeat(32));
                    args.ops_auth_header = Some("X-User".to_owned());
                    args.ops_trusted_proxies = Some("10.0.0.0/8, proxy".to_owned());
                }),
                "127.0.0.1:0",
                "`proxy` is not",
            ),
            (
                args(|args| {
                    args.portal_jwt_secret = Some("s".repeat(32));
                    args.portal_cors_origins =
                        Some("https://a.example,https://shop.example/cart".to_owned());
                }),
                "127.0.0.1:0",
                "has a path",
            ),
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
        let config = config.unwrap();
        assert!(matches!(config.ops, OpsAccess::Off));
        assert!(config.secure_cookies && !config.accept_prices);
        let config = none.check("127.0.0.1:0".parse().unwrap(), &mut Problems::new());
        assert!(!config.unwrap().secure_cookies);
    }
}
