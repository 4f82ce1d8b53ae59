//! Finds or installs the server's programs.

use std::path::{Path, PathBuf};

/// The folder with `initdb` and `postgres`.
///
/// # Panics
/// There is none, and none can be installed.
pub(crate) fn folder() -> PathBuf {
    if let Some(folder) = find() {
        return folder;
    }
    test_programs::install(&["postgresql"]);
    find().unwrap_or_else(|| {
        panic!(
            "PostgreSQL's server programs (initdb, postgres) are needed for the tests and were not \
             found. Install them (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install \
             postgresql-server; macOS: brew install postgresql), or name a server whose user may \
             create databases in TEST_POSTGRES_URL"
        )
    })
}

fn find() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&on_path).collect();
    for (root, below) in [
        ("/usr/lib/postgresql", "bin"),
        ("/usr/local/opt", "bin"),
        ("/opt/homebrew/opt", "bin"),
        ("/usr", "bin"),
        ("/usr/local/pgsql", ""),
    ] {
        let mut versions: Vec<_> = std::fs::read_dir(root)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path().join(below))
            .collect();
        // Newest version first.
        versions.sort_by_key(|path| std::cmp::Reverse(version(path)));
        folders.extend(versions);
    }
    folders
        .into_iter()
        // Resolves a symbolic link to the folder with all programs.
        .filter_map(|folder| folder.join("postgres").canonicalize().ok())
        .filter_map(|program| program.parent().map(Path::to_owned))
        .find(|folder| folder.join("initdb").is_file())
}

fn version(path: &Path) -> u32 {
    let text = path.to_string_lossy();
    let digits = text.split(|c: char| !c.is_ascii_digit());
    digits
        .filter_map(|number| number.parse().ok())
        .max()
        .unwrap_or(0)
}
