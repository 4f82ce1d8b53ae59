//! Notifications of commits by this process or another, without busy polling.
//!
//! After each commit that makes a job due, its process writes a byte to the file `…-notify` beside the
//! database; inotify tells the others. A slow poll of `PRAGMA data_version` is the fallback.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Row, SqliteConnection};

use super::open::private;
use crate::notifier::Notifier;

/// The polling interval where nothing is signalled.
const POLL: Duration = Duration::from_secs(1);
/// The polling interval beside signals; what is found by it was not signalled.
const SLOW_POLL: Duration = Duration::from_secs(10);

/// Tells other processes of commits.
pub(crate) struct Signal(Option<File>);

impl Signal {
    /// Without the file, others find commits by polling.
    pub(crate) fn of(database: &Path) -> Self {
        let file = private().create(true).open(path(database));
        if let Err(error) = &file {
            tracing::warn!(%error, "commits cannot be signalled to other processes; they poll");
        }
        Self(file.ok())
    }

    /// Notifies the waiters of all processes. The page cache takes the byte: nothing waits for a disk.
    pub(crate) fn send(&mut self) {
        if let Some(file) = &mut self.0 {
            // Without it, they poll.
            let _ = file.rewind().and_then(|()| file.write_all(b"\n"));
        }
    }
}

fn path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-notify");
    PathBuf::from(name)
}

/// Notifies waiters of every commit to the file that others signal or that a poll finds.
pub(crate) fn watch(database: &Path, connection: SqliteConnection) -> Arc<Notifier> {
    let notifier = Arc::new(Notifier::default());
    let weak = Arc::downgrade(&notifier);
    let mut signals = Signals::of(database);
    tokio::spawn(async move {
        let mut connection = connection;
        let mut seen = data_version(&mut connection).await;
        loop {
            let signalled = signals.next().await;
            let Some(notifier) = weak.upgrade() else {
                return;
            };
            if signalled {
                notifier.now();
                continue;
            }
            let version = data_version(&mut connection).await;
            if version != seen {
                seen = version;
                notifier.now();
            }
        }
    });
    notifier
}

async fn data_version(connection: &mut SqliteConnection) -> Option<i64> {
    let row = sqlx::query("PRAGMA data_version")
        .fetch_one(connection)
        .await
        .ok()?;
    row.try_get(0).ok()
}

struct Signals {
    #[cfg(target_os = "linux")]
    stream: Option<inotify::EventStream<[u8; 4096]>>,
}

impl Signals {
    #[cfg(target_os = "linux")]
    fn of(database: &Path) -> Self {
        let stream = inotify::Inotify::init().ok().and_then(|inotify| {
            let file = path(database);
            inotify
                .watches()
                .add(&file, inotify::WatchMask::MODIFY)
                .ok()?;
            inotify.into_event_stream([0; 4096]).ok()
        });
        Self { stream }
    }

    #[cfg(not(target_os = "linux"))]
    fn of(_database: &Path) -> Self {
        Self {}
    }

    /// Whether a commit was signalled before it is time to poll.
    async fn next(&mut self) -> bool {
        #[cfg(target_os = "linux")]
        if let Some(stream) = &mut self.stream {
            use tokio_stream::StreamExt;
            match tokio::time::timeout(SLOW_POLL, stream.next()).await {
                Ok(Some(Ok(_))) => return true,
                Err(_) => return false,
                // Nothing more is signalled.
                Ok(None | Some(Err(_))) => self.stream = None,
            }
        }
        tokio::time::sleep(POLL).await;
        false
    }
}
