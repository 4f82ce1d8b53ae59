//! Who is asking: tokens of the customer's identity provider.

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
use domain::id::AccountId;
use domain::time::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use settings::Secret;

use crate::jwks::{Jwks, RefusedKey};

/// The cookie of the customer page.
pub(crate) const COOKIE_NAME: &str = "portal_token";

/// Who is asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Customer {
    /// The customer with this account.
    Account(AccountId),
    /// Anybody, on a listener that only this machine reaches.
    Anybody,
}

impl Customer {
    /// Whether an order of this account is theirs.
    pub(crate) fn owns(self, account: AccountId) -> bool {
        match self {
            Self::Account(own) => own == account,
            Self::Anybody => true,
        }
    }
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// No token, or none that is good.
    Token,
    /// The keys that tokens are checked with cannot be had.
    NoKeys,
}

/// How tokens are checked.
pub(crate) enum Keys {
    /// Not at all.
    Nobody,
    /// HS256 with this secret.
    Secret(Secret),
    /// RS256 or ES256 with the keys of an identity provider.
    Jwks(Jwks),
}

/// Checks tokens.
pub(crate) struct Tokens {
    pub(crate) keys: Keys,
    pub(crate) audience: Option<String>,
    pub(crate) issuer: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    account_id: String,
}

impl Tokens {
    /// Who carries this token.
    pub(crate) async fn customer(
        &self,
        token: Option<&str>,
        now: Timestamp,
    ) -> Result<Customer, Denial> {
        if matches!(self.keys, Keys::Nobody) {
            return Ok(Customer::Anybody);
        }
        let token = token.ok_or(Denial::Token)?;
        let header = jsonwebtoken::decode_header(token).map_err(|_| Denial::Token)?;
        // The key decides which algorithms there are, never the token.
        let key = match &self.keys {
            Keys::Nobody => return Ok(Customer::Anybody),
            Keys::Secret(secret) if header.alg == Algorithm::HS256 => {
                DecodingKey::from_secret(secret.expose().as_bytes())
            }
            Keys::Jwks(jwks) if matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) => jwks
                .key(header.kid.as_deref(), header.alg)
                .await
                .map_err(|refused| match refused {
                    RefusedKey::Unknown => Denial::Token,
                    RefusedKey::Unreachable => Denial::NoKeys,
                })?,
            Keys::Secret(_) | Keys::Jwks(_) => return Err(Denial::Token),
        };
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &self.validation(header.alg))
            .map_err(|_| Denial::Token)?
            .claims;
        let now = now.as_millis() as f64 / 1000.0;
        let in_time = claims.exp > now && claims.nbf.is_none_or(|from| from <= now + 60.0);
        if !in_time {
            return Err(Denial::Token);
        }
        let account = AccountId::parse(&claims.account_id).map_err(|_| Denial::Token)?;
        Ok(Customer::Account(account))
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        // Times are compared by our own clock.
        validation.validate_exp = false;
        let mut required = vec!["exp"];
        validation.validate_aud = self.audience.is_some();
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

/// The token of the `Authorization` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}
