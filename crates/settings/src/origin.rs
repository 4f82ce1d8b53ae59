//! Origins of the values of settings.

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};

/// Every setting: its name, its default, and whether it is a secret.
pub const SETTINGS: &[(&str, &str, bool)] = &[
    ("DATABASE_URL", "sqlite:data/orderbridge.db", true),
    ("SF_EVENTS_ENABLED", "true", false),
    (
        "SF_PROVISION_EVENT_CHANNEL",
        "/event/OrderProvisionRequested__e",
        false,
    ),
    ("SF_EVENTS_REPLAY", "LATEST", false),
    ("SF_EVENTS_ON_REPLAY_LOSS", "ALL", false),
    (
        "SF_PUBSUB_ENDPOINT",
        "https://api.pubsub.salesforce.com:7443",
        false,
    ),
    ("SF_PUBSUB_PING_EVERY", "30s", false),
    ("SF_PUBSUB_PING_TIMEOUT", "15s", false),
    ("SF_PUBSUB_WATCHDOG", "285s", false),
    ("SF_PUBSUB_NUM_REQUESTED", "100", false),
    ("SUBSCRIBER_LEASE", "10s", false),
    ("SF_LOGIN_URL", "", false),
    ("SF_CA_FILE", "", false),
    ("SF_AUDIENCE", "", false),
    ("SF_CLIENT_ID", "", false),
    ("SF_USERNAME", "", false),
    ("SF_PRIVATE_KEY", "", true),
    ("SF_ALLOWED_HOSTS", "", false),
    ("SF_API_VERSION", "66.0", false),
    ("WHMCS_URL", "", false),
    ("WHMCS_CA_FILE", "", false),
    ("WHMCS_IDENTIFIER", "", true),
    ("WHMCS_SECRET", "", true),
    ("WHMCS_ACCESS_KEY", "", true),
    ("WHMCS_PAYMENT_METHOD", "", false),
    ("WHMCS_CREATE_CLIENTS", "false", false),
    ("WHMCS_PRICES", "whmcs", false),
    ("WHMCS_INVOICE", "true", false),
    ("WHMCS_EMAILS", "true", false),
    ("WHMCS_PAUSE_LIMIT", "15m", false),
    ("WHMCS_QUIET_PERIOD", "180s", false),
    ("WHMCS_TIMEOUT", "90s", false),
    ("WORKER_CONCURRENCY", "8", false),
    ("WORKER_LEASE", "15s", false),
    ("WORKER_RETRY_BUDGET", "60s", false),
    ("WORKER_DRAIN", "30s", false),
    ("RECONCILE_EVERY", "5m", false),
    ("RECONCILE_AFTER", "2m", false),
    ("PORTAL_JWT_SECRET", "", true),
    ("PORTAL_JWT_SECRET_PREVIOUS", "", true),
    ("PORTAL_JWKS_URL", "", false),
    ("PORTAL_JWT_AUDIENCE", "", false),
    ("PORTAL_JWT_ISSUER", "", false),
    ("PORTAL_AUTH", "jwt", false),
    ("PORTAL_ACCEPT_PRICES", "false", false),
    ("PORTAL_READ_LIMIT", "120/m", false),
    ("PORTAL_ORDER_LIMIT", "20/m", false),
    ("PORTAL_STREAM_LIMIT", "10", false),
    ("PORTAL_CORS_ORIGINS", "", false),
    ("PORTAL_COOKIE_SECURE", "", false),
    ("OPS_TOKEN", "", true),
    ("OPS_VIEWER_TOKEN", "", true),
    ("OPS_AUTH_HEADER", "", false),
    ("OPS_TRUSTED_PROXIES", "", false),
    ("ALERT_WEBHOOK_URL", "", true),
    ("ALERT_FAILURE_RATE", "0.10", false),
    ("ALERT_WINDOW", "15m", false),
    ("ALERT_MIN_ATTEMPTS", "10", false),
    ("ALERT_RUNBOOK_URL", "", false),
    ("HTTP_ADDR", "", false),
    ("HTTP_MAX_CONNECTIONS", "4096", false),
    ("HTTP_MAX_CONNECTIONS_PER_PEER", "1024", false),
    ("PROBE_ADDR", "", false),
    ("LOG_FORMAT", "", false),
    ("RUST_LOG", "info", false),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "", false),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "", false),
    ("ORDERBRIDGE_CONFIG", "", false),
];

/// An effective setting, without the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveSetting {
    /// The environment variable's name.
    pub name: &'static str,
    /// Its value; of a secret only `set` or `unset`.
    pub value: Option<String>,
    /// `flag`, `environment`, `file` or `default`.
    pub origin: &'static str,
}

/// Every effective setting of a program. Flattened into the program's arguments, it adds no flag
/// but reads the others. It must come first, because each argument removes its value when parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<EffectiveSetting>);

impl Origins {
    /// The settings, in the order of [`SETTINGS`].
    pub fn iter(&self) -> impl Iterator<Item = &EffectiveSetting> {
        self.0.iter()
    }
}

impl Args for Origins {
    fn augment_args(command: Command) -> Command {
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
}

impl FromArgMatches for Origins {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let shown = SETTINGS.iter().filter_map(|&(name, default, secret)| {
            let own = given_value(matches, name)?;
            let file = given_value(matches, &format!("{name}_FILE")).flatten();
            let (value, origin) = match (own, file.filter(|_| secret)) {
                (Some((value, origin)), _) => (Some(value), origin),
                (None, Some((value, _))) => (Some(value), "file"),
                (None, None) => (None, "default"),
            };
            let value = match (secret, value) {
                (true, None) if default.is_empty() => Some("unset".to_owned()),
                (true, Some(_)) => Some("set".to_owned()),
                (_, Some(value)) => Some(value),
                (_, None) => (!default.is_empty()).then(|| default.to_owned()),
            };
            Some(EffectiveSetting {
                name,
                value,
                origin,
            })
        });
        Ok(Self(shown.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// `None` when the program has no such flag; otherwise the given value and its origin, if any.
fn given_value(matches: &ArgMatches, name: &str) -> Option<Option<(String, &'static str)>> {
    let id = name.to_ascii_lowercase();
    let values = matches.try_get_raw(&id).ok()?;
    let origin = match matches.value_source(&id) {
        Some(ValueSource::CommandLine) => "flag",
        _ => "environment",
    };
    let value = values.and_then(|mut values| values.next());
    let value = value.map(|value| value.to_string_lossy().into_owned());
    let given = value.filter(|value| !value.trim().is_empty());
    Some(given.map(|value| (value, origin)))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Some {
        #[command(flatten)]
        origins: Origins,
        #[arg(long, env = "WORKER_LEASE")]
        worker_lease: Option<String>,
        #[arg(long, env = "WHMCS_SECRET")]
        whmcs_secret: Option<String>,
        #[arg(long, env = "WHMCS_SECRET_FILE")]
        whmcs_secret_file: Option<String>,
        #[arg(long, env = "DATABASE_URL")]
        database_url: Option<String>,
    }

    fn shown(flags: &[&str]) -> Vec<(&'static str, Option<String>, &'static str)> {
        let flags = std::iter::once("x").chain(flags.iter().copied());
        let parsed = Some::parse_from(flags);
        assert!(parsed.database_url.is_none() || parsed.worker_lease.is_none());
        let _ = (parsed.whmcs_secret, parsed.whmcs_secret_file);
        let shown = parsed.origins.0.into_iter();
        shown
            .map(|shown| (shown.name, shown.value, shown.origin))
            .collect()
    }

    #[test]
    fn effective_settings_hide_secret_values() {
        let word = |text: &str| Option::Some(text.to_owned());
        let expected = [
            ("DATABASE_URL", None, "default"),
            ("WHMCS_SECRET", word("set"), "file"),
            ("WORKER_LEASE", word("20s"), "flag"),
        ];
        let mut found = shown(&["--whmcs-secret-file", "/x", "--worker-lease", "20s"]);
        // The default contains no password and is shown.
        assert_eq!(found[0].2, "default");
        found[0].1 = None;
        assert_eq!(found, expected);
        let found = shown(&["--database-url", "postgres://u:hunter2@x/y"]);
        assert_eq!(found[0], ("DATABASE_URL", word("set"), "flag"));
        assert_eq!(found[1], ("WHMCS_SECRET", word("unset"), "default"));
    }
}
