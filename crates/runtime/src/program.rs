//! Start and exit of programs.

use std::future::Future;
use std::process::ExitCode;

use clap::Parser;
use domain::text::escape_hidden;
use settings::{EXIT_CONFIG, Given, Problems, Rejected};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::otlp;

/// Parses the command line and the environment, or returns the exit code: 0 after help, 64 for a
/// setting that cannot be used, 2 for wrong usage.
///
/// # Errors
/// The exit code; the message is already printed.
pub fn parse_or_exit<A: Parser>() -> Result<Given<A>, ExitCode> {
    settings::parse(std::env::args_os()).map_err(|rejected| match rejected {
        Rejected::Usage(error) => {
            // Nothing can be done when printing fails.
            let _ = error.print();
            match error.use_stderr() {
                true => ExitCode::from(2),
                false => ExitCode::SUCCESS,
            }
        }
        Rejected::Config(problems) => exit_code(Err(problems.into())),
    })
}

/// Parses the arguments, runs a program, and returns the exit code.
pub fn run_program<A: Parser>(start: impl FnOnce(&Given<A>) -> Result<(), Failure>) -> ExitCode {
    match parse_or_exit() {
        Ok(given) => exit_code(start(&given)),
        Err(code) => code,
    }
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

/// Runs a program until it ends, with as many open files as the system permits. The first SIGTERM
/// or SIGINT cancels its token, a second signal ends the process at once.
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
