//! Properties of the verification of customer tokens (`fuzz/README.md`).
#![expect(clippy::unwrap_used, reason = "a property that does not hold panics")]

use domain::time::Timestamp;
use futures::FutureExt;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::Value;
use settings::Secret;

use crate::customer::{Denial, Keys, Tokens, find_key};

const SECRET: &str = "a secret of the fuzz targets, 32 bytes";
const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn verify(token: &str) -> Result<crate::customer::Customer, Denial> {
    let tokens = Tokens {
        keys: Keys::Secrets(vec![Secret::new(SECRET).into()]),
        audience: Some("shop".to_owned()),
        issuer: None,
    };
    // With a secret there is nothing to wait for.
    tokens.customer(Some(token), NOW).now_or_never().unwrap()
}

/// A text that we did not sign is no token; one that we did sign is accepted only with valid
/// claims.
///
/// # Panics
/// The property does not hold.
pub fn token(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert!(verify(&text).is_err());
    let Ok(claims) = serde_json::from_str::<Value>(&text) else {
        return;
    };
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signed = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
    if verify(&signed).is_ok() {
        let now = NOW.as_millis() as f64 / 1000.0;
        assert!(
            claims["exp"].as_f64().is_some_and(|at| at > now),
            "{claims}"
        );
        assert!(
            claims["account_id"]
                .as_str()
                .is_some_and(|id| id.starts_with("001"))
        );
        let audience = &claims["aud"];
        let is_ours = |named: &Value| named == "shop";
        let names_us = audience
            .as_array()
            .is_some_and(|all| all.iter().any(is_ours));
        assert!(is_ours(audience) || names_us, "{claims}");
    }
}

/// Looking for a key in a key set never panics.
pub fn key_set(bytes: &[u8]) {
    if let Ok(keys) = serde_json::from_slice::<JwkSet>(bytes) {
        for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::HS256] {
            let _ = find_key(&keys, None, algorithm);
            let found = find_key(&keys, Some("k1"), algorithm);
            assert!(found.is_none() || algorithm != Algorithm::HS256);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::corpus::hold;

    #[test]
    fn properties_of_tokens_hold() {
        hold("jwt", token);
    }

    #[test]
    fn properties_of_key_sets_hold() {
        hold("key_set", key_set);
    }
}
