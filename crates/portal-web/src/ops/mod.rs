//! The operator console. Off unless there is a token for it.

use std::sync::Arc;

use axum::Router;

use crate::config::OpsAccess;
use crate::portal::Portal;

/// Who may use the console.
pub(crate) struct Ops {
    pub(crate) access: OpsAccess,
}

impl Ops {
    pub(crate) fn new(access: OpsAccess) -> Self {
        Self { access }
    }
}

pub(crate) fn routes() -> Router<Arc<Portal>> {
    Router::new()
}
