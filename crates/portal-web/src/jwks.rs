//! The public keys of an identity provider, fetched when they are needed and kept.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::Clock;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use settings::Endpoint;
use tokio::sync::Mutex;

/// Keys are fetched anew after so long.
const HOLD: Duration = Duration::from_secs(3600);
/// However many unknown key ids come by, keys are fetched no more often than this.
const PACE: Duration = Duration::from_secs(30);
const BODY_CAP: usize = 256 * 1024;

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusedKey {
    /// The identity provider has no such key.
    Unknown,
    /// The identity provider cannot be reached, and nothing is kept.
    Unreachable,
}

/// The keys behind one address.
pub(crate) struct Jwks {
    http: reqwest::Client,
    url: Endpoint,
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    keys: Option<JwkSet>,
    fetched_at: Option<Duration>,
    tried_at: Option<Duration>,
}

impl Jwks {
    pub(crate) fn new(http: reqwest::Client, url: Endpoint, clock: Arc<dyn Clock>) -> Self {
        Self {
            http,
            url,
            clock,
            kept: Mutex::default(),
        }
    }

    /// The key of this id. Without an id there must be only one that fits.
    pub(crate) async fn key(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<DecodingKey, RefusedKey> {
        let mut kept = self.kept.lock().await;
        let now = self.clock.monotonic();
        let older = |at: Option<Duration>, than: Duration| {
            at.is_none_or(|at| now.saturating_sub(at) >= than)
        };
        let found = find(kept.keys.as_ref(), kid, algorithm);
        let stale = found.is_none() || older(kept.fetched_at, HOLD);
        if stale && older(kept.tried_at, PACE) {
            kept.tried_at = Some(now);
            match self.fetch().await {
                Ok(keys) => {
                    kept.keys = Some(keys);
                    kept.fetched_at = Some(now);
                }
                Err(error) => {
                    tracing::warn!(%error, "the keys of PORTAL_JWKS_URL cannot be fetched");
                }
            }
        }
        match find(kept.keys.as_ref(), kid, algorithm) {
            Some(key) => Ok(key),
            None if kept.keys.is_none() => Err(RefusedKey::Unreachable),
            None => Err(RefusedKey::Unknown),
        }
    }

    async fn fetch(&self) -> Result<JwkSet, String> {
        let sent = self.http.get(self.url.base()).send().await;
        let response = sent
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| error.without_url().to_string())?;
        let body = outbound::read_capped(response, BODY_CAP)
            .await
            .map_err(|error| error.to_string())?;
        serde_json::from_slice(&body).map_err(|error| format!("they are no key set: {error}"))
    }
}

fn find(keys: Option<&JwkSet>, kid: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
    let mut fitting = keys?
        .keys
        .iter()
        .filter(|key| fits(key, algorithm))
        .filter(|key| kid.is_none() || key.common.key_id.as_deref() == kid);
    let first = fitting.next()?;
    if kid.is_none() && fitting.next().is_some() {
        return None;
    }
    DecodingKey::from_jwk(first).ok()
}

/// A key for signatures, of the family that the algorithm needs; a secret is never one.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
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
