//! Sessions of operators as rows.

use domain::ports::StoreError;
use operations::OperatorSession;

use crate::row::Columns;

pub(crate) fn session(found: &impl Columns) -> Result<OperatorSession, StoreError> {
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
