//! The shared token: one login at a time, and none while the last one was refused, or led to
//! sessions that are.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use outbound::{ClientOptions, Roots};
use settings::{Endpoint, Secret};
use tokio::time::Instant;

use crate::error::hint;
use crate::login::{self, Denied, Granted};
use crate::{AuthError, Config};

const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// A token with what belongs to it.
#[derive(Clone, Debug)]
pub struct Session {
    /// The access token.
    pub access_token: Secret,
    /// Where REST is; may change with every login.
    pub instance_url: Endpoint,
    /// The organisation, as Salesforce names it (18 characters; 15 where only the token
    /// itself tells).
    pub org_id: String,
    /// The user; empty where Salesforce does not tell.
    pub user_id: String,
    /// Counts logins; give it back with [`TokenManager::accepted`], [`TokenManager::refused`]
    /// or [`TokenManager::refresh`].
    pub generation: u64,
}

/// How the login stands, for readiness.
#[derive(Clone, Debug, Default)]
pub enum LoginStatus {
    /// Nobody has asked for a token yet.
    #[default]
    NotYet,
    /// The last login succeeded.
    LoggedIn,
    /// The last login failed, or the session it gave was refused as the one before it was.
    Failed(AuthError),
}

/// The one source of access tokens.
#[derive(Debug)]
pub struct TokenManager {
    config: Config,
    http: reqwest::Client,
    /// Held during a login: callers that come meanwhile share its result.
    gate: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    session: Option<Session>,
    generation: u64,
    /// Whether the API let the current session in.
    accepted: bool,
    /// Whether the session before the current one was refused.
    refused_before: bool,
    /// Logins tried so far, so that those who waited for one do not repeat its failure.
    tries: u64,
    status: LoginStatus,
    breaker: Option<Breaker>,
    /// Seconds our clock is behind theirs, as learnt from a refusal.
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
    /// Builds the manager; nothing is sent.
    ///
    /// # Errors
    /// The TLS library refuses a certificate.
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

    /// A token newer than the one of `generation_used`, which was refused. Concurrent calls
    /// share one login; none is made while logging in again did not help (see
    /// [`Self::refused`]).
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn refresh(&self, generation_used: u64) -> Result<Session, AuthError> {
        match self.refused(generation_used) {
            Some(error) => Err(error),
            None => self.newer_than(generation_used).await,
        }
    }

    /// The API let in the session of this login. May be told as often as it happens.
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

    /// The API refused the session of this login; it is not handed out again.
    ///
    /// A session that worked before has ended, and one that never worked may have been
    /// revoked at a bad moment: the next caller logs in again. But when one that never worked
    /// follows another that was refused, logging in does not help. Then nobody logs in before
    /// a wait is over, as after a refused login, however many calls there are; the error
    /// says so.
    pub fn refused(&self, generation: u64) -> Option<AuthError> {
        let mut state = self.lock();
        if state.session.as_ref().map(|s| s.generation) != Some(generation) {
            // Somebody else told it, or a late answer to an older session.
            return None;
        }
        state.session = None;
        let fruitless = state.refused_before && !state.accepted;
        state.refused_before = true;
        state.accepted = false;
        if !fruitless {
            return None;
        }
        let error = self.open_breaker(&mut state, |retry_at| AuthError::SessionRefused {
            retry_at,
        });
        count(error.class(), 1);
        tracing::warn!(%error, "session refused again after a new login");
        state.status = LoginStatus::Failed(error.clone());
        Some(error)
    }

    /// The organisation's id; logs in when that is not known yet.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn org(&self) -> Result<String, AuthError> {
        Ok(self.token().await?.org_id)
    }

    /// Ends the wait after a refused login or session: somebody says it is fixed (SIGHUP).
    pub fn reset(&self) {
        let mut state = self.lock();
        state.breaker = None;
        state.refused_before = false;
    }

    /// How the login stands.
    #[must_use]
    pub fn status(&self) -> LoginStatus {
        self.lock().status.clone()
    }

    /// What is wrong with the login, for readiness; nothing while nobody has asked yet.
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
        // A panic elsewhere leaves plain values behind, which are as good as before.
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
        let _turn = self.gate.lock().await;
        if let Some(session) = self.current(generation) {
            return Ok(session);
        }
        {
            let mut state = self.lock();
            // The refused token must not be handed out again, whatever comes of the login.
            state.session = None;
            if state.tries > tries_before
                && let LoginStatus::Failed(error) = &state.status
            {
                return Err(error.clone());
            }
        }
        self.closed_breaker()?;
        let result = self.log_in().await;
        self.settle(result)
    }

    /// An error while the wait after a refusal is on.
    fn closed_breaker(&self) -> Result<(), AuthError> {
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
                    "this machine's clock differs from Salesforce's; logging in with theirs"
                );
                self.lock().skew = seconds;
                login::login(&self.http, &self.config, seconds).await
            }
            other => other,
        }
    }

    fn settle(&self, result: Result<Granted, Denied>) -> Result<Session, AuthError> {
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
                // Where sessions were refused, only the API can say that it is over; until
                // then the length of the next wait is kept.
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
        tracing::warn!(%error, "no token from Salesforce");
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
                (breaker.wait * 2).min(LONGEST_WAIT)
            }
            _ => FIRST_WAIT,
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
