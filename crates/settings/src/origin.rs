//! Origins of the values of settings.

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use crate::Setting;

/// An effective setting, without the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveSetting {
    /// The environment variable's name.
    pub name: String,
    /// Its value; of a secret only `set` or `unset`.
    pub value: Option<String>,
    /// `flag`, `environment`, `file` or `default`.
    pub origin: &'static str,
}

/// Every effective setting of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<EffectiveSetting>);

impl Origins {
    /// The settings that `command` defines, with their values in `matches`.
    pub(crate) fn of(command: &Command, matches: &ArgMatches) -> Self {
        let shown = |setting: Setting| {
            let own = given(matches, &setting.id);
            let file = || given(matches, &setting.file_id()).map(|(value, _)| (value, "file"));
            let given = own.or_else(|| setting.is_secret.then(file).flatten());
            let (value, origin) = match given {
                Some((value, origin)) => (Some(value), origin),
                None => (None, "default"),
            };
            let value = match (setting.is_secret, value, setting.default) {
                (true, Some(_), _) => Some("set".to_owned()),
                (_, None, Some(default)) => Some(default),
                (true, None, None) => Some("unset".to_owned()),
                (false, value, _) => value,
            };
            EffectiveSetting {
                name: setting.name,
                value,
                origin,
            }
        };
        Self(Setting::all_of(command).into_iter().map(shown).collect())
    }

    /// The settings, in the order of the program's help.
    pub fn iter(&self) -> impl Iterator<Item = &EffectiveSetting> {
        self.0.iter()
    }
}

/// The given value and its origin.
fn given(matches: &ArgMatches, id: &str) -> Option<(String, &'static str)> {
    let origin = match matches.value_source(id)? {
        ValueSource::CommandLine => "flag",
        ValueSource::EnvVariable => "environment",
        _ => return None,
    };
    let value = matches.get_raw(id)?.next()?;
    Some((value.to_string_lossy().into_owned(), origin))
}
