//! The operator's command line: what stands in the store, what differs between the systems,
//! and the acts that people may do, each with who did it and why.
//!
//! Results go to standard output and everything else to standard error. Exit codes: 0; 1 for a
//! failure, or a difference that a check has found; 2 for wrong usage; 64 for a setting that
//! cannot be used.

mod acts;
mod cli;
mod config;
mod connect;
mod db;
mod doctor;
mod follow;
mod jobs;
mod orders;
mod plan;
mod reconcile;
mod screen;
mod shell;
mod show;
mod tail;

pub use cli::{Cli, Format};
pub use screen::{Exit, Screen, Stop};

use cli::Noun;
use settings::Problems;

/// Does what was asked.
///
/// # Errors
/// [`Stop`].
pub async fn run(cli: Cli, screen: &mut Screen) -> Result<Exit, Stop> {
    let mut problems = Problems::new();
    runtime::init_logs(&cli.logs.quiet(), &mut problems);
    problems.into_result(Some(()))?;
    match cli.noun {
        Noun::Orders(verb) => orders::run(verb, screen).await,
        Noun::Jobs(verb) => jobs::run(verb, screen).await,
        Noun::Events(verb) => acts::events(verb, screen).await,
        Noun::Cursor(verb) => acts::cursor(verb, screen).await,
        Noun::Pause(held) => acts::pause(held, screen).await,
        Noun::Resume(held) => acts::resume(held, screen).await,
        Noun::Reconcile(asked) => reconcile::run(asked, screen).await,
        Noun::AuditEntry(asked) => acts::audit(&asked, screen).await,
        Noun::Db(verb) => db::run(verb, screen).await,
        Noun::Config(verb) => config::run(verb, screen),
        Noun::Doctor(asked) => doctor::run(asked, screen).await,
        Noun::Completions(asked) => shell::completions(asked.shell, screen),
        Noun::Man => shell::man(screen),
    }
}
