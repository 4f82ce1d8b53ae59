//! Settings of alerts, the same in every program.

use std::time::Duration;

use domain::key::Channel;
use settings::{Problems, Runbooks, Secret, SecretArg, number, secret_setting, within};
use url::Url;

use crate::{Schedule, Settings};

secret_setting! {
    /// URL to which alerts are posted as JSON; may hold a secret
    pub Webhook = "ALERT_WEBHOOK_URL"
}

/// Settings of the alert rules.
#[derive(clap::Args, Clone, Debug)]
pub struct AlertArgs {
    #[command(flatten)]
    webhook: SecretArg<Webhook>,
    /// Tolerated share of failed attempts, from 0 to 1
    #[arg(long, env, default_value = "0.10", value_parser = number(0.0..=1.0))]
    pub alert_failure_rate: f64,
    /// Window in which attempts are counted
    #[arg(long, env, default_value = "15m", value_parser = within("1m", "8760h"))]
    pub alert_window: Duration,
    /// Minimum number of attempts for the failure rate alert
    #[arg(long, env, default_value = "10", value_parser = number(1..=u32::MAX))]
    pub alert_min_attempts: u32,
    /// URL of the page with the runbooks, that alerts link their section of [default: none]
    #[arg(long, env, value_parser = Runbooks::parse)]
    pub alert_runbook_url: Option<Runbooks>,
}

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// When an alert is raised.
    pub settings: Settings,
    /// Where it is posted, if anywhere.
    pub webhook: Option<Secret>,
}

impl AlertArgs {
    /// The settings; `None` after a problem was noted.
    pub fn check(
        &self,
        channel: Channel,
        events_enabled: bool,
        problems: &mut Problems,
    ) -> Option<Config> {
        let webhook = self.webhook.reloadable(
            "Use a URL such as https://example.com/hook; http is accepted for loopback addresses only",
            check_url,
        );
        let webhook = problems.take(webhook)?;
        let settings = Settings {
            schedule: Schedule::default(),
            channel,
            events_enabled,
            failure_rate: self.alert_failure_rate,
            window: self.alert_window,
            min_attempts: self.alert_min_attempts.into(),
            runbooks: self.alert_runbook_url.clone(),
        };
        Some(Config {
            settings,
            webhook: webhook.map(|secret| secret.current()),
        })
    }
}

/// `https`, or plain `http` on this machine only. The value is not shown: its path or query is
/// often the receiver's secret.
fn check_url(secret: &Secret) -> Result<(), String> {
    let url = Url::parse(secret.expose().trim()).map_err(|_| "it is not a valid URL".to_owned())?;
    match url.scheme() {
        "https" if url.host().is_some() => Ok(()),
        "http" if settings::is_loopback(&url) => Ok(()),
        "http" => Err("plain http would send it in the clear".to_owned()),
        _ => Err("its scheme is not supported".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(settings: &[(&str, &str)]) -> Result<Config, String> {
        let given = settings::given::<AlertArgs>(settings.iter().copied());
        let args = given.map_err(|rejected| rejected.to_string())?.args;
        let mut problems = Problems::new();
        let channel = Channel::new("/event/X__e").unwrap();
        let config = args.check(channel, true, &mut problems);
        problems
            .into_result(config)
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn invalid_setting_is_named_and_secret_values_are_hidden() {
        let config = checked(&[]).unwrap();
        assert_eq!(config.settings.min_attempts, 10);
        assert!(config.webhook.is_none());
        for (name, value) in [
            ("ALERT_WEBHOOK_URL", "http://example.com/hush"),
            ("ALERT_FAILURE_RATE", "10"),
            ("ALERT_WINDOW", "59s"),
            ("ALERT_MIN_ATTEMPTS", "0"),
            ("ALERT_RUNBOOK_URL", "runbooks.md"),
        ] {
            let problem = checked(&[(name, value)]).unwrap_err();
            assert!(problem.starts_with(name), "{problem}");
            assert!(!problem.contains("hush"), "{problem}");
        }
    }

    #[test]
    fn webhook_is_loopback_or_https() {
        let check = |url| check_url(&Secret::new(url));
        for url in ["https://x.example/a?b=c", "http://127.0.0.1:9/hook"] {
            assert!(check(url).is_ok(), "{url}");
        }
        for url in ["", "x", "ftp://localhost", "http://10.0.0.1"] {
            assert!(check(url).is_err(), "{url}");
        }
    }
}
