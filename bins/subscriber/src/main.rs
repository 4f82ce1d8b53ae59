//! The subscriber's entry point.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match runtime::parse_or_exit::<subscriber::Args>() {
        Ok(args) => args,
        Err(code) => return code,
    };
    runtime::exit_code(subscriber::start(&args))
}
