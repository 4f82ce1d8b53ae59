//! Settings of the portal program.

use std::time::Duration;

use domain::key::Channel;
use job_store::{StoreArgs, StoreConfig};
use portal_web::PortalArgs;
use salesforce_rest::{FieldNames, RestConfig};
use settings::{ConfigFile, Endpoint, Problems};
use whmcs::Options;

/// Customer API and page, operator console.
///
/// Every flag is also an environment variable.
#[derive(clap::Parser, Clone, Debug)]
#[command(name = "portal", version)]
pub struct Args {
    /// Where each setting comes from; first, because the others take their values away.
    #[command(flatten)]
    pub origins: settings::Origins,
    /// Job store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Who is let in.
    #[command(flatten)]
    pub portal: PortalArgs,
    /// Which event stream.
    #[command(flatten)]
    pub events: runtime::SfEventsArgs,
    /// WHMCS, for the console's links only
    #[arg(long, env = "WHMCS_URL")]
    pub whmcs_url: Option<String>,
    /// TOML file: renamed fields and statuses, where WHMCS's staff work
    #[arg(long, env = "ORDERBRIDGE_CONFIG")]
    pub orderbridge_config: Option<String>,
    /// Salesforce login.
    #[command(flatten)]
    pub salesforce: salesforce_auth::SalesforceArgs,
    /// Where the portal listens.
    #[command(flatten)]
    pub listener: runtime::ListenerArgs,
    /// Alerts.
    #[command(flatten)]
    pub alerts: monitoring::AlertArgs,
    /// Logs.
    #[command(flatten)]
    pub logs: runtime::LogArgs,
}

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the store is.
    pub store: StoreConfig,
    /// Which alerts are raised, and where they are posted.
    pub alerts: monitoring::Config,
    /// Every setting, as it may be shown.
    pub origins: settings::Origins,
    /// Where the portal listens.
    pub listener: runtime::ListenerConfig,
    /// Who is let in.
    pub portal: portal_web::Config,
    /// Whether events are followed at all.
    pub events_enabled: bool,
    /// The channel whose stream is shown.
    pub channel: Channel,
    /// Login.
    pub auth: salesforce_auth::Config,
    /// REST.
    pub rest: RestConfig,
}

/// People are waiting: a call that takes longer is as good as none.
const PATIENCE: Duration = Duration::from_secs(10);

impl Args {
    /// Checks everything and starts logging.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn check(&self) -> Result<Config, Problems> {
        let mut problems = Problems::new();
        runtime::init_logs(&self.logs, &mut problems);
        let config = self.config(&mut problems);
        problems.into_result(config)
    }

    fn config(&self, problems: &mut Problems) -> Option<Config> {
        let store = self.store.check(problems);
        let listener = self.listener.check("127.0.0.1:8080", problems);
        let portal = listener.and_then(|listener| self.portal.check(listener.http, problems));
        let events_enabled = self.events.enabled(problems);
        let channel = self.events.channel(problems);
        let alerts = self.alerts.check(channel.clone(), events_enabled, problems);
        let auth = self.salesforce.check(problems);
        let file = ConfigFile::read(self.orderbridge_config.as_deref(), problems)?;
        let fields = FieldNames::of(&file, problems);
        let whmcs_admin = self.whmcs_admin(&file, problems);
        let auth = auth?;
        let portal = portal.map(|portal| portal_web::Config {
            links: portal_web::Links {
                salesforce: Some(auth.login.clone()),
                whmcs_admin,
            },
            ..portal
        });
        Some(Config {
            store: store?,
            alerts: alerts?,
            origins: self.origins.clone(),
            listener: listener?,
            portal: portal?,
            events_enabled: events_enabled?,
            channel: channel?,
            rest: RestConfig {
                fields: fields?,
                timeout: PATIENCE,
                ..RestConfig::new(auth.api_version.clone())
            },
            auth,
        })
    }

    /// Where staff see orders in WHMCS, where that is known.
    fn whmcs_admin(&self, file: &ConfigFile, problems: &mut Problems) -> Option<Endpoint> {
        let set = Options::of(file, problems).and_then(|options| options.admin_url);
        let url = self.whmcs_url.as_deref().map(str::trim);
        let whmcs = match url.filter(|text| !text.is_empty()) {
            Some(url) => problems.take(Endpoint::parse("WHMCS_URL", url)),
            None => None,
        };
        set.or_else(|| Endpoint::parse("WHMCS_URL", &whmcs?.join("/admin")).ok())
    }
}
