//! Verification of customer tokens.

use domain::id::AccountId;
use domain::time::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use settings::Secret;

use super::jwks::{Jwks, KeyError};

/// The cookie of the customer page.
pub(crate) const COOKIE_NAME: &str = "portal_token";

/// The caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Customer {
    /// The customer with this account.
    Account(AccountId),
    /// Anyone, on a loopback listener without authentication.
    Anybody,
}

impl Customer {
    /// Whether orders of this account belong to the customer.
    pub(crate) fn owns(self, account: AccountId) -> bool {
        match self {
            Self::Account(own) => own == account,
            Self::Anybody => true,
        }
    }
}

/// Why a request is not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// No valid token.
    Token,
    /// The verification keys are not available.
    NoKeys,
}

/// How tokens are verified.
pub(crate) enum Keys {
    /// Not at all.
    Nobody,
    /// HS256 with this secret.
    Secret(Secret),
    /// RS256 or ES256 with the keys of an identity provider.
    Jwks(Jwks),
}

/// Verifies tokens.
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
    /// Returns the customer whom this token was issued for.
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
        // The key decides on the algorithm, never the token.
        let key = match &self.keys {
            Keys::Nobody => return Ok(Customer::Anybody),
            Keys::Secret(secret) if header.alg == Algorithm::HS256 => {
                DecodingKey::from_secret(secret.expose().as_bytes())
            }
            Keys::Jwks(jwks) if matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) => jwks
                .key(header.kid.as_deref(), header.alg)
                .await
                .map_err(|refused| match refused {
                    KeyError::Unknown => Denial::Token,
                    KeyError::Unreachable => Denial::NoKeys,
                })?,
            Keys::Secret(_) | Keys::Jwks(_) => return Err(Denial::Token),
        };
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &self.validation(header.alg))
            .map_err(|_| Denial::Token)?
            .claims;
        let now = now.as_millis() as f64 / 1000.0;
        let is_valid_now = claims.exp > now && claims.nbf.is_none_or(|from| from <= now + 60.0);
        if !is_valid_now {
            return Err(Denial::Token);
        }
        let account = AccountId::parse(&claims.account_id).map_err(|_| Denial::Token)?;
        Ok(Customer::Account(account))
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        // Times are compared with the injected clock.
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
