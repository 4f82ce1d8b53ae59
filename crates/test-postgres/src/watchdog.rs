//! A shell process that stops the cluster when it has no more users.
//!
//! Users are files named by process id. A killed process cannot deregister, so the watchdog
//! checks which processes are alive.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Arguments: the common folder, the cluster's folder, the server's process id.
///
/// `ready` is removed before the last check for users, and a user registers before it looks for
/// `ready`: a user that arrives in between is either seen here or starts another cluster.
const SCRIPT: &str = r#"
all=$1 own=$2 server=$3 idle=0
used() {
    found=1
    for user in "$all"/users/*; do
        # Remove dead users at once, since process ids are reused.
        if kill -0 "${user##*/}" 2>/dev/null; then found=0; else rm -f "$user"; fi
    done
    return $found
}
while kill -0 "$server" 2>/dev/null; do
    sleep 1
    if used; then idle=0; continue; fi
    idle=$((idle + 1))
    if [ $idle -lt 4 ]; then continue; fi
    mv "$all/ready" "$own/ready" 2>/dev/null
    if used; then mv "$own/ready" "$all/ready" 2>/dev/null; idle=0; continue; fi
    kill -QUIT "$server"
    break
done
for second in 1 2 3 4 5 6 7 8 9 10; do
    kill -0 "$server" 2>/dev/null || break
    sleep 1
done
rm -rf "$own"
"#;

/// Starts a watchdog and returns its process id.
pub(crate) fn start(all: &Path, own: &Path, server: u32) -> std::io::Result<u32> {
    let watchdog = Command::new("/bin/sh")
        .args(["-c", SCRIPT, "test-postgres-watchdog"])
        .arg(all)
        .arg(own)
        .arg(server.to_string())
        // In its own process group, since it must outlive the test's, and without its output.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(reaped(watchdog))
}

/// The process id of a child that is reaped when it ends.
pub(crate) fn reaped(mut child: Child) -> u32 {
    let process = child.id();
    std::thread::spawn(move || child.wait());
    process
}

/// Whether a process is alive.
pub(crate) fn is_alive(process: u32) -> bool {
    Command::new("/bin/sh")
        .args(["-c", "kill -0 \"$1\"", "sh", &process.to_string()])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
