//! Secrets: given in the environment or in a file, never shown.

use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};
use secrecy::{ExposeSecret, SecretString};

use crate::{Problem, Problems};

/// A secret text. `Debug` does not show it, and it is wiped on drop.
#[derive(Clone, Debug)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text, for the code that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// The definition of a secret setting. Defined by [`secret_setting!`](crate::secret_setting).
pub trait SecretSetting: Send + Sync + 'static {
    /// Its environment variable. The file's is `NAME_FILE`.
    const NAME: &'static str;
    /// What it is.
    const HELP: &'static str;
    /// Its default, for one that is a secret only if it holds a password. It may be a flag.
    const DEFAULT: Option<&'static str>;
}

/// Defines a secret setting: an environment variable or the file named by its `_FILE` variant, and no
/// flag, since flags show in process lists.
///
/// ```
/// settings::secret_setting! {
///     /// Token of the example
///     pub ExampleToken = "EXAMPLE_TOKEN"
/// }
/// ```
#[macro_export]
macro_rules! secret_setting {
    ($(#[doc = $help:literal])+ $visible:vis $type:ident = $name:literal) => {
        $crate::secret_setting! { $(#[doc = $help])+ $visible $type = $name, None }
    };
    ($(#[doc = $help:literal])+ $visible:vis $type:ident = $name:literal, $default:expr) => {
        $(#[doc = $help])+
        #[derive(Clone, Copy, Debug)]
        $visible enum $type {}

        impl $crate::SecretSetting for $type {
            const NAME: &'static str = $name;
            const HELP: &'static str = concat!($($help),+);
            const DEFAULT: Option<&'static str> = $default;
        }
    };
}

/// A secret setting, as given. Flattened into a program's arguments.
pub struct SecretArg<S> {
    value: Option<Secret>,
    file: Option<PathBuf>,
    setting: PhantomData<fn() -> S>,
}

impl<S> Clone for SecretArg<S> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            file: self.file.clone(),
            setting: PhantomData,
        }
    }
}

impl<S: SecretSetting> fmt::Debug for SecretArg<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(S::NAME)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl<S: SecretSetting> SecretArg<S> {
    fn id() -> String {
        S::NAME.to_ascii_lowercase()
    }

    fn file_id() -> String {
        format!("{}_file", Self::id())
    }

    pub(crate) fn file_name() -> String {
        format!("{}_FILE", S::NAME)
    }

    /// Reads the secret; `None` when it is not set. A trailing newline is dropped.
    ///
    /// # Errors
    /// It is set twice, or the file cannot be read or is empty.
    pub fn read(&self) -> Result<Option<Secret>, Problem> {
        match (&self.value, &self.file) {
            (Some(_), Some(_)) => Err(Problem::new(
                S::NAME,
                format!("set together with {}", Self::file_name()),
                "Set only one of the two",
            )),
            (None, Some(path)) => Self::read_file(path).map(Some),
            (Some(value), None) => Ok(Some(value.clone())),
            (None, None) => Ok(S::DEFAULT.map(Secret::new)),
        }
    }

    /// Reads the secret from the file of this setting.
    pub(crate) fn read_file(path: &Path) -> Result<Secret, Problem> {
        let problem = |what: String, fix: &str| Problem::new(Self::file_name(), what, fix);
        let text = std::fs::read_to_string(path).map_err(|error| {
            problem(
                format!("`{}` cannot be read: {error}", path.display()),
                "Use a file that this program can read",
            )
        })?;
        match text.trim_end_matches(['\r', '\n']) {
            blank if blank.trim().is_empty() => Err(problem(
                format!("`{}` is empty", path.display()),
                "Write the secret to it",
            )),
            text => Ok(Secret::new(text)),
        }
    }

    /// The secret; collects a problem when it could not be read or is not set.
    pub fn required<T>(
        &self,
        read: Result<Option<T>, Problem>,
        problems: &mut Problems,
    ) -> Option<T> {
        problems.take(read.and_then(|secret| {
            secret.ok_or_else(|| {
                let fix = format!("Set {} or {}", S::NAME, Self::file_name());
                Problem::new(S::NAME, "required but not set", fix)
            })
        }))
    }

    /// The file, if given: for secrets that are read again when it changes.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

impl<S: SecretSetting> Args for SecretArg<S> {
    fn augment_args(command: Command) -> Command {
        let arg =
            |id: String, name: String| Arg::new(id.clone()).long(id.replace('_', "-")).env(name);
        let value = arg(Self::id(), S::NAME.to_owned())
            .value_name(S::NAME)
            .help(S::HELP.trim())
            .hide_env_values(true)
            .hide(S::DEFAULT.is_none())
            .allow_hyphen_values(true)
            .default_value(S::DEFAULT);
        let file = arg(Self::file_id(), Self::file_name())
            .value_name("FILE")
            .help(format!("File holding {}", S::NAME))
            .value_parser(value_parser!(PathBuf));
        command.arg(value).arg(file)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<S: SecretSetting> FromArgMatches for SecretArg<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let id = Self::id();
        let given = matches.value_source(&id) != Some(ValueSource::DefaultValue);
        let value = matches.get_one::<String>(&id).filter(|_| given);
        Ok(Self {
            value: value.map(|text| Secret::new(text.trim_end_matches(['\r', '\n']))),
            file: matches.get_one::<PathBuf>(&Self::file_id()).cloned(),
            setting: PhantomData,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
