//! Leads a channel and follows its stream.

use std::sync::Arc;
use std::time::Duration;

use domain::job::Admission;
use domain::key::{Channel, Owner};
use domain::ports::{
    Batch, Clock, Entropy, Entry, Epoch, EventIntake, EventSource, EventStream, LeaderElection,
    Leadership, Received, Start, StoreError, StreamError,
};
use error_chain::chain;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::stream_end::RestartPoint;
use crate::{Health, OnLoss, Status, decide_all, measure, store};

/// Delay after a failed call to the store.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// A stream that has been open for this long without an error counts as subscribed, even without a
/// message.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// Events of messages that wait are stored together up to this number.
const TOGETHER: usize = 500;

/// The ports that intake uses.
#[derive(Clone)]
pub struct Ports {
    /// The event bus.
    pub source: Arc<dyn EventSource>,
    /// Elects the subscriber that moves the cursor.
    pub election: Arc<dyn LeaderElection>,
    /// The job store.
    pub store: Arc<dyn EventIntake>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// Settings of intake.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The channel.
    pub channel: Channel,
    /// Where to start while no cursor is stored.
    pub start: Start,
    /// What to do when the stored cursor is lost.
    pub on_loss: OnLoss,
    /// Lease of the active subscriber, renewed at a third of it.
    pub lease: Duration,
}

/// Turns the events of a channel into jobs.
pub struct Intake {
    pub(crate) ports: Ports,
    pub(crate) settings: Settings,
    owner: Owner,
    pub(crate) health: Arc<Health>,
    /// Notified when events may have been missed.
    pub(crate) missed: Arc<Notify>,
}

/// Why following the stream ended.
enum StreamEnd {
    /// Shutdown was requested.
    Shutdown,
    /// Another process leads, or the store did not answer.
    NotLeading,
    /// The stream broke; `flowed` if it had delivered messages.
    Broken { error: StreamError, flowed: bool },
}

impl Intake {
    /// Creates an intake with a new owner id.
    #[must_use]
    pub fn new(ports: Ports, settings: Settings) -> Self {
        let owner = Owner::new(format!("subscriber-{}", ports.entropy.token()))
            .expect("the name is not blank");
        measure::register(&settings.channel);
        Self {
            ports,
            settings,
            owner,
            health: Arc::default(),
            missed: Arc::default(),
        }
    }

    /// Notified whenever events may have been missed, for the sweep.
    #[must_use]
    pub fn missed(&self) -> Arc<Notify> {
        Arc::clone(&self.missed)
    }

    /// The stream's health, for the health page.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    /// Follows the channel until `shutdown`, then resigns so that a standby need not wait.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut failures = 0;
        let mut restart = None;
        while !shutdown.is_cancelled() {
            let epoch = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                epoch = self.become_leader() => epoch,
            };
            match self.follow(epoch, &mut restart, &shutdown).await {
                StreamEnd::Shutdown => break,
                StreamEnd::NotLeading => {}
                StreamEnd::Broken { error, flowed } => {
                    failures = if flowed { 0 } else { failures + 1 };
                    tokio::select! {
                        biased;
                        () = shutdown.cancelled() => break,
                        lost = self.handle_stream_error(error, epoch, failures) => restart = lost.or(restart),
                    }
                }
            }
        }
        if let Err(error) = self
            .ports
            .election
            .resign(&self.settings.channel, &self.owner)
            .await
        {
            tracing::warn!(error = %chain(&error), "leadership not resigned; its lease will expire");
        }
    }

    async fn become_leader(&self) -> Epoch {
        let Settings { channel, lease, .. } = &self.settings;
        let mut logged = false;
        loop {
            match self.ports.election.lead(channel, &self.owner, *lease).await {
                Ok(Leadership::Leader(epoch)) => {
                    self.health.lead(true);
                    return epoch;
                }
                Ok(Leadership::Standby { .. }) => self.health.lead(false),
                Ok(Leadership::Paused { by, reason, .. }) => {
                    let text = format!("intake is paused by {by}: {reason}");
                    if !logged {
                        tracing::warn!(by, reason, "intake is paused");
                    }
                    logged = true;
                    self.health.paused(text);
                }
                Err(error) => {
                    tracing::error!(error = %chain(&error), "leadership not acquired: store error");
                    self.health
                        .error(Status::Connecting, chain(&error).to_string());
                }
            }
            self.ports.clock.sleep((*lease / 10).min(STORE_PAUSE)).await;
        }
    }

    async fn follow(
        &self,
        epoch: Epoch,
        restart: &mut Option<RestartPoint>,
        shutdown: &CancellationToken,
    ) -> StreamEnd {
        let mut renewal = tokio::time::interval(self.settings.lease / 3);
        renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // One renewal continues across messages: restarted with each message, it would never
        // complete on a busy stream.
        let leadership = self.keep_leadership(epoch, &mut renewal);
        // Concurrent with the stream, polled only once it is open.
        let background =
            async { tokio::join!(biased; self.redrive_requested(epoch), self.mark_stable()) };
        tokio::pin!(leadership, background);
        // Leadership is polled before the stream: a busy bus must not keep the leader from
        // renewing.
        let opened = tokio::select! {
            biased;
            () = shutdown.cancelled() => return StreamEnd::Shutdown,
            () = &mut leadership => return StreamEnd::NotLeading,
            opened = self.open(epoch, restart.as_ref()) => opened,
        };
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(end) => return end,
        };
        let mut flowed = false;
        loop {
            let end = tokio::select! {
                biased;
                () = shutdown.cancelled() => Some(StreamEnd::Shutdown),
                () = &mut leadership => Some(StreamEnd::NotLeading),
                _ = &mut background => None,
                end = self.process_next(&mut *stream, epoch, restart) => end,
            };
            match end {
                None => flowed = true,
                Some(StreamEnd::Broken { error, .. }) => {
                    return StreamEnd::Broken { error, flowed };
                }
                Some(end) => return end,
            }
        }
    }

    /// Marks the stream as stable after a while: a refusal comes at once, but a bus without events
    /// may be silent for minutes.
    async fn mark_stable(&self) {
        self.ports.clock.sleep(STABLE_AFTER).await;
        if self.health.stream_stable() {
            self.log_opened();
        }
    }

    /// The service answers a request for events only with its first message: until then, or until
    /// the stream has lasted a while, nobody knows whether it is open.
    fn log_opened(&self) {
        tracing::info!(channel = %self.settings.channel, "stream opened");
    }

    async fn open(
        &self,
        epoch: Epoch,
        restart: Option<&RestartPoint>,
    ) -> Result<Box<dyn EventStream>, StreamEnd> {
        let channel = &self.settings.channel;
        // The cursor is read again each time: only committed positions count.
        let start = match (self.ports.store.cursor(channel).await, restart) {
            (Err(error), _) => return Err(self.store_failed(&error).await),
            // A cursor lost in another term may have been replaced since.
            (Ok(_), Some(restart)) if restart.epoch == epoch => restart.start.clone(),
            (Ok(Some(cursor)), _) => Start::After(cursor.replay_id),
            (Ok(None), _) => self.settings.start.clone(),
        };
        match self.ports.source.open(channel, &start).await {
            Ok(stream) => {
                if restart.is_some_and(|restart| restart.epoch == epoch) {
                    // What was published until now is not in this stream.
                    self.missed.notify_one();
                }
                tracing::info!(%channel, epoch = epoch.number(), ?start, "stream requested");
                Ok(stream)
            }
            Err(error) => Err(StreamEnd::Broken {
                error,
                flowed: false,
            }),
        }
    }

    fn span(&self, received: &Received) -> tracing::Span {
        let span = tracing::info_span!(
            "receive",
            "otel.kind" = "consumer",
            "messaging.system" = "salesforce_pubsub",
            "messaging.operation.type" = "receive",
            "messaging.destination.name" = %self.settings.channel,
            "messaging.message.id" = %received.event,
        );
        traces::join_event_trace(&span, received.event.as_str());
        span
    }

    /// Receives a message, with those that have arrived behind it, and commits them before the next
    /// one is requested.
    async fn process_next(
        &self,
        stream: &mut dyn EventStream,
        epoch: Epoch,
        restart: &mut Option<RestartPoint>,
    ) -> Option<StreamEnd> {
        let batch = match stream.next().await {
            Ok(batch) => batch,
            Err(error) => {
                return Some(StreamEnd::Broken {
                    error,
                    flowed: false,
                });
            }
        };
        let now = self.ports.clock.now();
        if self.health.message(now) {
            self.log_opened();
        }
        let mut batches = vec![batch];
        let count = |batches: &[Batch]| batches.iter().map(|one| one.events.len()).sum::<usize>();
        while count(&batches) < TOGETHER
            && let Some(batch) = stream.arrived().await
        {
            batches.push(batch);
        }
        for batch in &batches {
            measure::received(&self.settings.channel, batch, now);
        }
        // Each span lasts until its event is stored.
        let received = batches.iter().flat_map(|batch| &batch.events);
        let _received: Vec<_> = received.map(|one| self.span(one)).collect();
        let delivery = decide_all(&self.settings.channel, epoch, batches);
        match store::accept(&*self.ports.store, &delivery).await {
            Ok(admissions) => {
                if delivery.cursor.is_some() {
                    *restart = None;
                }
                for (entry, admission) in delivery.entries.iter().zip(admissions) {
                    measure::admitted(&self.settings.channel, admission);
                    if let (Entry::DeadLetter(dead_letter), Admission::DeadLettered) =
                        (entry, admission)
                    {
                        tracing::warn!(
                            event = %dead_letter.event,
                            reason = dead_letter.undecodable.reason.name(),
                            detail = dead_letter.undecodable.detail,
                            "event became a dead letter"
                        );
                    }
                }
                None
            }
            Err(error) => Some(self.store_failed(&error).await),
        }
    }

    /// Renews leadership; returns when it is lost.
    pub(crate) async fn keep_leadership(&self, epoch: Epoch, renewal: &mut tokio::time::Interval) {
        let Settings { channel, lease, .. } = &self.settings;
        loop {
            renewal.tick().await;
            match self.ports.election.lead(channel, &self.owner, *lease).await {
                Ok(Leadership::Leader(current)) if current == epoch => {}
                Ok(_) => return,
                // Writes compare the term, and an unavailable store fails them anyway.
                Err(error) => tracing::warn!(error = %chain(&error), "leadership renewal failed"),
            }
        }
    }

    async fn store_failed(&self, error: &StoreError) -> StreamEnd {
        tracing::error!(error = %chain(&error), "store error; restarting the stream from the stored cursor");
        self.health
            .error(Status::Connecting, chain(&error).to_string());
        self.ports.clock.sleep(STORE_PAUSE).await;
        StreamEnd::NotLeading
    }
}
