//! The command line's entry point.

use std::io::IsTerminal;
use std::process::ExitCode;

use orderctl::{Cli, Exit, Screen, Stop};

fn main() -> ExitCode {
    let cli = match runtime::parse_or_exit::<Cli>() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    outbound::install_crypto_provider();
    let mut screen = Screen {
        out: Box::new(std::io::stdout()),
        err: Box::new(std::io::stderr()),
        terminal: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
        format: cli.output,
    };
    let mut ended = Ok(Exit::Fine);
    let ran = runtime::run_until_signalled(async |stop| {
        tokio::select! {
            biased;
            () = stop.cancelled() => ended = Ok(Exit::Difference),
            end = orderctl::run(cli, &mut screen) => ended = end,
        }
        Ok(())
    });
    match (ran, ended) {
        (Err(failure), _) => runtime::exit_code(Err(failure)),
        (_, Ok(Exit::Fine) | Err(Stop::Unread)) => ExitCode::SUCCESS,
        (_, Ok(Exit::Difference)) => ExitCode::FAILURE,
        (_, Err(Stop::Failed(failure))) => runtime::exit_code(Err(failure)),
        (_, Err(Stop::Usage(text))) => {
            screen.note(&format!("error: {text}"));
            ExitCode::from(2)
        }
    }
}
