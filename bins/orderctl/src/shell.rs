//! `orderctl completions` and `orderctl man`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::screen::{Exit, Screen, Stop};

pub(crate) fn completions(shell: Shell, screen: &mut Screen) -> Result<Exit, Stop> {
    clap_complete::generate(shell, &mut Cli::command(), "orderctl", &mut screen.out);
    Ok(Exit::Fine)
}

pub(crate) fn man(screen: &mut Screen) -> Result<Exit, Stop> {
    clap_mangen::Man::new(Cli::command()).render(&mut screen.out)?;
    Ok(Exit::Fine)
}
