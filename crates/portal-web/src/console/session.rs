//! Authentication of operators: login form and strict cookie for browsers, bearer token for
//! programs.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use axum_extra::extract::CookieJar;
use domain::ports::Entropy;
use domain::time::Timestamp;
use hmac::{Hmac, Mac};
use settings::Secret;
use sha2::Sha256;

use crate::config::OpsAccess;
use crate::request::{bearer, has_local_host, is_cross_site};

pub(super) const COOKIE: &str = "ops_session";
/// Lifetime of a session.
const MAX_AGE: Duration = Duration::from_secs(12 * 3600);
/// Failed logins per window, of all clients together.
const MAX_FAILURES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// An authenticated operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    /// Name for the audit log, as given by the operator.
    pub(super) name: String,
    /// Token that forms must carry; `None` for bearer authentication.
    pub(super) csrf: Option<String>,
    /// Whether commands are allowed, or only reads.
    pub(super) may_command: bool,
}

/// Why a request is not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// The console is off.
    Disabled,
    /// No session and no valid token.
    LoginRequired,
    /// Too many logins failed.
    RateLimited(Duration),
}

/// Verifies tokens and sessions.
pub(super) struct Sessions {
    access: OpsAccess,
    /// CSRF token where no login is needed; new with every start.
    local_csrf: String,
    /// Start of the window on the monotonic clock, and the failed logins in it.
    failures: Mutex<(Duration, u32)>,
}

impl Sessions {
    pub(super) fn new(access: OpsAccess, entropy: &dyn Entropy) -> Self {
        Self {
            access,
            local_csrf: entropy.token(),
            failures: Mutex::default(),
        }
    }

    /// Authenticates a request.
    pub(super) fn authenticate(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
        monotonic: Duration,
    ) -> Result<Operator, Denied> {
        let keys = match &self.access {
            OpsAccess::Off => return Err(Denied::Disabled),
            OpsAccess::Open if has_local_host(headers) => {
                return Ok(Operator {
                    name: "local".to_owned(),
                    csrf: Some(self.local_csrf.clone()),
                    may_command: true,
                });
            }
            OpsAccess::Open => return Err(Denied::Disabled),
            OpsAccess::Tokens { operator, viewer } => Keys { operator, viewer },
        };
        if let Some(given) = bearer(headers) {
            let may_command = self.verify(keys, given, monotonic)?;
            let name = headers
                .get("x-operator")
                .and_then(|value| value.to_str().ok());
            return Ok(Operator {
                name: sanitized_name(name.unwrap_or("api")),
                csrf: None,
                may_command,
            });
        }
        let jar = CookieJar::from_headers(headers);
        let session = jar.get(COOKIE).ok_or(Denied::LoginRequired)?.value();
        let (text, mac) = session.rsplit_once('.').ok_or(Denied::LoginRequired)?;
        let (issued, name) = text.split_once('.').ok_or(Denied::LoginRequired)?;
        // A session is signed with the token it was created by, which determines the role.
        let signed = |key: &&Secret| is_signature(key, text, mac);
        let key = keys.all().find(signed).ok_or(Denied::LoginRequired)?;
        let issued = issued.parse().map_err(|_| Denied::LoginRequired)?;
        let age = now.since(Timestamp::from_millis(issued));
        if age > MAX_AGE {
            return Err(Denied::LoginRequired);
        }
        Ok(Operator {
            name: name.to_owned(),
            csrf: Some(sign(key, &format!("csrf {session}"))),
            may_command: std::ptr::eq(key, keys.operator),
        })
    }

    /// Creates a session: the cookie's value.
    pub(super) fn log_in(
        &self,
        given: &str,
        name: &str,
        now: Timestamp,
        monotonic: Duration,
    ) -> Result<String, Denied> {
        let OpsAccess::Tokens { operator, viewer } = &self.access else {
            return Err(Denied::Disabled);
        };
        let keys = Keys { operator, viewer };
        let key = match (self.verify(keys, given, monotonic)?, viewer) {
            (false, Some(viewer)) => viewer,
            _ => operator,
        };
        let text = format!("{}.{}", now.as_millis(), sanitized_name(name));
        Ok(format!("{text}.{}", sign(key, &text)))
    }

    /// Verifies a token; returns whether it allows commands.
    fn verify(&self, keys: Keys<'_>, given: &str, monotonic: Duration) -> Result<bool, Denied> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, count) = *failures;
        let age = monotonic.saturating_sub(since);
        if count >= MAX_FAILURES && age < WINDOW {
            return Err(Denied::RateLimited(WINDOW - age));
        }
        // Digests have equal lengths, so that timing does not reveal the length.
        let matches = |key: &Secret| is_signature(key, key.expose(), &sign(key, given));
        let (operator, viewer) = (
            matches(keys.operator),
            keys.viewer.as_ref().is_some_and(matches),
        );
        if operator || viewer {
            return Ok(operator);
        }
        *failures = if age < WINDOW {
            (since, count + 1)
        } else {
            (monotonic, 1)
        };
        metrics::counter!("orderbridge_portal_ops_denied_total").increment(1);
        tracing::warn!("operator login failed");
        Err(Denied::LoginRequired)
    }
}

/// The tokens of both roles.
#[derive(Clone, Copy)]
struct Keys<'a> {
    operator: &'a Secret,
    viewer: &'a Option<Secret>,
}

impl<'a> Keys<'a> {
    fn all(self) -> impl Iterator<Item = &'a Secret> {
        std::iter::once(self.operator).chain(self.viewer)
    }
}

/// Whether a form was submitted from a page of this session.
pub(super) fn is_csrf_valid(operator: &Operator, given: &str, headers: &HeaderMap) -> bool {
    let expected = operator.csrf.as_deref();
    !is_cross_site(headers)
        && expected.is_some_and(|expected| {
            let key = Secret::new(expected);
            is_signature(&key, expected, &sign(&key, given))
        })
}

fn mac(key: &Secret, text: &str) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes());
    mac.expect("HMAC accepts keys of any length")
        .chain_update(text)
}

fn sign(key: &Secret, text: &str) -> String {
    hex::encode(mac(key, text).finalize().into_bytes())
}

/// Compares in constant time.
fn is_signature(key: &Secret, text: &str, signature: &str) -> bool {
    hex::decode(signature).is_ok_and(|signature| mac(key, text).verify_slice(&signature).is_ok())
}

/// Restricts a name to characters that are safe in a cookie and in the audit log.
fn sanitized_name(name: &str) -> String {
    let kept: String = name
        .trim()
        .chars()
        .map(|c| if c == ' ' { '-' } else { c })
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '@'))
        .take(40)
        .collect();
    if kept.is_empty() {
        "operator".to_owned()
    } else {
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use testkit::FakeEntropy;

    const TOKEN: &str = "a token of some length";

    fn access() -> OpsAccess {
        OpsAccess::Tokens {
            operator: Secret::new(TOKEN),
            viewer: Some(Secret::new("another token")),
        }
    }

    #[test]
    fn viewer_session_stays_read_only() {
        let sessions = Sessions::new(access(), &FakeEntropy::default());
        let session = sessions.log_in("another token", "Bo", at(0), Duration::ZERO);
        let viewer = sessions.authenticate(&with_cookie(&session.unwrap()), at(1), Duration::ZERO);
        assert!(!viewer.unwrap().may_command);
        let session = sessions
            .log_in(TOKEN, "Ada", at(0), Duration::ZERO)
            .unwrap();
        let operator = sessions.authenticate(&with_cookie(&session), at(1), Duration::ZERO);
        assert!(operator.unwrap().may_command);
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn with_cookie(session: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::try_from(format!("{COOKIE}={session}")).unwrap();
        headers.insert("cookie", value);
        headers
    }

    #[test]
    fn session_carries_name_and_expires() {
        let sessions = Sessions::new(access(), &FakeEntropy::default());
        let session = sessions
            .log_in(TOKEN, "Ada B", at(0), Duration::ZERO)
            .unwrap();
        let headers = with_cookie(&session);
        let operator = sessions
            .authenticate(&headers, at(60), Duration::ZERO)
            .unwrap();
        assert_eq!(operator.name, "Ada-B");
        assert!(is_csrf_valid(
            &operator,
            operator.csrf.as_deref().unwrap(),
            &headers
        ));
        assert!(!is_csrf_valid(&operator, "", &headers));
        let late = sessions.authenticate(&headers, at(13 * 3600), Duration::ZERO);
        assert_eq!(late, Err(Denied::LoginRequired));
        let forged = with_cookie(&session.replace("Ada", "Eve"));
        assert_eq!(
            sessions.authenticate(&forged, at(60), Duration::ZERO),
            Err(Denied::LoginRequired)
        );
    }

    #[test]
    fn failed_logins_are_rate_limited_per_window() {
        let sessions = Sessions::new(access(), &FakeEntropy::default());
        let log_in_at = |seconds: u64, token: &str| {
            sessions
                .log_in(token, "x", at(0), Duration::from_secs(seconds))
                .map(|_| ())
        };
        for _ in 0..MAX_FAILURES {
            assert_eq!(log_in_at(100, "guess"), Err(Denied::LoginRequired));
        }
        assert!(matches!(log_in_at(110, TOKEN), Err(Denied::RateLimited(_))));
        assert_eq!(log_in_at(161, TOKEN), Ok(()));
    }

    #[test]
    fn cross_site_form_is_rejected() {
        let operator = Operator {
            name: "x".to_owned(),
            csrf: Some("c".to_owned()),
            may_command: true,
        };
        let mut headers = HeaderMap::new();
        headers.insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
        assert!(!is_csrf_valid(&operator, "c", &headers));
    }
}
