//! A single login: one exchange with the token endpoint.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use outbound::BodyError;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use settings::{Endpoint, ReloadableSecret, Secret};
use url::Url;

use crate::config::signing_key;
use crate::{Config, hosts};

const BODY_CAP: usize = 64 * 1024;
/// The usual lifetime; Salesforce tolerates about as much clock skew in addition.
const ASSERTION_SECONDS: i64 = 180;

/// The result of a successful login.
pub(crate) struct Granted {
    pub(crate) access_token: Secret,
    pub(crate) instance_url: Endpoint,
    pub(crate) org_id: String,
    pub(crate) user_id: String,
}

/// Why a login failed.
pub(crate) enum Denied {
    Unreachable {
        detail: String,
        source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    },
    /// An operator has to fix something.
    Refused { error: String, description: String },
    /// Our clock is behind Salesforce's by this many seconds.
    Skewed { seconds: i64 },
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    instance_url: String,
    #[serde(default)]
    id: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: String,
}

#[derive(Deserialize)]
struct UserInfo {
    organization_id: String,
    #[serde(default)]
    user_id: String,
}

fn unix_now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or(0)
}

fn refused(error: &str, description: impl Into<String>) -> Denied {
    Denied::Refused {
        error: error.to_owned(),
        description: description.into(),
    }
}

fn unreachable(detail: impl Into<String>) -> Denied {
    Denied::Unreachable {
        detail: detail.into(),
        source: None,
    }
}

fn transport_error(error: reqwest::Error) -> Denied {
    let error = error.without_url();
    let detail = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    Denied::Unreachable {
        detail: detail.to_owned(),
        source: Some(Arc::new(error)),
    }
}

/// The key of the file, or the last one that could be used.
fn present_key(key: &ReloadableSecret) -> Result<EncodingKey, String> {
    if let Err(problem) = key.reload() {
        tracing::warn!(%problem, "the old signing key stays in use");
    }
    signing_key(&key.current())
}

/// Logs in once. `skew` is added to our clock.
pub(crate) async fn login(
    http: &reqwest::Client,
    config: &Config,
    skew: i64,
) -> Result<Granted, Denied> {
    let key = config.key.clone();
    // Reading a key from a hanging network mount must not block this thread.
    let key = tokio::task::spawn_blocking(move || present_key(&key))
        .await
        .map_err(|error| unreachable(error.to_string()))?
        .map_err(|what| refused("private_key", what))?;
    let claims = Claims {
        iss: &config.client_id,
        sub: &config.username,
        aud: &config.audience,
        exp: unix_now() + skew + ASSERTION_SECONDS,
    };
    let assertion = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key)
        .map_err(|error| refused("private_key", error.to_string()))?;
    let response = http
        .post(config.login.join("/services/oauth2/token"))
        .header(reqwest::header::ACCEPT, "application/json")
        .form(&[
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", &assertion),
        ])
        .send()
        .await
        .map_err(transport_error)?;
    let status = response.status();
    let date = server_time(response.headers());
    let body = outbound::read_capped(response, BODY_CAP)
        .await
        .map_err(|error| match error {
            BodyError::Broken(error) => transport_error(error),
            BodyError::TooLong { .. } => unreachable("the answer is too long"),
        })?;
    if !status.is_success() {
        return Err(classify(status, &body, date));
    }
    let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| {
        // The parser's error could quote the token.
        unreachable(format!("the answer (HTTP {status}) is not a token"))
    })?;
    let instance_url = Endpoint::parse(&answer.instance_url)
        .map_err(|problem| refused("instance_url", problem.what.unwrap_or_default()))?;
    let identity_url = answer.id.as_deref().and_then(|id| Url::parse(id).ok());
    for named in std::iter::once(instance_url.url()).chain(&identity_url) {
        if !hosts::is_allowed(named, config.login.url(), &config.allowed_hosts) {
            let host = short(named.host_str().unwrap_or_default());
            let what = format!("the answer names `{host}`, which is not a host of Salesforce");
            return Err(refused("foreign_host", what));
        }
    }
    let (org_id, user_id) = match answer.id.as_deref().and_then(identity) {
        Some(pair) => pair,
        None => user_info(http, &instance_url, &answer.access_token).await?,
    };
    Ok(Granted {
        access_token: Secret::new(answer.access_token),
        instance_url,
        org_id,
        user_id,
    })
}

pub(crate) fn classify(status: StatusCode, body: &[u8], date: Option<i64>) -> Denied {
    let parsed = serde_json::from_slice::<Refusal>(body).ok();
    match (status.as_u16(), parsed) {
        (408 | 420 | 429 | 500.., _) => unreachable(format!("HTTP {status}")),
        (300..400, _) => refused("redirect", format!("HTTP {status}")),
        (
            _,
            Some(Refusal {
                error,
                error_description,
            }),
        ) => {
            let skew = date.map(|theirs| theirs - unix_now());
            match skew {
                Some(seconds)
                    if error_description
                        .to_ascii_lowercase()
                        .contains("expired authorization code") =>
                {
                    Denied::Skewed { seconds }
                }
                _ => Denied::Refused {
                    error: short(&error),
                    description: short(&error_description),
                },
            }
        }
        _ => refused("no_reason", format!("HTTP {status} without a reason")),
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn server_time(headers: &reqwest::header::HeaderMap) -> Option<i64> {
    let text = headers.get(reqwest::header::DATE)?.to_str().ok()?;
    let since = httpdate::parse_http_date(text)
        .ok()?
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).ok()
}

/// Organisation and user: the last two path segments of the identity URL.
pub(crate) fn identity(id: &str) -> Option<(String, String)> {
    let url = Url::parse(id).ok()?;
    let parts: Vec<&str> = url
        .path_segments()?
        .filter(|part| !part.is_empty())
        .collect();
    match parts.as_slice() {
        [.., org, user] if is_id(org, "00D") && is_id(user, "005") => {
            Some(((*org).to_owned(), (*user).to_owned()))
        }
        _ => None,
    }
}

fn is_id(text: &str, prefix: &str) -> bool {
    matches!(text.len(), 15 | 18)
        && text.starts_with(prefix)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Organisation and user for an answer without an identity URL: from the userinfo endpoint, or else
/// the organisation from the token, which starts with it.
async fn user_info(
    http: &reqwest::Client,
    instance: &Endpoint,
    token: &str,
) -> Result<(String, String), Denied> {
    let request = async {
        let response = http
            .get(instance.join("/services/oauth2/userinfo"))
            .bearer_auth(token)
            .send()
            .await
            .ok()?
            .error_for_status()
            .ok()?;
        let body = outbound::read_capped(response, BODY_CAP).await.ok()?;
        serde_json::from_slice::<UserInfo>(&body).ok()
    };
    if let Some(info) = request
        .await
        .filter(|info| is_id(&info.organization_id, "00D"))
    {
        return Ok((info.organization_id, info.user_id));
    }
    match token.split_once('!') {
        Some((org, _)) if is_id(org, "00D") => Ok((org.to_owned(), String::new())),
        _ => Err(unreachable("the answer has no organisation")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_the_end_of_the_url() {
        let expected = Some((
            "00D000000000001EAA".to_owned(),
            "005000000000001AAA".to_owned(),
        ));
        for url in [
            "https://login.salesforce.com/id/00D000000000001EAA/005000000000001AAA",
            "https://x.my.salesforce.com/a/b/00D000000000001EAA/005000000000001AAA/",
        ] {
            assert_eq!(identity(url), expected);
        }
        assert_eq!(identity("https://login.salesforce.com/id/"), None);
        assert_eq!(identity("not a url"), None);
    }

    #[test]
    fn expired_code_with_date_is_clock_skew() {
        let body = br#"{"error":"invalid_grant","error_description":"expired authorization code"}"#;
        let theirs = unix_now() + 1000;
        let Denied::Skewed { seconds } = classify(StatusCode::BAD_REQUEST, body, Some(theirs))
        else {
            panic!("not classified as skew");
        };
        assert!((995..=1000).contains(&seconds));
        assert!(matches!(
            classify(StatusCode::BAD_REQUEST, body, None),
            Denied::Refused { .. }
        ));
        assert!(matches!(
            classify(StatusCode::BAD_GATEWAY, b"<html>", Some(theirs)),
            Denied::Unreachable { .. }
        ));
        assert!(matches!(
            classify(StatusCode::BAD_REQUEST, b"<html>", None),
            Denied::Refused { .. }
        ));
    }
}
