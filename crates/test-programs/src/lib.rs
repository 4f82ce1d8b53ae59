//! System programs for tests: found, or installed if permitted.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Timeout of an installation.
const PATIENCE: Duration = Duration::from_secs(300);

/// Whether this process runs as root.
#[must_use]
pub fn is_root() -> bool {
    our_uid() == Some(0)
}

/// The user id of this process, determined as the owner of a new file.
#[must_use]
pub fn our_uid() -> Option<u32> {
    let name = format!("orderbridge-uid-{}", std::process::id());
    let probe = std::env::temp_dir().join(format!("{name}-{:?}", std::thread::current().id()));
    let uid = File::create(&probe)
        .and_then(|file| file.metadata())
        .ok()?
        .uid();
    let _ = std::fs::remove_file(&probe);
    Some(uid)
}

/// Finds a program on `PATH` or in one of the folders.
#[must_use]
pub fn find(name: &str, folders: &[&str]) -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&on_path)
        .chain(folders.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// Installs packages with the system's package manager if this process is permitted to and the
/// manager is supported (`apt-get`). The caller searches for the program again and reports if it
/// is still missing. Concurrent calls install one after the other.
pub fn install(packages: &[&str]) {
    if !is_root() || !Path::new("/usr/bin/apt-get").is_file() {
        return;
    }
    let lock = File::create(std::env::temp_dir().join("orderbridge-install.lock"));
    let _lock = lock.and_then(|file| file.lock().map(|()| file));
    let deadline = Instant::now() + PATIENCE;
    let update = ["update", "--quiet", "--yes"].map(str::to_owned).to_vec();
    let mut install = ["install", "--yes", "--no-install-recommends"]
        .map(str::to_owned)
        .to_vec();
    install.extend(packages.iter().map(|package| (*package).to_owned()));
    for arguments in [update, install] {
        let running = Command::new("/usr/bin/apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let Ok(mut running) = running else { return };
        while !matches!(running.try_wait(), Ok(Some(_)) | Err(_)) {
            if Instant::now() > deadline {
                let _ = running.kill();
                let _ = running.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}
