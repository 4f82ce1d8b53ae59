//! The public keys of an identity provider, cached and refreshed in the background.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::job::backoff;
use domain::ports::Clock;
use error_chain::chain;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use settings::Endpoint;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Keys are fetched again after this.
const MAX_AGE: Duration = Duration::from_secs(3600);
/// Unknown key ids cause a fetch no more often than this.
const MIN_INTERVAL: Duration = Duration::from_secs(60);
/// The first wait after a failed fetch while there are no keys at all; it doubles.
const BACKOFF: Duration = Duration::from_secs(5);
/// A fetch that takes longer has failed.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a token with an unknown key waits for a fetch in progress.
const MAX_WAIT: Duration = Duration::from_secs(1);
const MAX_BODY: usize = 256 * 1024;

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyError {
    /// The identity provider has no such key.
    Unknown,
    /// The identity provider has not answered yet.
    Unavailable,
}

/// The key set of one URL. A known key never waits for the identity provider.
pub(crate) struct Jwks {
    http: reqwest::Client,
    url: Endpoint,
    clock: Arc<dyn Clock>,
    cached: Mutex<Cached>,
    /// Ends a fetch in progress.
    stop: CancellationToken,
    _stop: DropGuard,
}

#[derive(Default)]
struct Cached {
    keys: Option<Arc<JwkSet>>,
    fetched_at: Duration,
    /// No fetch before this.
    next_fetch: Duration,
    failures: u32,
    /// Closed when the fetch in progress has ended.
    fetch: Option<watch::Receiver<()>>,
}

impl Cached {
    fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<DecodingKey, KeyError> {
        let keys = self.keys.as_deref().ok_or(KeyError::Unavailable)?;
        find_key(keys, kid, algorithm).ok_or(KeyError::Unknown)
    }
}

impl Jwks {
    /// Starts the first fetch; must be called inside a tokio runtime.
    pub(crate) fn new(http: reqwest::Client, url: Endpoint, clock: Arc<dyn Clock>) -> Arc<Self> {
        let stop = CancellationToken::new();
        let jwks = Arc::new(Self {
            http,
            url,
            clock,
            cached: Mutex::default(),
            stop: stop.clone(),
            _stop: stop.drop_guard(),
        });
        jwks.refresh(&mut jwks.lock());
        jwks
    }

    /// The key with this id; without an id, the only one of this algorithm. Waits for a fetch in
    /// progress, at most a second, only when the key is not known.
    pub(crate) async fn key(
        self: &Arc<Self>,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<DecodingKey, KeyError> {
        let fetch = {
            let mut cached = self.lock();
            let found = cached.find(kid, algorithm);
            let age = self.clock.monotonic().saturating_sub(cached.fetched_at);
            if found.is_err() || age >= MAX_AGE {
                self.refresh(&mut cached);
            }
            match (found, cached.fetch.clone()) {
                (Err(_), Some(fetch)) => fetch,
                (found, _) => return found,
            }
        };
        if tokio::time::timeout(MAX_WAIT, ended(fetch)).await.is_err() {
            // Whether the key exists is not known yet.
            return Err(KeyError::Unavailable);
        }
        self.lock().find(kid, algorithm)
    }

    /// Fetches the keys now, unless a fetch is in progress; must be called inside a tokio runtime.
    pub(crate) fn reload(self: &Arc<Self>) {
        let mut cached = self.lock();
        cached.next_fetch = Duration::ZERO;
        self.refresh(&mut cached);
    }

    fn lock(&self) -> MutexGuard<'_, Cached> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a fetch unless one is in progress or the last one was too recent.
    fn refresh(self: &Arc<Self>, cached: &mut Cached) {
        if cached.fetch.is_some() || self.clock.monotonic() < cached.next_fetch {
            return;
        }
        let (in_progress, ended) = watch::channel(());
        cached.fetch = Some(ended);
        let (this, stop) = (Arc::downgrade(self), self.stop.clone());
        let fetch = fetch(self.http.clone(), self.url.clone());
        tokio::spawn(async move {
            let fetch = tokio::time::timeout(FETCH_TIMEOUT, fetch);
            let fetched = stop.run_until_cancelled(fetch).await;
            if let (Some(this), Some(fetched)) = (this.upgrade(), fetched) {
                this.store(fetched.unwrap_or_else(|_| Err("no answer within 10 s".to_owned())));
            }
            drop(in_progress);
        });
    }

    fn store(&self, fetched: Result<JwkSet, String>) {
        let now = self.clock.monotonic();
        let mut cached = self.lock();
        cached.fetch = None;
        match fetched {
            Ok(keys) => {
                cached.keys = Some(Arc::new(keys));
                cached.fetched_at = now;
                cached.failures = 0;
                cached.next_fetch = now + MIN_INTERVAL;
            }
            Err(error) => {
                let wait = match cached.keys {
                    Some(_) => MIN_INTERVAL,
                    None => backoff(BACKOFF, MIN_INTERVAL, cached.failures, 1.0),
                };
                cached.failures = cached.failures.saturating_add(1);
                cached.next_fetch = now + wait;
                let retry_in = format!("{} s", wait.as_secs());
                tracing::warn!(%error, retry_in, "JWKS fetch failed");
            }
        }
    }
}

/// Returns when the sender is gone.
async fn ended(mut fetch: watch::Receiver<()>) {
    while fetch.changed().await.is_ok() {}
}

async fn fetch(http: reqwest::Client, url: Endpoint) -> Result<JwkSet, String> {
    let sent = http.get(url.base()).send().await;
    let response = sent
        .and_then(reqwest::Response::error_for_status)
        .map_err(|error| chain(&error.without_url()).to_string())?;
    let body = outbound::read_capped(response, MAX_BODY)
        .await
        .map_err(|error| chain(&error).to_string())?;
    serde_json::from_slice(&body)
        .map_err(|error| format!("the body is not a valid key set: {error}"))
}

pub(crate) fn find_key(
    keys: &JwkSet,
    kid: Option<&str>,
    algorithm: Algorithm,
) -> Option<DecodingKey> {
    let mut matching = keys
        .keys
        .iter()
        .filter(|key| matches(key, algorithm))
        .filter(|key| kid.is_none() || key.common.key_id.as_deref() == kid);
    let first = matching.next()?;
    if kid.is_none() && matching.next().is_some() {
        return None;
    }
    DecodingKey::from_jwk(first).ok()
}

/// Whether it is a public signature key of the algorithm's family.
fn matches(key: &Jwk, algorithm: Algorithm) -> bool {
    let common = &key.common;
    let for_signatures = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
    let (family, named) = match algorithm {
        Algorithm::RS256 => (
            matches!(key.algorithm, AlgorithmParameters::RSA(_)),
            KeyAlgorithm::RS256,
        ),
        Algorithm::ES256 => (
            matches!(key.algorithm, AlgorithmParameters::EllipticCurve(_)),
            KeyAlgorithm::ES256,
        ),
        _ => return false,
    };
    let declared = common.key_algorithm.is_none_or(|own| own == named);
    for_signatures && family && declared
}
