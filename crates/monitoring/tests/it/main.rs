//! The evaluator over a store in memory, with a clock that is advanced.
#![expect(clippy::unwrap_used, reason = "a failing step fails its test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::job::JobOutcome;
use domain::key::Channel;
use domain::ports::{CallAction, CallOutcome, CallRecord, Clock, EventIntake, JobQueue};
use monitoring::{AlertEvaluator, AlertRule, Ports, Schedule, Settings, Webhook};
use operations::{AlertStore, Notified, ProcessRegistry, ProcessReport, Setting};
use testkit::JobQueueExt;
use testkit::{FakeClock, FakeEntropy, MemoryStore, new_job, order_id, owner, process_report};

#[derive(Default)]
struct Receiver {
    taken: Mutex<Vec<serde_json::Value>>,
    down: Mutex<bool>,
}

#[async_trait]
impl Webhook for Receiver {
    async fn post(&self, body: String) -> Result<(), String> {
        if *self.down.lock().unwrap() {
            return Err("it is down".to_owned());
        }
        let message = serde_json::from_str(&body).unwrap();
        self.taken.lock().unwrap().push(message);
        Ok(())
    }
}

struct TestEnv {
    clock: Arc<FakeClock>,
    store: Arc<MemoryStore>,
    receiver: Arc<Receiver>,
    entropy: Arc<FakeEntropy>,
    orders: Mutex<u32>,
}

impl TestEnv {
    fn new() -> Self {
        let clock = Arc::new(FakeClock::default());
        Self {
            store: Arc::new(MemoryStore::new(Arc::clone(&clock) as _)),
            clock,
            receiver: Arc::default(),
            entropy: Arc::default(),
            orders: Mutex::default(),
        }
    }

    fn ports(&self, post: Option<Arc<dyn Webhook>>) -> Ports {
        Ports {
            election: Arc::clone(&self.store) as _,
            orders: Arc::clone(&self.store) as _,
            events: Arc::clone(&self.store) as _,
            statistics: Arc::clone(&self.store) as _,
            commands: Arc::clone(&self.store) as _,
            processes: Arc::clone(&self.store) as _,
            alerts: Arc::clone(&self.store) as _,
            clock: Arc::clone(&self.clock) as _,
            entropy: Arc::clone(&self.entropy) as _,
            post,
        }
    }

    fn evaluator(&self) -> AlertEvaluator {
        self.watch_of(Some(Arc::clone(&self.receiver) as _))
    }

    fn watch_of(&self, post: Option<Arc<dyn Webhook>>) -> AlertEvaluator {
        let settings = Settings {
            schedule: Schedule::default(),
            channel: Channel::new("/event/X__e").unwrap(),
            events_enabled: true,
            failure_rate: 0.10,
            window: Duration::from_secs(900),
            min_attempts: 10,
            runbooks: None,
        };
        AlertEvaluator::new(self.ports(post), settings)
    }

    async fn attempts(&self, outcome: JobOutcome, count: u32) {
        for _ in 0..count {
            let n = {
                let mut orders = self.orders.lock().unwrap();
                *orders += 1;
                *orders
            };
            let job = new_job(&format!("e{n}"), order_id(n), None);
            self.store.enqueue(&[job]).await.unwrap();
            let ttl = Duration::from_secs(9);
            let claimed = self.store.claim(&owner("w"), 1, ttl).await.unwrap();
            let lease = &claimed[0].lease;
            self.store.finish(lease, outcome, &[], &[]).await.unwrap();
        }
    }

    /// What the receiver has got: name and status.
    fn taken(&self) -> Vec<String> {
        let taken = self.receiver.taken.lock().unwrap();
        let word = |message: &serde_json::Value| {
            let (alert, status) = (&message["alert"], &message["status"]);
            format!("{} {}", alert.as_str().unwrap(), status.as_str().unwrap())
        };
        taken.iter().map(word).collect()
    }

    fn down(&self, down: bool) {
        *self.receiver.down.lock().unwrap() = down;
    }
}

/// One transition, and every post that is due.
async fn evaluate_and_notify(evaluator: &AlertEvaluator) {
    evaluator.evaluate_once().await;
    while evaluator.post_next().await {}
}

const FIRING: &str = "ProvisioningFailureRateHigh firing";
const RESOLVED: &str = "ProvisioningFailureRateHigh resolved";

#[tokio::test]
async fn failure_rate_raises_one_alert_and_recovery_resolves_it_once() {
    let env = TestEnv::new();
    let watches = [env.evaluator(), env.evaluator(), env.evaluator()];
    env.attempts(JobOutcome::Succeeded, 7).await;
    env.attempts(JobOutcome::Failed, 2).await;
    for evaluator in &watches {
        evaluate_and_notify(evaluator).await;
    }
    assert_eq!(
        env.taken(),
        [""; 0],
        "there are fewer attempts than it takes"
    );
    env.attempts(JobOutcome::Succeeded, 3).await;
    for _ in 0..5 {
        for evaluator in &watches {
            evaluate_and_notify(evaluator).await;
        }
        env.clock.advance(Duration::from_secs(10));
    }
    assert_eq!(env.taken(), [FIRING]);
    env.attempts(JobOutcome::Succeeded, 8).await;
    for _ in 0..5 {
        for evaluator in &watches {
            evaluate_and_notify(evaluator).await;
        }
        env.clock.advance(Duration::from_secs(10));
    }
    assert_eq!(env.taken(), [FIRING, RESOLVED]);
}

#[tokio::test]
async fn alert_resolves_when_failures_leave_window() {
    let env = TestEnv::new();
    let evaluator = env.evaluator();
    env.attempts(JobOutcome::Failed, 10).await;
    evaluate_and_notify(&evaluator).await;
    env.clock.advance(Duration::from_secs(901));
    evaluate_and_notify(&evaluator).await;
    assert_eq!(env.taken(), [FIRING, RESOLVED]);
}

#[tokio::test]
async fn successor_posts_nothing_twice_and_resolves_alert() {
    let env = TestEnv::new();
    let (first, second) = (env.evaluator(), env.evaluator());
    env.attempts(JobOutcome::Failed, 10).await;
    evaluate_and_notify(&first).await;
    evaluate_and_notify(&second).await;
    // The first one dies; its lease runs out.
    env.clock.advance(Duration::from_secs(31));
    evaluate_and_notify(&second).await;
    assert_eq!(env.taken(), [FIRING]);
    env.attempts(JobOutcome::Succeeded, 90).await;
    // The first one was only asleep: it can neither evaluate nor record.
    evaluate_and_notify(&first).await;
    evaluate_and_notify(&second).await;
    evaluate_and_notify(&first).await;
    assert_eq!(env.taken(), [FIRING, RESOLVED]);
}

#[tokio::test]
async fn unreachable_webhook_delays_no_evaluation_and_is_notified_later() {
    let env = TestEnv::new();
    let evaluator = env.evaluator();
    env.down(true);
    env.attempts(JobOutcome::Failed, 10).await;
    evaluate_and_notify(&evaluator).await;
    let stored = env.store.alerts().await.unwrap();
    assert!(stored[0].is_firing());
    assert_eq!(stored[0].notified, Notified::Nothing);
    env.attempts(JobOutcome::Succeeded, 90).await;
    env.clock.advance(Duration::from_secs(10));
    evaluate_and_notify(&evaluator).await;
    assert!(!env.store.alerts().await.unwrap()[0].is_firing());
    env.down(false);
    assert!(
        !evaluator.post_next().await,
        "it waits before it tries again"
    );
    env.clock.advance(Duration::from_secs(300));
    evaluate_and_notify(&evaluator).await;
    assert_eq!(env.taken(), [FIRING, RESOLVED]);
}

#[tokio::test]
async fn notification_posted_but_not_recorded_is_posted_again() {
    let env = TestEnv::new();
    let (first, second) = (env.evaluator(), env.evaluator());
    env.attempts(JobOutcome::Failed, 10).await;
    first.evaluate_once().await;
    // The first one loses its lease between its judgement and its mark.
    env.clock.advance(Duration::from_secs(31));
    second.evaluate_once().await;
    assert!(!first.post_next().await);
    assert!(second.post_next().await);
    assert_eq!(env.taken(), [FIRING, FIRING]);
    evaluate_and_notify(&first).await;
    evaluate_and_notify(&second).await;
    assert_eq!(env.taken().len(), 2);
}

#[tokio::test]
async fn process_without_webhook_yields_leadership_to_one_with_webhook() {
    let env = TestEnv::new();
    let without = env.watch_of(None);
    env.attempts(JobOutcome::Failed, 10).await;
    let report = ProcessReport {
        settings: vec![Setting {
            name: "ALERT_WEBHOOK_URL".to_owned(),
            value: Some("set".to_owned()),
            origin: "environment".to_owned(),
        }],
        ..process_report("w", Default::default())
    };
    env.store.report_process(&report).await.unwrap();
    evaluate_and_notify(&without).await;
    assert!(env.store.alerts().await.unwrap().is_empty());
    let with = env.evaluator();
    evaluate_and_notify(&with).await;
    assert_eq!(env.taken(), [FIRING]);
}

#[tokio::test]
async fn alert_without_webhook_is_on_console() {
    let env = TestEnv::new();
    let evaluator = env.watch_of(None);
    env.attempts(JobOutcome::Failed, 10).await;
    evaluate_and_notify(&evaluator).await;
    let stored = env.store.alerts().await.unwrap();
    let rule = AlertRule::ProvisioningFailureRateHigh;
    assert_eq!(stored[0].name, rule.name());
    assert!(stored[0].is_firing());
    assert_eq!(stored[0].pending_notification(), None);
}

#[tokio::test]
async fn lasting_whmcs_call_failures_raise_alert() {
    let env = TestEnv::new();
    let evaluator = env.evaluator();
    env.store
        .enqueue(&[new_job("e1", order_id(1), None)])
        .await
        .unwrap();
    let ttl = Duration::from_secs(3600);
    let claimed = env.store.claim(&owner("w"), 1, ttl).await.unwrap();
    let call = |outcome| CallRecord {
        at: env.clock.now(),
        took: Duration::ZERO,
        action: CallAction::GetOrders,
        outcome,
    };
    let mut notified = Vec::new();
    for minute in 0..20 {
        let failed = minute < 8;
        let outcome = match failed {
            true => CallOutcome::Unknown,
            false => CallOutcome::Ok,
        };
        let calls = [call(outcome), call(CallOutcome::Ok), call(CallOutcome::Ok)];
        let recorded = env.store.record(&claimed[0].lease, &[], &calls);
        recorded.await.unwrap();
        evaluate_and_notify(&evaluator).await;
        notified.push(env.taken().len());
        env.clock.advance(Duration::from_secs(60));
    }
    // Twelve calls are there in the fourth minute, and the share is on the line again when the
    // first two are out of the window.
    assert_eq!(notified[7..9], [0, 1], "it fires when it has lasted");
    assert_eq!(
        env.taken(),
        ["WhmcsErrorsHigh firing", "WhmcsErrorsHigh resolved"]
    );
}
