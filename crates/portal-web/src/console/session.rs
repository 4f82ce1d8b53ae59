//! Authentication of operators: login form and strict cookie for browsers, bearer token for
//! programs. Sessions live in the store.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum_extra::extract::CookieJar;
use domain::ports::{Clock, SecretSource, StoreError};
use domain::time::Timestamp;
use error_chain::chain;
use hmac::{Hmac, Mac};
use operations::{AdminCommand, AdminCommands, NewSession, OperatorSession, OperatorSessions};
use settings::{ReloadableSecret, Secret};
use sha2::{Digest, Sha256};

use super::caller::{Caller, network};
use super::login_limit::LoginLimit;
use crate::actor;
use crate::config::{Config, OpsAccess, ProxyNames};
use crate::ports::Ports;
use crate::request::{bearer, has_local_host, is_cross_site};

/// Lifetime of a session.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// The cookie of a session. Browsers accept the prefix only from an encrypted connection to this
/// very host.
pub(super) const fn cookie_name(secure: bool) -> &'static str {
    match secure {
        true => "__Host-ops_session",
        false => "ops_session",
    }
}

/// An authenticated operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    /// Name for the audit log, which says whether it was typed.
    pub(super) name: String,
    /// Token that forms must carry; `None` for bearer authentication.
    pub(super) csrf: Option<String>,
    /// Whether commands are allowed, or only reads.
    pub(super) may_command: bool,
    /// When the session expires; `None` where there is none.
    pub(super) expires_at: Option<Timestamp>,
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
    /// The store did not answer.
    Unavailable,
}

impl Denied {
    fn of_store(error: &StoreError) -> Self {
        tracing::warn!(error = %chain(error), "store of operator sessions did not answer");
        Self::Unavailable
    }
}

/// Verifies tokens and sessions.
pub(super) struct Sessions {
    access: OpsAccess,
    proxy_names: Option<ProxyNames>,
    secure_cookies: bool,
    store: Arc<dyn OperatorSessions>,
    audit: Arc<dyn AdminCommands>,
    clock: Arc<dyn Clock>,
    secrets: Arc<dyn SecretSource>,
    /// CSRF token where no login is needed; new with every start.
    local_csrf: String,
    limit: LoginLimit,
}

impl Sessions {
    pub(super) fn new(ports: &Ports, config: &Config) -> Self {
        config.ops.add_to(&ports.reload);
        Self {
            access: config.ops.clone(),
            proxy_names: config.proxy_names.clone(),
            secure_cookies: config.secure_cookies,
            store: Arc::clone(&ports.sessions),
            audit: Arc::clone(&ports.commands),
            clock: Arc::clone(&ports.clock),
            secrets: Arc::clone(&ports.entropy),
            local_csrf: hex::encode(ports.entropy.secret()),
            limit: LoginLimit::default(),
        }
    }

    /// Authenticates a request.
    pub(super) async fn authenticate(&self, caller: &Caller) -> Result<Operator, Denied> {
        let operator = self.operator(caller).await?;
        actor::note(|| format!("operator {}", operator.name));
        Ok(operator)
    }

    async fn operator(&self, caller: &Caller) -> Result<Operator, Denied> {
        let tokens = match &self.access {
            OpsAccess::Off => return Err(Denied::Disabled),
            OpsAccess::Open if has_local_host(&caller.headers) => {
                return Ok(Operator {
                    name: "local".to_owned(),
                    csrf: Some(self.local_csrf.clone()),
                    may_command: true,
                    expires_at: None,
                });
            }
            OpsAccess::Open => return Err(Denied::Disabled),
            OpsAccess::Tokens { operator, viewer } => Tokens::current(operator, viewer.as_ref()),
        };
        if let Some(given) = bearer(&caller.headers) {
            let name = caller.headers.get("x-operator");
            let name = self.name(caller, name.and_then(|name| name.to_str().ok()), "api");
            let token = self.verify(&tokens, given, caller, &name).await?;
            return Ok(Operator {
                name,
                csrf: None,
                may_command: token.may_command,
                expires_at: None,
            });
        }
        let id = self.session_id(caller).ok_or(Denied::LoginRequired)?;
        let found = self.store.session(&digest(&id)).await;
        let session = found
            .map_err(|error| Denied::of_store(&error))?
            .ok_or(Denied::LoginRequired)?;
        // The token decides on the role, never what is stored.
        let token = tokens.of_session(&session).ok_or(Denied::LoginRequired)?;
        Ok(Operator {
            name: session.operator,
            csrf: Some(csrf(&id)),
            may_command: token.may_command,
            expires_at: Some(session.expires_at),
        })
    }

    /// Opens a session: the cookie's value. The audit log has it first.
    pub(super) async fn log_in(
        &self,
        caller: &Caller,
        given: &str,
        typed: &str,
    ) -> Result<String, Denied> {
        let OpsAccess::Tokens { operator, viewer } = &self.access else {
            return Err(Denied::Disabled);
        };
        let tokens = Tokens::current(operator, viewer.as_ref());
        let name = self.name(caller, Some(typed), "operator");
        let token = self.verify(&tokens, given, caller, &name).await?;
        let peer = self.peer(caller);
        let command = AdminCommand::LogIn { peer: peer.clone() };
        self.record(&command, &name).await?;
        let id = hex::encode(self.secrets.secret());
        let digest = digest(&id);
        let session = NewSession {
            token_fingerprint: token.fingerprint(&digest),
            digest,
            operator: name,
            may_command: token.may_command,
            peer,
            lifetime: LIFETIME,
        };
        let opened = self.store.open_session(&session).await;
        opened.map_err(|error| Denied::of_store(&error))?;
        let NewSession { operator, peer, .. } = &session;
        tracing::info!(operator, peer, "operator logged in");
        Ok(id)
    }

    /// Ends the caller's session. A no-op without one.
    pub(super) async fn log_out(&self, caller: &Caller) -> Result<(), Denied> {
        let Some(id) = self.session_id(caller) else {
            return Ok(());
        };
        let digest = digest(&id);
        let found = self.store.session(&digest).await;
        let Some(session) = found.map_err(|error| Denied::of_store(&error))? else {
            return Ok(());
        };
        let ended = self.store.end_session(&digest).await;
        ended.map_err(|error| Denied::of_store(&error))?;
        let (operator, peer) = (&session.operator, self.peer(caller));
        tracing::info!(operator, peer, "operator logged out");
        self.record(&AdminCommand::LogOut { peer }, operator).await
    }

    /// The open sessions of the present tokens.
    pub(super) async fn open(&self) -> Result<Vec<OperatorSession>, StoreError> {
        let OpsAccess::Tokens { operator, viewer } = &self.access else {
            return Ok(Vec::new());
        };
        let tokens = Tokens::current(operator, viewer.as_ref());
        let mut open = self.store.sessions().await?;
        open.retain(|session| tokens.of_session(session).is_some());
        Ok(open)
    }

    fn session_id(&self, caller: &Caller) -> Option<String> {
        let jar = CookieJar::from_headers(&caller.headers);
        let id = jar.get(cookie_name(self.secure_cookies))?.value();
        let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then(|| id.to_owned())
    }

    /// Verifies a token; a wrong one counts against the caller's address.
    async fn verify<'a>(
        &self,
        tokens: &'a Tokens,
        given: &str,
        caller: &Caller,
        name: &str,
    ) -> Result<Token<'a>, Denied> {
        let address = self.address(caller).map(network);
        let now = self.clock.monotonic();
        self.limit
            .check(address, now)
            .map_err(Denied::RateLimited)?;
        if let Some(token) = tokens.all().find(|token| token.is(given)) {
            return Ok(token);
        }
        let peer = self.peer(caller);
        metrics::counter!("orderbridge_portal_ops_denied_total").increment(1);
        tracing::warn!(operator = name, peer, "operator login failed");
        if self.limit.count(address, now) {
            self.record(&AdminCommand::LoginFailed { peer }, name)
                .await?;
        }
        Err(Denied::LoginRequired)
    }

    async fn record(&self, command: &AdminCommand, name: &str) -> Result<(), Denied> {
        let recorded = self.audit.execute(command, name, "").await;
        recorded
            .map(|_| ())
            .map_err(|error| Denied::of_store(&error))
    }

    fn address(&self, caller: &Caller) -> Option<IpAddr> {
        caller.address(self.proxy_names.as_ref())
    }

    fn peer(&self, caller: &Caller) -> String {
        let address = self.address(caller);
        address.map_or_else(|| "an unknown address".to_owned(), |peer| peer.to_string())
    }

    /// The operator's name: as a trusted proxy gives it, or else as typed, which is said.
    fn name(&self, caller: &Caller, typed: Option<&str>, default: &str) -> String {
        if let Some(name) = caller.proxy_name(self.proxy_names.as_ref()) {
            return sanitized_name(name).unwrap_or_else(|| default.to_owned());
        }
        match typed.and_then(sanitized_name) {
            Some(name) => format!("{name} (typed)"),
            None => default.to_owned(),
        }
    }
}

/// The present tokens of both roles.
struct Tokens {
    operator: Secret,
    viewer: Option<Secret>,
}

impl Tokens {
    fn current(operator: &ReloadableSecret, viewer: Option<&ReloadableSecret>) -> Self {
        Self {
            operator: operator.current(),
            viewer: viewer.map(ReloadableSecret::current),
        }
    }

    fn all(&self) -> impl Iterator<Item = Token<'_>> {
        let token = |secret, may_command| Token {
            secret,
            may_command,
        };
        let viewer = self.viewer.iter().map(move |viewer| token(viewer, false));
        std::iter::once(token(&self.operator, true)).chain(viewer)
    }

    /// The token that the session was opened with, unless it changed since.
    fn of_session(&self, session: &OperatorSession) -> Option<Token<'_>> {
        let fingerprint = hex::decode(&session.token_fingerprint).ok()?;
        self.all().find(|token| {
            let expected = mac(token.secret, &session.digest);
            expected.verify_slice(&fingerprint).is_ok()
        })
    }
}

/// A token and its role.
#[derive(Clone, Copy)]
struct Token<'a> {
    secret: &'a Secret,
    may_command: bool,
}

impl Token<'_> {
    /// Compares digests of equal lengths in constant time.
    fn is(self, given: &str) -> bool {
        let given = mac(self.secret, given).finalize().into_bytes();
        let own = mac(self.secret, self.secret.expose());
        own.verify_slice(&given).is_ok()
    }

    /// Differs from session to session, so that equal tokens do not show.
    fn fingerprint(self, digest: &str) -> String {
        hex::encode(mac(self.secret, digest).finalize().into_bytes())
    }
}

/// What the store knows of a session id.
fn digest(id: &str) -> String {
    hex::encode(Sha256::digest(id.as_bytes()))
}

/// The token of a session's forms.
fn csrf(id: &str) -> String {
    hex::encode(mac(&Secret::new(id), "csrf").finalize().into_bytes())
}

/// Whether a form was submitted from a page of this session.
pub(super) fn is_csrf_valid(operator: &Operator, given: &str, headers: &HeaderMap) -> bool {
    let expected = operator.csrf.as_deref().map(Secret::new);
    !is_cross_site(headers)
        && expected.is_some_and(|expected| {
            let token = Token {
                secret: &expected,
                may_command: false,
            };
            token.is(given)
        })
}

fn mac(key: &Secret, text: &str) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes());
    mac.expect("HMAC accepts keys of any length")
        .chain_update(text)
}

/// Restricts a name to characters that are safe wherever it is shown.
fn sanitized_name(name: &str) -> Option<String> {
    let kept: String = name
        .trim()
        .chars()
        .map(|c| if c == ' ' { '-' } else { c })
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '@' | '.'))
        .take(64)
        .collect();
    (!kept.is_empty()).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn names_keep_only_safe_characters() {
        for (given, name) in [
            (" Ada B ", Some("Ada-B")),
            ("a.b@example.com", Some("a.b@example.com")),
            ("<b>\u{1b}[2J", Some("b2J")),
            ("\u{202e}", None),
            ("", None),
        ] {
            assert_eq!(sanitized_name(given).as_deref(), name, "{given}");
        }
    }

    #[test]
    fn cross_site_form_is_rejected() {
        let operator = Operator {
            name: "x".to_owned(),
            csrf: Some("c".to_owned()),
            may_command: true,
            expires_at: None,
        };
        let mut headers = HeaderMap::new();
        assert!(is_csrf_valid(&operator, "c", &headers));
        assert!(!is_csrf_valid(&operator, "", &headers));
        headers.insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
        assert!(!is_csrf_valid(&operator, "c", &headers));
    }
}
