//! The public keys of an identity provider, fetched on demand and cached.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::Clock;
use error_chain::chain;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use settings::Endpoint;
use tokio::sync::Mutex;

/// Keys are fetched again after this.
const MAX_AGE: Duration = Duration::from_secs(3600);
/// Unknown key ids cause a fetch no more often than this.
const MIN_INTERVAL: Duration = Duration::from_secs(30);
const MAX_BODY: usize = 256 * 1024;

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyError {
    /// The identity provider has no such key.
    Unknown,
    /// The identity provider is unreachable and no keys are cached.
    Unreachable,
}

/// The key set of one URL.
pub(crate) struct Jwks {
    http: reqwest::Client,
    url: Endpoint,
    clock: Arc<dyn Clock>,
    cached: Mutex<Cached>,
}

#[derive(Default)]
struct Cached {
    keys: Option<JwkSet>,
    fetched_at: Option<Duration>,
    attempted_at: Option<Duration>,
}

impl Jwks {
    pub(crate) fn new(http: reqwest::Client, url: Endpoint, clock: Arc<dyn Clock>) -> Self {
        Self {
            http,
            url,
            clock,
            cached: Mutex::default(),
        }
    }

    /// The key with this id; without an id, the only one of this algorithm.
    pub(crate) async fn key(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<DecodingKey, KeyError> {
        let mut cached = self.cached.lock().await;
        let now = self.clock.monotonic();
        let older = |at: Option<Duration>, than: Duration| {
            at.is_none_or(|at| now.saturating_sub(at) >= than)
        };
        let found = find(cached.keys.as_ref(), kid, algorithm);
        let stale = found.is_none() || older(cached.fetched_at, MAX_AGE);
        if stale && older(cached.attempted_at, MIN_INTERVAL) {
            cached.attempted_at = Some(now);
            match self.fetch().await {
                Ok(keys) => {
                    cached.keys = Some(keys);
                    cached.fetched_at = Some(now);
                }
                Err(error) => {
                    tracing::warn!(%error, "JWKS fetch failed");
                }
            }
        }
        match find(cached.keys.as_ref(), kid, algorithm) {
            Some(key) => Ok(key),
            None if cached.keys.is_none() => Err(KeyError::Unreachable),
            None => Err(KeyError::Unknown),
        }
    }

    async fn fetch(&self) -> Result<JwkSet, String> {
        let sent = self.http.get(self.url.base()).send().await;
        let response = sent
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| chain(&error.without_url()).to_string())?;
        let body = outbound::read_capped(response, MAX_BODY)
            .await
            .map_err(|error| chain(&error).to_string())?;
        serde_json::from_slice(&body)
            .map_err(|error| format!("the body is not a valid key set: {error}"))
    }
}

fn find(keys: Option<&JwkSet>, kid: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
    let mut matching = keys?
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
