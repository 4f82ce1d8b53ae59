//! Simulated Salesforce and WHMCS on local ports.

use std::process::ExitCode;

fn main() -> ExitCode {
    let config = match runtime::parse_or_exit::<sandbox::Config>() {
        Ok(config) => config,
        Err(code) => return code,
    };
    runtime::exit_code(runtime::run_until_signalled(|shutdown| async {
        sandbox::run(config, shutdown)
            .await
            .map_err(runtime::Failure::run)
    }))
}
