//! Start and exit of programs.

use std::future::Future;
use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, Parser};
use domain::text::escape_hidden;
use settings::{EXIT_CONFIG, Problems};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::otlp;

/// Parses the command line, or returns the exit code: 0 after help, 64 for an invalid setting, 2
/// for wrong usage. A secret on the command line is refused: process lists show it.
///
/// # Errors
/// The exit code; the message is already printed.
#[expect(
    clippy::print_stderr,
    reason = "a refused command line prints its error"
)]
pub fn parse_or_exit<T: Parser>() -> Result<T, ExitCode> {
    let refuse = |error: clap::Error| {
        // Nothing can be done when printing fails.
        let _ = error.print();
        ExitCode::from(code_of(&error, T::command()))
    };
    let matches = without_secret_flags(T::command())
        .try_get_matches()
        .map_err(refuse)?;
    if let Some(name) = secret_on_command_line(&matches) {
        eprintln!(
            "error: {name}: given on the command line, where process lists show it. Set the \
             environment variable {name} or {name}_FILE, and replace the secret"
        );
        return Err(ExitCode::from(EXIT_CONFIG));
    }
    T::from_arg_matches(&matches).map_err(refuse)
}

/// The names of secret settings.
fn secrets() -> impl Iterator<Item = &'static str> {
    let secret = settings::SETTINGS.iter().filter(|(_, _, secret)| *secret);
    secret.map(|(name, _, _)| *name)
}

/// Leaves secrets out of the flags of the help, and names their variables below.
fn without_secret_flags(command: Command) -> Command {
    let named = |name: Option<&std::ffi::OsStr>| {
        let name = name.and_then(std::ffi::OsStr::to_str)?;
        secrets().find(|secret| *secret == name && *secret != DATABASE_URL)
    };
    let found: Vec<_> = command
        .get_arguments()
        .filter_map(|arg| named(arg.get_env()))
        .collect();
    let command = command
        .mut_args(|arg| {
            let secret = named(arg.get_env()).is_some();
            arg.hide(secret)
        })
        .mut_subcommands(without_secret_flags);
    if found.is_empty() {
        return command;
    }
    command.after_help(format!(
        "Secrets are no flags. Environment variables, each also as NAME_FILE: {}",
        found.join(", ")
    ))
}

/// Its value is a secret only if it contains a password.
const DATABASE_URL: &str = "DATABASE_URL";

/// The first secret that was given as a flag.
fn secret_on_command_line(matches: &ArgMatches) -> Option<&'static str> {
    let given = secrets().find(|name| {
        let id = name.to_ascii_lowercase();
        let Ok(Some(mut values)) = matches.try_get_raw(&id) else {
            return false;
        };
        matches.value_source(&id) == Some(ValueSource::CommandLine)
            && (*name != DATABASE_URL || values.any(|value| has_password(&value.to_string_lossy())))
    });
    let below = || matches.subcommand().map(|(_, below)| below);
    given.or_else(|| secret_on_command_line(below()?))
}

fn has_password(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else {
        return false;
    };
    url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password")
}

fn code_of(error: &clap::Error, mut command: Command) -> u8 {
    // Arguments know their displayed form only after `build`.
    command.build();
    let of_setting = || {
        let arg = error.get(ContextKind::InvalidArg).map(ToString::to_string);
        arg.is_some_and(|arg| is_setting(&command, &arg))
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
        ErrorKind::InvalidValue | ErrorKind::ValueValidation if of_setting() => EXIT_CONFIG,
        _ => 2,
    }
}

/// Settings are exactly the arguments with an environment variable.
fn is_setting(command: &Command, shown: &str) -> bool {
    let mut args = command.get_arguments();
    args.any(|arg| arg.get_env().is_some() && arg.to_string() == shown)
        || command
            .get_subcommands()
            .any(|below| is_setting(below, shown))
}

/// The exit code for a result; prints the error.
#[must_use]
#[expect(clippy::print_stderr, reason = "a failed program prints its error")]
pub fn exit_code(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Config(problems)) => {
            for problem in problems.iter() {
                eprintln!("error: {problem}");
            }
            ExitCode::from(EXIT_CONFIG)
        }
        Err(Failure::Run(error)) => {
            eprintln!("error: {}", escape_hidden(&error.to_string()));
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {}", escape_hidden(&cause.to_string()));
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// Why a program failed.
#[derive(Debug)]
pub enum Failure {
    /// A setting is not valid.
    Config(Problems),
    /// An error at run time.
    Run(Box<dyn std::error::Error + Send + Sync>),
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Config(problems)
    }
}

impl Failure {
    /// Wraps an error at run time.
    pub fn run(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Run(error.into())
    }
}

/// Runs a program until it ends, with as many open files as the system permits. The first SIGTERM or SIGINT cancels its token, a second signal
/// ends the process at once.
///
/// # Errors
/// The error of the program.
pub fn run_until_signalled<F>(run: impl FnOnce(CancellationToken) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    warn_of_unknown_variables();
    crate::raise_nofile();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Run(Box::new(error)))?;
    let result = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let (mut term, mut int) = match (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        ) {
            (Ok(term), Ok(int)) => (term, int),
            (Err(error), _) | (_, Err(error)) => return Err(Failure::Run(Box::new(error))),
        };
        let shutdown_requested = shutdown.clone();
        tokio::spawn(async move {
            for second in [false, true] {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = int.recv() => {}
                }
                if second {
                    std::process::exit(130);
                }
                tracing::info!("shutdown requested; draining");
                shutdown_requested.cancel();
            }
        });
        otlp::start();
        let result = run(shutdown).await;
        otlp::shutdown().await;
        result
    });
    // Work that outlasted the drain is left to its lease.
    runtime.shutdown_background();
    result
}

/// Logs variables that look like settings but are none, in one line and without their values.
fn warn_of_unknown_variables() {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let unknown: Vec<_> = settings::unknown_variables(names)
        .into_iter()
        .map(|(name, nearest)| match nearest {
            Some(nearest) => format!("{name} (did you mean {nearest}?)"),
            None => name,
        })
        .collect();
    if !unknown.is_empty() {
        tracing::warn!(
            variables = unknown.join(", "),
            "unknown settings are ignored"
        );
    }
}

/// Calls `handler` at every SIGHUP until the returned guard is dropped. Without a handler the
/// signal ends the process.
///
/// # Errors
/// The signal handler cannot be installed.
pub fn on_sighup(handler: impl Fn() + Send + 'static) -> std::io::Result<DropGuard> {
    let mut hangups = signal(SignalKind::hangup())?;
    let cancelled = CancellationToken::new();
    let guard = cancelled.clone().drop_guard();
    tokio::spawn(async move {
        while cancelled
            .run_until_cancelled(hangups.recv())
            .await
            .flatten()
            .is_some()
        {
            handler();
        }
    });
    Ok(guard)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[derive(Parser, Debug)]
    struct Program {
        #[command(subcommand)]
        act: AdminCommand,
    }

    #[derive(clap::Subcommand, Debug)]
    enum AdminCommand {
        List {
            #[arg(long)]
            limit: Option<u8>,
            #[arg(long, env = "A_SETTING_OF_THIS_TEST")]
            setting: Option<u8>,
        },
    }

    #[derive(Parser, Debug)]
    struct WithSecrets {
        #[arg(long, env = "DATABASE_URL")]
        database_url: Option<String>,
        #[arg(long, env = "WHMCS_SECRET")]
        whmcs_secret: Option<String>,
        #[arg(long, env = "WHMCS_SECRET_FILE")]
        whmcs_secret_file: Option<String>,
    }

    #[test]
    fn secrets_are_no_flags() {
        let refused = |flags: &[&str]| {
            let command = without_secret_flags(WithSecrets::command());
            let flags = std::iter::once("x").chain(flags.iter().copied());
            secret_on_command_line(&command.try_get_matches_from(flags).unwrap())
        };
        assert_eq!(
            refused(&["--whmcs-secret", "hunter2"]),
            Some("WHMCS_SECRET")
        );
        assert_eq!(refused(&["--whmcs-secret-file", "/run/secret"]), None);
        assert_eq!(refused(&["--database-url", "sqlite:data/x.db"]), None);
        for url in [
            "postgres://u:hunter2@db/x",
            "postgres://u@db/x?password=hunter2",
        ] {
            assert_eq!(refused(&["--database-url", url]), Some("DATABASE_URL"));
        }
        let help = without_secret_flags(WithSecrets::command());
        let help = help.clone().render_long_help().to_string();
        assert!(!help.contains("--whmcs-secret <"), "{help}");
        assert!(help.contains("--whmcs-secret-file"), "{help}");
        assert!(help.contains("NAME_FILE: WHMCS_SECRET"), "{help}");
    }

    #[test]
    fn invalid_setting_and_wrong_usage_have_different_exit_codes() {
        for (args, code) in [
            (["x", "list", "--setting=none"].as_slice(), 64),
            (&["x", "list", "--limit=none"], 2),
            (&["x", "list", "--what"], 2),
            (&["x", "fly"], 2),
            (&["x", "--help"], 0),
        ] {
            let error = Program::try_parse_from(args).unwrap_err();
            assert_eq!(code_of(&error, Program::command()), code, "{args:?}");
        }
    }
}
