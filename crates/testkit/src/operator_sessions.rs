//! Sessions of operators in the in-memory store.

use async_trait::async_trait;
use operations::{NewSession, OperatorSession, OperatorSessions};

use crate::MemoryStore;
use crate::StoreResult;

#[async_trait]
impl OperatorSessions for MemoryStore {
    async fn open_session(&self, session: &NewSession) -> StoreResult<()> {
        let now = self.clock.now();
        let mut state = self.state();
        let opened = OperatorSession {
            digest: session.digest.clone(),
            token_fingerprint: session.token_fingerprint.clone(),
            operator: session.operator.clone(),
            may_command: session.may_command,
            peer: session.peer.clone(),
            opened_at: now,
            expires_at: now + session.lifetime,
        };
        let sessions = &mut state.sessions;
        sessions.retain(|known| known.expires_at > now && known.digest != session.digest);
        sessions.push(opened);
        Ok(())
    }

    async fn session(&self, digest: &str) -> StoreResult<Option<OperatorSession>> {
        let mut open = self.sessions().await?.into_iter();
        Ok(open.find(|session| session.digest == digest))
    }

    async fn end_session(&self, digest: &str) -> StoreResult<()> {
        let mut state = self.state();
        state.sessions.retain(|session| session.digest != digest);
        Ok(())
    }

    async fn sessions(&self) -> StoreResult<Vec<OperatorSession>> {
        let now = self.clock.now();
        let mut open = self.state().sessions.clone();
        open.retain(|session| session.expires_at > now);
        open.sort_by(|a, b| b.opened_at.cmp(&a.opened_at).then(a.digest.cmp(&b.digest)));
        Ok(open)
    }
}
