//! Files that the sandbox writes for its clients.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;

/// Writes a file, and the folder it is in. Only its owner may read it when it is secret.
pub(crate) fn write(setting: &str, path: &Path, text: &str, secret: bool) -> anyhow::Result<()> {
    let cannot = || format!("{setting}: cannot write {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(cannot)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    if secret {
        // A file that exists keeps its mode.
        options.mode(0o600);
    }
    let mut file = options.open(path).with_context(cannot)?;
    file.write_all(text.as_bytes()).with_context(cannot)
}

/// The lines of an environment file, which shells read too.
pub(crate) fn environment(settings: &[(String, String)]) -> String {
    let lines = settings
        .iter()
        .map(|(name, value)| format!("{name}={}\n", settings::quoted(value)));
    lines.collect()
}
