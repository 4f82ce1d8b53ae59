//! Verification of customer tokens.

use std::sync::Arc;
use std::time::Duration;

use domain::id::{AccountId, OrderId};
use domain::time::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use settings::ReloadableSecret;

use super::jwks::{Jwks, KeyError};
use super::scopes::{ScopeClaim, Scopes};

/// The cookie of the customer page. Browsers accept the prefix only from an encrypted
/// connection to this very host.
pub(crate) const fn cookie_name(secure: bool) -> &'static str {
    match secure {
        true => "__Host-portal_token",
        false => "portal_token",
    }
}

/// The caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Customer {
    /// The caller's account; `None` for anyone, on a loopback listener without authentication.
    pub(crate) account: Option<AccountId>,
    /// The only order that the token is for, if it names one.
    order: Option<OrderId>,
    pub(crate) scopes: Scopes,
    /// When the token expires; `None` for never, or further in the future than can be counted.
    pub(crate) expires_at: Option<Timestamp>,
}

impl Customer {
    const ANYBODY: Self = Self {
        account: None,
        order: None,
        scopes: Scopes::ALL,
        expires_at: None,
    };

    /// Whether orders of this account belong to the customer.
    pub(crate) fn owns(self, account: AccountId) -> bool {
        self.account.is_none_or(|own| own == account)
    }

    /// Whether the token is for this order, among others or alone.
    pub(crate) fn may_see(self, order: OrderId) -> bool {
        self.order.is_none_or(|only| only == order)
    }

    /// Whether the token is for new orders.
    pub(crate) fn may_create(self) -> bool {
        self.scopes.write && self.order.is_none()
    }
}

/// Why a request is not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// No token.
    NoToken,
    /// Not a token.
    Malformed,
    /// It names extensions that must be understood.
    CriticalHeader,
    /// Not the algorithm of the keys.
    Algorithm,
    /// No such key.
    UnknownKey,
    /// The signature, the audience or the issuer is wrong, or a claim is missing.
    Invalid,
    /// Expired, or not valid yet.
    Expired,
    /// A claim is malformed.
    Claims,
    /// The verification keys are not available.
    NoKeys,
}

impl Denial {
    /// The reason, for logs; callers do not see it.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::NoToken => "no token",
            Self::Malformed => "not a token",
            Self::CriticalHeader => "crit header",
            Self::Algorithm => "wrong algorithm",
            Self::UnknownKey => "unknown key id",
            Self::Invalid => "wrong signature, audience, issuer or a missing claim",
            Self::Expired => "expired or not valid yet",
            Self::Claims => "malformed account_id or order_id",
            Self::NoKeys => "no verification keys",
        }
    }
}

impl From<KeyError> for Denial {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unknown => Self::UnknownKey,
            KeyError::Unavailable => Self::NoKeys,
        }
    }
}

/// How tokens are verified.
pub(crate) enum Keys {
    /// Not at all.
    Nobody,
    /// HS256 with one of these secrets.
    Secrets(Vec<ReloadableSecret>),
    /// RS256 or ES256 with the keys of an identity provider.
    Jwks(Arc<Jwks>),
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
    #[serde(default)]
    scope: Option<ScopeClaim>,
    #[serde(default)]
    order_id: Option<String>,
}

impl Tokens {
    /// Returns the customer whom this token was issued for.
    pub(crate) async fn customer(
        &self,
        token: Option<&str>,
        now: Timestamp,
    ) -> Result<Customer, Denial> {
        if matches!(self.keys, Keys::Nobody) {
            return Ok(Customer::ANYBODY);
        }
        let token = token.ok_or(Denial::NoToken)?;
        let header = jsonwebtoken::decode_header(token).map_err(|_| Denial::Malformed)?;
        // Extensions that must be understood (RFC 7515, 4.1.11) are not.
        if header.crit.is_some() {
            return Err(Denial::CriticalHeader);
        }
        // The key decides on the algorithm, never the token.
        let keys = match &self.keys {
            Keys::Secrets(secrets) if header.alg == Algorithm::HS256 => secrets
                .iter()
                .map(|secret| DecodingKey::from_secret(secret.current().expose().as_bytes()))
                .collect(),
            Keys::Jwks(jwks) if matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) => {
                let key = jwks.key(header.kid.as_deref(), header.alg).await;
                vec![key.map_err(Denial::from)?]
            }
            Keys::Nobody | Keys::Secrets(_) | Keys::Jwks(_) => return Err(Denial::Algorithm),
        };
        let validation = self.validation(header.alg);
        let decoded = keys
            .iter()
            .find_map(|key| jsonwebtoken::decode::<Claims>(token, key, &validation).ok());
        let claims = decoded.ok_or(Denial::Invalid)?.claims;
        let now_seconds = now.as_millis() as f64 / 1000.0;
        if claims.exp <= now_seconds || claims.nbf.is_some_and(|from| from > now_seconds + 60.0) {
            return Err(Denial::Expired);
        }
        let account = AccountId::parse(&claims.account_id).map_err(|_| Denial::Claims)?;
        let order = claims.order_id.as_deref().map(OrderId::parse);
        let lifetime = Duration::try_from_secs_f64(claims.exp - now_seconds);
        Ok(Customer {
            account: Some(account),
            order: order.transpose().map_err(|_| Denial::Claims)?,
            scopes: Scopes::of(claims.scope.as_ref()),
            expires_at: lifetime.ok().map(|lifetime| now + lifetime),
        })
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
