//! Sessions of operators on PostgreSQL.

use async_trait::async_trait;
use domain::ports::StoreError;
use operations::{NewSession, OperatorSession, OperatorSessions};
use sqlx::PgConnection;

use crate::error::OrUnavailable;
use crate::operator_sessions;
use crate::postgres::intake::millis;
use crate::postgres::transaction::{Commit, statement};
use crate::postgres::{PostgresStore, now};

#[async_trait]
impl OperatorSessions for PostgresStore {
    async fn open_session(&self, session: &NewSession) -> Result<(), StoreError> {
        self.run(Commit::Relaxed, move |call| {
            let (connection, shift) = call.parts();
            Box::pin(open(connection, shift, session))
        })
        .await
    }

    async fn session(&self, digest: &str) -> Result<Option<OperatorSession>, StoreError> {
        self.run(Commit::Relaxed, move |call| {
            let (connection, shift) = call.parts();
            Box::pin(async move {
                let found = statement(concat!(
                    "SELECT * FROM operator_session WHERE digest = $2 AND expires_at > ",
                    now!()
                ))
                .bind(shift)
                .bind(digest)
                .fetch_optional(connection)
                .await
                .or_unavailable()?;
                found.as_ref().map(operator_sessions::session).transpose()
            })
        })
        .await
    }

    async fn end_session(&self, digest: &str) -> Result<(), StoreError> {
        self.run(Commit::Flushed, move |call| {
            let (connection, _) = call.parts();
            Box::pin(async move {
                statement("DELETE FROM operator_session WHERE digest = $1")
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
        self.run(Commit::Relaxed, move |call| {
            let (connection, shift) = call.parts();
            Box::pin(async move {
                let rows = statement(concat!(
                    "SELECT * FROM operator_session WHERE expires_at > ",
                    now!(),
                    " ORDER BY opened_at DESC, digest"
                ))
                .bind(shift)
                .fetch_all(connection)
                .await
                .or_unavailable()?;
                rows.iter().map(operator_sessions::session).collect()
            })
        })
        .await
    }
}

async fn open(
    connection: &mut PgConnection,
    shift: i64,
    session: &NewSession,
) -> Result<(), StoreError> {
    statement(concat!(
        "DELETE FROM operator_session WHERE expires_at <= ",
        now!()
    ))
    .bind(shift)
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    statement(concat!(
        "INSERT INTO operator_session (digest, token_fingerprint, operator, may_command, peer,
             opened_at, expires_at) VALUES ($2, $3, $4, $5, $6, ",
        now!(),
        ", ",
        now!(),
        " + $7)
         ON CONFLICT (digest) DO UPDATE SET token_fingerprint = excluded.token_fingerprint,
             operator = excluded.operator, may_command = excluded.may_command,
             peer = excluded.peer, opened_at = excluded.opened_at,
             expires_at = excluded.expires_at"
    ))
    .bind(shift)
    .bind(session.digest.as_str())
    .bind(session.token_fingerprint.as_str())
    .bind(session.operator.as_str())
    .bind(i64::from(session.may_command))
    .bind(session.peer.as_str())
    .bind(millis(session.lifetime))
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}
