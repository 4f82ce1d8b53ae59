//! The portal's entry point.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match runtime::parse_or_exit::<portal::Args>() {
        Ok(args) => args,
        Err(code) => return code,
    };
    runtime::exit_code(portal::start(&args))
}
