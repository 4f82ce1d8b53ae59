//! The shared token: one login at a time, with a backoff after refused logins and sessions.

use error_chain::chain;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use outbound::{ClientOptions, Roots};
use settings::{Endpoint, Secret};
use tokio::time::Instant;

use crate::error::hint;
use crate::login::{self, Denied, Granted};
use crate::{AuthError, Config};

const FIRST_BACKOFF: Duration = Duration::from_secs(30);
const MAX_BACKOFF: Duration = Duration::from_secs(15 * 60);

/// A token with its metadata.
#[derive(Clone, Debug)]
pub struct Session {
    /// The access token.
    pub access_token: Secret,
    /// Base URL of REST; may change with every login.
    pub instance_url: Endpoint,
    /// The organisation id (18 characters; 15 if it is only known from the token itself).
    pub org_id: String,
    /// The user id; empty if unknown.
    pub user_id: String,
    /// Number of the login; pass it to [`TokenManager::accepted`], [`TokenManager::refused`] or
    /// [`TokenManager::refresh`].
    pub generation: u64,
}

/// State of the login, for readiness.
#[derive(Clone, Debug, Default)]
pub enum LoginStatus {
    /// No token was requested yet.
    #[default]
    NotYet,
    /// The last login succeeded.
    LoggedIn,
    /// The last login failed, or two sessions in a row were refused.
    Failed(AuthError),
}

/// The one source of access tokens.
#[derive(Debug)]
pub struct TokenManager {
    config: Config,
    http: reqwest::Client,
    /// Held during a login: concurrent callers share its result.
    gate: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    session: Option<Session>,
    generation: u64,
    /// Whether an API accepted the current session.
    accepted: bool,
    /// Whether the previous session was refused.
    refused_before: bool,
    /// Number of login attempts, so that callers that waited for one do not repeat its failure.
    tries: u64,
    status: LoginStatus,
    breaker: Option<Breaker>,
    /// Seconds that our clock is behind Salesforce's, measured at a refusal.
    skew: i64,
}

#[derive(Debug)]
struct Breaker {
    until: Instant,
    wait: Duration,
    key_changed_at: Option<SystemTime>,
    error: AuthError,
}

impl TokenManager {
    /// Builds the manager without connecting.
    ///
    /// # Errors
    /// The TLS library rejects a certificate.
    pub fn new(config: Config, roots: &Roots) -> Result<Self, reqwest::Error> {
        let http = outbound::build(
            &ClientOptions {
                connect_timeout: Duration::from_secs(10),
                timeout: Duration::from_secs(30),
                pool_idle: Duration::from_secs(20),
            },
            roots,
        )?;
        for outcome in ["ok", "refused", "session_refused", "unreachable"] {
            count(outcome, 0);
        }
        Ok(Self {
            config,
            http,
            gate: tokio::sync::Mutex::new(()),
            state: Mutex::default(),
        })
    }

    /// The current token, or a new one when there is none.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn token(&self) -> Result<Session, AuthError> {
        self.newer_than(0).await
    }

    /// A token newer than the one of `generation_used`, which was refused. Concurrent calls share
    /// one login; there is none during the backoff (see [`Self::refused`]).
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn refresh(&self, generation_used: u64) -> Result<Session, AuthError> {
        match self.refused(generation_used) {
            Some(error) => Err(error),
            None => self.newer_than(generation_used).await,
        }
    }

    /// Reports that an API accepted this session. May be called any number of times.
    pub fn accepted(&self, generation: u64) {
        let mut state = self.lock();
        if state.accepted || state.session.as_ref().map(|s| s.generation) != Some(generation) {
            return;
        }
        state.accepted = true;
        state.refused_before = false;
        state.breaker = None;
        state.status = LoginStatus::LoggedIn;
    }

    /// Reports that an API refused this session; it is not returned again.
    ///
    /// A session that worked before has expired, and one that never worked may have been revoked
    /// early: the next caller logs in again. But when a session that never worked follows a refused
    /// one, logging in does not help. Then the next login waits for a backoff, as after a refused
    /// login, and the error is returned.
    pub fn refused(&self, generation: u64) -> Option<AuthError> {
        let mut state = self.lock();
        if state.session.as_ref().map(|s| s.generation) != Some(generation) {
            // Already reported, or a late answer to an older session.
            return None;
        }
        state.session = None;
        let never_accepted = state.refused_before && !state.accepted;
        state.refused_before = true;
        state.accepted = false;
        if !never_accepted {
            return None;
        }
        let error = self.open_breaker(&mut state, |retry_at| AuthError::SessionRefused {
            retry_at,
        });
        count(error.class(), 1);
        tracing::warn!(error = %chain(&error), "session refused again after a new login");
        state.status = LoginStatus::Failed(error.clone());
        Some(error)
    }

    /// The organisation's id; logs in if necessary.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn org(&self) -> Result<String, AuthError> {
        Ok(self.token().await?.org_id)
    }

    /// Ends the backoff after a refused login or session, because an operator reports it fixed
    /// (SIGHUP).
    pub fn reset(&self) {
        let mut state = self.lock();
        state.breaker = None;
        state.refused_before = false;
    }

    /// State of the login.
    #[must_use]
    pub fn status(&self) -> LoginStatus {
        self.lock().status.clone()
    }

    /// The error of the login, for readiness; `None` before the first login.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        match self.status() {
            LoginStatus::NotYet | LoginStatus::LoggedIn => None,
            LoginStatus::Failed(error) => Some(error.to_string()),
        }
    }

    /// The settings in use.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is plain values, which a panic elsewhere cannot leave inconsistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self, newer_than: u64) -> Option<Session> {
        let state = self.lock();
        state
            .session
            .clone()
            .filter(|session| session.generation > newer_than)
    }

    async fn newer_than(&self, generation: u64) -> Result<Session, AuthError> {
        if let Some(session) = self.current(generation) {
            return Ok(session);
        }
        let tries_before = self.lock().tries;
        let _guard = self.gate.lock().await;
        if let Some(session) = self.current(generation) {
            return Ok(session);
        }
        {
            let mut state = self.lock();
            // The refused token must not be returned again, whatever the result of the login.
            state.session = None;
            if state.tries > tries_before
                && let LoginStatus::Failed(error) = &state.status
            {
                return Err(error.clone());
            }
        }
        self.check_breaker()?;
        let result = self.log_in().await;
        self.finish_login(result)
    }

    /// Returns the error while the backoff after a refusal is running.
    fn check_breaker(&self) -> Result<(), AuthError> {
        let state = self.lock();
        match &state.breaker {
            Some(breaker)
                if Instant::now() < breaker.until
                    && breaker.key_changed_at == self.config.key.changed_at() =>
            {
                Err(breaker.error.clone())
            }
            _ => Ok(()),
        }
    }

    async fn log_in(&self) -> Result<Granted, Denied> {
        let skew = self.lock().skew;
        match login::login(&self.http, &self.config, skew).await {
            Err(Denied::Skewed { seconds }) => {
                tracing::warn!(
                    seconds,
                    "clock skew detected; logging in with Salesforce's time"
                );
                self.lock().skew = seconds;
                login::login(&self.http, &self.config, seconds).await
            }
            other => other,
        }
    }

    fn finish_login(&self, result: Result<Granted, Denied>) -> Result<Session, AuthError> {
        let mut state = self.lock();
        state.tries += 1;
        let error = match result {
            Ok(granted) => {
                count("ok", 1);
                state.generation += 1;
                let session = Session {
                    access_token: granted.access_token,
                    instance_url: granted.instance_url,
                    org_id: granted.org_id,
                    user_id: granted.user_id,
                    generation: state.generation,
                };
                state.session = Some(session.clone());
                state.accepted = false;
                // After refused sessions only an API can confirm that it works again; until then
                // the next backoff keeps growing.
                let refused =
                    |breaker: &Breaker| matches!(breaker.error, AuthError::SessionRefused { .. });
                if !state.breaker.as_ref().is_some_and(refused) {
                    state.breaker = None;
                    state.status = LoginStatus::LoggedIn;
                }
                tracing::info!(
                    generation = session.generation,
                    instance = session.instance_url.base(),
                    org = session.org_id,
                    "logged in to Salesforce"
                );
                return Ok(session);
            }
            Err(Denied::Unreachable { detail, source }) => {
                AuthError::Unreachable { detail, source }
            }
            Err(Denied::Skewed { .. }) => self.login_refused(
                &mut state,
                "invalid_grant".to_owned(),
                "expired authorization code".to_owned(),
            ),
            Err(Denied::Refused { error, description }) => {
                self.login_refused(&mut state, error, description)
            }
        };
        count(error.class(), 1);
        tracing::warn!(error = %chain(&error), "Salesforce login failed");
        state.status = LoginStatus::Failed(error.clone());
        Err(error)
    }

    fn login_refused(&self, state: &mut State, error: String, description: String) -> AuthError {
        self.open_breaker(state, |retry_at| AuthError::Refused {
            hint: hint(&error, &description),
            error,
            description,
            retry_at,
        })
    }

    fn open_breaker(
        &self,
        state: &mut State,
        error: impl FnOnce(SystemTime) -> AuthError,
    ) -> AuthError {
        let key_changed_at = self.config.key.changed_at();
        let wait = match &state.breaker {
            Some(breaker) if breaker.key_changed_at == key_changed_at => {
                (breaker.wait * 2).min(MAX_BACKOFF)
            }
            _ => FIRST_BACKOFF,
        };
        let refused = error(SystemTime::now() + wait);
        state.breaker = Some(Breaker {
            until: Instant::now() + wait,
            wait,
            key_changed_at,
            error: refused.clone(),
        });
        refused
    }
}

fn count(outcome: &'static str, by: u64) {
    metrics::counter!(
        "orderbridge_token_refreshes_total",
        "upstream" => "salesforce",
        "outcome" => outcome
    )
    .increment(by);
}
