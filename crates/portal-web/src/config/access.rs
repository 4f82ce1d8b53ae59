//! Who may use the portal: customers' tokens, operators' tokens.

use axum::http::HeaderName;
use ipnet::IpNet;
use settings::{Endpoint, Problem, Problems, Reload, ReloadableSecret, Secret};

use super::{PortalArgs, PortalAuth};

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
    Err(Problem::new(
        "OPS_VIEWER_TOKEN",
        "it is the same as OPS_TOKEN: every viewer could act",
        "Give each role a token of its own, made with `openssl rand -hex 32`",
    ))
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
        let operator = problems.take(self.ops_token.reloadable(FIX, at_least(shortest)));
        let viewer = problems.take(self.ops_viewer_token.reloadable(FIX, at_least(shortest)));
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
        let other = match (&self.ops_auth_header, &self.ops_trusted_proxies) {
            (None, None) => return Some(None),
            (Some(header), Some(proxies)) => {
                return Some(Some(ProxyNames {
                    header: header.clone(),
                    proxies: proxies.0.clone(),
                }));
            }
            (Some(_), None) => "OPS_TRUSTED_PROXIES",
            (None, Some(_)) => "OPS_AUTH_HEADER",
        };
        problems.add(
            other,
            "it is not set, but its counterpart is",
            "Set both OPS_AUTH_HEADER and OPS_TRUSTED_PROXIES, or neither",
        );
        None
    }

    /// How customer tokens are verified; `None` after a problem was noted.
    pub(super) fn keys(&self, loopback: bool, problems: &mut Problems) -> Option<TokenKeys> {
        let check = || at_least(SHORTEST_SECRET);
        let secret = problems.take(self.jwt_secret.reloadable(FIX, check()));
        let previous = problems.take(self.previous_jwt_secret.reloadable(FIX, check()));
        let (secret, previous) = (secret?, previous?);
        if secret.is_none() && previous.is_some() {
            problems.add(
                "PORTAL_JWT_SECRET_PREVIOUS",
                "it is set without PORTAL_JWT_SECRET",
                "Set the new secret as PORTAL_JWT_SECRET, or remove the previous one",
            );
            return None;
        }
        let (name, what, fix) = match (self.portal_auth, secret, self.portal_jwks_url.clone()) {
            (PortalAuth::None, ..) if !loopback => (
                "PORTAL_AUTH",
                "`none` would show every order to everybody who reaches HTTP_ADDR",
                "Listen on a loopback address, or set PORTAL_JWT_SECRET or PORTAL_JWKS_URL",
            ),
            (PortalAuth::None, None, None) => return Some(TokenKeys::Nobody),
            (PortalAuth::None, ..) => (
                "PORTAL_AUTH",
                "`none` is set together with PORTAL_JWT_SECRET or PORTAL_JWKS_URL",
                "Set only one of them",
            ),
            (PortalAuth::Jwt, Some(current), None) => {
                return Some(TokenKeys::Secret { current, previous });
            }
            (PortalAuth::Jwt, None, Some(url)) => return Some(TokenKeys::Jwks(url)),
            (PortalAuth::Jwt, Some(_), Some(_)) => (
                "PORTAL_JWT_SECRET",
                "it is set together with PORTAL_JWKS_URL",
                "Set only one of the two",
            ),
            (PortalAuth::Jwt, None, None) => (
                "PORTAL_JWT_SECRET",
                "neither it nor PORTAL_JWKS_URL is set",
                "Set one of the two, or PORTAL_AUTH=none on a loopback listener",
            ),
        };
        problems.add(name, what, fix);
        None
    }
}
