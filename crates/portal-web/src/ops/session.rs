//! Who may use the console: a form and a strict cookie for browsers, a bearer for programs.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use domain::time::Timestamp;
use settings::{Endpoint, Secret};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::auth::{bearer, cookie};
use crate::config::OpsAccess;

pub(crate) const COOKIE: &str = "ops_session";
/// A session ends after so long.
const MAX_LEN: Duration = Duration::from_secs(12 * 3600);
/// So many wrong tokens are answered in one window, whoever sends them.
const TRIES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// An operator at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operator {
    /// What they call themselves, for the audit log.
    pub(crate) name: String,
    /// What each form of theirs must carry; `None` for programs, which send no cookie.
    pub(crate) csrf: Option<String>,
    /// Whether they may do anything, or only look.
    pub(crate) may_act: bool,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// There is no console.
    Off,
    /// No session and no good token.
    Login,
    /// Too many wrong tokens came by.
    Wait(Duration),
}

/// Who may use the console.
pub(crate) struct Ops {
    access: OpsAccess,
    /// What forms carry where nobody logs in; new with every start.
    open: String,
    /// When the window of wrong tokens began, by the monotonic clock, and how many there were.
    wrong: Mutex<(Duration, u32)>,
}

impl Ops {
    pub(crate) fn new(access: OpsAccess) -> Self {
        Self {
            access,
            open: format!("{:016x}{:016x}", chance(), chance()),
            wrong: Mutex::default(),
        }
    }

    /// Whoever sent these headers.
    pub(crate) fn admit(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
        monotonic: Duration,
    ) -> Result<Operator, Closed> {
        let keys = match &self.access {
            OpsAccess::Off => return Err(Closed::Off),
            // Another site's name that points to this machine would get past the browser.
            OpsAccess::Open if is_local(headers) => {
                return Ok(Operator {
                    name: "local".to_owned(),
                    csrf: Some(self.open.clone()),
                    may_act: true,
                });
            }
            OpsAccess::Open => return Err(Closed::Off),
            OpsAccess::Tokens { operator, viewer } => Keys { operator, viewer },
        };
        if let Some(given) = bearer(headers) {
            let may_act = self.check(keys, given, monotonic)?;
            let name = headers
                .get("x-operator")
                .and_then(|value| value.to_str().ok());
            return Ok(Operator {
                name: plain_name(name.unwrap_or("api")),
                csrf: None,
                may_act,
            });
        }
        let session = cookie(headers, COOKIE).ok_or(Closed::Login)?;
        let (text, mac) = session.rsplit_once('.').ok_or(Closed::Login)?;
        let (issued, name) = text.split_once('.').ok_or(Closed::Login)?;
        // The token that it was given for signs a session, and so tells what it may do.
        let signed = |key: &&Secret| same(&sign(key, text), mac);
        let key = keys.all().find(signed).ok_or(Closed::Login)?;
        let issued = issued.parse().map_err(|_| Closed::Login)?;
        let age = now.since(Timestamp::from_millis(issued));
        if age > MAX_LEN {
            return Err(Closed::Login);
        }
        Ok(Operator {
            name: name.to_owned(),
            csrf: Some(sign(key, &format!("csrf {session}"))),
            may_act: std::ptr::eq(key, keys.operator),
        })
    }

    /// A new session for whoever knows the token: the cookie's value.
    pub(crate) fn log_in(
        &self,
        given: &str,
        name: &str,
        now: Timestamp,
        monotonic: Duration,
    ) -> Result<String, Closed> {
        let OpsAccess::Tokens { operator, viewer } = &self.access else {
            return Err(Closed::Off);
        };
        let keys = Keys { operator, viewer };
        let key = match (self.check(keys, given, monotonic)?, viewer) {
            (false, Some(viewer)) => viewer,
            _ => operator,
        };
        let text = format!("{}.{}", now.as_millis(), plain_name(name));
        Ok(format!("{text}.{}", sign(key, &text)))
    }

    /// Whether whoever knows this token may act.
    fn check(&self, keys: Keys<'_>, given: &str, monotonic: Duration) -> Result<bool, Closed> {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, count) = *wrong;
        let age = monotonic.saturating_sub(since);
        if count >= TRIES && age < WINDOW {
            return Err(Closed::Wait(WINDOW - age));
        }
        // Of equal length whatever was given, so that not even the length shows.
        let known = |key: &Secret| same(&sign(key, given), &sign(key, key.expose()));
        let (operator, viewer) = (
            known(keys.operator),
            keys.viewer.as_ref().is_some_and(known),
        );
        if operator || viewer {
            return Ok(operator);
        }
        *wrong = if age < WINDOW {
            (since, count + 1)
        } else {
            (monotonic, 1)
        };
        metrics::counter!("orderbridge_portal_ops_denied_total").increment(1);
        tracing::warn!("somebody knocked at the operator console with a wrong token");
        Err(Closed::Login)
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

/// Whether a form carries what its page was given.
pub(crate) fn is_own_form(operator: &Operator, given: &str, headers: &HeaderMap) -> bool {
    let site = headers
        .get("sec-fetch-site")
        .and_then(|value| value.to_str().ok());
    let from_here = site.is_none_or(|site| matches!(site, "same-origin" | "none"));
    let expected = operator.csrf.as_deref();
    from_here && expected.is_some_and(|expected| same(expected, given))
}

/// Whether whoever asks calls this machine by a name of its own.
pub(crate) fn is_local(headers: &HeaderMap) -> bool {
    let host = headers.get("host").and_then(|value| value.to_str().ok());
    host.is_none_or(|host| Endpoint::parse("Host", &format!("http://{host}")).is_ok())
}

/// The standard library's seed for hash maps comes from the system's dice.
fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// Keyed twice, so that a longer text cannot be signed from a shorter one's signature.
fn sign(key: &Secret, text: &str) -> String {
    let key = Sha256::digest(key.expose().as_bytes());
    let inner = Sha256::new()
        .chain_update(key)
        .chain_update(text)
        .finalize();
    let outer = Sha256::new()
        .chain_update(key)
        .chain_update(inner)
        .finalize();
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Letters, digits and a few signs; a name goes into a cookie and into the audit log.
fn plain_name(name: &str) -> String {
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

    const TOKEN: &str = "a token of some length";

    fn access() -> OpsAccess {
        OpsAccess::Tokens {
            operator: Secret::new(TOKEN),
            viewer: Some(Secret::new("another token")),
        }
    }

    #[test]
    fn viewer_session_stays_read_only() {
        let ops = Ops::new(access());
        let session = ops.log_in("another token", "Bo", at(0), Duration::ZERO);
        let viewer = ops.admit(&with_cookie(&session.unwrap()), at(1), Duration::ZERO);
        assert!(!viewer.unwrap().may_act);
        let session = ops.log_in(TOKEN, "Ada", at(0), Duration::ZERO).unwrap();
        let operator = ops.admit(&with_cookie(&session), at(1), Duration::ZERO);
        assert!(operator.unwrap().may_act);
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
        let ops = Ops::new(access());
        let session = ops.log_in(TOKEN, "Ada B", at(0), Duration::ZERO).unwrap();
        let headers = with_cookie(&session);
        let operator = ops.admit(&headers, at(60), Duration::ZERO).unwrap();
        assert_eq!(operator.name, "Ada-B");
        assert!(is_own_form(
            &operator,
            operator.csrf.as_deref().unwrap(),
            &headers
        ));
        assert!(!is_own_form(&operator, "", &headers));
        let late = ops.admit(&headers, at(13 * 3600), Duration::ZERO);
        assert_eq!(late, Err(Closed::Login));
        let forged = with_cookie(&session.replace("Ada", "Eve"));
        assert_eq!(
            ops.admit(&forged, at(60), Duration::ZERO),
            Err(Closed::Login)
        );
    }

    #[test]
    fn failed_logins_are_rate_limited_per_window() {
        let ops = Ops::new(access());
        let try_at = |seconds: u64, token: &str| {
            ops.log_in(token, "x", at(0), Duration::from_secs(seconds))
                .map(|_| ())
        };
        for _ in 0..TRIES {
            assert_eq!(try_at(100, "guess"), Err(Closed::Login));
        }
        assert!(matches!(try_at(110, TOKEN), Err(Closed::Wait(_))));
        assert_eq!(try_at(161, TOKEN), Ok(()));
    }

    #[test]
    fn cross_site_form_is_rejected() {
        let operator = Operator {
            name: "x".to_owned(),
            csrf: Some("c".to_owned()),
            may_act: true,
        };
        let mut headers = HeaderMap::new();
        headers.insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
        assert!(!is_own_form(&operator, "c", &headers));
    }
}
