//! Notifications of commits by this process or another, without busy polling.
//!
//! inotify reports writes to the write-ahead log, which happen slightly *before* the
//! commit is visible; so `PRAGMA data_version` is polled briefly after each report.
//! A slow poll is the fallback.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Row, SqliteConnection};

use crate::notifier::Notifier;

/// The polling interval where file notifications are unavailable.
const SLOW_POLL: Duration = Duration::from_millis(1000);
/// How long a commit may take to become visible after its log was written.
const SETTLE_TRIES: u32 = 40;
const SETTLE_EVERY: Duration = Duration::from_millis(2);

/// Notifies waiters of every commit to the file.
pub(crate) fn watch(database: &Path, connection: SqliteConnection) -> Arc<Notifier> {
    let notifier = Arc::new(Notifier::default());
    let weak = Arc::downgrade(&notifier);
    let events = log_written(database);
    tokio::spawn(async move {
        let mut events = events;
        let mut connection = connection;
        let mut seen = data_version(&mut connection).await;
        loop {
            events.next_or(SLOW_POLL).await;
            let Some(notifier) = weak.upgrade() else {
                return;
            };
            for _ in 0..SETTLE_TRIES {
                let version = data_version(&mut connection).await;
                if version != seen {
                    seen = version;
                    notifier.now();
                    break;
                }
                if !events.received {
                    break;
                }
                tokio::time::sleep(SETTLE_EVERY).await;
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

struct Events {
    #[cfg(target_os = "linux")]
    stream: Option<inotify::EventStream<[u8; 4096]>>,
    received: bool,
}

impl Events {
    async fn next_or(&mut self, limit: Duration) {
        #[cfg(target_os = "linux")]
        if let Some(stream) = &mut self.stream {
            use tokio_stream::StreamExt;
            self.received = matches!(
                tokio::time::timeout(limit, stream.next()).await,
                Ok(Some(Ok(_)))
            );
            return;
        }
        self.received = false;
        tokio::time::sleep(limit).await;
    }
}

#[cfg(target_os = "linux")]
fn log_written(database: &Path) -> Events {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let stream = inotify::Inotify::init().ok().and_then(|inotify| {
        inotify
            .watches()
            .add(&log, inotify::WatchMask::MODIFY)
            .ok()?;
        inotify.into_event_stream([0; 4096]).ok()
    });
    Events {
        stream,
        received: false,
    }
}

#[cfg(not(target_os = "linux"))]
fn log_written(_database: &Path) -> Events {
    Events { received: false }
}
