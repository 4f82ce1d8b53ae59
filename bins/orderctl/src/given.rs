//! Settings that were given as flags.

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use app::SystemArgs;

use crate::args::OfChannel;

/// Values of all setting flags, by the name of their environment variable.
#[derive(Clone)]
pub(crate) struct Given(pub(crate) Vec<(String, String)>);

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The values include secrets.
        f.debug_struct("Given").finish_non_exhaustive()
    }
}

impl Args for Given {
    fn augment_args(command: Command) -> Command {
        SystemArgs::augment_args(OfChannel::augment_args(command))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let command = Self::augment_args(Command::new("settings"));
        let given = command.get_arguments().filter_map(|arg| {
            let id = arg.get_id().as_str();
            let env = arg.get_env()?.to_str()?.to_owned();
            let flag = matches.value_source(id) == Some(ValueSource::CommandLine);
            let mut values = matches.get_raw(id).filter(|_| flag)?;
            Some((env, values.next()?.to_string_lossy().into_owned()))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
