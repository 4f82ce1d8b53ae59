//! Errors of the login.

use std::error::Error;
use std::sync::Arc;
use std::time::SystemTime;

/// Errors of the login.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuthError {
    /// The token endpoint did not answer, or not like a token endpoint. May be repeated.
    #[error("the Salesforce token endpoint is unreachable: {detail}")]
    Unreachable {
        /// What happened. Contains no body and no token.
        detail: String,
        /// Why.
        #[source]
        source: Option<Arc<dyn Error + Send + Sync>>,
    },
    /// The login is refused until an operator fixes something.
    #[error("Salesforce refused the login ({error}: {description}): {hint}")]
    Refused {
        /// `error`, as answered.
        error: String,
        /// `error_description`, as answered.
        description: String,
        /// Which setting to fix.
        hint: &'static str,
        /// The next login is not tried before this time, unless the key file changes or the process
        /// receives SIGHUP.
        retry_at: SystemTime,
    },
    /// The login succeeds but its session is refused, as the previous one was: another login would
    /// not help.
    #[error(
        "Salesforce accepts the login but refuses the session: check the connected app's scopes (api), policies and IP ranges, and that the user of SF_USERNAME may use the API"
    )]
    SessionRefused {
        /// The next login is not tried before this time, unless the key file changes or the process
        /// receives SIGHUP.
        retry_at: SystemTime,
    },
}

impl AuthError {
    /// Stable name of the class, for logs and metric labels.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Refused { .. } => "refused",
            Self::SessionRefused { .. } => "session_refused",
        }
    }

    /// Whether it persists until an operator changes something: the credential, or its permissions
    /// in the org.
    #[must_use]
    pub const fn needs_operator(&self) -> bool {
        match self {
            Self::Unreachable { .. } => false,
            Self::Refused { .. } | Self::SessionRefused { .. } => true,
        }
    }
}

/// The setting to fix, derived from the token endpoint's error.
pub(crate) fn hint(error: &str, description: &str) -> &'static str {
    let error = error.to_ascii_lowercase();
    let description = description.to_ascii_lowercase();
    let has = |words: &str| description.contains(words);
    match error.as_str() {
        "invalid_client_id" | "invalid_client" => {
            "set SF_CLIENT_ID to the consumer key of the connected app"
        }
        "app_not_found" => {
            "point SF_LOGIN_URL at the My Domain of the org that has the app, and leave SF_AUDIENCE empty"
        }
        "oauth_app_access_denied" | "invalid_app_access" => {
            "pre-authorise the user of SF_USERNAME for the app (permission set or profile)"
        }
        "unsupported_grant_type" => {
            "a proxy between orderbridge and SF_LOGIN_URL changes the form; this is not a setting of orderbridge"
        }
        "inactive_user" => "activate the user of SF_USERNAME",
        "inactive_org" => "the org of SF_LOGIN_URL is not active; ask Salesforce",
        "rate_limit_exceeded" => {
            "the user of SF_USERNAME logs in too often; look for other programs with this user and wait an hour"
        }
        "redirect" => "set SF_LOGIN_URL to the org's My Domain (https://NAME.my.salesforce.com)",
        "instance_url" => {
            "Salesforce named an instance that is not https; SF_LOGIN_URL is probably not Salesforce"
        }
        "foreign_host" => {
            "check SF_LOGIN_URL; if that host is yours, such as a proxy's, add it to SF_ALLOWED_HOSTS"
        }
        "private_key" => "fix SF_PRIVATE_KEY or the file of SF_PRIVATE_KEY_FILE",
        _ if has("hasn't approved") || has("not approved") => {
            "pre-authorise the user of SF_USERNAME for the app, and check that SF_LOGIN_URL is this user's org"
        }
        _ if has("admin approved") => {
            "pre-authorise the user of SF_USERNAME for the app (permission set or profile)"
        }
        _ if has("audience") => {
            "set SF_AUDIENCE to what the org expects: its My Domain, https://login.salesforce.com or https://test.salesforce.com"
        }
        _ if has("expired authorization code") => {
            "set this machine's clock: for Salesforce the login request has expired"
        }
        _ if has("invalid assertion") => {
            "the certificate uploaded to the app must belong to SF_PRIVATE_KEY; upload it again or change the key"
        }
        _ if has("user") => {
            "check SF_USERNAME (sandbox users have a suffix) and that the user is active"
        }
        _ => "check SF_LOGIN_URL, SF_CLIENT_ID, SF_USERNAME and SF_PRIVATE_KEY",
    }
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn known_refusals_name_the_setting_to_fix() {
        for (error, description, setting) in [
            (
                "invalid_grant",
                "user hasn't approved this consumer",
                "SF_USERNAME",
            ),
            ("invalid_grant", "invalid assertion", "SF_PRIVATE_KEY"),
            ("invalid_grant", "audience is invalid", "SF_AUDIENCE"),
            ("invalid_grant", "Audience validation failed", "SF_AUDIENCE"),
            ("invalid_grant", "expired authorization code", "clock"),
            ("invalid_grant", "user is locked", "SF_USERNAME"),
            (
                "invalid_client_id",
                "client identifier invalid",
                "SF_CLIENT_ID",
            ),
            (
                "app_not_found",
                "External client app is not installed in this org",
                "SF_LOGIN_URL",
            ),
            (
                "OAUTH_APP_ACCESS_DENIED",
                "user is not admin approved to access this app",
                "SF_USERNAME",
            ),
            (
                "unsupported_grant_type",
                "grant type not supported",
                "proxy",
            ),
            ("brand_new", "", "SF_LOGIN_URL"),
        ] {
            assert!(
                hint(error, description).contains(setting),
                "{error}: {description}"
            );
        }
    }
}
