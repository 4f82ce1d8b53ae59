//! Stream health, for the health page.

use std::sync::{Mutex, PoisonError};

use domain::time::Timestamp;

/// The status of the subscriber.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Events flow.
    Subscribed,
    /// The stream is being opened.
    #[default]
    Connecting,
    /// Another subscriber leads.
    Standby,
    /// An operator must decide or fix something.
    Stopped,
}

impl Status {
    /// The name on the health page.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Subscribed => "subscribed",
            Self::Connecting => "connecting",
            Self::Standby => "standby",
            Self::Stopped => "stopped",
        }
    }
}

/// This process's data for the health page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The status.
    pub status: Status,
    /// Whether this process leads the channel, as far as it knows.
    pub leads: bool,
    /// When the last message arrived.
    pub last_message_at: Option<Timestamp>,
    /// The last error, until events flow again.
    pub last_error: Option<String>,
}

/// The shared stream health.
#[derive(Debug, Default)]
pub struct Health(Mutex<View>);

impl Health {
    /// The current health.
    #[must_use]
    pub fn view(&self) -> View {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether this process leads the channel, as far as it knows.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.view().leads
    }

    /// Records that leadership was acquired or lost.
    pub(crate) fn lead(&self, leads: bool) {
        let mut view = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        view.leads = leads;
        view.status = match leads {
            true => Status::Connecting,
            false => Status::Standby,
        };
    }

    /// Records that an operator paused intake.
    pub(crate) fn paused(&self, text: String) {
        let mut view = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        view.leads = false;
        view.status = Status::Stopped;
        view.last_error = Some(text);
    }

    /// Records a message. Returns whether the stream was not known to be open before.
    pub(crate) fn message(&self, at: Timestamp) -> bool {
        let mut view = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = view.status != Status::Subscribed;
        *view = View {
            status: Status::Subscribed,
            leads: true,
            last_message_at: Some(at),
            last_error: None,
        };
        opened
    }

    /// Records that the stream has been open for a while without an error. Returns whether it was
    /// not known to be open before.
    pub(crate) fn stream_stable(&self) -> bool {
        let mut view = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = view.status == Status::Connecting;
        if opened {
            view.status = Status::Subscribed;
            view.last_error = None;
        }
        opened
    }

    pub(crate) fn error(&self, status: Status, error: String) {
        let mut view = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        view.status = status;
        view.last_error = Some(error);
    }
}
