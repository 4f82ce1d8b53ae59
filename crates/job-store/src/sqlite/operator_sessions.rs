//! Sessions of operators on SQLite.

use async_trait::async_trait;
use domain::ports::StoreError;
use domain::time::Timestamp;
use operations::{NewSession, OperatorSession, OperatorSessions};
use sqlx::SqliteConnection;

use crate::error::OrUnavailable;
use crate::operator_sessions;
use crate::sqlite::SqliteStore;

#[async_trait]
impl OperatorSessions for SqliteStore {
    async fn open_session(&self, session: &NewSession) -> Result<(), StoreError> {
        let session = session.clone();
        self.write_now(move |connection, now| Box::pin(open(connection, session, now)))
            .await
    }

    async fn session(&self, digest: &str) -> Result<Option<OperatorSession>, StoreError> {
        let found =
            sqlx::query("SELECT * FROM operator_session WHERE digest = ? AND expires_at > ?")
                .bind(digest.to_owned())
                .bind(self.clock.now().as_millis())
                .fetch_optional(&self.readers)
                .await
                .or_unavailable()?;
        found.as_ref().map(operator_sessions::session).transpose()
    }

    async fn end_session(&self, digest: &str) -> Result<(), StoreError> {
        let digest = digest.to_owned();
        self.write_now(move |connection, _| {
            Box::pin(async move {
                sqlx::query("DELETE FROM operator_session WHERE digest = ?")
                    .bind(digest)
                    .execute(connection)
                    .await
                    .or_unavailable()
                    .map(|_| ())
            })
        })
        .await
    }

    async fn sessions(&self) -> Result<Vec<OperatorSession>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM operator_session WHERE expires_at > ? ORDER BY opened_at DESC, digest",
        )
        .bind(self.clock.now().as_millis())
        .fetch_all(&self.readers)
        .await
        .or_unavailable()?;
        rows.iter().map(operator_sessions::session).collect()
    }
}

async fn open(
    connection: &mut SqliteConnection,
    session: NewSession,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM operator_session WHERE expires_at <= ?")
        .bind(now.as_millis())
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    sqlx::query(
        "INSERT OR REPLACE INTO operator_session (digest, token_fingerprint, operator,
             may_command, peer, opened_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(session.digest)
    .bind(session.token_fingerprint)
    .bind(session.operator)
    .bind(i64::from(session.may_command))
    .bind(session.peer)
    .bind(now.as_millis())
    .bind((now + session.lifetime).as_millis())
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}
