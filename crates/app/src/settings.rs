//! Settings that every program has.

use std::net::SocketAddr;

use ::settings::{Origins, Problems};
use domain::key::Channel;
use job_store::{StoreArgs, StoreConfig};

/// Settings that every program has, as arguments. Flattened first into a program's arguments.
#[derive(clap::Args, Clone, Debug)]
pub struct ProgramArgs {
    /// Where each setting comes from; first, because the others take their values away.
    #[command(flatten)]
    pub origins: Origins,
    /// Job store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Which event stream: followed, shown, or watched by alerts.
    #[command(flatten)]
    pub events: runtime::SfEventsArgs,
    /// Listeners, with probes and metrics.
    #[command(flatten)]
    pub listener: runtime::ListenerArgs,
    /// Alerts.
    #[command(flatten)]
    pub alerts: monitoring::AlertArgs,
    /// Logs.
    #[command(flatten)]
    pub logs: runtime::LogArgs,
}

/// Checked settings that every program has.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The store.
    pub store: StoreConfig,
    /// Whether events are followed at all.
    pub events_enabled: bool,
    /// The channel of the event stream.
    pub channel: Channel,
    /// Where the program listens.
    pub listener: runtime::ListenerConfig,
    /// Alert rules and webhook.
    pub alerts: monitoring::Config,
    /// Every setting as it may be shown.
    pub origins: Origins,
}

/// What is known while a program's other settings are checked: a setting is `None` if it has a
/// problem.
#[derive(Clone, Debug)]
pub struct Known {
    /// Whether events are followed at all.
    pub events_enabled: Option<bool>,
    /// Where the program listens.
    pub address: Option<SocketAddr>,
    /// All settings.
    pub all: Option<Settings>,
}

impl ProgramArgs {
    /// Starts logging, then checks these settings and those that `rest` checks, so that all problems
    /// are reported at once.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn check<C>(
        &self,
        default_address: &str,
        rest: impl FnOnce(Known, &mut Problems) -> Option<C>,
    ) -> Result<C, Problems> {
        let mut problems = Problems::new();
        runtime::init_logs(&self.logs, &mut problems);
        let known = self.settings(default_address, &mut problems);
        let config = rest(known, &mut problems);
        problems.into_result(config)
    }

    fn settings(&self, default_address: &str, problems: &mut Problems) -> Known {
        let store = self.store.check(problems);
        let listener = self.listener.check(default_address, problems);
        let events_enabled = self.events.enabled(problems);
        let channel = self.events.channel(problems);
        let alerts = self.alerts.check(channel.clone(), events_enabled, problems);
        Known {
            events_enabled,
            address: listener.map(|listener| listener.http),
            all: (|| {
                Some(Settings {
                    store: store?,
                    events_enabled: events_enabled?,
                    channel: channel?,
                    listener: listener?,
                    alerts: alerts?,
                    origins: self.origins.clone(),
                })
            })(),
        }
    }
}
