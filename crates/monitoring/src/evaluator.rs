//! Evaluates the rules and notifies, in one process at a time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::job::backoff;
use domain::key::{Channel, Owner};
use domain::ports::{Clock, Entropy, Epoch, LeaderElection, Leadership, StoreError};
use error_chain::chain;
use operations::{
    AdminCommands, Alert, AlertStore, EventViews, Notified, OrderViews, ProcessRegistry, Statistics,
};
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

use crate::evaluate::{Transition, evaluate};
use crate::rule::{IDLE_FOR, LIVE_FOR};
use crate::snapshot::unacknowledged;
use crate::{Settings, Snapshot, body, measure};

/// A process with a webhook is alive when its last heartbeat is younger than this.
const WEBHOOK_PROCESS_ALIVE: Duration = Duration::from_secs(30);
/// Polling interval for notifications when no evaluation wakes the sender.
const NOTIFICATION_POLL: Duration = Duration::from_secs(5);
/// Base and cap of the backoff after a failed post.
const POST_BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// Name of the lease; Salesforce channels begin with a slash. Stored: never change it.
const LEASE_NAME: &str = "watch";

/// Receiver of alert notifications.
#[async_trait]
pub trait Webhook: Send + Sync {
    /// Posts a message; returns in bounded time, once the receiver accepted it.
    ///
    /// # Errors
    /// Why it failed; without the URL, which may hold a secret.
    async fn post(&self, body: String) -> Result<(), String>;
}

/// Functions that post are receivers.
#[async_trait]
impl<F, R> Webhook for F
where
    F: Fn(String) -> R + Send + Sync,
    R: Future<Output = Result<(), String>> + Send,
{
    async fn post(&self, body: String) -> Result<(), String> {
        self(body).await
    }
}

/// Ports of alerting and heartbeats.
#[derive(Clone)]
pub struct Ports {
    /// Elects the evaluator.
    pub election: Arc<dyn LeaderElection>,
    /// Orders and jobs.
    pub orders: Arc<dyn OrderViews>,
    /// Channels, dead letters and gaps.
    pub events: Arc<dyn EventViews>,
    /// The figures of rules and screens.
    pub statistics: Arc<dyn Statistics>,
    /// The pauses.
    pub commands: Arc<dyn AdminCommands>,
    /// The process registry.
    pub processes: Arc<dyn ProcessRegistry>,
    /// The states of alerts.
    pub alerts: Arc<dyn AlertStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The webhook, if one is configured.
    pub post: Option<Arc<dyn Webhook>>,
}

/// What is kept in memory while this process is the evaluator.
struct Term {
    epoch: Epoch,
    alerts: Vec<Alert>,
}

/// Consecutive failed posts, and when the next may be tried.
#[derive(Default)]
struct Failures {
    count: u32,
    not_before: Duration,
}

/// Evaluates the rules while this process has the lease, and notifies the webhook.
pub struct AlertEvaluator {
    ports: Ports,
    settings: Settings,
    owner: Owner,
    lease_name: Channel,
    /// Locked during a commit, never during a post.
    term: Mutex<Option<Term>>,
    failures: Mutex<Failures>,
    changed: Notify,
}

impl AlertEvaluator {
    /// Creates an evaluator with a new owner id.
    #[must_use]
    pub fn new(ports: Ports, settings: Settings) -> Self {
        measure::register();
        Self {
            owner: Owner::new(format!("watch-{}", ports.entropy.token()))
                .expect("the name begins with letters"),
            lease_name: Channel::new(LEASE_NAME).expect("the name is not blank"),
            ports,
            settings,
            term: Mutex::default(),
            failures: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Runs until `shutdown`, then resigns. A slow webhook delays the next notification and
    /// nothing else.
    pub async fn run(&self, shutdown: CancellationToken) {
        let evaluating = async {
            let mut tick = tokio::time::interval(self.settings.schedule.every);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                self.evaluate_once().await;
            }
        };
        let posting = async {
            loop {
                if self.post_next().await {
                    continue;
                }
                let _ = tokio::time::timeout(NOTIFICATION_POLL, self.changed.notified()).await;
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = evaluating => {}
            () = posting => {}
        }
        if let Err(error) = self
            .ports
            .election
            .resign(&self.lease_name, &self.owner)
            .await
        {
            tracing::warn!(error = %chain(&error), "resigning failed, the alert lease expires by itself");
        }
    }

    /// Evaluates once if this process has the lease, and updates the metrics in any case.
    pub async fn evaluate_once(&self) {
        let mut term = self.term.lock().await;
        if let Err(error) = self.evaluate(&mut term).await {
            // The stored alerts may differ from those in memory: read them again next time.
            *term = None;
            tracing::warn!(error = %chain(&error), "alert evaluation failed");
        }
        drop(term);
        if let Err(error) = self.measure().await {
            tracing::debug!(error = %chain(&error), "alert metrics not updated");
        }
        self.changed.notify_one();
    }

    async fn evaluate(&self, term: &mut Option<Term>) -> Result<(), StoreError> {
        let ports = &self.ports;
        if self.ports.post.is_none() && self.another_posts().await? {
            *term = None;
            return ports.election.resign(&self.lease_name, &self.owner).await;
        }
        let leadership = ports
            .election
            .lead(&self.lease_name, &self.owner, self.settings.schedule.lease)
            .await?;
        let Leadership::Leader(epoch) = leadership else {
            *term = None;
            return Ok(());
        };
        if term.as_ref().is_none_or(|term| term.epoch != epoch) {
            *term = Some(Term {
                epoch,
                alerts: ports.alerts.alerts().await?,
            });
        }
        let Some(term) = term else {
            return Ok(());
        };
        let snapshot = Snapshot::read(ports, &self.settings).await?;
        let mut changes = evaluate(&self.settings, &snapshot, &term.alerts);
        if self.ports.post.is_none() {
            // Without a webhook, the log and the console are the notification.
            for (alert, _) in &mut changes {
                while let Some(notified) = alert.pending_notification() {
                    alert.notified = notified;
                }
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let alerts: Vec<_> = changes.iter().map(|(alert, _)| alert.clone()).collect();
        ports
            .alerts
            .save_alerts(&self.lease_name, epoch, &alerts)
            .await?;
        for (alert, transition) in changes {
            log(&alert, transition);
            put(&mut term.alerts, alert);
        }
        Ok(())
    }

    /// Whether a live process has a webhook: evaluation is left to that one.
    async fn another_posts(&self) -> Result<bool, StoreError> {
        let views = self.ports.processes.processes().await?;
        Ok(views
            .iter()
            .filter(|view| view.unseen_for <= WEBHOOK_PROCESS_ALIVE)
            .any(|view| {
                view.report.settings.iter().any(|setting| {
                    setting.name == "ALERT_WEBHOOK_URL" && setting.value.as_deref() == Some("set")
                })
            }))
    }

    async fn measure(&self) -> Result<(), StoreError> {
        let ports = &self.ports;
        measure::alerts(&ports.alerts.alerts().await?);
        for (name, minutes) in [("15m", 15), ("1h", 60)] {
            let outcomes = ports
                .statistics
                .attempt_stats(Duration::from_secs(minutes * 60))
                .await?;
            measure::ratio(name, &outcomes);
            if minutes == 60 {
                let unacknowledged = unacknowledged(ports, outcomes.now).await?;
                measure::waiting(unacknowledged, ports.events.open_dead_letters().await?);
            }
        }
        measure::stuck(
            ports
                .statistics
                .stuck_orders(LIVE_FOR, IDLE_FOR)
                .await?
                .orders,
        );
        measure::marker_lost(ports.statistics.marker_lost().await?.is_some());
        Ok(())
    }

    /// Posts the next pending notification and records it; returns whether there may be another.
    /// After a crash between the two the same message is posted again.
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
            alerts.find_map(|alert| {
                alert
                    .pending_notification()
                    .map(|message| (alert.clone(), message))
            })
        };
        let Some((alert, message)) = next else {
            return false;
        };
        let posted = post
            .post(body(&alert, message, self.settings.runbooks.as_ref()))
            .await;
        let mut failures = self.failures.lock().await;
        if let Err(why) = posted {
            let (base, cap) = POST_BACKOFF;
            let wait = backoff(base, cap, failures.count, self.ports.entropy.fraction());
            failures.count += 1;
            failures.not_before = self.ports.clock.monotonic() + wait;
            measure::posted("failed", 1);
            tracing::warn!(
                alert = alert.name,
                why,
                "alert notification failed, will be retried"
            );
            return false;
        }
        *failures = Failures::default();
        drop(failures);
        measure::posted("ok", 1);
        self.mark(&alert, message).await
    }

    /// Records that a notification was accepted, unless another process is the evaluator now.
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
        let notified = Alert {
            notified: message,
            ..alert.clone()
        };
        let kept = self.ports.alerts.save_alerts(
            &self.lease_name,
            current.epoch,
            std::slice::from_ref(&notified),
        );
        match kept.await {
            Ok(()) => {
                *alert = notified;
                true
            }
            Err(error) => {
                tracing::warn!(alert = posted.name, error = %chain(&error),
                    "alert notification not recorded, may be posted again");
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

/// Logs one line per alert that fires or resolves.
fn log(alert: &Alert, transition: Transition) {
    let Alert {
        name,
        severity,
        summary,
        description,
        ..
    } = alert;
    match transition {
        Transition::Fired => {
            tracing::error!(
                alert = name,
                severity,
                description,
                "alert firing: {summary}"
            );
        }
        Transition::Resolved => tracing::info!(alert = name, severity, "alert resolved: {summary}"),
        Transition::Pending | Transition::Cleared | Transition::Updated => {}
    }
}
