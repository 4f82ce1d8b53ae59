//! What the console handlers share.

use std::sync::Arc;

use domain::key::Channel;
use domain::ports::{Clock, RetryRequests};
use operations::{AdminCommands, AlertStore, EventViews, OrderViews, ProcessRegistry, Statistics};

use super::caller::Caller;
use super::error::PageError;
use super::session::{Operator, Sessions};
use crate::config::{Config, Links};
use crate::event_stream::EventStreams;
use crate::ports::Ports;
use crate::problem::Problem;

/// State of the console handlers.
pub(crate) struct Console {
    pub(super) retries: Arc<dyn RetryRequests>,
    pub(super) orders: Arc<dyn OrderViews>,
    pub(super) events: Arc<dyn EventViews>,
    pub(super) statistics: Arc<dyn Statistics>,
    pub(super) commands: Arc<dyn AdminCommands>,
    pub(super) processes: Arc<dyn ProcessRegistry>,
    pub(super) alerts: Arc<dyn AlertStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) channel: Channel,
    pub(super) links: Links,
    pub(super) streams: EventStreams,
    pub(super) sessions: Sessions,
    pub(super) secure_cookies: bool,
}

impl Console {
    pub(crate) fn new(ports: Ports, config: Config, streams: EventStreams) -> Self {
        let sessions = Sessions::new(&ports, &config);
        Self {
            retries: ports.retries,
            orders: ports.orders,
            events: ports.events,
            statistics: ports.statistics,
            commands: ports.commands,
            processes: ports.processes,
            alerts: ports.alerts,
            clock: ports.clock,
            channel: ports.channel,
            links: config.links,
            streams,
            sessions,
            secure_cookies: config.secure_cookies,
        }
    }

    /// For the API: a denial is a problem document.
    pub(super) async fn for_api(&self, caller: &Caller) -> Result<Operator, Problem> {
        Ok(self.sessions.authenticate(caller).await?)
    }

    /// For screens: redirects to the login form without a session.
    pub(super) async fn for_screen(&self, caller: &Caller) -> Result<Operator, PageError> {
        Ok(self.sessions.authenticate(caller).await?)
    }
}
