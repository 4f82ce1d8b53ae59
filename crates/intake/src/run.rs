//! Leading a channel and following it.

use std::sync::Arc;
use std::time::Duration;

use domain::job::backoff;
use domain::key::{Channel, Owner};
use domain::ports::{
    Clock, Entropy, Epoch, EventSource, EventStream, Gap, JobIntake, Leadership, Received, Start,
    StoreError, StreamError,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{Health, OnLoss, Pause, Status, decide, measure, pause_after, store};

/// How long to wait after the store could not be asked.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// A stream that has been open for so long without an error is followed, message or not.
const SETTLES_AFTER: Duration = Duration::from_secs(10);

/// The outside, as intake sees it.
#[derive(Clone)]
pub struct Ports {
    /// Where events come from.
    pub source: Arc<dyn EventSource>,
    /// Where jobs go.
    pub store: Arc<dyn JobIntake>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
}

/// What can be set about intake.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The channel.
    pub channel: Channel,
    /// Where to start while no position is stored.
    pub start: Start,
    /// What to do when the stored position is lost.
    pub on_loss: OnLoss,
    /// Lease of the one active subscriber; renewed at a third of it.
    pub lease: Duration,
}

/// Turns the events of a channel into jobs.
pub struct Intake {
    pub(crate) ports: Ports,
    pub(crate) settings: Settings,
    owner: Owner,
    health: Arc<Health>,
    /// Told when events may have been missed.
    missed: Arc<Notify>,
}

/// Why following the stream came to an end.
enum Over {
    /// We were told to stop.
    Shutdown,
    /// Another process leads, or the store could not say.
    NotLeading,
    /// The stream broke; `flowed` when it had said something before.
    Broken { error: StreamError, flowed: bool },
}

/// Where to start although another position is stored: the bus does not know that one any
/// more. It stays stored until a message takes its place, so whoever leads after a crash finds
/// it lost as well and does the same.
struct Instead {
    /// The term that found it lost.
    epoch: Epoch,
    start: Start,
}

impl Intake {
    /// An intake with an owner id of its own, new at every start.
    #[must_use]
    pub fn new(ports: Ports, settings: Settings) -> Self {
        let owner = Owner::new(format!("subscriber-{}", ports.entropy.token()))
            .expect("the name begins with letters");
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

    /// How the stream is doing, for the health page.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    /// Follows the channel until `shutdown`, then resigns so that a standby need not wait.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut failures = 0;
        let mut instead = None;
        while !shutdown.is_cancelled() {
            let epoch = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                epoch = self.become_leader() => epoch,
            };
            match self.follow(epoch, &mut instead, &shutdown).await {
                Over::Shutdown => break,
                Over::NotLeading => {}
                Over::Broken { error, flowed } => {
                    failures = if flowed { 0 } else { failures + 1 };
                    tokio::select! {
                        biased;
                        () = shutdown.cancelled() => break,
                        lost = self.after(error, epoch, failures) => instead = lost.or(instead),
                    }
                }
            }
        }
        if let Err(error) = self
            .ports
            .store
            .resign(&self.settings.channel, &self.owner)
            .await
        {
            tracing::warn!(%error, "leadership could not be given up; it runs out by itself");
        }
    }

    async fn become_leader(&self) -> Epoch {
        let Settings { channel, lease, .. } = &self.settings;
        let mut told = false;
        loop {
            match self.ports.store.lead(channel, &self.owner, *lease).await {
                Ok(Leadership::Leader(epoch)) => {
                    self.health.lead(true);
                    return epoch;
                }
                Ok(Leadership::Standby { .. }) => self.health.lead(false),
                Ok(Leadership::Paused { by, reason, .. }) => {
                    let text = format!("intake is paused by {by}: {reason}");
                    if !told {
                        tracing::warn!(by, reason, "intake is paused");
                    }
                    told = true;
                    self.health.paused(text);
                }
                Err(error) => {
                    tracing::error!(%error, "the store does not say who leads");
                    self.health.error(Status::Connecting, error.to_string());
                }
            }
            self.ports.clock.sleep((*lease / 10).min(STORE_PAUSE)).await;
        }
    }

    async fn follow(
        &self,
        epoch: Epoch,
        instead: &mut Option<Instead>,
        shutdown: &CancellationToken,
    ) -> Over {
        let mut renewal = tokio::time::interval(self.settings.lease / 3);
        renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // One renewal goes on from message to message: begun anew with each of them, it would
        // never be answered on a busy stream.
        let leadership = self.lose_leadership(epoch, &mut renewal);
        // Beside the stream, and polled only once it is open.
        let beside = async { tokio::join!(biased; self.read_letters(epoch), self.settle()) };
        tokio::pin!(leadership, beside);
        // Leadership is asked before the stream: a bus that never pauses must not keep a
        // leader from renewing.
        let opened = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Over::Shutdown,
            () = &mut leadership => return Over::NotLeading,
            opened = self.open(epoch, instead.as_ref()) => opened,
        };
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(over) => return over,
        };
        let mut flowed = false;
        loop {
            let over = tokio::select! {
                biased;
                () = shutdown.cancelled() => Some(Over::Shutdown),
                () = &mut leadership => Some(Over::NotLeading),
                _ = &mut beside => None,
                over = self.take_one(&mut *stream, epoch, instead) => over,
            };
            match over {
                None => flowed = true,
                Some(Over::Broken { error, .. }) => return Over::Broken { error, flowed },
                Some(over) => return over,
            }
        }
    }

    /// A bus that refuses us says so at once; one that has nothing to tell may be silent for
    /// minutes.
    async fn settle(&self) {
        self.ports.clock.sleep(SETTLES_AFTER).await;
        self.health.settled();
    }

    async fn open(
        &self,
        epoch: Epoch,
        instead: Option<&Instead>,
    ) -> Result<Box<dyn EventStream>, Over> {
        let channel = &self.settings.channel;
        // The position is read anew each time: only what was committed counts.
        let start = match (self.ports.store.cursor(channel).await, instead) {
            (Err(error), _) => return Err(self.store_failed(&error).await),
            // What another term found lost may have been found again since.
            (Ok(_), Some(instead)) if instead.epoch == epoch => instead.start.clone(),
            (Ok(Some(cursor)), _) => Start::After(cursor.replay_id),
            (Ok(None), _) => self.settings.start.clone(),
        };
        match self.ports.source.open(channel, &start).await {
            Ok(stream) => {
                tracing::info!(%channel, epoch = epoch.0, ?start, "stream opened");
                Ok(stream)
            }
            Err(error) => Err(Over::Broken {
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
        traces::belongs_to(&span, received.event.as_str());
        span
    }

    /// One message: received, committed, and only then may the next one be asked for.
    async fn take_one(
        &self,
        stream: &mut dyn EventStream,
        epoch: Epoch,
        instead: &mut Option<Instead>,
    ) -> Option<Over> {
        let batch = match stream.next().await {
            Ok(batch) => batch,
            Err(error) => {
                return Some(Over::Broken {
                    error,
                    flowed: false,
                });
            }
        };
        let now = self.ports.clock.now();
        self.health.message(now);
        measure::received(&self.settings.channel, &batch, now);
        // Each lasts until its event is stored.
        let _received: Vec<_> = batch.events.iter().map(|one| self.span(one)).collect();
        let delivery = decide(&self.settings.channel, epoch, batch);
        match store::accept(&*self.ports.store, &delivery).await {
            Ok(admissions) => {
                if delivery.cursor.is_some() {
                    *instead = None;
                }
                admissions
                    .into_iter()
                    .for_each(|admission| measure::admitted(&self.settings.channel, admission));
                None
            }
            Err(error) => Some(self.store_failed(&error).await),
        }
    }

    /// Returns when leadership is gone or can no longer be proven.
    async fn lose_leadership(&self, epoch: Epoch, renewal: &mut tokio::time::Interval) {
        let Settings { channel, lease, .. } = &self.settings;
        loop {
            renewal.tick().await;
            match self.ports.store.lead(channel, &self.owner, *lease).await {
                Ok(Leadership::Leader(current)) if current == epoch => {}
                Ok(_) => return,
                // Writes carry the epoch; a store that is away stops them by itself.
                Err(error) => tracing::warn!(%error, "leadership could not be renewed"),
            }
        }
    }

    async fn store_failed(&self, error: &StoreError) -> Over {
        tracing::error!(%error, "the store did not take a delivery; the stream starts anew from what it has");
        self.health.error(Status::Connecting, error.to_string());
        self.ports.clock.sleep(STORE_PAUSE).await;
        Over::NotLeading
    }

    /// Waits as the error asks; answers where to start instead when the position was lost.
    async fn after(&self, error: StreamError, epoch: Epoch, failures: u32) -> Option<Instead> {
        measure::over(&self.settings.channel, &error);
        // A refused login is logged where it happens, as often as it is tried.
        if !matches!(error, StreamError::LoggedOut { .. }) {
            tracing::warn!(%error, class = error.class(), failures, "stream over");
        }
        let stopped = matches!(
            error,
            StreamError::Denied { .. } | StreamError::LoggedOut { .. }
        );
        let status = if stopped {
            Status::Stopped
        } else {
            Status::Connecting
        };
        self.health.error(status, error.to_string());
        let instead = match (&error, self.settings.on_loss) {
            (StreamError::CursorLost { .. }, OnLoss::Stop) => {
                self.health.error(Status::Stopped, error.to_string());
                self.wait(Pause::Fixed(Duration::from_secs(600)), epoch, failures)
                    .await;
                return None;
            }
            (StreamError::CursorLost { detail }, OnLoss::All) => {
                self.record_gap(epoch, detail, Start::Earliest).await
            }
            (StreamError::CursorLost { detail }, OnLoss::Latest) => {
                self.record_gap(epoch, detail, Start::Latest).await
            }
            _ => None,
        };
        self.wait(pause_after(&error), epoch, failures).await;
        instead
    }

    /// `None` when the gap could not be recorded: the stored position will be lost again.
    async fn record_gap(&self, epoch: Epoch, detail: &str, start: Start) -> Option<Instead> {
        let channel = &self.settings.channel;
        let from = self.ports.store.cursor(channel).await.ok().flatten();
        let gap = Gap {
            from: from.map(|cursor| cursor.committed_at),
            // The bus's words, and PostgreSQL keeps no NUL.
            detail: format!("{detail}; starting again from {start:?}").replace('\0', "\u{fffd}"),
        };
        tracing::error!(
            detail = gap.detail,
            "the stored position is lost; events may be missing"
        );
        match self
            .ports
            .store
            .record_cursor_loss(channel, epoch, &gap)
            .await
        {
            Ok(()) => {
                measure::cursor_lost(channel);
                self.missed.notify_one();
                Some(Instead { epoch, start })
            }
            Err(error) => {
                tracing::error!(%error, "the lost position could not be recorded");
                None
            }
        }
    }

    /// Waits, and goes on leading meanwhile.
    async fn wait(&self, pause: Pause, epoch: Epoch, failures: u32) {
        let wait = match pause {
            Pause::Backoff { base, cap } => backoff(
                base,
                cap,
                failures.saturating_sub(1),
                self.ports.entropy.fraction(),
            ),
            Pause::Fixed(wait) => wait,
        };
        let mut renewal = tokio::time::interval(self.settings.lease / 3);
        tokio::select! {
            biased;
            () = self.ports.clock.sleep(wait) => {}
            () = self.lose_leadership(epoch, &mut renewal) => {}
        }
    }
}
