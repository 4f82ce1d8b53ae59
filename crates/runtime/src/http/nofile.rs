//! The number of files that the process may open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Files that are not connections of a listener: the store, its pool, logs, outgoing calls.
const OTHER: usize = 128;

/// Raises the limit of open files to what the system permits the process at most: the usual
/// 1,024 is used up by as many connections.
pub fn raise_nofile() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}

/// How many connections the limit of open files leaves room for.
pub(super) fn room_for_connections() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    limit.saturating_sub(OTHER).max(limit / 2)
}
