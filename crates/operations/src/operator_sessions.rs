//! Sessions of operators in the console.

use std::time::Duration;

use async_trait::async_trait;
use domain::ports::StoreError;
use domain::time::Timestamp;

/// A session to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// SHA-256 of the session id, in hex. The id itself is known to the browser alone.
    pub digest: String,
    /// Fingerprint of the token that it was opened with, in hex: a changed token ends it.
    pub token_fingerprint: String,
    /// The operator's name, for the audit log.
    pub operator: String,
    /// Whether commands are allowed, or only reads.
    pub may_command: bool,
    /// The address that it was opened from.
    pub peer: String,
    /// How long it lasts.
    pub lifetime: Duration,
}

/// An open session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorSession {
    /// As in [`NewSession`].
    pub digest: String,
    /// As in [`NewSession`].
    pub token_fingerprint: String,
    /// As in [`NewSession`].
    pub operator: String,
    /// As in [`NewSession`].
    pub may_command: bool,
    /// As in [`NewSession`].
    pub peer: String,
    /// When it was opened, by the store's clock.
    pub opened_at: Timestamp,
    /// When it expires, by the store's clock.
    pub expires_at: Timestamp,
}

/// The sessions of operators. Every process of the portal shares them.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait OperatorSessions: Send + Sync {
    /// Opens a session, replacing the one of the same digest, and removes the expired ones. A
    /// crash of the store may forget it within the next moments: the operator logs in again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: whether it is open is unknown, and nobody has its id.
    async fn open_session(&self, session: &NewSession) -> Result<(), StoreError>;

    /// The session with this digest, unless it expired.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn session(&self, digest: &str) -> Result<Option<OperatorSession>, StoreError>;

    /// Ends a session, also across a crash. A no-op when it is not open.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it may still be open; try again.
    async fn end_session(&self, digest: &str) -> Result<(), StoreError>;

    /// The open sessions, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn sessions(&self) -> Result<Vec<OperatorSession>, StoreError>;
}
