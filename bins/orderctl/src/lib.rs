//! The operator's command line: inspects the store, compares the systems and runs audited
//! commands.
//!
//! Results go to standard output and everything else to standard error. Exit codes: 0; 1 for a
//! failure or a difference; 2 for wrong usage; 3 when something does not exist; 5 when `doctor`
//! found something wrong; 64 for an invalid setting.

mod adopt;
mod args;
mod cli;
mod commands;
mod config;
mod connect;
mod cursor_import;
mod db;
mod doctor;
mod follow;
mod given;
mod init;
mod jobs;
mod lookup;
mod orders;
mod plan;
mod reconcile;
mod screen;
mod shell;
mod show;
mod tail;

pub use args::Format;
pub use cli::Cli;
pub use screen::{Exit, Screen, Stop};

use cli::Noun;

/// Runs a command.
///
/// # Errors
/// [`Stop`].
pub async fn run(cli: Cli, screen: &mut Screen) -> Result<Exit, Stop> {
    runtime::init_logs(&cli.logs);
    match cli.noun {
        Noun::Orders(verb) => orders::run(verb, screen).await,
        Noun::Jobs(verb) => jobs::run(verb, screen).await,
        Noun::Events(verb) => commands::events(verb, screen).await,
        Noun::Cursor(verb) => commands::cursor(verb, screen).await,
        Noun::Pause(held) => commands::pause(held, screen).await,
        Noun::Resume(held) => commands::resume(held, screen).await,
        Noun::Reconcile(asked) => reconcile::run(asked, screen).await,
        Noun::Adopt(asked) => adopt::run(asked, screen).await,
        Noun::Audit(asked) => commands::audit(&asked, screen).await,
        Noun::Db(verb) => db::run(verb, screen).await,
        Noun::Config(verb) => config::run(verb, screen),
        Noun::Init(asked) => init::run(asked, screen).await,
        Noun::Doctor(asked) => doctor::run(asked, screen).await,
        Noun::Completions(asked) => shell::completions(asked.shell, screen),
        Noun::Man => shell::man(screen),
    }
}
