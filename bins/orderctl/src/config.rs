//! `orderctl config`.

use serde_json::json;
use settings::SETTINGS;

use crate::cli::ConfigVerb;
use crate::screen::{Exit, Screen, Stop, Table};

/// The value of a setting and its origin.
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
    let ConfigVerb::Show(args) = verb;
    let rows = rows(&args.given.0, &|name| std::env::var(name).ok());
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
    use clap::{Args, Command};

    use super::*;
    use crate::given::Given;

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
    fn secret_is_shown_as_set_or_unset() {
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
