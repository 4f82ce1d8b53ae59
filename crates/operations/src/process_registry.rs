//! The process registry.

use std::time::Duration;

use async_trait::async_trait;
use domain::key::Owner;
use domain::ports::StoreError;
use domain::time::Timestamp;

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

/// The registry of running processes.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ProcessRegistry: Send + Sync {
    /// Stores a process's heartbeat, replacing its previous one, and removes the processes without
    /// one for [`PROCESS_REMOVED_AFTER`](crate::PROCESS_REMOVED_AFTER). May be lost in a
    /// crash; the next heartbeat makes up for it. The default stores nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn report_process(&self, report: &ProcessReport) -> Result<(), StoreError>;

    /// Removes a process that is shutting down. A no-op when it is not registered.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it is removed later, when its heartbeats are missing.
    async fn retire_process(&self, id: &Owner) -> Result<(), StoreError>;

    /// The process registry, by role and start time.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn processes(&self) -> Result<Vec<ProcessView>, StoreError>;
}
