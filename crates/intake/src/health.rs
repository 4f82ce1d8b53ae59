//! How the stream is doing, for the health page.

use std::sync::{Mutex, PoisonError};

use domain::time::Timestamp;

/// Where the subscriber stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Events flow.
    Subscribed,
    /// The stream is being opened.
    #[default]
    Connecting,
    /// Another subscriber leads.
    Standby,
    /// A person must decide or mend something.
    Stopped,
}

impl Status {
    /// The word on the health page.
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

/// What the health page shows of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Where it stands.
    pub status: Status,
    /// Whether this process leads the channel, as far as it knows.
    pub leads: bool,
    /// When the stream last said anything.
    pub last_message_at: Option<Timestamp>,
    /// The last error, until events flow again.
    pub last_error: Option<String>,
}

/// How the stream is doing.
#[derive(Debug, Default)]
pub struct Health(Mutex<View>);

impl Health {
    /// How it is doing now.
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

    /// Leadership was won, or another process has it.
    pub(crate) fn lead(&self, leads: bool) {
        let mut view = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        view.leads = leads;
        view.status = match leads {
            true => Status::Connecting,
            false => Status::Standby,
        };
    }

    /// A person holds intake back.
    pub(crate) fn paused(&self, text: String) {
        let mut view = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        view.leads = false;
        view.status = Status::Stopped;
        view.last_error = Some(text);
    }

    pub(crate) fn message(&self, at: Timestamp) {
        let mut view = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *view = View {
            status: Status::Subscribed,
            leads: true,
            last_message_at: Some(at),
            last_error: None,
        };
    }

    /// The stream has been open for a while and nothing was wrong.
    pub(crate) fn settled(&self) {
        let mut view = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if view.status == Status::Connecting {
            view.status = Status::Subscribed;
            view.last_error = None;
        }
    }

    pub(crate) fn error(&self, status: Status, error: String) {
        let mut view = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        view.status = status;
        view.last_error = Some(error);
    }
}
