//! Simulated Salesforce and WHMCS on local ports.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::run_program::<sandbox::Config>(|given| {
        runtime::run_until_signalled(|shutdown| async {
            let run = sandbox::run(given.args.clone(), shutdown);
            run.await.map_err(runtime::Failure::run)
        })
    })
}
