//! The rules: what each is called, how grave it is, and when it holds.

use std::time::Duration;

use domain::key::Channel;
use domain::ports::{Condition, ConditionKind};
use domain::time::Timestamp;

use crate::seen::Seen;

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

const fn hours(count: u64) -> Duration {
    minutes(count * 60)
}

/// An order that failed and was seen to by nobody waits so long before it is an alert.
pub(crate) const NEGLECT: Duration = hours(1);
/// The latency is judged over so long.
pub(crate) const LATENCY_WINDOW: Duration = minutes(30);
/// The slowest of 95 in 100 orders should take no longer from approval to write-back.
const LATENCY_TARGET: Duration = minutes(5);
/// A gap that was recorded stays an alert for so long.
const GAP_SHOWN: Duration = minutes(30);
const LAG: Duration = minutes(10);
const STUCK: Duration = minutes(15);
const IDLE: Duration = minutes(10);
/// Calls to WHMCS are judged over so long.
pub(crate) const CALLS_WINDOW: Duration = minutes(10);
/// This share of them may end in an error; fewer calls than the second raise no alert.
const CALL_ERRORS: (f64, u64) = (0.20, 10);

/// An order in progress for so long is too old, when nothing new was recorded of it for the
/// second of them.
pub(crate) const LIVE_FOR: Duration = hours(1);
pub(crate) const IDLE_FOR: Duration = minutes(30);
/// A job that was set aside stays an alert for so long.
pub(crate) const SET_ASIDE_SHOWN: Duration = hours(24);
/// A panic stays an alert for so long.
const PANIC_SHOWN: Duration = minutes(30);

/// How often processes report and the rules are judged, and by whom for how long.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How often.
    pub every: Duration,
    /// The lease of whoever judges; a successor takes over at most this and `every` later.
    pub lease: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(10),
            lease: Duration::from_secs(30),
        }
    }
}

/// What can be set about alerts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How often there is a look; no setting of the programs.
    pub pace: Pace,
    /// The channel whose stream is watched.
    pub channel: Channel,
    /// Whether events are followed, as far as this process was told; while a subscriber is
    /// there, its word counts.
    pub events_enabled: bool,
    /// The share of attempts that may fail, from 0 to 1.
    pub failure_rate: f64,
    /// Over which time attempts are counted.
    pub window: Duration,
    /// Fewer attempts than this raise no alert about their share.
    pub min_attempts: u64,
}

/// A rule. Each raises at most one alert at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// More than the set share of attempts failed.
    ProvisioningFailureRateHigh,
    /// Orders take long.
    ProvisioningLatencyHigh,
    /// No subscriber has an open stream.
    EventStreamDown,
    /// Nobody leads the channel.
    NoLeader,
    /// Less than 48 of the 72 hours are left before events are lost.
    ReplayWindowShrinking,
    /// Less than 12 hours are left.
    ReplayWindowCritical,
    /// The stream is open and says nothing.
    EventLagHigh,
    /// Jobs are due and nobody finishes any.
    QueueStuck,
    /// Failed orders wait for somebody.
    NeedsAttention,
    /// WHMCS refuses us as such.
    LanePaused,
    /// More than a fifth of the calls to WHMCS end in an error.
    WhmcsErrorsHigh,
    /// Salesforce refuses our login.
    CredentialFailure,
    /// Less than a tenth is left of the day's calls to Salesforce.
    ApiAllowanceLow,
    /// The position in the stream was lost.
    CursorReset,
    /// Events that nobody could act on wait for somebody.
    DeadLettersOpen,
    /// Orders have been live for long and make no progress.
    OrderStuck,
    /// Jobs could not be read.
    JobSetAside,
    /// WHMCS no longer keeps our marker.
    MarkerLost,
    /// A worker panicked over a job.
    WorkerPanicked,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 19] = [
        Self::ProvisioningFailureRateHigh,
        Self::ProvisioningLatencyHigh,
        Self::EventStreamDown,
        Self::NoLeader,
        Self::ReplayWindowShrinking,
        Self::ReplayWindowCritical,
        Self::EventLagHigh,
        Self::QueueStuck,
        Self::NeedsAttention,
        Self::LanePaused,
        Self::WhmcsErrorsHigh,
        Self::CredentialFailure,
        Self::ApiAllowanceLow,
        Self::CursorReset,
        Self::DeadLettersOpen,
        Self::OrderStuck,
        Self::JobSetAside,
        Self::MarkerLost,
        Self::WorkerPanicked,
    ];

    /// Its name, in messages, metrics and the runbook.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProvisioningFailureRateHigh => "ProvisioningFailureRateHigh",
            Self::ProvisioningLatencyHigh => "ProvisioningLatencyHigh",
            Self::EventStreamDown => "EventStreamDown",
            Self::NoLeader => "NoLeader",
            Self::ReplayWindowShrinking => "ReplayWindowShrinking",
            Self::ReplayWindowCritical => "ReplayWindowCritical",
            Self::EventLagHigh => "EventLagHigh",
            Self::QueueStuck => "QueueStuck",
            Self::NeedsAttention => "NeedsAttention",
            Self::LanePaused => "LanePaused",
            Self::WhmcsErrorsHigh => "WhmcsErrorsHigh",
            Self::CredentialFailure => "CredentialFailure",
            Self::ApiAllowanceLow => "ApiAllowanceLow",
            Self::CursorReset => "CursorReset",
            Self::DeadLettersOpen => "DeadLettersOpen",
            Self::OrderStuck => "OrderStuck",
            Self::JobSetAside => "JobSetAside",
            Self::MarkerLost => "MarkerLost",
            Self::WorkerPanicked => "WorkerPanicked",
        }
    }

    /// `page`: somebody must come now. `ticket`: somebody must see to it.
    #[must_use]
    pub const fn severity(self) -> &'static str {
        match self {
            Self::ProvisioningLatencyHigh
            | Self::ReplayWindowShrinking
            | Self::NeedsAttention
            | Self::ApiAllowanceLow
            | Self::CursorReset
            | Self::DeadLettersOpen
            | Self::MarkerLost
            | Self::WorkerPanicked => "ticket",
            _ => "page",
        }
    }

    /// What it means, in one sentence.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            Self::ProvisioningFailureRateHigh => "Too many orders fail to be provisioned.",
            Self::ProvisioningLatencyHigh => "Orders take long from approval to write-back.",
            Self::EventStreamDown => "No subscriber receives events from Salesforce.",
            Self::NoLeader => "No subscriber leads the channel; events wait in Salesforce.",
            Self::ReplayWindowShrinking => {
                "The stored position is more than a day old; Salesforce forgets events after three."
            }
            Self::ReplayWindowCritical => {
                "Events are about to be lost: Salesforce forgets what was not fetched."
            }
            Self::EventLagHigh => "The stream is open, and nothing came over it for long.",
            Self::QueueStuck => "Orders are due, and no attempt ends.",
            Self::NeedsAttention => "Failed orders wait for somebody.",
            Self::LanePaused => "WHMCS refuses the bridge; orders wait.",
            Self::WhmcsErrorsHigh => "Many calls to WHMCS end in an error.",
            Self::CredentialFailure => "Salesforce refuses the bridge's login.",
            Self::ApiAllowanceLow => "Little is left of the day's calls to Salesforce.",
            Self::CursorReset => {
                "The position in the event stream was lost; events may be missing."
            }
            Self::DeadLettersOpen => "Events came that nobody could act on.",
            Self::OrderStuck => "Orders have been in progress for long and do not move.",
            Self::JobSetAside => "Jobs could not be read and were set aside.",
            Self::MarkerLost => "WHMCS no longer keeps the marker in order notes.",
            Self::WorkerPanicked => "A worker panicked over a job.",
        }
    }

    /// How long it must hold before it fires.
    #[must_use]
    pub const fn patience(self) -> Duration {
        match self {
            Self::ProvisioningLatencyHigh => minutes(15),
            Self::EventStreamDown
            | Self::ReplayWindowShrinking
            | Self::EventLagHigh
            | Self::QueueStuck
            | Self::WhmcsErrorsHigh => minutes(5),
            Self::NoLeader | Self::CredentialFailure => minutes(2),
            // An order waits for its hour by itself; the others are as true now as later.
            _ => Duration::ZERO,
        }
    }

    /// What was seen, with numbers, while it holds. `firing`: whether it fires already; a rule
    /// that needs some evidence to begin goes on with less.
    #[must_use]
    pub fn holds(self, settings: &Settings, seen: &Seen, firing: bool) -> Option<String> {
        match self {
            Self::ProvisioningFailureRateHigh => {
                let outcomes = &seen.outcomes;
                let enough = firing || outcomes.finished() >= settings.min_attempts;
                (enough && outcomes.failure_ratio() > settings.failure_rate).then(|| {
                    format!(
                        "{} of the last {} attempts failed ({:.0} %), within {}; the line is {:.0} %.",
                        outcomes.failed,
                        outcomes.finished(),
                        outcomes.failure_ratio() * 100.0,
                        words(settings.window),
                        settings.failure_rate * 100.0,
                    )
                })
            }
            Self::ProvisioningLatencyHigh => {
                let p95 = seen.latency.p95?;
                (p95 > LATENCY_TARGET).then(|| {
                    format!(
                        "95 of 100 orders took up to {} within {}; the target is {}.",
                        words(p95),
                        words(LATENCY_WINDOW),
                        words(LATENCY_TARGET)
                    )
                })
            }
            Self::EventStreamDown => {
                let down = seen.is_followed(settings) && seen.first(ConditionKind::Subscribed).is_none();
                down.then(|| {
                    let trouble = [ConditionKind::Stopped, ConditionKind::Connecting]
                        .into_iter()
                        .find_map(|sign| seen.first(sign));
                    match trouble {
                        Some((view, condition)) => format!(
                            "The subscriber on {} is {}: {}",
                            view.report.host,
                            condition.kind.name(),
                            condition.detail
                        ),
                        None => "No subscriber says that its stream is open.".to_owned(),
                    }
                })
            }
            Self::NoLeader => {
                let led = seen.stream.leader.as_ref();
                let led = led.is_some_and(|(_, _, until)| *until > seen.now());
                (seen.is_followed(settings) && !led)
                    .then(|| format!("Nobody holds the lease of {}.", settings.channel))
            }
            Self::ReplayWindowShrinking => seen.window_below(settings, hours(48)),
            Self::ReplayWindowCritical => seen.window_below(settings, hours(12)),
            Self::EventLagHigh => {
                let up = seen.is_followed(settings) && seen.first(ConditionKind::Subscribed).is_some();
                let lag = seen.lag().filter(|lag| up && *lag > LAG)?;
                Some(format!("Nothing was stored from it for {}.", words(lag)))
            }
            Self::QueueStuck => {
                // Each has an alert, or a person, of its own.
                if seen.worker_paused().is_some() || seen.first(ConditionKind::WhmcsRefuses).is_some() {
                    return None;
                }
                let waits = seen.now().since(seen.queue_stats.oldest_due?);
                let idle = seen
                    .outcomes
                    .last_end
                    .is_none_or(|at| seen.now().since(at) > IDLE);
                (waits > STUCK && idle).then(|| {
                    format!(
                        "{} jobs are queued; the oldest is due for {}.",
                        seen.queue_stats.count("queued"),
                        words(waits)
                    )
                })
            }
            Self::NeedsAttention => (seen.neglected > 0).then(|| {
                format!(
                    "{} orders failed more than {} ago and were seen to by nobody.",
                    seen.neglected,
                    words(NEGLECT)
                )
            }),
            Self::LanePaused => told_of(seen, ConditionKind::WhmcsRefuses),
            Self::WhmcsErrorsHigh => {
                let (line, least) = CALL_ERRORS;
                let calls = &seen.calls;
                let enough = firing || calls.calls >= least;
                (enough && calls.error_ratio() > line).then(|| {
                    format!(
                        "{} of the last {} calls to WHMCS ended in an error ({:.0} %), within {}; the line is {:.0} %.",
                        calls.errors,
                        calls.calls,
                        calls.error_ratio() * 100.0,
                        words(CALLS_WINDOW),
                        line * 100.0,
                    )
                })
            }
            Self::CredentialFailure => told_of(seen, ConditionKind::SalesforceRefuses),
            Self::ApiAllowanceLow => told_of(seen, ConditionKind::ApiScarce),
            Self::CursorReset => {
                let gap = seen.gap.as_ref()?;
                (seen.now().since(gap.until) < GAP_SHOWN).then(|| gap.detail.clone())
            }
            Self::DeadLettersOpen => match seen.queue_stats.open_dead_letters {
                0 => None,
                count => Some(format!("{count} dead letters are open.")),
            },
            Self::OrderStuck => {
                let (order, since) = seen.stuck.oldest?;
                Some(format!(
                    "{} orders have been in progress for more than {}, without anything new for more than {}; the oldest, {order}, for {}.",
                    seen.stuck.orders,
                    words(LIVE_FOR),
                    words(IDLE_FOR),
                    words(seen.now().since(since)),
                ))
            }
            Self::JobSetAside => (seen.set_aside.jobs > 0).then(|| {
                format!(
                    "{} jobs were set aside within {}; the newest is of order {}: {}",
                    seen.set_aside.jobs,
                    words(SET_ASIDE_SHOWN),
                    seen.set_aside.order,
                    seen.set_aside.cause
                )
            }),
            Self::MarkerLost => {
                let lost = seen.now().since(seen.marker_lost?);
                Some(format!(
                    "The newest order that was read back from WHMCS, {} ago, had lost it.",
                    words(lost)
                ))
            }
            Self::WorkerPanicked => {
                let lately = |condition: &Condition| {
                    condition.kind == ConditionKind::Panicked
                        && seen.now().since(condition.since) < PANIC_SHOWN
                };
                let (view, condition) = seen.find(lately)?;
                Some(format!("On {}: {}", view.report.host, condition.detail))
            }
        }
    }
}

/// One alert however many processes show the sign.
fn told_of(seen: &Seen, kind: ConditionKind) -> Option<String> {
    let (view, condition) = seen.first(sign)?;
    Some(format!(
        "{} on {}: {}",
        view.report.role, view.report.host, condition.detail
    ))
}

/// `45 s`, `12 min`, `5 h`.
pub(crate) fn words(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

/// A moment as RFC 3339 says it, UTC.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map(|time| format!("{time:.3}"))
        .unwrap_or_default()
}
