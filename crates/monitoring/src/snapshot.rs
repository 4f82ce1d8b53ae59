//! The snapshot of the store that rules are evaluated on.

use std::time::Duration;

use domain::id::OrderId;
use domain::job::JobOutcome;
use domain::ports::{BUS_RETENTION, StoreError};
use domain::time::Timestamp;
use operations::{
    AttemptStats, CallStats, Condition, ConditionKind, GapView, JobStage, OrderQuery,
    PROCESS_ALIVE, Pausable, Pause, ProcessView, QueueStats, StreamView, StuckOrders,
    UnreadableJobs,
};

use crate::Ports;
use crate::rule::{
    CALLS_WINDOW, IDLE_FOR, LATENCY_WINDOW, LIVE_FOR, SET_ASIDE_SHOWN, Settings,
    UNACKNOWLEDGED_AFTER, words,
};

/// Maximum number of failed orders examined, newest first.
const FAILED: usize = 500;
/// The greatest possible order id, for the condition "older than".
const LAST_ID: &str = "801zzzzzzzzzzzz";

/// What the rules need of the store, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Outcomes of attempts within `ALERT_WINDOW`; its `now` is the time of the snapshot.
    pub outcomes: AttemptStats,
    /// Outcomes within the window of the latency rule.
    pub latency: AttemptStats,
    /// Calls to WHMCS within the window of the error rule.
    pub calls: CallStats,
    /// Jobs and dead letters.
    pub queue_stats: QueueStats,
    /// The channel.
    pub stream: StreamView,
    /// The channel's newest gap.
    pub gap: Option<GapView>,
    /// What operators paused.
    pub pauses: Vec<Pause>,
    /// The processes that are alive.
    pub processes: Vec<ProcessView>,
    /// Failed orders that no operator acknowledged in time.
    pub unacknowledged: usize,
    /// Orders without progress for too long.
    pub stuck: StuckOrders,
    /// Jobs set aside recently.
    pub set_aside: UnreadableJobs,
    /// When WHMCS dropped our marker, while that is the newest evidence.
    pub marker_lost: Option<Timestamp>,
}

/// Counts failed orders that no operator acknowledged in time.
pub(crate) async fn unacknowledged(ports: &Ports, now: Timestamp) -> Result<usize, StoreError> {
    let last = OrderId::parse(LAST_ID).expect("it has the form of an order's id");
    let failed = OrderQuery {
        stage: Some(JobStage::Ended(JobOutcome::Failed)),
        after: Some((now - UNACKNOWLEDGED_AFTER, last)),
        limit: FAILED,
        ..OrderQuery::default()
    };
    let failed = ports.orders.orders(&failed).await?;
    Ok(failed.iter().filter(|row| row.handled.is_none()).count())
}

impl Snapshot {
    /// Reads everything the rules need.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read(ports: &Ports, settings: &Settings) -> Result<Self, StoreError> {
        let outcomes = ports.statistics.attempt_stats(settings.window).await?;
        let gaps = ports.events.gaps(20).await?;
        let mut processes = ports.processes.processes().await?;
        processes.retain(|view| view.unseen_for <= PROCESS_ALIVE);
        Ok(Self {
            latency: ports.statistics.attempt_stats(LATENCY_WINDOW).await?,
            calls: ports.statistics.call_stats(CALLS_WINDOW).await?,
            queue_stats: ports.statistics.queue_stats().await?,
            stream: ports.events.stream(&settings.channel).await?,
            gap: gaps.into_iter().find(|gap| gap.channel == settings.channel),
            pauses: ports.commands.pauses().await?,
            processes,
            unacknowledged: unacknowledged(ports, outcomes.now).await?,
            stuck: ports.statistics.stuck_orders(LIVE_FOR, IDLE_FOR).await?,
            set_aside: ports.statistics.unreadable_jobs(SET_ASIDE_SHOWN).await?,
            marker_lost: ports.statistics.marker_lost().await?,
            outcomes,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.outcomes.now
    }

    /// The first live process with this condition.
    pub(crate) fn first(&self, kind: ConditionKind) -> Option<(&ProcessView, &Condition)> {
        self.find(|condition| condition.kind == kind)
    }

    /// The first live process with a matching condition.
    pub(crate) fn find(
        &self,
        wanted: impl Fn(&Condition) -> bool,
    ) -> Option<(&ProcessView, &Condition)> {
        self.processes.iter().find_map(|view| {
            let mut conditions = view.report.conditions.iter();
            let found = conditions.find(|condition| wanted(condition));
            found.map(|condition| (view, condition))
        })
    }

    pub(crate) fn worker_paused(&self) -> Option<&Pause> {
        self.pauses
            .iter()
            .find(|pause| pause.what == Pausable::Worker)
    }

    fn intake_paused(&self, settings: &Settings) -> Option<&Pause> {
        let what = Pausable::Intake(settings.channel.clone());
        self.pauses.iter().find(|pause| pause.what == what)
    }

    /// Whether events are enabled. A live subscriber's condition takes precedence; without one,
    /// this process's setting counts, once the channel was ever followed.
    fn is_enabled(&self, settings: &Settings) -> bool {
        let mut subscribers = self
            .processes
            .iter()
            .filter(|view| view.report.role == "subscriber")
            .peekable();
        if subscribers.peek().is_some() {
            return subscribers.any(|view| view.shows(ConditionKind::EventsDisabled).is_none());
        }
        let followed = self.stream.cursor.is_some() || self.stream.leader.is_some();
        settings.events_enabled && followed && self.first(ConditionKind::EventsDisabled).is_none()
    }

    /// Whether a subscriber should follow the stream: events are enabled and not paused.
    pub(crate) fn is_followed(&self, settings: &Settings) -> bool {
        self.is_enabled(settings) && self.intake_paused(settings).is_none()
    }

    pub(crate) fn lag(&self) -> Option<Duration> {
        let cursor = self.stream.cursor.as_ref()?;
        Some(self.now().since(cursor.committed_at))
    }

    /// Applies while intake is paused as well: events that Salesforce drops meanwhile are lost.
    pub(crate) fn window_below(&self, settings: &Settings, least: Duration) -> Option<String> {
        let left = BUS_RETENTION.saturating_sub(self.lag()?);
        if left >= least || !self.is_enabled(settings) {
            return None;
        }
        let paused = self
            .intake_paused(settings)
            .map(|pause| format!(" Intake is paused by {}: {}", pause.by, pause.reason));
        Some(format!(
            "{} of {} are left before events are lost.{}",
            words(left),
            words(BUS_RETENTION),
            paused.unwrap_or_default()
        ))
    }
}
