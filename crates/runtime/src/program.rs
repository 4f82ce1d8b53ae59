//! How a program begins and ends.

use std::future::Future;
use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{Command, Parser};
use settings::{EXIT_CONFIG, Problems};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::otlp;

/// The command line, or the exit code to end with: 0 after help, 64 for a setting whose value
/// cannot be used, 2 for anything else.
///
/// # Errors
/// The exit code; the message has been printed.
pub fn parse_or_exit<T: Parser>() -> Result<T, ExitCode> {
    T::try_parse().map_err(|error| {
        // Nobody is left to tell when even that cannot be printed.
        let _ = error.print();
        ExitCode::from(code_of(&error, T::command()))
    })
}

fn code_of(error: &clap::Error, mut command: Command) -> u8 {
    // An argument knows how it is shown only then.
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

/// Every setting has a twin in the environment, and nothing else has.
fn is_setting(command: &Command, shown: &str) -> bool {
    let mut args = command.get_arguments();
    args.any(|arg| arg.get_env().is_some() && arg.to_string() == shown)
        || command
            .get_subcommands()
            .any(|below| is_setting(below, shown))
}

/// The exit code of a program that ended so; prints what went wrong.
#[must_use]
#[expect(
    clippy::print_stderr,
    reason = "the last word of a program that cannot go on"
)]
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
            eprintln!("error: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// Why a program ended badly.
#[derive(Debug)]
pub enum Failure {
    /// A setting cannot be used.
    Config(Problems),
    /// Something went wrong at run time.
    Run(Box<dyn std::error::Error + Send + Sync>),
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Config(problems)
    }
}

impl Failure {
    /// Wraps what went wrong at run time.
    pub fn run(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Run(error.into())
    }
}

/// Runs a program until it ends, telling it by the token to stop at the first SIGTERM or
/// SIGINT. A second signal ends the process at once.
///
/// # Errors
/// What the program itself says.
pub fn run_until_signalled<F>(run: impl FnOnce(CancellationToken) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
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
        let told = shutdown.clone();
        tokio::spawn(async move {
            for second in [false, true] {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = int.recv() => {}
                }
                if second {
                    std::process::exit(130);
                }
                tracing::info!("told to stop; draining");
                told.cancel();
            }
        });
        otlp::begin();
        let ended = run(shutdown).await;
        otlp::end().await;
        ended
    });
    // What outlasted the drain is left to its lease.
    runtime.shutdown_background();
    result
}

/// Calls `act` at every SIGHUP until the returned guard is dropped. Without it the signal
/// ends the process.
///
/// # Errors
/// The system does not let us hear the signal.
pub fn on_sighup(act: impl Fn() + Send + 'static) -> std::io::Result<DropGuard> {
    let mut hangups = signal(SignalKind::hangup())?;
    let over = CancellationToken::new();
    let guard = over.clone().drop_guard();
    tokio::spawn(async move {
        while over
            .run_until_cancelled(hangups.recv())
            .await
            .flatten()
            .is_some()
        {
            act();
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

    #[test]
    fn a_wrong_setting_is_another_exit_code_than_wrong_usage() {
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
