//! Settings of alerts, the same in every program.

use std::time::Duration;

use domain::key::Channel;
use settings::{Problem, Problems, Runbooks, Secret, SecretArgs};
use url::Url;

use crate::{Schedule, Settings};

/// Settings of the alert rules.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct AlertArgs {
    /// URL to which alerts are posted as JSON; may hold a secret
    #[arg(long, env = "ALERT_WEBHOOK_URL", hide_env_values = true)]
    pub alert_webhook_url: Option<String>,
    /// File holding the URL
    #[arg(long, env = "ALERT_WEBHOOK_URL_FILE")]
    pub alert_webhook_url_file: Option<String>,
    /// Tolerated share of failed attempts, from 0 to 1 [default: 0.10]
    #[arg(long, env = "ALERT_FAILURE_RATE")]
    pub alert_failure_rate: Option<String>,
    /// Window in which attempts are counted [default: 15m]
    #[arg(long, env = "ALERT_WINDOW")]
    pub alert_window: Option<String>,
    /// Minimum number of attempts for the failure rate alert [default: 10]
    #[arg(long, env = "ALERT_MIN_ATTEMPTS")]
    pub alert_min_attempts: Option<String>,
    /// URL of the page with the runbooks, that alerts link their section of [default: none]
    #[arg(long, env = "ALERT_RUNBOOK_URL")]
    pub alert_runbook_url: Option<String>,
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
    /// The settings, or noted problems.
    pub fn check(
        &self,
        channel: Option<Channel>,
        events_enabled: Option<bool>,
        problems: &mut Problems,
    ) -> Option<Config> {
        let webhook = problems.take(self.webhook());
        let failure_rate = problems.parse(
            "ALERT_FAILURE_RATE",
            self.alert_failure_rate.as_deref(),
            "0.10",
            "Give a share from 0 to 1, such as 0.10",
            |text| {
                text.trim()
                    .parse()
                    .ok()
                    .filter(|rate| (0.0..=1.0).contains(rate))
            },
        );
        let window = problems.parse(
            "ALERT_WINDOW",
            self.alert_window.as_deref(),
            "15m",
            "Give a duration from 1m, such as 15m",
            |text| settings::duration(text).filter(|window| *window >= Duration::from_secs(60)),
        );
        let min_attempts = problems.parse(
            "ALERT_MIN_ATTEMPTS",
            self.alert_min_attempts.as_deref(),
            "10",
            "Give a number from 1, such as 10",
            |text| text.trim().parse().ok().filter(|count| *count >= 1),
        );
        let runbooks = problems.parse(
            "ALERT_RUNBOOK_URL",
            self.alert_runbook_url.as_deref(),
            "",
            "Use a URL without a fragment, such as https://example.com/runbooks",
            |text| match text {
                "" => Some(None),
                text => Runbooks::parse(text).map(Some),
            },
        );
        let settings = Settings {
            schedule: Schedule::default(),
            channel: channel?,
            events_enabled: events_enabled?,
            failure_rate: failure_rate?,
            window: window?,
            min_attempts: min_attempts?,
            runbooks: runbooks?,
        };
        Some(Config {
            settings,
            webhook: webhook?,
        })
    }

    /// `https`, or plain `http` on this machine only.
    fn webhook(&self) -> Result<Option<Secret>, Problem> {
        let args = SecretArgs {
            name: "ALERT_WEBHOOK_URL",
            file_name: "ALERT_WEBHOOK_URL_FILE",
            value: self.alert_webhook_url.as_deref(),
            file: self.alert_webhook_url_file.as_deref(),
        };
        let url = args.read()?;
        url.map(|url| check_url(url.expose().trim())).transpose()
    }
}

fn check_url(text: &str) -> Result<Secret, Problem> {
    let problem = |what: &str| Problem {
        name: "ALERT_WEBHOOK_URL",
        what: what.to_owned(),
        fix: "Give a URL such as https://example.com/hook; http is accepted for loopback \
               addresses only"
            .to_owned(),
    };
    // The value is not shown: its path or query is often the receiver's secret.
    let url = Url::parse(text).map_err(|_| problem("it is not a valid URL"))?;
    match url.scheme() {
        "https" if url.host().is_some() => Ok(Secret::new(text)),
        "http" if settings::is_loopback(&url) => Ok(Secret::new(text)),
        "http" => Err(problem("plain http would send it in the clear")),
        _ => Err(problem("its scheme is not supported")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(args: &AlertArgs) -> (Option<Config>, String) {
        let mut problems = Problems::new();
        let channel = Channel::new("/event/X__e");
        let config = args.check(channel, Some(true), &mut problems);
        (config, problems.to_string())
    }

    #[test]
    fn invalid_setting_is_named_and_secret_values_are_hidden() {
        let (config, problems) = checked(&AlertArgs::default());
        let config = config.unwrap();
        assert_eq!(config.settings.min_attempts, 10);
        assert!(config.webhook.is_none());
        assert_eq!(problems, "");
        let wrong = AlertArgs {
            alert_webhook_url: Some("http://example.com/hush".to_owned()),
            alert_webhook_url_file: None,
            alert_failure_rate: Some("10".to_owned()),
            alert_window: Some("59s".to_owned()),
            alert_min_attempts: Some("0".to_owned()),
            alert_runbook_url: Some("runbooks.md".to_owned()),
        };
        let (config, problems) = checked(&wrong);
        assert!(config.is_none());
        for name in [
            "ALERT_WEBHOOK_URL",
            "ALERT_FAILURE_RATE",
            "ALERT_WINDOW",
            "ALERT_MIN_ATTEMPTS",
            "ALERT_RUNBOOK_URL",
        ] {
            assert!(problems.contains(name), "{name} is not in {problems}");
        }
        assert!(!problems.contains("hush"), "{problems}");
        assert!(!format!("{:?}", check_url("https://x.example/hush")).contains("hush"));
    }

    #[test]
    fn webhook_may_be_given_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("webhook");
        std::fs::write(&file, "https://x.example/hush\n").unwrap();
        let args = AlertArgs {
            alert_webhook_url_file: file.to_str().map(str::to_owned),
            ..AlertArgs::default()
        };
        let webhook = checked(&args).0.unwrap().webhook.unwrap();
        assert_eq!(webhook.expose(), "https://x.example/hush");
    }

    #[test]
    fn webhook_is_loopback_or_https() {
        for url in ["https://x.example/a?b=c", "http://127.0.0.1:9/hook"] {
            assert!(check_url(url).is_ok(), "{url}");
        }
        for url in ["", "x", "ftp://localhost", "http://10.0.0.1"] {
            assert!(check_url(url).is_err(), "{url}");
        }
    }
}
