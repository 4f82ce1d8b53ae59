//! Notifications that a job was committed, by this machine or another.
//!
//! One connection listens. While it is lost, waiters poll at a short interval.
//!
//! Behind a transaction-mode pooler nothing listens: the LISTEN would stay with a session
//! that others use afterwards, and its notifications would reach them in the middle of their
//! own work, which ends their connection. So whether sessions are shared is found out first.

use error_chain::chain;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, PgPool, Row};
use tokio::task::AbortHandle;

use crate::notifier::Notifier;

/// The notification channel; a notification carries no payload.
pub(crate) const CHANNEL: &str = "orderbridge_job";
/// How often a silent connection is asked whether it is still there.
const CHECK_EVERY: Duration = Duration::from_secs(30);
const CHECK_TAKES: Duration = Duration::from_secs(5);
/// How long a lost or silent listener waits before it reconnects.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often two connections are compared before their sessions count as their own.
const COMPARISONS: usize = 5;

/// Whether notifications reach this process.
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

/// The running listener; dropping it stops it.
pub(crate) struct Listener(AbortHandle);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens and reconnects whenever the connection is lost.
pub(crate) fn listen(
    options: PgConnectOptions,
    pool: PgPool,
    notifier: Arc<Notifier>,
    health: Arc<ListenerHealth>,
) -> Listener {
    let task = tokio::spawn(async move {
        let mut pause = FIRST_PAUSE;
        loop {
            let stopped = listen_once(&options, &pool, &notifier, &health).await;
            if stopped == Stopped::Never {
                tracing::info!(
                    "the database is behind a pooler that shares sessions; the store is polled"
                );
                return;
            }
            if health.is_good() {
                tracing::warn!("the database's notifications are lost; the store is polled");
                health.set(false);
            }
            // Look at once for what was missed meanwhile.
            notifier.now();
            pause = match stopped {
                Stopped::Something => FIRST_PAUSE,
                Stopped::Nothing | Stopped::Never => (pause * 2).min(LONGEST_PAUSE),
            };
            tokio::time::sleep(pause).await;
        }
    });
    Listener(task.abort_handle())
}

/// Why listening stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    /// Notifications arrived, until the connection was lost.
    Something,
    /// None ever did.
    Nothing,
    /// None ever may: sessions are shared.
    Never,
}

/// Listens until the connection is lost or turns out to receive nothing.
async fn listen_once(
    options: &PgConnectOptions,
    pool: &PgPool,
    bell: &Notifier,
    health: &ListenerHealth,
) -> Stopped {
    let listening = async {
        if are_shared(options).await? {
            return Ok(None);
        }
        // A pool of its own with one connection: the listener never returns it.
        let own = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CHECK_TAKES)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options.clone());
        let mut listener = PgListener::connect_with(&own).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        // Receiving our own notification proves that they arrive here.
        pool.execute("NOTIFY orderbridge_job").await?;
        Ok::<_, sqlx::Error>(Some(listener))
    };
    let mut listener = match tokio::time::timeout(CHECK_TAKES, listening).await {
        Ok(Ok(Some(listener))) => listener,
        Ok(Ok(None)) => return Stopped::Never,
        Ok(Err(error)) => {
            tracing::debug!(error = %chain(&error), "nobody listens for jobs; the store is polled");
            return Stopped::Nothing;
        }
        Err(_) => return Stopped::Nothing,
    };
    let end = |health: &ListenerHealth| match health.is_good() {
        true => Stopped::Something,
        false => Stopped::Nothing,
    };
    let mut wait = CHECK_TAKES;
    loop {
        match tokio::time::timeout(wait, listener.try_recv()).await {
            Ok(Ok(Some(_))) => {
                if !health.is_good() {
                    tracing::info!("the database's notifications arrive");
                    health.set(true);
                }
                bell.now();
            }
            Ok(Ok(None) | Err(_)) => return end(health),
            // Our own notification did not arrive: this connection will never receive one.
            Err(_) if !health.is_good() => return Stopped::Nothing,
            Err(_) => {
                let alive = tokio::time::timeout(CHECK_TAKES, listener.execute("SELECT 1"));
                if !matches!(alive.await, Ok(Ok(_))) {
                    return Stopped::Something;
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
    // The connection may be gone already.
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
