//! The settings as this command line sees them.

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use serde_json::json;
use settings::SETTINGS;

use crate::cli::{ConfigVerb, OfChannel};
use crate::connect::Outside;
use crate::screen::{Exit, Screen, Stop, Table};

/// The flags that are settings, whatever they are: which were given, by the name of their
/// environment twin.
#[derive(Clone)]
pub(crate) struct Given(Vec<(String, String)>);

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Among the values are secrets.
        f.debug_struct("Given").finish_non_exhaustive()
    }
}

impl Args for Given {
    fn augment_args(command: Command) -> Command {
        Outside::augment_args(OfChannel::augment_args(command))
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

/// Where the value of a setting comes from, and the value.
fn look(
    name: &str,
    given: &[(String, String)],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Option<(String, &'static str)> {
    let flag = given.iter().find(|(other, _)| other == name);
    let from_environment = || environment(name).filter(|value| !value.is_empty());
    flag.map(|(_, value)| (value.clone(), "flag"))
        .or_else(|| from_environment().map(|value| (value, "environment")))
}

/// Name, value and origin of every setting.
fn rows(
    given: &[(String, String)],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Vec<(&'static str, Option<String>, &'static str)> {
    let row = |&(name, default, secret): &(&'static str, &'static str, bool)| {
        let file = format!("{name}_FILE");
        let found = look(name, given, environment)
            .or_else(|| look(&file, given, environment).filter(|_| secret));
        match found {
            Some((_, origin)) if secret => (name, Some("set".to_owned()), origin),
            Some((value, origin)) => (name, Some(value), origin),
            None if secret && default.is_empty() => (name, Some("unset".to_owned()), "default"),
            None => {
                let default = (!default.is_empty()).then(|| default.to_owned());
                (name, default, "default")
            }
        }
    };
    SETTINGS.iter().map(row).collect()
}

pub(crate) fn run(verb: ConfigVerb, screen: &mut Screen) -> Result<Exit, Stop> {
    let ConfigVerb::Show(asked) = verb;
    let rows = rows(&asked.given.0, &|name| std::env::var(name).ok());
    let rows = rows.into_iter().map(|(name, value, origin)| {
        let cell = value.clone().unwrap_or_else(|| "-".to_owned());
        let json = json!({"name": name, "value": value, "origin": origin});
        (vec![name.to_owned(), cell, origin.to_owned()], json)
    });
    let table = Table {
        columns: &["SETTING", "VALUE", "ORIGIN"],
        rows: rows.collect(),
    };
    screen.list(table)?;
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, environment: &[(&str, &str)]) -> (Option<String>, &'static str) {
        let given = [("WHMCS_URL".to_owned(), "https://flag.example".to_owned())];
        let look = |name: &str| {
            let mut pairs = environment.iter();
            pairs
                .find(|(other, _)| *other == name)
                .map(|(_, value)| (*value).to_owned())
        };
        let mut rows = rows(&given, &look).into_iter();
        let (_, value, origin) = rows.find(|(other, ..)| *other == name).unwrap();
        (value, origin)
    }

    #[test]
    fn flag_overrides_environment_overrides_default() {
        let url = [("WHMCS_URL", "https://environment.example")];
        let flag = Some("https://flag.example".to_owned());
        assert_eq!(found("WHMCS_URL", &url), (flag, "flag"));
        let lease = [("WORKER_LEASE", "20s")];
        let given = Some("20s".to_owned());
        assert_eq!(found("WORKER_LEASE", &lease), (given, "environment"));
        assert_eq!(
            found("WORKER_LEASE", &[]),
            (Some("15s".to_owned()), "default")
        );
    }

    #[test]
    fn a_secret_is_shown_as_set_or_unset_wherever_it_comes_from() {
        for name in ["WHMCS_SECRET", "WHMCS_SECRET_FILE"] {
            let set = (Some("set".to_owned()), "environment");
            assert_eq!(found("WHMCS_SECRET", &[(name, "hunter2")]), set);
        }
        let unset = (Some("unset".to_owned()), "default");
        assert_eq!(found("WHMCS_SECRET", &[]), unset);
    }

    #[test]
    fn every_setting_flag_is_listed_and_hidden_flags_are_secrets() {
        let command = Given::augment_args(Command::new("settings"));
        for arg in command.get_arguments() {
            let Some(env) = arg.get_env().and_then(|env| env.to_str()) else {
                continue;
            };
            let name = env
                .strip_suffix("_FILE")
                .filter(|name| *name != "SF_CA" && *name != "WHMCS_CA");
            let name = name.unwrap_or(env);
            let listed = SETTINGS.iter().find(|(listed, ..)| *listed == name);
            let (_, _, secret) = listed.unwrap_or_else(|| panic!("{name} is not listed"));
            assert!(*secret || !arg.is_hide_env_values_set(), "{name}");
        }
    }
}
