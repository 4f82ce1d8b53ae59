//! The process registry, alert states and the figures that alert rules use.

use std::time::Duration;

use crate::id::OrderId;
use crate::key::Owner;
use crate::time::Timestamp;

/// A condition that only the process itself can observe and that operators must see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionKind {
    /// It leads the channel.
    Leads,
    /// Another subscriber leads the channel.
    Standby,
    /// Its stream is open and events flow.
    Subscribed,
    /// Its stream is being opened, or broke.
    Connecting,
    /// Its stream is stopped until somebody fixes the cause.
    Stopped,
    /// Events are disabled by a setting.
    EventsDisabled,
    /// WHMCS denies us access; calls to it are suspended.
    WhmcsRefuses,
    /// Salesforce refuses our login.
    SalesforceRefuses,
    /// The daily API allowance of Salesforce is nearly used up.
    ApiScarce,
    /// A task of it panicked; the process keeps running.
    Panicked,
}

impl ConditionKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Leads,
        Self::Standby,
        Self::Subscribed,
        Self::Connecting,
        Self::Stopped,
        Self::EventsDisabled,
        Self::WhmcsRefuses,
        Self::SalesforceRefuses,
        Self::ApiScarce,
        Self::Panicked,
    ];

    /// Stable name, for storage and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leads => "leads",
            Self::Standby => "standby",
            Self::Subscribed => "subscribed",
            Self::Connecting => "connecting",
            Self::Stopped => "stopped",
            Self::EventsDisabled => "events_disabled",
            Self::WhmcsRefuses => "whmcs_refuses",
            Self::SalesforceRefuses => "salesforce_refuses",
            Self::ApiScarce => "api_scarce",
            Self::Panicked => "panicked",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A condition that a process observes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The kind.
    pub kind: ConditionKind,
    /// Since when, by the process's clock.
    pub since: Timestamp,
    /// Details in plain words; may be empty.
    pub detail: String,
}

/// An effective setting of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The environment variable's name.
    pub name: String,
    /// Its value; of a secret only `set` or `unset`.
    pub value: Option<String>,
    /// `flag`, `environment`, `file` or `default`.
    pub origin: String,
}

/// The heartbeat of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessReport {
    /// New at every start.
    pub id: Owner,
    /// `subscriber`, `worker` or `portal`.
    pub role: String,
    /// The release.
    pub version: String,
    /// The machine's name.
    pub host: String,
    /// The process id there.
    pub pid: u32,
    /// When it started, by its own clock.
    pub started_at: Timestamp,
    /// The conditions it observes.
    pub conditions: Vec<Condition>,
    /// Every setting it reads, without the values of secrets.
    pub settings: Vec<Setting>,
}

/// A process with its last heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessView {
    /// The heartbeat.
    pub report: ProcessReport,
    /// When it was received, by the store's clock.
    pub seen_at: Timestamp,
    /// How long ago that is, by the store's clock.
    pub unseen_for: Duration,
}

impl ProcessView {
    /// The condition of this kind, if it is present.
    #[must_use]
    pub fn shows(&self, kind: ConditionKind) -> Option<&Condition> {
        let mut conditions = self.report.conditions.iter();
        conditions.find(|condition| condition.kind == kind)
    }
}

/// A process with a heartbeat within this time is alive. Heartbeats are sent every 10 s.
pub const PROCESS_ALIVE: Duration = Duration::from_secs(45);

/// A process without a heartbeat for this long is removed.
pub const PROCESS_REMOVED_AFTER: Duration = Duration::from_secs(3600);

/// What was notified of an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notified {
    /// Nothing yet.
    #[default]
    Nothing,
    /// That it fires.
    Firing,
    /// That it is resolved.
    Resolved,
}

impl Notified {
    /// Stable name, for storage.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }

    /// The value of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Nothing, Self::Firing, Self::Resolved]
            .into_iter()
            .find(|told| told.name() == name)
    }
}

/// The state of an alert: the current episode of its rule, or the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The rule's name.
    pub name: String,
    /// `page` or `ticket`.
    pub severity: String,
    /// One sentence.
    pub summary: String,
    /// What was observed, with numbers.
    pub description: String,
    /// Since when its condition has held without interruption; `None` while it does not.
    pub pending_since: Option<Timestamp>,
    /// When it began to fire; `None` while it is pending.
    pub firing_since: Option<Timestamp>,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// What was notified of this episode.
    pub notified: Notified,
}

impl Alert {
    /// Whether it fires.
    #[must_use]
    pub fn is_firing(&self) -> bool {
        self.firing_since.is_some() && self.resolved_at.is_none()
    }

    /// The next notification to send.
    #[must_use]
    pub fn pending_notification(&self) -> Option<Notified> {
        match (self.firing_since, self.resolved_at, self.notified) {
            (None, _, _) => None,
            (Some(_), _, Notified::Nothing) => Some(Notified::Firing),
            (Some(_), Some(_), Notified::Firing) => Some(Notified::Resolved),
            _ => None,
        }
    }
}

/// Results of recent attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptStats {
    /// Now, by the store's clock.
    pub now: Timestamp,
    /// Attempts that succeeded.
    pub succeeded: u64,
    /// Attempts that failed. Skipped and superseded ones are not counted.
    pub failed: u64,
    /// 95th percentile of the time from request to success.
    pub p95: Option<Duration>,
    /// When the last attempt finished, regardless of window and outcome.
    pub last_end: Option<Timestamp>,
}

impl AttemptStats {
    /// Number of counted attempts.
    #[must_use]
    pub fn finished(&self) -> u64 {
        self.succeeded + self.failed
    }

    /// The share that failed, from 0 to 1; 0 without any.
    #[must_use]
    pub fn failure_ratio(&self) -> f64 {
        match self.finished() {
            0 => 0.0,
            all => self.failed as f64 / all as f64,
        }
    }
}

/// Unreadable jobs that were recently set aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnreadableJobs {
    /// How many.
    pub jobs: u64,
    /// The order of the newest one, as stored: it may not be a valid id.
    pub order: String,
    /// What was wrong with the newest one; empty without any.
    pub cause: String,
}

/// Orders with a live job that make no progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StuckOrders {
    /// How many.
    pub orders: u64,
    /// The one enqueued first, and when, by the store's clock.
    pub oldest: Option<(OrderId, Timestamp)>,
}

/// Counts of recent calls to WHMCS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallStats {
    /// All of them, up to [`COUNTED`](Self::COUNTED).
    pub calls: u64,
    /// Those that returned an error of any class.
    pub errors: u64,
}

impl CallStats {
    /// Only the newest 10,000 calls are counted; an error ratio needs no more.
    pub const COUNTED: usize = 10_000;

    /// The share that ended in an error, from 0 to 1; 0 without any call.
    #[must_use]
    pub fn error_ratio(&self) -> f64 {
        match self.calls {
            0 => 0.0,
            all => self.errors as f64 / all as f64,
        }
    }
}
