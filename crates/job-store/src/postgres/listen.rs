//! Learning that a job was committed, by this machine or another.
//!
//! One connection listens. Where it cannot (a pooler in transaction mode takes the LISTEN
//! and forgets it), or while it is lost, whoever waits looks again after a short while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Executor, PgPool};
use tokio::task::AbortHandle;

use crate::wake::Wake;

/// The channel of notifications; each says no more than "look".
pub(crate) const CHANNEL: &str = "orderbridge_job";
/// How often a silent connection is asked whether it is still there.
const CHECK_EVERY: Duration = Duration::from_secs(30);
const CHECK_TAKES: Duration = Duration::from_secs(5);
/// How long a lost or deaf listener waits before it connects anew.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Whether notifications reach us.
#[derive(Default)]
pub(crate) struct Hearing(AtomicBool);

impl Hearing {
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
    wake: Arc<Wake>,
    hearing: Arc<Hearing>,
) -> Listener {
    let task = tokio::spawn(async move {
        let mut pause = FIRST_PAUSE;
        loop {
            let heard = hear(&options, &pool, &wake, &hearing).await;
            if hearing.is_good() {
                tracing::warn!("the database's notifications are lost; the store is polled");
                hearing.set(false);
            }
            // What was missed meanwhile is looked for at once.
            wake.now();
            pause = match heard {
                true => FIRST_PAUSE,
                false => (pause * 2).min(LONGEST_PAUSE),
            };
            tokio::time::sleep(pause).await;
        }
    });
    Listener(task.abort_handle())
}

/// Listens until the connection is lost or turns out to be deaf; says whether it ever heard.
async fn hear(options: &PgConnectOptions, pool: &PgPool, bell: &Wake, hearing: &Hearing) -> bool {
    let listening = async {
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
        Ok::<_, sqlx::Error>(listener)
    };
    let mut listener = match tokio::time::timeout(CHECK_TAKES, listening).await {
        Ok(Ok(listener)) => listener,
        Ok(Err(error)) => {
            tracing::debug!(%error, "nobody listens for jobs; the store is polled");
            return false;
        }
        Err(_) => return false,
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
            Ok(Ok(None) | Err(_)) => return hearing.is_good(),
            // Not even our own word: this connection will never hear anything.
            Err(_) if !hearing.is_good() => return false,
            Err(_) => {
                let alive = tokio::time::timeout(CHECK_TAKES, listener.execute("SELECT 1"));
                if !matches!(alive.await, Ok(Ok(_))) {
                    return true;
                }
            }
        }
        wait = CHECK_EVERY;
    }
}
