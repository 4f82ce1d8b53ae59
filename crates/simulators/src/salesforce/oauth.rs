//! Token endpoint for RS256 assertions.
use std::collections::HashMap;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};

use super::{
    options::{CLIENT_ID, PUBLIC_KEY_PEM},
    org::Org,
    rest::Answer,
    rules::Refusal,
};
use crate::lock;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Accepted age of `exp`, in seconds.
const SKEW_SECONDS: i64 = 180;

pub(crate) fn refused(error: &str, description: &str) -> Answer {
    Answer::json(
        400,
        json!({"error": error, "error_description": description}),
    )
}

/// Handles `POST /services/oauth2/token`.
pub(crate) fn token(org: &Org, body: &[u8], own_origins: &[String]) -> Answer {
    let form: HashMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
    if form.get("grant_type").map(String::as_str) != Some(JWT_BEARER) {
        return refused("unsupported_grant_type", "grant type not supported");
    }
    let assertion = form
        .get("assertion")
        .map(String::as_str)
        .unwrap_or_default();
    let mut validation = Validation::new(Algorithm::RS256);
    // Times and audience are checked below, with this service's error texts.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let claims = DecodingKey::from_rsa_pem(PUBLIC_KEY_PEM.as_bytes())
        .and_then(|key| decode::<Value>(assertion, &key, &validation));
    let Ok(claims) = claims.map(|token| token.claims) else {
        return refused("invalid_grant", "invalid assertion");
    };
    if claims["iss"] != CLIENT_ID {
        return refused("invalid_client_id", "client identifier invalid");
    }
    let audience = claims["aud"]
        .as_str()
        .unwrap_or_default()
        .trim_end_matches('/');
    let known = [
        "https://login.salesforce.com",
        "https://test.salesforce.com",
    ];
    if !known.contains(&audience) && !own_origins.iter().any(|origin| origin == audience) {
        return refused("invalid_grant", "audience is invalid");
    }
    let expiry = match &claims["exp"] {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let now = org.clock.wall().as_second();
    let too_far = org
        .options
        .strict_exp
        .map(|limit| now.saturating_add_unsigned(limit.as_secs()));
    match expiry {
        None => return refused("invalid_grant", "invalid assertion"),
        Some(at) if at < now - SKEW_SECONDS => {
            return refused("invalid_grant", "expired authorization code");
        }
        Some(at) if too_far.is_some_and(|limit| at > limit) => {
            return refused("invalid_grant", "invalid assertion");
        }
        Some(_) => {}
    }
    if claims["sub"] != org.username() {
        return refused("invalid_grant", "user hasn't approved this consumer");
    }
    let access_token = org.sessions.mint(&org.org_id, &org.rng, &org.clock);
    let instance_url = lock(&org.instance_url).clone();
    Answer::json(
        200,
        json!({
            "access_token": access_token,
            "instance_url": instance_url,
            "id": org.identity_url(),
            "token_type": "Bearer",
            "scope": "api",
        }),
    )
}

/// `/services/oauth2/revoke`: ends the session of one token.
pub(crate) fn revoke(org: &Org, body: &[u8], query: &[u8]) -> Answer {
    let token = [body, query].into_iter().find_map(|form| {
        let mut fields = form_urlencoded::parse(form).into_owned();
        fields.find(|(name, _)| name == "token")
    });
    match token {
        Some((_, token)) if org.sessions.revoke(&token) => Answer::empty(200),
        Some(_) => refused("invalid_token", "invalid token"),
        None => refused("unsupported_token_type", "this token type is not supported"),
    }
}

fn resources(org: &Org) -> Value {
    let at = |path: &str| format!("{}/services/{path}", lock(&org.instance_url));
    json!({
        "rest": at("data/v{version}/"), "sobjects": at("data/v{version}/sobjects/"),
        "query": at("data/v{version}/query/"), "profile": at("data/v{version}/sobjects/User/") + &org.user_id,
    })
}

/// The user of a token.
pub(crate) fn userinfo(org: &Org) -> Answer {
    Answer::json(
        200,
        json!({
            "sub": org.identity_url(), "user_id": org.user_id, "organization_id": org.org_id,
            "preferred_username": org.username(), "nickname": "integration",
            "name": "Integration User", "email": org.username(), "email_verified": true,
            "user_type": "STANDARD", "language": "en_US", "locale": "en_GB", "utcOffset": 0,
            "active": true, "urls": resources(org),
        }),
    )
}

/// The identity URL of a login.
pub(crate) fn identity(org: &Org, org_id: &str, user_id: &str) -> Answer {
    if org_id != org.org_id || user_id != org.user_id {
        return Refusal::new(403, "FORBIDDEN", "the token is of another user").into();
    }
    Answer::json(
        200,
        json!({
            "id": org.identity_url(), "asserted_user": true, "user_id": org.user_id,
            "organization_id": org.org_id, "username": org.username(),
            "display_name": "Integration User", "email": org.username(), "user_type": "STANDARD",
            "language": "en_US", "locale": "en_GB", "timezone": "Europe/London", "utcOffset": 0,
            "is_app_installed": true, "active": true, "urls": resources(org),
        }),
    )
}
