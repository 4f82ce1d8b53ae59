//! Settings of the portal.

mod access;
mod limits;

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderName, HeaderValue};
use clap::{ArgAction, Args, ValueEnum};
use domain::id::OrderId;
use domain::key::WhmcsOrderId;
use ipnet::IpNet;
use settings::{
    Endpoint, Invalid, List, Problems, Runbooks, SecretArg, flag, list, secret_setting,
};

pub use access::{OpsAccess, ProxyNames, TokenKeys};
pub use limits::{Limits, Rate};

secret_setting! {
    /// Secret of HS256 customer tokens, at least 32 characters
    pub JwtSecret = "PORTAL_JWT_SECRET"
}

secret_setting! {
    /// Secret that is accepted beside PORTAL_JWT_SECRET while that is rotated
    pub PreviousJwtSecret = "PORTAL_JWT_SECRET_PREVIOUS"
}

secret_setting! {
    /// Token of the operator console; without it the console is off
    pub OpsToken = "OPS_TOKEN"
}

secret_setting! {
    /// Read-only token of the operator console
    pub OpsViewerToken = "OPS_VIEWER_TOKEN"
}

/// The settings as they were given.
#[derive(Args, Clone, Debug)]
pub struct PortalArgs {
    #[command(flatten)]
    jwt_secret: SecretArg<JwtSecret>,
    #[command(flatten)]
    previous_jwt_secret: SecretArg<PreviousJwtSecret>,
    /// URL of the key set (JWKS) of RS256 or ES256 customer tokens
    #[arg(long, env, value_parser = Endpoint::parse)]
    portal_jwks_url: Option<Endpoint>,
    /// Audience that customer tokens must name
    #[arg(long, env, value_parser = settings::text)]
    portal_jwt_audience: Option<String>,
    /// Issuer that customer tokens must name
    #[arg(long, env, value_parser = settings::text)]
    portal_jwt_issuer: Option<String>,
    /// How customers are authenticated; none on a loopback listener only
    #[arg(long, env, default_value = "jwt")]
    portal_auth: PortalAuth,
    /// Whether new orders may name their prices, by tokens with the scope orders:price
    #[arg(long, env, default_value = "false", value_parser = flag, action = ArgAction::Set)]
    portal_accept_prices: bool,
    #[command(flatten)]
    limits: Limits,
    /// Comma-separated origins whose pages may call the customer API
    #[arg(long, env, value_parser = list(origin))]
    portal_cors_origins: Option<List<HeaderValue>>,
    /// Whether cookies are for encrypted connections only [default: true; false with
    /// PORTAL_AUTH=none]
    #[arg(long, env, value_parser = flag)]
    portal_cookie_secure: Option<bool>,
    #[command(flatten)]
    ops_token: SecretArg<OpsToken>,
    #[command(flatten)]
    ops_viewer_token: SecretArg<OpsViewerToken>,
    /// Header in which an authenticating proxy gives the operator's name
    #[arg(long, env, value_parser = header_name)]
    ops_auth_header: Option<HeaderName>,
    /// Comma-separated addresses or networks of the proxies that OPS_AUTH_HEADER is believed from
    #[arg(long, env, value_parser = list(network))]
    ops_trusted_proxies: Option<List<IpNet>>,
}

/// How customers are authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PortalAuth {
    /// By a token.
    Jwt,
    /// Not at all.
    None,
}

/// Parses the origin of another page.
fn origin(text: &str) -> Result<HeaderValue, Invalid> {
    let fix = "Use origins such as https://shop.example";
    let origin = Endpoint::parse(text)?;
    if origin.base() != origin.origin() {
        return Err(Invalid::because(format!("`{text}` has a path"), fix));
    }
    HeaderValue::try_from(origin.origin()).map_err(|_| Invalid::new(fix))
}

fn header_name(text: &str) -> Result<HeaderName, Invalid> {
    let name = text.trim().parse();
    name.map_err(|_| Invalid::new("Use a header name such as X-Forwarded-User"))
}

fn network(text: &str) -> Result<IpNet, Invalid> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| {
        Invalid::because(
            format!("`{text}` is not an address or network"),
            "Use addresses such as 10.0.0.7 or networks such as 10.0.0.0/8",
        )
    })
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
        let open = self.portal_auth == PortalAuth::None;
        let proxy_names = self.proxy_names(problems);
        let keys = self.keys(loopback, problems);
        let ops = self.ops(open && loopback, loopback, problems);
        Some(Config {
            keys: keys?,
            audience: self.portal_jwt_audience.clone(),
            issuer: self.portal_jwt_issuer.clone(),
            ops: ops?,
            proxy_names: proxy_names?,
            secure_cookies: self.portal_cookie_secure.unwrap_or(!open),
            accept_prices: self.portal_accept_prices,
            limits: self.limits,
            cors_origins: self
                .portal_cors_origins
                .clone()
                .map(|list| list.0)
                .unwrap_or_default(),
            links: Links::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Settings<'a> = &'a [(&'static str, &'a str)];

    fn checked(settings: Settings<'_>, address: &str) -> Result<Config, String> {
        let given = settings::given::<PortalArgs>(settings.iter().copied());
        let args = given.map_err(|rejected| rejected.to_string())?.args;
        let mut problems = Problems::new();
        let config = args.check(address.parse().unwrap(), &mut problems);
        problems
            .into_result(config)
            .map_err(|problems| problems.to_string())
    }

    const LONG: &str = "ssssssssssssssssssssssssssssssss";
    const SECRET: (&str, &str) = ("PORTAL_JWT_SECRET", LONG);
    const TOKEN: &str = "0123456789abcdef";
    const NONE: (&str, &str) = ("PORTAL_AUTH", "none");

    #[test]
    fn unusable_combinations_are_refused_with_the_reason() {
        let local = "127.0.0.1:0";
        let tokens = |viewer| [SECRET, ("OPS_TOKEN", TOKEN), ("OPS_VIEWER_TOKEN", viewer)];
        let jwks = ("PORTAL_JWKS_URL", "https://id.example/keys");
        let previous = |secret| ("PORTAL_JWT_SECRET_PREVIOUS", secret);
        let cases: [(Settings<'_>, &str, &str); 15] = [
            (&tokens(TOKEN), local, "every viewer could act"),
            (
                &[SECRET, ("OPS_VIEWER_TOKEN", TOKEN)],
                local,
                "without OPS_TOKEN",
            ),
            (&tokens("short"), local, "shorter than 16"),
            (&tokens("short"), "0.0.0.0:80", "shorter than 24"),
            (&[], local, "neither it nor"),
            (
                &[SECRET, previous("hunter2")],
                local,
                "PORTAL_JWT_SECRET_PREVIOUS: it is shorter than 32",
            ),
            (&[jwks, previous(LONG)], local, "without PORTAL_JWT_SECRET"),
            (
                &[SECRET, ("OPS_AUTH_HEADER", "X-User")],
                local,
                "OPS_TRUSTED_PROXIES",
            ),
            (
                &[SECRET, ("OPS_TRUSTED_PROXIES", "10.0.0.0/8, proxy")],
                local,
                "`proxy` is not",
            ),
            (
                &[
                    SECRET,
                    (
                        "PORTAL_CORS_ORIGINS",
                        "https://a.example,https://shop.example/cart",
                    ),
                ],
                local,
                "has a path",
            ),
            (&[NONE], "0.0.0.0:80", "loopback"),
            (&[NONE, SECRET], local, "only one"),
            (
                &[("PORTAL_JWT_SECRET", "hunter2")],
                local,
                "shorter than 32",
            ),
            (&[SECRET, jwks], local, "only one"),
            (
                &[("PORTAL_JWKS_URL", "http://id.example/keys")],
                local,
                "https",
            ),
        ];
        for (settings, address, words) in cases {
            let text = checked(settings, address).unwrap_err();
            assert!(text.contains(words) && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn cookies_are_for_encrypted_connections_unless_nobody_is_authenticated() {
        let config = checked(&[SECRET], "0.0.0.0:80").unwrap();
        assert!(matches!(config.ops, OpsAccess::Off));
        assert!(config.secure_cookies && !config.accept_prices);
        assert!(!checked(&[NONE], "127.0.0.1:0").unwrap().secure_cookies);
    }
}
