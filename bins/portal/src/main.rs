//! The portal's entry point.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::run_program(portal::start)
}
