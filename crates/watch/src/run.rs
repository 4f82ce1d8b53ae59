//! Judging and posting, by one process at a time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::job::backoff;
use domain::key::{Channel, Owner};
use domain::ports::{
    Alert, Clock, Entropy, Epoch, JobIntake, JobReader, Leadership, StoreError, Notified,
};
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

use crate::judge::{Turn, judge};
use crate::rule::{IDLE_FOR, LIVE_FOR};
use crate::seen::neglected;
use crate::{Seen, Settings, body, measure};

/// A process that can post and was heard of within this time is alive: it reports every 10 s.
const ALIVE: Duration = Duration::from_secs(30);
/// How long posting rests when there is nothing to post and nobody says otherwise.
const REST: Duration = Duration::from_secs(5);
/// Waits after a post that failed.
const POST_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// The watch is led as a channel is; no channel of Salesforce has such a name.
const WATCH: &str = "watch";

/// Posts a message to the receiver of alerts.
#[async_trait]
pub trait Post: Send + Sync {
    /// Returns once the receiver has accepted it, in bounded time.
    ///
    /// # Errors
    /// Why it may not have; without the receiver's address, which may be secret.
    async fn post(&self, body: String) -> Result<(), String>;
}

/// A function that posts is a receiver.
#[async_trait]
impl<F, R> Post for F
where
    F: Fn(String) -> R + Send + Sync,
    R: Future<Output = Result<(), String>> + Send,
{
    async fn post(&self, body: String) -> Result<(), String> {
        self(body).await
    }
}

/// The outside, as the watch sees it.
#[derive(Clone)]
pub struct Ports {
    /// Where alerts are kept.
    pub store: Arc<dyn JobIntake>,
    /// What is judged.
    pub reader: Arc<dyn JobReader>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// The receiver, if there is one.
    pub post: Option<Arc<dyn Post>>,
}

/// A term of judging.
struct Term {
    epoch: Epoch,
    alerts: Vec<Alert>,
}

/// Posts that failed in a row, and when the next may be tried.
#[derive(Default)]
struct Failures {
    count: u32,
    not_before: Duration,
}

/// Judges the rules while this process has the lease, and posts what changes.
pub struct Watch {
    ports: Ports,
    settings: Settings,
    owner: Owner,
    watch: Channel,
    /// Held over a commit, never over a post.
    term: Mutex<Option<Term>>,
    failures: Mutex<Failures>,
    changed: Notify,
}

impl Watch {
    /// A watch with an owner id of its own, new at every start.
    #[must_use]
    pub fn new(ports: Ports, settings: Settings) -> Self {
        measure::register();
        Self {
            owner: Owner::new(format!("watch-{}", ports.entropy.token()))
                .expect("the name begins with letters"),
            watch: Channel::new(WATCH).expect("the name is not blank"),
            ports,
            settings,
            term: Mutex::default(),
            failures: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Watches until `shutdown`, then gives the lease up. A slow receiver holds up the next
    /// post and nothing else.
    pub async fn run(&self, shutdown: CancellationToken) {
        let judging = async {
            let mut tick = tokio::time::interval(self.settings.pace.every);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                self.turn().await;
            }
        };
        let posting = async {
            loop {
                if self.post_next().await {
                    continue;
                }
                let _ = tokio::time::timeout(REST, self.changed.notified()).await;
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = judging => {}
            () = posting => {}
        }
        if let Err(error) = self.ports.store.resign(&self.watch, &self.owner).await {
            tracing::warn!(%error, "the watch could not be given up; its lease runs out by itself");
        }
    }

    /// Judges once, if it is ours to judge; and sets the numbers for a monitor either way.
    pub async fn turn(&self) {
        let mut term = self.term.lock().await;
        if let Err(error) = self.judge(&mut term).await {
            // What was in memory may not be what is stored; the next turn reads it anew.
            *term = None;
            tracing::warn!(%error, "the alerts could not be judged");
        }
        drop(term);
        if let Err(error) = self.measure().await {
            tracing::debug!(%error, "the numbers stay as they were");
        }
        self.changed.notify_one();
    }

    async fn judge(&self, term: &mut Option<Term>) -> Result<(), StoreError> {
        let Ports { store, reader, .. } = &self.ports;
        if self.ports.post.is_none() && self.another_posts().await? {
            *term = None;
            return store.resign(&self.watch, &self.owner).await;
        }
        let leadership = store
            .lead(&self.watch, &self.owner, self.settings.pace.lease)
            .await?;
        let Leadership::Leader(epoch) = leadership else {
            *term = None;
            return Ok(());
        };
        if term.as_ref().is_none_or(|term| term.epoch != epoch) {
            *term = Some(Term {
                epoch,
                alerts: reader.alerts().await?,
            });
        }
        let Some(term) = term else {
            return Ok(());
        };
        let seen = Seen::look(&**reader, &self.settings).await?;
        let mut changes = judge(&self.settings, &seen, &term.alerts);
        if self.ports.post.is_none() {
            // With nobody to tell, the log and the page have told it.
            for (alert, _) in &mut changes {
                while let Some(told) = alert.pending_notification() {
                    alert.notified = told;
                }
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let alerts: Vec<_> = changes.iter().map(|(alert, _)| alert.clone()).collect();
        store.save_alerts(&self.watch, epoch, &alerts).await?;
        for (alert, turn) in changes {
            log(&alert, turn);
            put(&mut term.alerts, alert);
        }
        Ok(())
    }

    /// Whether a process that can post is alive: it is left to that one.
    async fn another_posts(&self) -> Result<bool, StoreError> {
        let views = self.ports.reader.processes().await?;
        Ok(views
            .iter()
            .filter(|view| view.unseen_for <= ALIVE)
            .any(|view| {
                view.report.settings.iter().any(|setting| {
                    setting.name == "ALERT_WEBHOOK_URL" && setting.value.as_deref() == Some("set")
                })
            }))
    }

    async fn measure(&self) -> Result<(), StoreError> {
        let reader = &self.ports.reader;
        measure::alerts(&reader.alerts().await?);
        for (name, minutes) in [("15m", 15), ("1h", 60)] {
            let outcomes = reader.attempt_stats(Duration::from_secs(minutes * 60)).await?;
            measure::ratio(name, &outcomes);
            if minutes == 60 {
                let neglected = neglected(&**reader, outcomes.now).await?;
                measure::waiting(neglected, reader.open_dead_letters().await?);
            }
        }
        measure::stuck(reader.stuck_orders(LIVE_FOR, IDLE_FOR).await?.orders);
        measure::marker_lost(reader.marker_lost().await?.is_some());
        Ok(())
    }

    /// Posts the next message that is due and marks it as told; answers whether there may be
    /// another. After a crash between the two the same message is posted again.
    pub async fn post_next(&self) -> bool {
        let Some(post) = &self.ports.post else {
            return false;
        };
        if self.ports.clock.monotonic() < self.failures.lock().await.not_before {
            return false;
        }
        let next = {
            let term = self.term.lock().await;
            let mut alerts = term.iter().flat_map(|term| &term.alerts);
            alerts.find_map(|alert| alert.pending_notification().map(|message| (alert.clone(), message)))
        };
        let Some((alert, message)) = next else {
            return false;
        };
        let posted = post.post(body(&alert, message)).await;
        let mut failures = self.failures.lock().await;
        if let Err(why) = posted {
            let (base, cap) = POST_AGAIN;
            let wait = backoff(base, cap, failures.count, self.ports.entropy.fraction());
            failures.count += 1;
            failures.not_before = self.ports.clock.monotonic() + wait;
            measure::posted("failed", 1);
            tracing::warn!(
                alert = alert.name,
                why,
                "an alert could not be posted; it is repeated"
            );
            return false;
        }
        *failures = Failures::default();
        drop(failures);
        measure::posted("ok", 1);
        self.mark(&alert, message).await
    }

    /// Notes that a message was taken, unless another judges by now.
    async fn mark(&self, posted: &Alert, message: Notified) -> bool {
        let mut term = self.term.lock().await;
        let Some(current) = term.as_mut() else {
            return false;
        };
        let same = |alert: &&mut Alert| {
            alert.name == posted.name && alert.firing_since == posted.firing_since
        };
        let Some(alert) = current.alerts.iter_mut().find(same) else {
            return false;
        };
        let told = Alert {
            told: message,
            ..alert.clone()
        };
        let kept =
            self.ports
                .store
                .save_alerts(&self.watch, current.epoch, std::slice::from_ref(&told));
        match kept.await {
            Ok(()) => {
                *alert = told;
                true
            }
            Err(error) => {
                tracing::warn!(alert = posted.name, %error,
                    "an alert was posted and could not be marked; it may be posted again");
                *term = None;
                false
            }
        }
    }
}

fn put(alerts: &mut Vec<Alert>, alert: Alert) {
    match alerts.iter_mut().find(|other| other.name == alert.name) {
        Some(other) => *other = alert,
        None => alerts.push(alert),
    }
}

/// One line per change; the numbers of an alert that goes on are no change.
fn log(alert: &Alert, turn: Turn) {
    let Alert {
        name,
        severity,
        summary,
        description,
        ..
    } = alert;
    match turn {
        Turn::Fired => {
            tracing::error!(
                alert = name,
                severity,
                description,
                "alert fires: {summary}"
            );
        }
        Turn::Resolved => tracing::info!(alert = name, severity, "alert is over: {summary}"),
        Turn::Pending | Turn::Calmed | Turn::GoesOn => {}
    }
}
