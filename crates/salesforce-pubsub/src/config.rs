//! Settings of the event stream.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use settings::{Endpoint, number, within};

/// Settings of the event stream.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Salesforce Pub/Sub")]
pub struct Config {
    /// Endpoint of the Pub/Sub API
    #[arg(
        long = "sf-pubsub-endpoint",
        env = "SF_PUBSUB_ENDPOINT",
        value_name = "URL",
        default_value = "https://api.pubsub.salesforce.com:7443",
        value_parser = Endpoint::parse
    )]
    pub endpoint: Endpoint,
    /// HTTP/2 ping interval
    #[arg(
        long = "sf-pubsub-ping-every",
        env = "SF_PUBSUB_PING_EVERY",
        value_name = "DURATION",
        default_value = "30s",
        value_parser = within("100ms", "10m")
    )]
    pub ping_every: Duration,
    /// Timeout of an HTTP/2 ping
    #[arg(
        long = "sf-pubsub-ping-timeout",
        env = "SF_PUBSUB_PING_TIMEOUT",
        value_name = "DURATION",
        default_value = "15s",
        value_parser = within("100ms", "10m")
    )]
    pub ping_timeout: Duration,
    /// Reopen the stream after this long without a message
    #[arg(
        long = "sf-pubsub-watchdog",
        env = "SF_PUBSUB_WATCHDOG",
        value_name = "DURATION",
        default_value = "285s",
        value_parser = within("100ms", "1h")
    )]
    pub watchdog: Duration,
    /// Credit window: the maximum number of outstanding events
    #[arg(
        long = "sf-pubsub-num-requested",
        env = "SF_PUBSUB_NUM_REQUESTED",
        value_name = "EVENTS",
        default_value = "100",
        value_parser = number(1..=100)
    )]
    pub window: i32,
    /// Developer name of a managed event subscription to follow instead of the channel
    #[arg(
        long = "sf-managed-subscription",
        env = "SF_MANAGED_SUBSCRIPTION",
        value_name = "NAME"
    )]
    pub managed: Option<DeveloperName>,
}

/// The developer name of a managed event subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeveloperName(String);

impl DeveloperName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DeveloperName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
        let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if starts && rest && text.len() <= 80 {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "`{text}` is not a valid developer name: it has letters, digits and underscores. Use the DeveloperName of the ManagedEventSubscription, not its label or id"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_match_the_contract() {
        let config = settings::defaults::<Config>().unwrap();
        assert_eq!(
            config.endpoint.base(),
            "https://api.pubsub.salesforce.com:7443"
        );
        assert_eq!(config.ping_every, Duration::from_secs(30));
        assert_eq!(config.ping_timeout, Duration::from_secs(15));
        assert_eq!(config.watchdog, Duration::from_secs(285));
        assert_eq!(config.window, 100);
        assert_eq!(config.managed, None);
    }

    #[test]
    fn invalid_settings_are_named() {
        let invalid = [
            ("SF_PUBSUB_ENDPOINT", "http://example.com"),
            ("SF_PUBSUB_WATCHDOG", "0"),
            ("SF_PUBSUB_NUM_REQUESTED", "101"),
            ("SF_MANAGED_SUBSCRIPTION", "/event/X__e"),
        ];
        let text = settings::given::<Config>(invalid).unwrap_err().to_string();
        for (name, _) in invalid {
            assert!(text.contains(name), "{name}: {text}");
        }
    }
}
