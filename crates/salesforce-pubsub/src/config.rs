//! Settings of the event stream.

use std::time::Duration;

use clap::Args;
use settings::{Endpoint, Problems};

/// Flags and environment variables of the event stream, as given.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Salesforce Pub/Sub")]
pub struct PubSubArgs {
    /// Endpoint of the Pub/Sub API [default: <https://api.pubsub.salesforce.com:7443>]
    #[arg(long, env = "SF_PUBSUB_ENDPOINT", value_name = "URL")]
    pub sf_pubsub_endpoint: Option<String>,
    /// HTTP/2 ping interval [default: 30s]
    #[arg(long, env = "SF_PUBSUB_PING_EVERY", value_name = "DURATION")]
    pub sf_pubsub_ping_every: Option<String>,
    /// Timeout of an HTTP/2 ping [default: 15s]
    #[arg(long, env = "SF_PUBSUB_PING_TIMEOUT", value_name = "DURATION")]
    pub sf_pubsub_ping_timeout: Option<String>,
    /// Reopen the stream after this long without a message [default: 285s]
    #[arg(long, env = "SF_PUBSUB_WATCHDOG", value_name = "DURATION")]
    pub sf_pubsub_watchdog: Option<String>,
    /// Credit window, 1 to 100 [default: 100]
    #[arg(long, env = "SF_PUBSUB_NUM_REQUESTED", value_name = "EVENTS")]
    pub sf_pubsub_num_requested: Option<String>,
}

/// Validated settings of the event stream.
#[derive(Clone, Debug)]
pub struct Config {
    /// Endpoint of the service.
    pub endpoint: Endpoint,
    /// HTTP/2 ping interval.
    pub ping_every: Duration,
    /// Timeout of a ping.
    pub ping_timeout: Duration,
    /// Maximum time without a message.
    pub watchdog: Duration,
    /// Maximum number of outstanding events.
    pub window: i32,
}

impl PubSubArgs {
    /// Validates the settings and collects every problem.
    pub fn check(&self, problems: &mut Problems) -> Option<Config> {
        let text = self
            .sf_pubsub_endpoint
            .as_deref()
            .filter(|text| !text.trim().is_empty())
            .unwrap_or("https://api.pubsub.salesforce.com:7443");
        let endpoint = problems.take(Endpoint::parse("SF_PUBSUB_ENDPOINT", text));
        let mut within = |name, value: &Option<String>, default, range| {
            problems.duration_within(name, value.as_deref(), default, range)
        };
        let ping_every = within(
            "SF_PUBSUB_PING_EVERY",
            &self.sf_pubsub_ping_every,
            "30s",
            ("100ms", "10m"),
        );
        let ping_timeout = within(
            "SF_PUBSUB_PING_TIMEOUT",
            &self.sf_pubsub_ping_timeout,
            "15s",
            ("100ms", "10m"),
        );
        let watchdog = within(
            "SF_PUBSUB_WATCHDOG",
            &self.sf_pubsub_watchdog,
            "285s",
            ("100ms", "1h"),
        );
        let window = problems.parse(
            "SF_PUBSUB_NUM_REQUESTED",
            self.sf_pubsub_num_requested.as_deref(),
            "100",
            "Use a number from 1 to 100",
            |text| {
                text.parse()
                    .ok()
                    .filter(|window| (1..=100).contains(window))
            },
        );
        Some(Config {
            endpoint: endpoint?,
            ping_every: ping_every?,
            ping_timeout: ping_timeout?,
            watchdog: watchdog?,
            window: window?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_match_the_contract() {
        let config = PubSubArgs::default().check(&mut Problems::new()).unwrap();
        assert_eq!(
            config.endpoint.base(),
            "https://api.pubsub.salesforce.com:7443"
        );
        assert_eq!(config.ping_every, Duration::from_secs(30));
        assert_eq!(config.ping_timeout, Duration::from_secs(15));
        assert_eq!(config.watchdog, Duration::from_secs(285));
        assert_eq!(config.window, 100);
    }

    #[test]
    fn invalid_settings_are_named() {
        let args = PubSubArgs {
            sf_pubsub_endpoint: Some("http://example.com".to_owned()),
            sf_pubsub_watchdog: Some("0".to_owned()),
            sf_pubsub_num_requested: Some("101".to_owned()),
            ..PubSubArgs::default()
        };
        let mut problems = Problems::new();
        assert!(args.check(&mut problems).is_none());
        let text = problems.to_string();
        for name in [
            "SF_PUBSUB_ENDPOINT",
            "SF_PUBSUB_WATCHDOG",
            "SF_PUBSUB_NUM_REQUESTED",
        ] {
            assert!(text.contains(name), "{name}: {text}");
        }
    }
}
