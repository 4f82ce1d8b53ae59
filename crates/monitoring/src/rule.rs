//! The alert rules: name, severity, and condition of each.

use std::time::Duration;

use domain::key::Channel;
use domain::time::Timestamp;
use operations::{Condition, ConditionKind, JobStage};
use settings::Runbooks;

use crate::snapshot::Snapshot;

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

const fn hours(count: u64) -> Duration {
    minutes(count * 60)
}

/// A failed order that no operator acknowledged becomes an alert after this long.
pub(crate) const UNACKNOWLEDGED_AFTER: Duration = hours(1);
/// The window of the latency rule.
pub(crate) const LATENCY_WINDOW: Duration = minutes(30);
/// The target for the 95th percentile of the time from approval to write-back.
const LATENCY_TARGET: Duration = minutes(5);
/// How long a recorded gap stays an alert.
const GAP_SHOWN: Duration = minutes(30);
const LAG: Duration = minutes(10);
const STUCK: Duration = minutes(15);
const IDLE: Duration = minutes(10);
/// The window of the WHMCS error rule.
pub(crate) const CALLS_WINDOW: Duration = minutes(10);
/// The tolerated share of failed calls, and the minimum number of calls for an alert.
const CALL_ERRORS: (f64, u64) = (0.20, 10);

/// An order is stuck when it is in progress for the first of these and has no new fact for the
/// second.
pub(crate) const LIVE_FOR: Duration = hours(1);
pub(crate) const IDLE_FOR: Duration = minutes(30);
/// How long a job that was set aside stays an alert.
pub(crate) const SET_ASIDE_SHOWN: Duration = hours(24);
/// How long a panic stays an alert.
const PANIC_SHOWN: Duration = minutes(30);

/// Intervals of heartbeats and evaluation, and the evaluator's lease.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Interval of heartbeats and evaluations.
    pub every: Duration,
    /// Lease of the evaluator; a successor takes over at most this plus `every` later.
    pub lease: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(10),
            lease: Duration::from_secs(30),
        }
    }
}

/// Settings of the alert rules.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Not configurable in the programs.
    pub schedule: Schedule,
    /// The channel whose stream is monitored.
    pub channel: Channel,
    /// Whether events are enabled in this process's settings; a running subscriber's own
    /// condition takes precedence.
    pub events_enabled: bool,
    /// The share of attempts that may fail, from 0 to 1.
    pub failure_rate: f64,
    /// The window in which attempts are counted.
    pub window: Duration,
    /// The minimum number of attempts for the failure rate rule.
    pub min_attempts: u64,
    /// The page with the runbooks.
    pub runbooks: Option<Runbooks>,
}

/// An alert rule. Each has at most one alert at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::VariantArray)]
pub enum AlertRule {
    /// More than `ALERT_FAILURE_RATE` of the attempts failed.
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
    /// The stream is open and received nothing for long.
    EventLagHigh,
    /// Jobs are due and none finishes.
    QueueStuck,
    /// Failed orders wait for an operator.
    NeedsAttention,
    /// WHMCS refuses the bridge itself.
    LanePaused,
    /// More than a fifth of the calls to WHMCS end in an error.
    WhmcsErrorsHigh,
    /// Salesforce refuses the login.
    CredentialFailure,
    /// Less than a tenth is left of the day's calls to Salesforce.
    ApiAllowanceLow,
    /// The stream's cursor was lost.
    CursorReset,
    /// Dead letters are open.
    DeadLettersOpen,
    /// Orders have been in progress for long without a new fact.
    OrderStuck,
    /// Jobs could not be read.
    JobSetAside,
    /// WHMCS no longer keeps the marker in order notes.
    MarkerLost,
    /// A worker panicked over a job.
    WorkerPanicked,
}

impl AlertRule {
    /// Every rule.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// Its name, in messages, metrics and the runbook.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// `page`: needs action now. `ticket`: needs action during working hours.
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

    /// One sentence for the notification.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            Self::ProvisioningFailureRateHigh => "Too many orders fail to be provisioned.",
            Self::ProvisioningLatencyHigh => "Orders take long from approval to write-back.",
            Self::EventStreamDown => "No subscriber receives events from Salesforce.",
            Self::NoLeader => "No subscriber leads the channel; events wait in Salesforce.",
            Self::ReplayWindowShrinking => {
                "The stored cursor is more than a day old; Salesforce keeps events for three days."
            }
            Self::ReplayWindowCritical => {
                "Events are about to be lost: Salesforce keeps them for 72 hours."
            }
            Self::EventLagHigh => "The stream is open, and no message arrived for long.",
            Self::QueueStuck => "Jobs are due, and no attempt finishes.",
            Self::NeedsAttention => "Failed orders need attention.",
            Self::LanePaused => "WHMCS refuses the bridge; orders wait.",
            Self::WhmcsErrorsHigh => "Many calls to WHMCS end in an error.",
            Self::CredentialFailure => "Salesforce refuses the bridge's login.",
            Self::ApiAllowanceLow => "Few of the day's Salesforce API calls are left.",
            Self::CursorReset => "The cursor of the event stream was lost; events may be missing.",
            Self::DeadLettersOpen => "Events could not be processed.",
            Self::OrderStuck => "Orders have been in progress for long without progress.",
            Self::JobSetAside => "Jobs could not be read and were set aside.",
            Self::MarkerLost => "WHMCS no longer keeps the marker in order notes.",
            Self::WorkerPanicked => "A worker panicked over a job.",
        }
    }

    /// How long the condition must hold before the alert fires.
    #[must_use]
    pub const fn pending_for(self) -> Duration {
        match self {
            Self::ProvisioningLatencyHigh => minutes(15),
            Self::EventStreamDown
            | Self::ReplayWindowShrinking
            | Self::EventLagHigh
            | Self::QueueStuck
            | Self::WhmcsErrorsHigh => minutes(5),
            Self::NoLeader | Self::CredentialFailure => minutes(2),
            // These conditions already include a duration, or do not pass by waiting.
            _ => Duration::ZERO,
        }
    }

    /// Returns the description, with numbers, while the condition holds. A `firing` alert keeps
    /// firing below the minimum number of attempts that it needs to start.
    #[must_use]
    pub fn holds(self, settings: &Settings, snapshot: &Snapshot, firing: bool) -> Option<String> {
        match self {
            Self::ProvisioningFailureRateHigh => {
                let outcomes = &snapshot.outcomes;
                let enough = firing || outcomes.finished() >= settings.min_attempts;
                (enough && outcomes.failure_ratio() > settings.failure_rate).then(|| {
                    format!(
                        "{} of the last {} attempts failed ({:.0} %), within {}; the threshold is {:.0} %.",
                        outcomes.failed,
                        outcomes.finished(),
                        outcomes.failure_ratio() * 100.0,
                        words(settings.window),
                        settings.failure_rate * 100.0,
                    )
                })
            }
            Self::ProvisioningLatencyHigh => {
                let p95 = snapshot.latency.p95?;
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
                let down = snapshot.is_followed(settings)
                    && snapshot.first(ConditionKind::Subscribed).is_none();
                down.then(|| {
                    let trouble = [ConditionKind::Stopped, ConditionKind::Connecting]
                        .into_iter()
                        .find_map(|kind| snapshot.first(kind));
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
                let led = snapshot.stream.leader.as_ref();
                let led = led.is_some_and(|(_, _, until)| *until > snapshot.now());
                (snapshot.is_followed(settings) && !led)
                    .then(|| format!("Nobody holds the lease of {}.", settings.channel))
            }
            Self::ReplayWindowShrinking => snapshot.window_below(settings, hours(48)),
            Self::ReplayWindowCritical => snapshot.window_below(settings, hours(12)),
            Self::EventLagHigh => {
                let up = snapshot.is_followed(settings)
                    && snapshot.first(ConditionKind::Subscribed).is_some();
                let lag = snapshot.lag().filter(|lag| up && *lag > LAG)?;
                Some(format!("No message has been stored for {}.", words(lag)))
            }
            Self::QueueStuck => {
                // WHMCS denying access has its own alert, and a pause is intentional.
                if snapshot.worker_paused().is_some()
                    || snapshot.first(ConditionKind::WhmcsRefuses).is_some()
                {
                    return None;
                }
                let waits = snapshot.now().since(snapshot.queue_stats.oldest_due?);
                let idle = snapshot
                    .outcomes
                    .last_end
                    .is_none_or(|at| snapshot.now().since(at) > IDLE);
                (waits > STUCK && idle).then(|| {
                    format!(
                        "{} jobs are queued; the oldest has been due for {}.",
                        snapshot.queue_stats.count(JobStage::Queued),
                        words(waits)
                    )
                })
            }
            Self::NeedsAttention => (snapshot.unacknowledged > 0).then(|| {
                format!(
                    "{} orders failed more than {} ago and were not acknowledged.",
                    snapshot.unacknowledged,
                    words(UNACKNOWLEDGED_AFTER)
                )
            }),
            Self::LanePaused => describe(snapshot, ConditionKind::WhmcsRefuses),
            Self::WhmcsErrorsHigh => {
                let (line, least) = CALL_ERRORS;
                let calls = &snapshot.calls;
                let enough = firing || calls.calls >= least;
                (enough && calls.error_ratio() > line).then(|| {
                    format!(
                        "{} of the last {} calls to WHMCS ended in an error ({:.0} %), within {}; the threshold is {:.0} %.",
                        calls.errors,
                        calls.calls,
                        calls.error_ratio() * 100.0,
                        words(CALLS_WINDOW),
                        line * 100.0,
                    )
                })
            }
            Self::CredentialFailure => describe(snapshot, ConditionKind::SalesforceRefuses),
            Self::ApiAllowanceLow => describe(snapshot, ConditionKind::ApiScarce),
            Self::CursorReset => {
                let gap = snapshot.gap.as_ref()?;
                (snapshot.now().since(gap.until) < GAP_SHOWN).then(|| gap.detail.clone())
            }
            Self::DeadLettersOpen => match snapshot.queue_stats.open_dead_letters {
                0 => None,
                count => Some(format!("{count} dead letters are open.")),
            },
            Self::OrderStuck => {
                let (order, since) = snapshot.stuck.oldest?;
                Some(format!(
                    "{} orders have been in progress for more than {}, without anything new for more than {}; the oldest, {order}, for {}.",
                    snapshot.stuck.orders,
                    words(LIVE_FOR),
                    words(IDLE_FOR),
                    words(snapshot.now().since(since)),
                ))
            }
            Self::JobSetAside => (snapshot.set_aside.jobs > 0).then(|| {
                format!(
                    "{} jobs were set aside within {}; the newest is of order {}: {}",
                    snapshot.set_aside.jobs,
                    words(SET_ASIDE_SHOWN),
                    snapshot.set_aside.order,
                    snapshot.set_aside.cause
                )
            }),
            Self::MarkerLost => {
                let lost = snapshot.now().since(snapshot.marker_lost?);
                Some(format!(
                    "The order read back most recently from WHMCS, {} ago, had lost its marker.",
                    words(lost)
                ))
            }
            Self::WorkerPanicked => {
                let lately = |condition: &Condition| {
                    condition.kind == ConditionKind::Panicked
                        && snapshot.now().since(condition.since) < PANIC_SHOWN
                };
                let (view, condition) = snapshot.find(lately)?;
                Some(format!("On {}: {}", view.report.host, condition.detail))
            }
        }
    }
}

/// Describes the first process with this condition: one alert however many have it.
fn describe(snapshot: &Snapshot, kind: ConditionKind) -> Option<String> {
    let (view, condition) = snapshot.first(kind)?;
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

/// Formats a timestamp as RFC 3339, UTC.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map(|time| format!("{time:.3}"))
        .unwrap_or_default()
}
