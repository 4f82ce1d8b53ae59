//! One writer per process, with group commit.
//!
//! A flushed commit costs the same for one operation as for a hundred, so whatever is
//! waiting goes into one transaction, each operation in a savepoint of its own so that a
//! failure does not sink its neighbours. Answers are given after the commit.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::StoreError;
use futures::future::BoxFuture;
use sqlx::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use crate::notifier::Notifier;
use crate::sqlite::watch::Signal;
use crate::store::Commit;

/// The most operations in one transaction.
const GROUP: usize = 128;
/// How long a caller waits for its answer. Past it the outcome is unknown, as after a crash.
const DEADLINE: Duration = Duration::from_secs(30);

/// What an operation needs of its commit, and the operation.
type Queued = (Commit, Operation);
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Operation =
    Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, (bool, Answer)> + Send>;

#[derive(Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Queued>,
}

impl Writer {
    pub(crate) fn start(
        connection: SqliteConnection,
        notifier: Arc<Notifier>,
        signal: Signal,
    ) -> Self {
        let (queue, operations) = mpsc::channel(1024);
        tokio::spawn(run(connection, operations, notifier, signal));
        Self { queue }
    }

    /// Runs `operation` inside the next group and returns once that is committed, and on disk if it
    /// has to be. An operation that fails changes nothing.
    pub(crate) async fn write<T, F>(&self, commit: Commit, operation: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>>
            + Send
            + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let boxed: Operation = Box::new(move |connection| {
            Box::pin(async move {
                let result = operation(connection).await;
                let keep = result.is_ok();
                let answer: Answer = Box::new(move |committed| {
                    // The caller may be gone; the commit is valid all the same.
                    let _ = sender.send(committed.and(result));
                });
                (keep, answer)
            })
        });
        let gone = || StoreError::Unavailable("the store's writer has stopped".into());
        let answered = async {
            self.queue.send((commit, boxed)).await.map_err(|_| gone())?;
            receiver.await.map_err(|_| gone())?
        };
        tokio::time::timeout(DEADLINE, answered)
            .await
            .unwrap_or_else(|_| {
                Err(StoreError::Unavailable(
                    "the store did not answer in time".into(),
                ))
            })
    }
}

async fn run(
    mut connection: SqliteConnection,
    mut operations: mpsc::Receiver<Queued>,
    notifier: Arc<Notifier>,
    mut signal: Signal,
) {
    let mut group = Vec::with_capacity(GROUP);
    while operations.recv_many(&mut group, GROUP).await > 0 {
        let mut answers = Vec::with_capacity(group.len());
        let needed = group.iter().map(|(commit, _)| *commit);
        let needed = needed.max().unwrap_or(Commit::Relaxed);
        let outcome = commit(&mut connection, needed, group.drain(..), &mut answers).await;
        if outcome.is_err() {
            // Whatever state the transaction is in, the next group starts from none.
            let _ = execute(&mut connection, "ROLLBACK").await;
        }
        let failure = outcome.err().map(|error| error.to_string());
        for answer in answers {
            answer(match &failure {
                None => Ok(()),
                Some(text) => Err(StoreError::Unavailable(text.clone().into())),
            });
        }
        if needed == Commit::Announced {
            notifier.now();
            signal.send();
        }
    }
}

/// Commits a group.
async fn commit(
    connection: &mut SqliteConnection,
    needed: Commit,
    group: impl ExactSizeIterator<Item = Queued> + Send,
    answers: &mut Vec<Answer>,
) -> Result<(), sqlx::Error> {
    // IMMEDIATE: a deferred transaction that turns into a writer can fail at once. With a write-ahead
    // log, NORMAL loses the newest commits in a power cut, and nothing else.
    let begin = match needed {
        Commit::Relaxed => "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE",
        Commit::Flushed | Commit::Announced => "PRAGMA synchronous = FULL; BEGIN IMMEDIATE",
    };
    execute(connection, begin).await?;
    let is_alone = group.len() == 1;
    for (_, operation) in group {
        if is_alone {
            let (keep, answer) = operation(connection).await;
            answers.push(answer);
            let end = match keep {
                true => "COMMIT",
                false => "ROLLBACK",
            };
            return execute(connection, end).await;
        }
        execute(connection, "SAVEPOINT operation").await?;
        let (keep, answer) = operation(connection).await;
        answers.push(answer);
        if !keep {
            execute(connection, "ROLLBACK TO operation").await?;
        }
        execute(connection, "RELEASE operation").await?;
    }
    execute(connection, "COMMIT").await
}

async fn execute(
    connection: &mut SqliteConnection,
    statement: &'static str,
) -> Result<(), sqlx::Error> {
    sqlx::query(statement).execute(connection).await.map(|_| ())
}
