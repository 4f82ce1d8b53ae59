//! Settings of the portal program.

use std::time::Duration;

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
    /// What every program has; first, see [`settings::Origins`].
    #[command(flatten)]
    pub program: app::ProgramArgs,
    /// Who is let in.
    #[command(flatten)]
    pub portal: PortalArgs,
    /// WHMCS, for the console's links only
    #[arg(long, env = "WHMCS_URL")]
    pub whmcs_url: Option<String>,
    /// TOML file: renamed fields and statuses, where WHMCS's staff work
    #[arg(long, env = "ORDERBRIDGE_CONFIG")]
    pub orderbridge_config: Option<String>,
    /// Salesforce login.
    #[command(flatten)]
    pub salesforce: salesforce_auth::SalesforceArgs,
}

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every program has.
    pub program: app::Settings,
    /// Who is let in.
    pub portal: portal_web::Config,
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
        self.program.check("127.0.0.1:8080", |known, problems| {
            self.config(known, problems)
        })
    }

    fn config(&self, known: app::Known, problems: &mut Problems) -> Option<Config> {
        let portal = known
            .address
            .and_then(|address| self.portal.check(address, problems));
        let auth = self.salesforce.check(problems);
        let file = ConfigFile::read(self.orderbridge_config.as_deref(), problems)?;
        let fields = FieldNames::of(&file, problems);
        let whmcs_admin = self.whmcs_admin(&file, problems);
        let auth = auth?;
        let program = known.all?;
        let portal = portal.map(|portal| portal_web::Config {
            links: portal_web::Links {
                salesforce: Some(auth.login.clone()),
                whmcs_admin,
                runbooks: program.alerts.settings.runbooks.clone(),
            },
            ..portal
        });
        Some(Config {
            program,
            portal: portal?,
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
