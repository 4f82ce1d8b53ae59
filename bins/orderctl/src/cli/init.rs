//! Arguments of the first set-up.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use settings::{Endpoint, Invalid, is_loopback};

use super::ConnectionArgs;

/// Control API of a sandbox on its default port.
const SANDBOX: &str = "http://127.0.0.1:9204";

#[derive(Args, Clone, Debug)]
pub(crate) struct Init {
    /// Use the simulated systems of a running sandbox, by the URL of its control API
    #[arg(long, value_name = "URL", num_args = 0..=1, require_equals = true, default_missing_value = SANDBOX, value_parser = control_api)]
    pub(crate) sandbox: Option<Endpoint>,
    /// Environment file to write
    #[arg(long, value_name = "FILE", default_value = "orderbridge.env")]
    pub(crate) env_file: PathBuf,
    /// Private key to write, unless SF_PRIVATE_KEY_FILE names one [default: salesforce.key.pem beside the environment file]
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Its certificate to write, for the External Client App [default: salesforce.crt beside the environment file]
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    /// Replace existing files
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) settings: InitSettings,
}

/// The settings that a flag or a variable gives, by the name of their variable.
#[derive(Clone)]
pub(crate) struct InitSettings(pub(crate) Vec<(String, String)>);

impl std::fmt::Debug for InitSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The values include secrets.
        f.debug_struct("InitSettings").finish_non_exhaustive()
    }
}

impl Args for InitSettings {
    fn augment_args(command: Command) -> Command {
        ConnectionArgs::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for InitSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let command = Self::augment_args(Command::new("settings"));
        let given = command.get_arguments().filter_map(|arg| {
            let id = arg.get_id().as_str();
            let name = arg.get_env()?.to_str()?.to_owned();
            let source = matches.value_source(id)?;
            let mut values = matches
                .get_raw(id)
                .filter(|_| source != ValueSource::DefaultValue)?;
            Some((name, values.next()?.to_string_lossy().into_owned()))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The sandbox hands out its credentials to whoever asks, so it is asked on this machine only.
fn control_api(text: &str) -> Result<Endpoint, Invalid> {
    let endpoint = Endpoint::parse(text)?;
    match is_loopback(endpoint.url()) {
        true => Ok(endpoint),
        false => Err(Invalid::because(
            "a sandbox runs on this machine",
            "Use a URL such as http://127.0.0.1:9204",
        )),
    }
}
