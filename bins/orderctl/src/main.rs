//! The command line's entry point.

use std::process::ExitCode;

use orderctl::{Cli, Exit, Screen};

fn main() -> ExitCode {
    let cli = match runtime::parse_or_exit::<Cli>() {
        Ok(given) => given.args,
        Err(code) => return code,
    };
    outbound::install_crypto_provider();
    let mut screen = Screen::of_process(cli.output);
    let mut ended = Ok(Exit::Fine);
    let ran = runtime::run_until_signalled(async |stop| {
        tokio::select! {
            biased;
            () = stop.cancelled() => ended = Ok(Exit::Difference),
            end = orderctl::run(cli, &mut screen) => ended = end,
        }
        Ok(())
    });
    match ran {
        Ok(()) => screen.exit_code(ended),
        failed => runtime::exit_code(failed),
    }
}
