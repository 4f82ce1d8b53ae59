//! Settings of the portal program.

use std::time::Duration;

use app::{CrmArgs, CrmConfig, ProgramArgs};
use portal_web::PortalArgs;
use runtime::{HTTP_ADDR, default_address};
use settings::{ConfigFile, Endpoint, Given, Problems};
use whmcs::Options;

/// Customer API and page, operator console.
///
/// Every flag is also an environment variable.
#[derive(clap::Parser, Clone, Debug)]
#[command(
    name = "portal",
    version,
    mut_arg(HTTP_ADDR, default_address("127.0.0.1:8080"))
)]
pub struct Args {
    /// What every program has.
    #[command(flatten)]
    pub program: ProgramArgs,
    /// Who is let in.
    #[command(flatten)]
    pub portal: PortalArgs,
    /// WHMCS, for the console's links only
    #[arg(long, env, value_parser = Endpoint::parse)]
    pub whmcs_url: Option<Endpoint>,
    /// Salesforce.
    #[command(flatten)]
    pub crm: CrmArgs,
}

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every program has.
    pub program: app::Settings,
    /// Who is let in.
    pub portal: portal_web::Config,
    /// Salesforce.
    pub crm: CrmConfig,
}

/// People are waiting: a call that takes longer is as good as none.
const TIMEOUT: Duration = Duration::from_secs(10);

impl Config {
    /// Starts logging and checks everything.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn of(given: &Given<Args>) -> Result<Self, Problems> {
        let args = &given.args;
        let check = |problems: &mut Problems| {
            let portal = args.portal.check(args.program.listener.http, problems);
            let crm = args.crm.check(problems);
            let admin = args.whmcs_admin(problems);
            Some((portal?, crm?, admin))
        };
        let (program, (mut portal, mut crm, whmcs_admin)) =
            args.program.check(&given.origins, check)?;
        crm.rest.timeout = TIMEOUT;
        portal.links = portal_web::Links {
            salesforce: Some(crm.auth.login.clone()),
            whmcs_admin,
            runbooks: program.alerts.settings.runbooks.clone(),
        };
        Ok(Self {
            program,
            portal,
            crm,
        })
    }
}

impl Args {
    /// Where staff see orders in WHMCS, where that is known.
    fn whmcs_admin(&self, problems: &mut Problems) -> Option<Endpoint> {
        // Problems of the file as a whole are noted with Salesforce's settings.
        let path = self.crm.orderbridge_config.as_deref();
        let file = ConfigFile::read(path, &mut Problems::new())?;
        let set = Options::of(&file, problems).and_then(|options| options.admin_url);
        set.or_else(|| Endpoint::parse(&self.whmcs_url.as_ref()?.join("/admin")).ok())
    }
}
