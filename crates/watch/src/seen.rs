//! What the rules are judged by.

use std::time::Duration;

use domain::id::OrderId;
use domain::job::JobOutcome;
use domain::ports::{
    BUS_RETENTION, CallStats, Condition, GapView, JobReader, JobStage, OrderQuery, AttemptStats,
    PROCESS_ALIVE, Pausable, Pause, ProcessView, UnreadableJobs, ConditionKind, StoreError, StreamView,
    StuckOrders, QueueStats,
};
use domain::time::Timestamp;

use crate::rule::{
    CALLS_WINDOW, IDLE_FOR, LATENCY_WINDOW, LIVE_FOR, NEGLECT, SET_ASIDE_SHOWN, Settings, words,
};

/// So many failed orders are looked at, the newest first.
const FAILED: usize = 500;
/// The last id there is, for asking what is older than a time.
const LAST_ID: &str = "801zzzzzzzzzzzz";

/// What the store tells at one moment.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// How attempts ended within `ALERT_WINDOW`; its `now` is the moment of all of this.
    pub outcomes: AttemptStats,
    /// The same over the time that latency is judged by.
    pub latency: AttemptStats,
    /// Calls to WHMCS over the time that they are judged by.
    pub calls: CallStats,
    /// Jobs and dead letters.
    pub queue_stats: QueueStats,
    /// The channel.
    pub stream: StreamView,
    /// The channel's newest gap.
    pub gap: Option<GapView>,
    /// What people hold back.
    pub pauses: Vec<Pause>,
    /// The processes that are alive.
    pub processes: Vec<ProcessView>,
    /// Orders that failed long ago and were seen to by nobody.
    pub neglected: usize,
    /// Orders in progress that are too old.
    pub stuck: StuckOrders,
    /// Jobs that were set aside lately.
    pub set_aside: UnreadableJobs,
    /// When WHMCS was seen to have dropped our marker, while that is the newest evidence.
    pub marker_lost: Option<Timestamp>,
}

/// Orders that failed long ago and were seen to by nobody.
pub(crate) async fn neglected(reader: &dyn JobReader, now: Timestamp) -> Result<usize, StoreError> {
    let last = OrderId::parse(LAST_ID).expect("it has the form of an order's id");
    let failed = OrderQuery {
        stage: Some(JobStage::Ended(JobOutcome::Failed)),
        after: Some((now - NEGLECT, last)),
        limit: FAILED,
        ..OrderQuery::default()
    };
    let failed = reader.orders(&failed).await?;
    Ok(failed.iter().filter(|row| row.handled.is_none()).count())
}

impl Seen {
    /// Looks at everything.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn look(reader: &dyn JobReader, settings: &Settings) -> Result<Self, StoreError> {
        let outcomes = reader.attempt_stats(settings.window).await?;
        let gaps = reader.gaps(20).await?;
        let mut processes = reader.processes().await?;
        processes.retain(|view| view.unseen_for <= PROCESS_ALIVE);
        Ok(Self {
            latency: reader.attempt_stats(LATENCY_WINDOW).await?,
            calls: reader.call_stats(CALLS_WINDOW).await?,
            queue_stats: reader.queue_stats().await?,
            stream: reader.stream(&settings.channel).await?,
            gap: gaps.into_iter().find(|gap| gap.channel == settings.channel),
            pauses: reader.pauses().await?,
            processes,
            neglected: neglected(reader, outcomes.now).await?,
            stuck: reader.stuck_orders(LIVE_FOR, IDLE_FOR).await?,
            set_aside: reader.unreadable_jobs(SET_ASIDE_SHOWN).await?,
            marker_lost: reader.marker_lost().await?,
            outcomes,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.outcomes.now
    }

    /// The first process alive that shows this sign.
    pub(crate) fn first(&self, kind: ConditionKind) -> Option<(&ProcessView, &Condition)> {
        self.find(|condition| condition.kind == sign)
    }

    /// The first process alive with such a condition.
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

    /// Whether events are switched on. A subscriber's word counts before anybody else's; without
    /// any, what this process was told counts, once the channel was ever followed.
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

    /// Whether somebody ought to follow the stream: it is switched on, and no person holds it.
    pub(crate) fn is_followed(&self, settings: &Settings) -> bool {
        self.is_enabled(settings) && self.intake_paused(settings).is_none()
    }

    pub(crate) fn lag(&self) -> Option<Duration> {
        let cursor = self.stream.cursor.as_ref()?;
        Some(self.now().since(cursor.committed_at))
    }

    /// A person who holds intake back must hear of this one all the same: what Salesforce
    /// forgets meanwhile does not come back.
    pub(crate) fn window_below(&self, settings: &Settings, least: Duration) -> Option<String> {
        let left = BUS_RETENTION.saturating_sub(self.lag()?);
        if left >= least || !self.is_enabled(settings) {
            return None;
        }
        let held = self
            .intake_paused(settings)
            .map(|pause| format!(" Intake is held back by {}: {}", pause.by, pause.reason));
        Some(format!(
            "{} of {} are left before events are lost.{}",
            words(left),
            words(BUS_RETENTION),
            held.unwrap_or_default()
        ))
    }
}
