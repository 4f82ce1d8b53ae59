//! Learning that a job was committed, by this machine or another.
//!
//! One connection listens. While it is lost, whoever waits looks again after a short while.
//!
//! Behind a pooler in transaction mode nobody listens: the LISTEN would stay with a session
//! that others use afterwards, and its notifications would reach them in the middle of their
//! own work, which ends their connection. So whether sessions are shared is found out first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, PgPool, Row};
use tokio::task::AbortHandle;

use crate::wake::Notifier;

/// The channel of notifications; each says no more than "look".
pub(crate) const CHANNEL: &str = "orderbridge_job";
/// How often a silent connection is asked whether it is still there.
const CHECK_EVERY: Duration = Duration::from_secs(30);
const CHECK_TAKES: Duration = Duration::from_secs(5);
/// How long a lost or deaf listener waits before it connects anew.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often two connections are compared before their sessions count as their own.
const COMPARISONS: usize = 5;

/// Whether notifications reach us.
#[derive(Default)]
pub(crate) struct ListenerHealth(AtomicBool);

impl ListenerHealth {
    pub(crate) fn is_good(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, good: bool) {
        self.0.store(good, Ordering::Relaxed);
    }
}

/// The listener at work; it ends with this value.
pub(crate) struct Listener(AbortHandle);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens, and connects anew whenever the connection is lost.
pub(crate) fn listen(
    options: PgConnectOptions,
    pool: PgPool,
    wake: Arc<Notifier>,
    hearing: Arc<ListenerHealth>,
) -> Listener {
    let task = tokio::spawn(async move {
        let mut pause = FIRST_PAUSE;
        loop {
            let heard = hear(&options, &pool, &wake, &hearing).await;
            if heard == Heard::Never {
                tracing::info!(
                    "the database is behind a pooler that shares sessions; the store is polled"
                );
                return;
            }
            if hearing.is_good() {
                tracing::warn!("the database's notifications are lost; the store is polled");
                hearing.set(false);
            }
            // What was missed meanwhile is looked for at once.
            wake.now();
            pause = match heard {
                Heard::Something => FIRST_PAUSE,
                Heard::Nothing | Heard::Never => (pause * 2).min(LONGEST_PAUSE),
            };
            tokio::time::sleep(pause).await;
        }
    });
    Listener(task.abort_handle())
}

/// How listening came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// Notifications arrived, until the connection was lost.
    Something,
    /// None ever did.
    Nothing,
    /// None ever may: sessions are shared.
    Never,
}

/// Listens until the connection is lost or turns out to be deaf.
async fn hear(options: &PgConnectOptions, pool: &PgPool, bell: &Notifier, hearing: &ListenerHealth) -> Heard {
    let listening = async {
        if are_shared(options).await? {
            return Ok(None);
        }
        // A pool of one of its own: the listener keeps its connection for good.
        let own = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CHECK_TAKES)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options.clone());
        let mut listener = PgListener::connect_with(&own).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        // Heard by ourselves, it proves that notifications arrive here.
        pool.execute("NOTIFY orderbridge_job").await?;
        Ok::<_, sqlx::Error>(Some(listener))
    };
    let mut listener = match tokio::time::timeout(CHECK_TAKES, listening).await {
        Ok(Ok(Some(listener))) => listener,
        Ok(Ok(None)) => return Heard::Never,
        Ok(Err(error)) => {
            tracing::debug!(%error, "nobody listens for jobs; the store is polled");
            return Heard::Nothing;
        }
        Err(_) => return Heard::Nothing,
    };
    let end = |hearing: &ListenerHealth| match hearing.is_good() {
        true => Heard::Something,
        false => Heard::Nothing,
    };
    let mut wait = CHECK_TAKES;
    loop {
        match tokio::time::timeout(wait, listener.try_recv()).await {
            Ok(Ok(Some(_))) => {
                if !hearing.is_good() {
                    tracing::info!("the database's notifications arrive");
                    hearing.set(true);
                }
                bell.now();
            }
            Ok(Ok(None) | Err(_)) => return end(hearing),
            // Not even our own word: this connection will never hear anything.
            Err(_) if !hearing.is_good() => return Heard::Nothing,
            Err(_) => {
                let alive = tokio::time::timeout(CHECK_TAKES, listener.execute("SELECT 1"));
                if !matches!(alive.await, Ok(Ok(_))) {
                    return Heard::Something;
                }
            }
        }
        wait = CHECK_EVERY;
    }
}

/// Whether connections share the server's sessions, as they do behind a pooler in transaction
/// mode: then one connection meets different sessions, or two meet the same. Each of a
/// session's own has one server process for as long as it lives.
async fn are_shared(options: &PgConnectOptions) -> Result<bool, sqlx::Error> {
    let (mut one, mut other) = (options.connect().await?, options.connect().await?);
    let own = process(&mut one).await?;
    let mut shared = false;
    for _ in 0..COMPARISONS {
        let others = process(&mut other).await?;
        shared |= others == own || process(&mut one).await? != own;
    }
    // What is gone already need not be told so.
    let _ = one.close().await;
    let _ = other.close().await;
    Ok(shared)
}

/// The server process behind a connection, asked in one message: a prepared statement might
/// be met again in another session.
async fn process(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    let answer = sqlx::raw_sql("SELECT pg_backend_pid()");
    answer.fetch_one(connection).await?.try_get(0)
}
