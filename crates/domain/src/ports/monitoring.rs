//! What the processes of an install say of themselves, and the alerts they raise together.

use std::time::Duration;

use crate::id::OrderId;
use crate::key::Owner;
use crate::time::Timestamp;

/// What a process alone knows and people must see.
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
    /// Its stream stands until a person mends something.
    Stopped,
    /// Events are switched off by a setting.
    EventsDisabled,
    /// WHMCS refuses us as such; the lane is paused.
    WhmcsRefuses,
    /// Salesforce refuses our login.
    SalesforceRefuses,
    /// Little is left of the day's calls to Salesforce.
    ApiScarce,
    /// A part of it panicked; it goes on.
    Panicked,
}

impl ConditionKind {
    /// Every sign.
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

    /// The sign of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sign| sign.name() == name)
    }
}

/// A sign, how long it has stood, and what there is to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which.
    pub kind: ConditionKind,
    /// Since when, as the process believes.
    pub since: Timestamp,
    /// In plain words; empty where the sign says it all.
    pub detail: String,
}

/// A setting as a process has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The environment variable's name.
    pub name: String,
    /// Its value; of a secret only `set` or `unset`.
    pub value: Option<String>,
    /// `flag`, `environment`, `file` or `default`.
    pub origin: String,
}

/// What a process says of itself.
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
    /// When it started, as it believes.
    pub started_at: Timestamp,
    /// What it alone knows.
    pub conditions: Vec<Condition>,
    /// Every setting it reads; no secret's value.
    pub settings: Vec<Setting>,
}

/// A process as the store last heard of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessView {
    /// What it said.
    pub report: ProcessReport,
    /// When, by the store's clock.
    pub seen_at: Timestamp,
    /// How long ago that is, by the store's clock.
    pub unseen_for: Duration,
}

impl ProcessView {
    /// Whether it shows this sign.
    #[must_use]
    pub fn shows(&self, kind: ConditionKind) -> Option<&Condition> {
        let mut conditions = self.report.conditions.iter();
        conditions.find(|condition| condition.kind == kind)
    }
}

/// A process that was heard of within this time is alive: it reports every 10 s.
pub const PROCESS_ALIVE: Duration = Duration::from_secs(45);

/// A process that was not heard of for so long is forgotten.
pub const PROCESS_REMOVED_AFTER: Duration = Duration::from_secs(3600);

/// How much of an alert its receiver was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notified {
    /// Nothing yet.
    #[default]
    Nothing,
    /// That it fires.
    Firing,
    /// That it is over.
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

    /// What has this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Nothing, Self::Firing, Self::Resolved]
            .into_iter()
            .find(|told| told.name() == name)
    }
}

/// An alert as it stands. There is one of each name: the present episode, or the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The rule's name.
    pub name: String,
    /// `page` or `ticket`.
    pub severity: String,
    /// One sentence.
    pub summary: String,
    /// What was seen, with numbers.
    pub description: String,
    /// Since when its condition holds without a break; `None` while it does not.
    pub pending_since: Option<Timestamp>,
    /// When it began to fire; `None` while it only may.
    pub firing_since: Option<Timestamp>,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
    /// What the receiver was told of this episode.
    pub notified: Notified,
}

impl Alert {
    /// Whether it fires.
    #[must_use]
    pub fn is_firing(&self) -> bool {
        self.firing_since.is_some() && self.resolved_at.is_none()
    }

    /// What the receiver is to be told next.
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

/// How attempts ended lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptStats {
    /// Now, by the store's clock.
    pub now: Timestamp,
    /// Attempts that ended in success.
    pub succeeded: u64,
    /// Attempts that ended in failure. Skipped and superseded ones count nowhere.
    pub failed: u64,
    /// Of 95 in 100 successes, the longest time from the request to the end.
    pub p95: Option<Duration>,
    /// When an attempt last ended, whatever the window and the ending.
    pub last_end: Option<Timestamp>,
}

impl AttemptStats {
    /// How many count.
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

/// Jobs that could not be read and were set aside lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnreadableJobs {
    /// How many.
    pub jobs: u64,
    /// The order of the newest, as it is stored: it may be no order's id.
    pub order: String,
    /// What was wrong with the newest; empty without any.
    pub cause: String,
}

/// Orders that have been live for long and make no progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StuckOrders {
    /// How many.
    pub orders: u64,
    /// The one that was enqueued first, and when, by the store's clock.
    pub oldest: Option<(OrderId, Timestamp)>,
}

/// Calls to WHMCS lately, and how they came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallStats {
    /// All of them, up to [`COUNTED`](Self::COUNTED).
    pub calls: u64,
    /// Of these, those that came out as an error, whichever.
    pub errors: u64,
}

impl CallStats {
    /// At most so many are counted, the newest: what is to be told of a share needs no more.
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
