//! Who may use the portal: customers' tokens, operators' tokens.

use std::net::IpAddr;

use axum::http::HeaderName;
use ipnet::IpNet;
use settings::{Endpoint, Problem, Problems, Reload, ReloadableSecret, Secret, SecretArgs};

use super::PortalArgs;

/// How customer tokens are verified.
#[derive(Clone, Debug)]
pub enum TokenKeys {
    /// Not at all: everyone on this machine sees everything.
    Nobody,
    /// HS256 with one of these secrets.
    Secret {
        /// The secret.
        current: ReloadableSecret,
        /// Accepted beside it while it is rotated.
        previous: Option<ReloadableSecret>,
    },
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
        operator: ReloadableSecret,
        /// Reads only.
        viewer: Option<ReloadableSecret>,
    },
}

/// Proxies that authenticate operators and give their names in a header.
#[derive(Clone, Debug)]
pub struct ProxyNames {
    /// The header.
    pub header: HeaderName,
    /// The addresses that it is believed from.
    pub proxies: Vec<IpNet>,
}

/// Shorter secrets can be guessed from one token.
const SHORTEST_SECRET: usize = 32;
const SHORTEST_OPS_TOKEN: usize = 24;
const SHORTEST_LOCAL_OPS_TOKEN: usize = 16;

const FIX: &str = "Make one with `openssl rand -hex 32`";

fn at_least(shortest: usize) -> impl Fn(&Secret) -> Result<(), String> + Send + Sync + 'static {
    move |secret| match secret.expose().len() < shortest {
        true => Err(format!("it is shorter than {shortest} characters")),
        false => Ok(()),
    }
}

/// The roles have different tokens.
fn differ(operator: &Secret, viewer: &Secret) -> Result<(), Problem> {
    if operator.expose() != viewer.expose() {
        return Ok(());
    }
    Err(Problem {
        name: "OPS_VIEWER_TOKEN",
        what: "it is the same as OPS_TOKEN: every viewer could act".to_owned(),
        fix: "Give each role a token of its own, made with `openssl rand -hex 32`".to_owned(),
    })
}

impl TokenKeys {
    /// Lets the secrets be read again: the previous one first, so that the tokens of both are
    /// accepted at every moment of a rotation.
    pub(crate) fn add_to(&self, reload: &Reload) {
        if let Self::Secret { current, previous } = self {
            for secret in previous.iter().chain([current]) {
                reload.add_secret(secret);
            }
        }
    }
}

impl OpsAccess {
    /// Lets the tokens be read again.
    pub(crate) fn add_to(&self, reload: &Reload) {
        let Self::Tokens { operator, viewer } = self.clone() else {
            return;
        };
        let Some(viewer) = viewer else {
            return reload.add_secret(&operator);
        };
        let (other_operator, other_viewer) = (operator.clone(), viewer.clone());
        reload.add(move || operator.reload_if(|new| differ(new, &other_viewer.current())));
        reload.add(move || viewer.reload_if(|new| differ(&other_operator.current(), new)));
    }
}

/// The non-empty parts of a comma-separated list.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

impl PortalArgs {
    /// Access to the console; `None` after a problem was noted.
    pub(super) fn ops(
        &self,
        open: bool,
        loopback: bool,
        problems: &mut Problems,
    ) -> Option<OpsAccess> {
        let shortest = match loopback {
            true => SHORTEST_LOCAL_OPS_TOKEN,
            false => SHORTEST_OPS_TOKEN,
        };
        let mut token = |name, file_name, value: &Option<String>, file: &Option<String>| {
            let args = SecretArgs {
                name,
                file_name,
                value: value.as_deref(),
                file: file.as_deref(),
            };
            problems.take(args.reloadable(FIX, at_least(shortest)))
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
        match (operator?, viewer?) {
            (None, None) if open => Some(OpsAccess::Open),
            (None, None) => Some(OpsAccess::Off),
            (None, Some(_)) => {
                problems.add("OPS_VIEWER_TOKEN", "it is set without OPS_TOKEN", FIX);
                None
            }
            (Some(operator), viewer) => {
                if let Some(viewer) = &viewer {
                    let differ = differ(&operator.current(), &viewer.current());
                    problems.take(differ)?;
                }
                Some(OpsAccess::Tokens { operator, viewer })
            }
        }
    }

    /// The header of authenticating proxies, if any; `None` after a problem was noted.
    pub(super) fn proxy_names(&self, problems: &mut Problems) -> Option<Option<ProxyNames>> {
        let text = |text: &Option<String>| text.as_deref().unwrap_or_default().trim().to_owned();
        let (header, proxies) = (text(&self.ops_auth_header), text(&self.ops_trusted_proxies));
        let other = match (header.is_empty(), proxies.is_empty()) {
            (true, true) => return Some(None),
            (false, true) => Some("OPS_TRUSTED_PROXIES"),
            (true, false) => Some("OPS_AUTH_HEADER"),
            (false, false) => None,
        };
        if let Some(other) = other {
            problems.add(
                other,
                "it is not set, but its counterpart is",
                "Set both OPS_AUTH_HEADER and OPS_TRUSTED_PROXIES, or neither",
            );
            return None;
        }
        let header = problems.parse(
            "OPS_AUTH_HEADER",
            Some(&header),
            "",
            "Use a header name such as X-Forwarded-User",
            |text| text.parse().ok(),
        );
        let network = |text: &str| {
            let address = || text.parse::<IpAddr>().map(IpNet::from);
            let network = text.parse().or_else(|_| address());
            network.inspect_err(|_| {
                problems.add(
                    "OPS_TRUSTED_PROXIES",
                    format!("`{text}` is not an address or network"),
                    "Use addresses such as 10.0.0.7 or networks such as 10.0.0.0/8",
                );
            })
        };
        let proxies: Vec<_> = list(&proxies).map(network).collect();
        let proxies = proxies.into_iter().collect::<Result<_, _>>().ok();
        Some(Some(ProxyNames {
            header: header?,
            proxies: proxies?,
        }))
    }

    /// How customer tokens are verified; `None` after a problem was noted.
    pub(super) fn keys(
        &self,
        open: bool,
        loopback: bool,
        problems: &mut Problems,
    ) -> Option<TokenKeys> {
        let mut secret =
            |args: SecretArgs<'_>| problems.take(args.reloadable(FIX, at_least(SHORTEST_SECRET)));
        let previous = secret(SecretArgs {
            name: "PORTAL_JWT_SECRET_PREVIOUS",
            file_name: "PORTAL_JWT_SECRET_PREVIOUS_FILE",
            value: self.portal_jwt_secret_previous.as_deref(),
            file: self.portal_jwt_secret_previous_file.as_deref(),
        });
        let secret = secret(SecretArgs {
            name: "PORTAL_JWT_SECRET",
            file_name: "PORTAL_JWT_SECRET_FILE",
            value: self.portal_jwt_secret.as_deref(),
            file: self.portal_jwt_secret_file.as_deref(),
        });
        let (secret, previous) = (secret?, previous?);
        if secret.is_none() && previous.is_some() {
            problems.add(
                "PORTAL_JWT_SECRET_PREVIOUS",
                "it is set without PORTAL_JWT_SECRET",
                "Set the new secret as PORTAL_JWT_SECRET, or remove the previous one",
            );
            return None;
        }
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
            (Some(current), None) => Some(TokenKeys::Secret { current, previous }),
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
