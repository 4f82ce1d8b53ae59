//! The subscriber's entry point.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::run_program(subscriber::start)
}
