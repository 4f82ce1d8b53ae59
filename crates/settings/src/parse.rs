//! Parsing a program's arguments and environment.

use std::error::Error;
use std::ffi::OsString;

use clap::builder::{OsStr, Resettable, ValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser};

use crate::definition::env;
use crate::{Invalid, Origins, Problem, Problems, Setting};

/// A program's arguments, and where each of its settings comes from.
#[derive(Clone, Debug)]
pub struct Given<A> {
    /// The arguments.
    pub args: A,
    /// The settings.
    pub origins: Origins,
}

/// Why a program does not start.
#[derive(Debug)]
pub enum Rejected {
    /// Wrong usage; also a request for help or the version.
    Usage(clap::Error),
    /// Settings that cannot be used.
    Config(Problems),
}

impl std::fmt::Display for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usage(error) => error.fmt(f),
            Self::Config(problems) => problems.fmt(f),
        }
    }
}

impl Error for Rejected {}

/// Parses the words of a command line, the program's name first, and the environment. A blank
/// variable counts as not set. Every setting that cannot be used is reported; a secret on the
/// command line cannot be used, because process lists show it.
///
/// # Errors
/// [`Rejected`].
pub fn parse<A: Parser>(
    words: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<Given<A>, Rejected> {
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    parse_words(A::command(), &words, secret_on_command_line)
}

/// The arguments of something that runs in this process, from pairs of setting and value, secrets
/// among them.
///
/// # Errors
/// [`Rejected`].
pub fn given<A: Args>(
    settings: impl IntoIterator<Item = (impl AsRef<str>, impl Into<OsString>)>,
) -> Result<Given<A>, Rejected> {
    let command = A::augment_args(Command::new("settings"));
    parse_words(command, &words(settings), |_, _| None)
}

/// The arguments without any setting.
///
/// # Errors
/// One of them has no default.
pub fn defaults<A: Args>() -> Result<A, Rejected> {
    let none: [(&str, &str); 0] = [];
    given(none).map(|given| given.args)
}

fn parse_words<A: FromArgMatches>(
    mut defined: Command,
    words: &[OsString],
    secret_in: impl Fn(&Command, &ArgMatches) -> Option<Problem>,
) -> Result<Given<A>, Rejected> {
    let mut command = for_use(defined.clone());
    // Arguments know how they are shown only after `build`.
    defined.build();
    let mut problems = Problems::new();
    loop {
        let error = match command.clone().try_get_matches_from(words) {
            Ok(matches) => {
                problems.take(secret_in(&defined, &matches).map_or(Ok(()), Err));
                if !problems.is_empty() {
                    return Err(Rejected::Config(problems));
                }
                let origins = Origins::of(&defined, &matches);
                let args = A::from_arg_matches(&matches).map_err(Rejected::Usage)?;
                return Ok(Given { args, origins });
            }
            Err(error) => error,
        };
        match invalid_setting(&defined, &error) {
            // It is reported; any value will do now, to find what else cannot be used.
            Some((id, problem)) => {
                problems.take::<()>(Err(problem));
                command = accept_any(command, &id);
            }
            None if problems.is_empty() => return Err(Rejected::Usage(error)),
            None => return Err(Rejected::Config(problems)),
        }
    }
}

/// The settings of a program as these pairs and the environment give them, valid or not. Settings
/// that the program does not have are left out.
///
/// # Errors
/// Wrong usage.
pub fn origins<A: CommandFactory>(given: &[(String, String)]) -> Result<Origins, clap::Error> {
    let defined = A::command();
    let own = Setting::all_of(&defined);
    let given = given
        .iter()
        .map(|(name, value)| (name, value))
        .filter(|(name, _)| {
            own.iter()
                .any(|setting| setting.name == **name || format!("{}_FILE", setting.name) == **name)
        });
    let any = |arg: Arg| arg.value_parser(ValueParser::os_string());
    let command = for_use(defined.clone()).mut_args(any);
    Ok(Origins::of(
        &defined,
        &command.try_get_matches_from(words(given))?,
    ))
}

/// Pairs of setting and value as the words of a command line.
fn words(
    settings: impl IntoIterator<Item = (impl AsRef<str>, impl Into<OsString>)>,
) -> Vec<OsString> {
    let mut words = vec![OsString::from("settings")];
    for (name, value) in settings {
        let flag = name.as_ref().to_ascii_lowercase().replace('_', "-");
        words.extend([OsString::from(format!("--{flag}")), value.into()]);
    }
    words
}

/// The command without blank variables and with its secrets named below the help.
fn for_use(command: Command) -> Command {
    let secrets: Vec<_> = Setting::all_of(&command)
        .into_iter()
        .filter(|setting| setting.is_secret && setting.default.is_none())
        .map(|setting| setting.name)
        .collect();
    let command = command
        .mut_args(|arg| {
            let value = arg.get_env().and_then(std::env::var_os);
            match value.is_some_and(|value| value.to_string_lossy().trim().is_empty()) {
                true => arg.env(Resettable::<OsStr>::Reset),
                false => arg,
            }
        })
        .mut_subcommands(for_use);
    if secrets.is_empty() {
        return command;
    }
    command.after_help(format!(
        "Secrets are no flags. Environment variables, each also as NAME_FILE: {}",
        secrets.join(", ")
    ))
}

fn accept_any(command: Command, id: &str) -> Command {
    command
        .mut_args(|arg| match arg.get_id() == id {
            true => arg.value_parser(ValueParser::os_string()),
            false => arg,
        })
        .mut_subcommands(|below| accept_any(below, id))
}

/// The setting that the error is about, and its problem.
fn invalid_setting(command: &Command, error: &clap::Error) -> Option<(String, Problem)> {
    if !matches!(
        error.kind(),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation
    ) {
        return None;
    }
    let shown = error.get(ContextKind::InvalidArg)?.to_string();
    let (arg, is_secret) = find(command, &shown)?;
    let invalid = error.source().and_then(|source| source.downcast_ref());
    let what = match invalid {
        Some(Invalid {
            what: Some(what), ..
        }) => what.clone(),
        _ if is_secret => "its value is not valid".to_owned(),
        _ => {
            let value = error.get(ContextKind::InvalidValue);
            let value = value.map(ToString::to_string).unwrap_or_default();
            format!("`{value}` is not valid")
        }
    };
    let fix = match (invalid, error.get(ContextKind::ValidValue), error.source()) {
        (Some(invalid), ..) => invalid.fix.clone(),
        (None, Some(ContextValue::Strings(values)), _) => format!("Use {}", values.join(" or ")),
        (None, _, source) => source.map(ToString::to_string).unwrap_or_default(),
    };
    let name = env(arg)?.to_owned();
    Some((arg.get_id().to_string(), Problem::new(name, what, fix)))
}

/// The setting that is shown like this, and whether it is a secret.
fn find<'a>(command: &'a Command, shown: &str) -> Option<(&'a Arg, bool)> {
    let mut args = command.get_arguments();
    let found = args.find(|arg| arg.get_env().is_some() && arg.to_string() == shown);
    let is_secret = |arg: &Arg| {
        let mut settings = Setting::all_of(command).into_iter();
        settings.any(|setting| setting.is_secret && Some(setting.name.as_str()) == env(arg))
    };
    found.map(|arg| (arg, is_secret(arg))).or_else(|| {
        let mut below = command.get_subcommands();
        below.find_map(|below| find(below, shown))
    })
}

/// The first secret that was given as a flag. One that may be a flag is a secret only if it
/// contains a password.
fn secret_on_command_line(command: &Command, matches: &ArgMatches) -> Option<Problem> {
    let shown = |setting: &Setting| {
        let given = matches.value_source(&setting.id) == Some(ValueSource::CommandLine);
        let mut values = matches.get_raw(&setting.id).filter(|_| given)?;
        let is_secret =
            setting.default.is_none() || values.any(|value| has_password(&value.to_string_lossy()));
        is_secret.then(|| setting.name.clone())
    };
    let mut secrets = Setting::all_of(command)
        .into_iter()
        .filter(|setting| setting.is_secret);
    if let Some(name) = secrets.find_map(|setting| shown(&setting)) {
        return Some(Problem::new(
            name.clone(),
            "given on the command line, where process lists show it",
            format!("Set the environment variable {name} or {name}_FILE, and replace the secret"),
        ));
    }
    let (name, below) = matches.subcommand()?;
    secret_on_command_line(command.find_subcommand(name)?, below)
}

fn has_password(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else {
        return false;
    };
    url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{SecretArg, within};

    crate::secret_setting! {
        /// Token of this test
        Token = "A_TEST_TOKEN"
    }

    crate::secret_setting! {
        /// Store of this test
        Store = "A_TEST_STORE", Some("sqlite:x.db")
    }

    #[derive(Parser, Debug)]
    struct Program {
        /// Lease of this test
        #[arg(long, env = "A_TEST_LEASE", default_value = "15s", value_parser = within("1s", "10m"))]
        a_test_lease: Duration,
        #[arg(long, env = "A_TEST_MODE", default_value = "on", value_parser = ["on", "off"])]
        a_test_mode: String,
        #[arg(long)]
        limit: Option<u8>,
        #[command(flatten)]
        token: SecretArg<Token>,
        #[command(flatten)]
        store: SecretArg<Store>,
    }

    fn parsed(flags: &[&str]) -> Result<Given<Program>, Rejected> {
        parse(std::iter::once("x").chain(flags.iter().copied()))
    }

    fn problems(flags: &[&str]) -> String {
        match parsed(flags).unwrap_err() {
            Rejected::Config(problems) => problems.to_string(),
            Rejected::Usage(error) => panic!("{flags:?}: {error}"),
        }
    }

    #[test]
    fn every_setting_that_cannot_be_used_is_named_with_its_fix() {
        let text = problems(&["--a-test-lease", "1h", "--a-test-mode", "maybe"]);
        assert_eq!(
            text,
            "A_TEST_LEASE: `1h` is not valid. Use a duration from 1s to 10m\n\
             A_TEST_MODE: `maybe` is not valid. Use on or off"
        );
    }

    #[test]
    fn wrong_usage_is_no_setting() {
        for flags in [["--limit=none"], ["--what"], ["--help"]] {
            let rejected = parsed(&flags).unwrap_err();
            assert!(matches!(rejected, Rejected::Usage(_)), "{flags:?}");
        }
    }

    #[test]
    fn secrets_are_no_flags() {
        let text = problems(&["--a-test-token", "hunter2"]);
        assert!(
            text.starts_with("A_TEST_TOKEN: given on the command line"),
            "{text}"
        );
        for url in [
            "postgres://u:hunter2@db/x",
            "postgres://u@db/x?password=hunter2",
        ] {
            let text = problems(&["--a-test-store", url]);
            assert!(text.starts_with("A_TEST_STORE: given on the"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
        assert!(parsed(&["--a-test-store", "sqlite:data/x.db"]).is_ok());
        let help = parsed(&["--help"]).unwrap_err().to_string();
        assert!(!help.contains("--a-test-token <"), "{help}");
        assert!(help.contains("--a-test-token-file"), "{help}");
        assert!(help.contains("NAME_FILE: A_TEST_TOKEN"), "{help}");
    }

    #[test]
    fn origins_hide_the_values_of_secrets() {
        let shown = |flags: &[&str]| {
            let origins = parsed(flags).unwrap().origins;
            let shown = origins.iter().map(|setting| {
                let value = setting.value.clone().unwrap_or_default();
                format!("{} {value} {}", setting.name, setting.origin)
            });
            shown.collect::<Vec<_>>()
        };
        assert_eq!(
            shown(&["--a-test-lease", "20s", "--a-test-token-file", "/x"]),
            [
                "A_TEST_LEASE 20s flag",
                "A_TEST_MODE on default",
                "A_TEST_TOKEN set file",
                "A_TEST_STORE sqlite:x.db default",
            ]
        );
        let found = shown(&["--a-test-store", "sqlite:other.db"]);
        assert_eq!(found[2], "A_TEST_TOKEN unset default");
        assert_eq!(found[3], "A_TEST_STORE set flag");
    }
}
