//! Settings that every program has.

use ::settings::{Origins, Problems};
use domain::key::Channel;
use job_store::{StoreArgs, StoreConfig};
use runtime::{ListenerConfig, LogArgs, SfEventsArgs};

/// Settings that every program has, as arguments.
#[derive(clap::Args, Clone, Debug)]
pub struct ProgramArgs {
    /// Job store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Which event stream: followed, shown, or watched by alerts.
    #[command(flatten)]
    pub events: SfEventsArgs,
    /// Listeners, with probes and metrics.
    #[command(flatten)]
    pub listener: ListenerConfig,
    /// Alerts.
    #[command(flatten)]
    pub alerts: monitoring::AlertArgs,
    /// Logs.
    #[command(flatten)]
    pub logs: LogArgs,
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
    pub listener: ListenerConfig,
    /// Alert rules and webhook.
    pub alerts: monitoring::Config,
    /// Every setting as it may be shown.
    pub origins: Origins,
}

impl ProgramArgs {
    /// Starts logging, then checks these settings and those that `rest` checks, so that all problems
    /// are reported at once.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn check<C>(
        &self,
        origins: &Origins,
        rest: impl FnOnce(&mut Problems) -> Option<C>,
    ) -> Result<(Settings, C), Problems> {
        runtime::init_logs(&self.logs);
        let mut problems = Problems::new();
        let settings = self.settings(origins, &mut problems);
        let config = rest(&mut problems);
        problems.into_result(settings.zip(config))
    }

    fn settings(&self, origins: &Origins, problems: &mut Problems) -> Option<Settings> {
        let store = self.store.check(problems);
        self.listener.check(problems);
        let SfEventsArgs {
            sf_events_enabled: events_enabled,
            sf_provision_event_channel: channel,
        } = self.events.clone();
        outbound::Proxy::check(problems);
        let alerts = self.alerts.check(channel.clone(), events_enabled, problems);
        Some(Settings {
            store: store?,
            events_enabled,
            channel,
            listener: self.listener,
            alerts: alerts?,
            origins: origins.clone(),
        })
    }
}
