//! The definitions of settings: a program's arguments that have an environment variable.

use clap::{Arg, Command};

/// A setting, as its program defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its environment variable.
    pub name: String,
    /// Its default.
    pub default: Option<String>,
    /// Whether its value is never shown. Exactly the secrets can also be given in a file.
    pub is_secret: bool,
    /// What it is.
    pub help: String,
    /// The values that it may have, if they are few.
    pub values: Vec<String>,
    pub(crate) id: String,
}

impl Setting {
    /// The settings of a program, in the order of its help. A secret and its `_FILE` are one.
    #[must_use]
    pub fn all_of(command: &Command) -> Vec<Self> {
        let named = |name: &str| command.get_arguments().any(|arg| env(arg) == Some(name));
        let setting = |arg: &Arg| {
            let name = env(arg)?;
            if name.strip_suffix("_FILE").is_some_and(named) {
                return None;
            }
            let default = arg.get_default_values().first();
            Some(Self {
                name: name.to_owned(),
                default: default.map(|text| text.to_string_lossy().into_owned()),
                is_secret: named(&format!("{name}_FILE")),
                help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
                values: (arg.get_possible_values().iter())
                    .map(|value| value.get_name().to_owned())
                    .collect(),
                id: arg.get_id().to_string(),
            })
        };
        command.get_arguments().filter_map(setting).collect()
    }

    pub(crate) fn file_id(&self) -> String {
        format!("{}_file", self.id)
    }
}

pub(crate) fn env(arg: &Arg) -> Option<&str> {
    arg.get_env()?.to_str()
}
