//! The demo's entry point.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match runtime::parse_or_exit::<demo::Args>() {
        Ok(given) => given.args,
        Err(code) => return code,
    };
    let (sender, receiver) = std::sync::mpsc::channel();
    let ended = runtime::run_until_signalled(|shutdown| async move {
        // The receiver lives until main ends.
        let report = |good| {
            let _ = sender.send(good);
        };
        tokio::select! {
            ran = demo::run(&args, report) => {
                ran.map_err(|error| runtime::Failure::run(format!("{error:#}")))
            }
            () = shutdown.cancelled() => Ok(()),
        }
    });
    match receiver.try_recv() {
        Ok(false) => ExitCode::FAILURE,
        _ => runtime::exit_code(ended),
    }
}
