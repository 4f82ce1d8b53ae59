//! Sessions of operators.

use async_trait::async_trait;
use domain::ports::StoreError;
use domain::time::Timestamp;
use operations::{NewSession, OperatorSession, OperatorSessions};

use super::{Connection, Store, statement};
use crate::error::OrUnavailable;
use crate::row::Columns;
use crate::store::Commit;

#[async_trait]
impl OperatorSessions for Store {
    async fn open_session(&self, session: &NewSession) -> Result<(), StoreError> {
        self.change(
            Commit::Relaxed,
            session.clone(),
            |connection, session, now| Box::pin(open(connection, session, now)),
        )
        .await
    }

    async fn session(&self, digest: &str) -> Result<Option<OperatorSession>, StoreError> {
        let rows = self.rows(|now| {
            statement("SELECT * FROM operator_session WHERE digest = $1 AND expires_at > $2")
                .bind(digest)
                .bind(now.as_millis())
        });
        rows.await?.first().map(session).transpose()
    }

    async fn end_session(&self, digest: &str) -> Result<(), StoreError> {
        self.change(
            Commit::Flushed,
            digest.to_owned(),
            |connection, digest, _| {
                Box::pin(async move {
                    statement("DELETE FROM operator_session WHERE digest = $1")
                        .bind(digest)
                        .execute(connection)
                        .await
                        .or_unavailable()
                        .map(|_| ())
                })
            },
        )
        .await
    }

    async fn sessions(&self) -> Result<Vec<OperatorSession>, StoreError> {
        let rows = self.rows(|now| {
            statement(
                "SELECT * FROM operator_session WHERE expires_at > $1
                 ORDER BY opened_at DESC, digest",
            )
            .bind(now.as_millis())
        });
        rows.await?.iter().map(session).collect()
    }
}

fn session(found: &impl Columns) -> Result<OperatorSession, StoreError> {
    Ok(OperatorSession {
        digest: found.text("digest")?,
        token_fingerprint: found.text("token_fingerprint")?,
        operator: found.text("operator")?,
        may_command: found.int("may_command")? != 0,
        peer: found.text("peer")?,
        opened_at: found.time("opened_at")?,
        expires_at: found.time("expires_at")?,
    })
}

async fn open(
    connection: &mut Connection,
    session: NewSession,
    now: Timestamp,
) -> Result<(), StoreError> {
    statement("DELETE FROM operator_session WHERE expires_at <= $1")
        .bind(now.as_millis())
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    statement(
        "INSERT INTO operator_session (digest, token_fingerprint, operator, may_command, peer,
             opened_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (digest) DO UPDATE SET token_fingerprint = excluded.token_fingerprint,
             operator = excluded.operator, may_command = excluded.may_command,
             peer = excluded.peer, opened_at = excluded.opened_at,
             expires_at = excluded.expires_at",
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
