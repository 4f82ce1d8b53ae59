//! Learning that something was written, by this process or another, without busy polling.
//!
//! The kernel tells when the write-ahead log is written to, which is a little *before* the
//! commit can be seen; so after such a word `PRAGMA data_version` is watched for a moment.
//! A slow poll is the net under it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Row, SqliteConnection};

use crate::wake::Notifier;

/// How often the log is looked at where the kernel does not tell.
const SLOW_POLL: Duration = Duration::from_millis(1000);
/// How long a commit may take to become visible after its log was written.
const SETTLE_TRIES: u32 = 40;
const SETTLE_EVERY: Duration = Duration::from_millis(2);

/// A bell that rings whenever something was committed to the file.
pub(crate) fn watch(database: &Path, connection: SqliteConnection) -> Arc<Notifier> {
    let wake = Arc::new(Notifier::default());
    let weak = Arc::downgrade(&wake);
    let words = log_written(database);
    tokio::spawn(async move {
        let mut words = words;
        let mut connection = connection;
        let mut seen = data_version(&mut connection).await;
        loop {
            words.next_or(SLOW_POLL).await;
            let Some(wake) = weak.upgrade() else { return };
            for _ in 0..SETTLE_TRIES {
                let version = data_version(&mut connection).await;
                if version != seen {
                    seen = version;
                    wake.now();
                    break;
                }
                if !words.told {
                    break;
                }
                tokio::time::sleep(SETTLE_EVERY).await;
            }
        }
    });
    wake
}

async fn data_version(connection: &mut SqliteConnection) -> Option<i64> {
    let row = sqlx::query("PRAGMA data_version")
        .fetch_one(connection)
        .await
        .ok()?;
    row.try_get(0).ok()
}

struct Words {
    #[cfg(target_os = "linux")]
    stream: Option<inotify::EventStream<[u8; 4096]>>,
    told: bool,
}

impl Words {
    async fn next_or(&mut self, limit: Duration) {
        #[cfg(target_os = "linux")]
        if let Some(stream) = &mut self.stream {
            use tokio_stream::StreamExt;
            self.told = matches!(
                tokio::time::timeout(limit, stream.next()).await,
                Ok(Some(Ok(_)))
            );
            return;
        }
        self.told = false;
        tokio::time::sleep(limit).await;
    }
}

#[cfg(target_os = "linux")]
fn log_written(database: &Path) -> Words {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let stream = inotify::Inotify::init().ok().and_then(|inotify| {
        inotify
            .watches()
            .add(&log, inotify::WatchMask::MODIFY)
            .ok()?;
        inotify.into_event_stream([0; 4096]).ok()
    });
    Words {
        stream,
        told: false,
    }
}

#[cfg(not(target_os = "linux"))]
fn log_written(_database: &Path) -> Words {
    Words { told: false }
}
