//! Tests of every rule and every transition of an alert.

use std::time::Duration;

use domain::id::OrderId;
use domain::key::{Channel, Owner, ReplayId};
use domain::ports::{Cursor, Epoch};
use operations::{
    AttemptStats, CallStats, Condition, ConditionKind, GapView, Pausable, Pause, ProcessReport,
    ProcessView, StuckOrders, UnreadableJobs,
};

use super::*;

const T0: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn settings() -> Settings {
    Settings {
        schedule: crate::Schedule::default(),
        channel: Channel::new("/event/X__e").unwrap(),
        events_enabled: true,
        failure_rate: 0.10,
        window: Duration::from_secs(900),
        min_attempts: 10,
        runbooks: None,
    }
}

fn process(role: &str, kinds: &[ConditionKind]) -> ProcessView {
    ProcessView {
        report: ProcessReport {
            id: Owner::new(role).unwrap(),
            role: role.to_owned(),
            version: String::new(),
            host: "host-a".to_owned(),
            pid: 1,
            started_at: T0,
            conditions: kinds
                .iter()
                .map(|kind| Condition {
                    kind: *kind,
                    since: T0,
                    detail: "words".to_owned(),
                })
                .collect(),
            settings: Vec::new(),
        },
        seen_at: T0,
        unseen_for: Duration::ZERO,
    }
}

/// A snapshot in which no rule fires.
fn well(now: Timestamp) -> Snapshot {
    let mut snapshot = Snapshot {
        processes: vec![
            process(
                "subscriber",
                &[ConditionKind::Leads, ConditionKind::Subscribed],
            ),
            process("worker", &[]),
        ],
        ..Snapshot::default()
    };
    snapshot.outcomes.now = now;
    snapshot.stream.leader = Some((
        Owner::new("s").unwrap(),
        Epoch::from_number(1),
        now + Duration::from_secs(10),
    ));
    snapshot.stream.cursor = Some(Cursor {
        replay_id: ReplayId::new(vec![1]).unwrap(),
        committed_at: now,
    });
    snapshot
}

fn pause(what: Pausable) -> Pause {
    Pause {
        what,
        by: "ada".to_owned(),
        reason: "because".to_owned(),
        since: T0,
    }
}

fn outcomes(now: Timestamp, failed: u64, all: u64) -> AttemptStats {
    AttemptStats {
        now,
        succeeded: all - failed,
        failed,
        p95: None,
        last_end: Some(now),
    }
}

fn calls(errors: u64, calls: u64) -> CallStats {
    CallStats { calls, errors }
}

/// The rules whose condition holds.
fn holding(snapshot: &Snapshot) -> Vec<AlertRule> {
    let settings = settings();
    let holds = |rule: &AlertRule| rule.holds(&settings, snapshot, false).is_some();
    AlertRule::ALL.iter().copied().filter(holds).collect()
}

fn with(change: impl FnOnce(&mut Snapshot)) -> Snapshot {
    let mut snapshot = well(T0);
    change(&mut snapshot);
    snapshot
}

fn stuck(orders: u64) -> StuckOrders {
    let order = OrderId::parse("801000000000001").unwrap();
    StuckOrders {
        orders,
        oldest: Some((order, ago(7200))),
    }
}

fn panicked(at: Timestamp) -> ProcessView {
    let mut view = process("worker", &[ConditionKind::Panicked]);
    view.report.conditions[0].since = at;
    view
}

#[test]
fn alert_names_stuck_order_and_unreadable_job() {
    let snapshot = with(|snapshot| snapshot.stuck = stuck(3));
    let words = AlertRule::OrderStuck
        .holds(&settings(), &snapshot, false)
        .unwrap();
    assert!(words.starts_with("3 orders"), "{words}");
    assert!(words.contains("801000000000001AAA, for 2 h"), "{words}");
}

#[test]
fn alert_text_is_storable() {
    let snapshot = with(|snapshot| {
        snapshot.processes[1] = process("worker", &[ConditionKind::WhmcsRefuses]);
        snapshot.processes[1].report.conditions[0].detail = "a\0b".to_owned();
    });
    let changes = evaluate(&settings(), &snapshot, &[]);
    assert!(!changes[0].0.description.contains('\0'));
}

fn ago(seconds: u64) -> Timestamp {
    T0 - Duration::from_secs(seconds)
}

fn cursor_at(at: Timestamp) -> Option<Cursor> {
    Some(Cursor {
        replay_id: ReplayId::new(vec![1]).unwrap(),
        committed_at: at,
    })
}

#[test]
fn each_rule_fires_alone_on_its_condition() {
    use AlertRule::*;
    let order: Option<OrderId> = OrderId::parse("801000000000001").ok();
    assert!(order.is_some());
    let channel = settings().channel;
    let table: Vec<(&str, Snapshot, Vec<AlertRule>)> = vec![
        ("all is well", well(T0), vec![]),
        (
            "2 of 12 failed",
            with(|snapshot| snapshot.outcomes = outcomes(T0, 2, 12)),
            vec![ProvisioningFailureRateHigh],
        ),
        (
            "exactly the rate is not above it",
            with(|snapshot| snapshot.outcomes = outcomes(T0, 1, 10)),
            vec![],
        ),
        (
            "fewer attempts than the least raise nothing",
            with(|snapshot| snapshot.outcomes = outcomes(T0, 9, 9)),
            vec![],
        ),
        (
            "orders are slow",
            with(|snapshot| snapshot.latency.p95 = Some(Duration::from_secs(301))),
            vec![ProvisioningLatencyHigh],
        ),
        (
            "the stream stands",
            with(|snapshot| {
                snapshot.processes[0] = process(
                    "subscriber",
                    &[ConditionKind::Leads, ConditionKind::Stopped],
                );
            }),
            vec![EventStreamDown],
        ),
        (
            "a standby's condition does not count for the leader's",
            with(|snapshot| {
                snapshot
                    .processes
                    .push(process("subscriber", &[ConditionKind::Standby]));
            }),
            vec![],
        ),
        (
            "no process is alive",
            with(|snapshot| {
                snapshot.processes.clear();
                snapshot.stream.leader = None;
            }),
            vec![EventStreamDown, NoLeader],
        ),
        (
            "the channel was never followed and no subscriber is there",
            with(|snapshot| {
                snapshot.processes.clear();
                snapshot.stream = Default::default();
            }),
            vec![],
        ),
        (
            "events are disabled, and old",
            with(|snapshot| {
                snapshot.processes[0] = process("subscriber", &[ConditionKind::EventsDisabled]);
                snapshot.stream.leader = None;
                snapshot.stream.cursor = cursor_at(ago(71 * 3600));
            }),
            vec![],
        ),
        (
            "paused intake",
            with(|snapshot| {
                snapshot.processes[0] = process("subscriber", &[]);
                snapshot.stream.leader = None;
                snapshot.pauses = vec![pause(Pausable::Intake(channel.clone()))];
            }),
            vec![],
        ),
        (
            "paused intake until events are lost",
            with(|snapshot| {
                snapshot.processes[0] = process("subscriber", &[]);
                snapshot.stream.leader = None;
                snapshot.stream.cursor = cursor_at(ago(61 * 3600));
                snapshot.pauses = vec![pause(Pausable::Intake(channel))];
            }),
            vec![ReplayWindowShrinking, ReplayWindowCritical],
        ),
        (
            "the window shrinks",
            with(|snapshot| snapshot.stream.cursor = cursor_at(ago(25 * 3600))),
            vec![ReplayWindowShrinking, EventLagHigh],
        ),
        (
            "the stream is silent",
            with(|snapshot| snapshot.stream.cursor = cursor_at(ago(601))),
            vec![EventLagHigh],
        ),
        (
            "nothing ends",
            with(|snapshot| snapshot.queue_stats.oldest_due = Some(ago(901))),
            vec![QueueStuck],
        ),
        (
            "something ends",
            with(|snapshot| {
                snapshot.queue_stats.oldest_due = Some(ago(901));
                snapshot.outcomes.last_end = Some(ago(60));
            }),
            vec![],
        ),
        (
            "paused workers",
            with(|snapshot| {
                snapshot.queue_stats.oldest_due = Some(ago(901));
                snapshot.pauses = vec![pause(Pausable::Worker)];
            }),
            vec![],
        ),
        (
            "WHMCS refuses two workers, and the queue waits",
            with(|snapshot| {
                snapshot.queue_stats.oldest_due = Some(ago(901));
                snapshot.processes[1] = process("worker", &[ConditionKind::WhmcsRefuses]);
                snapshot
                    .processes
                    .push(process("worker", &[ConditionKind::WhmcsRefuses]));
            }),
            vec![LanePaused],
        ),
        (
            "3 of 10 calls to WHMCS fail",
            with(|snapshot| snapshot.calls = calls(3, 10)),
            vec![WhmcsErrorsHigh],
        ),
        (
            "exactly a fifth is not above it",
            with(|snapshot| snapshot.calls = calls(2, 10)),
            vec![],
        ),
        (
            "few calls are no evidence",
            with(|snapshot| snapshot.calls = calls(9, 9)),
            vec![],
        ),
        (
            "the day's calls run out",
            with(|snapshot| snapshot.processes[1] = process("worker", &[ConditionKind::ApiScarce])),
            vec![ApiAllowanceLow],
        ),
        (
            "Salesforce refuses the login",
            with(|snapshot| {
                snapshot.processes[1] = process("worker", &[ConditionKind::SalesforceRefuses]);
            }),
            vec![CredentialFailure],
        ),
        (
            "failed orders wait",
            with(|snapshot| snapshot.unacknowledged = 1),
            vec![NeedsAttention],
        ),
        (
            "a gap was recorded",
            with(|snapshot| {
                snapshot.gap = Some(GapView {
                    channel: settings().channel,
                    from: None,
                    until: ago(60),
                    detail: "lost".to_owned(),
                });
            }),
            vec![CursorReset],
        ),
        (
            "a dead letter is open",
            with(|snapshot| snapshot.queue_stats.open_dead_letters = 1),
            vec![DeadLettersOpen],
        ),
        (
            "an order has been in progress for long",
            with(|snapshot| snapshot.stuck = stuck(2)),
            vec![OrderStuck],
        ),
        (
            "an order is stuck while paused workers and WHMCS refuses",
            with(|snapshot| {
                snapshot.stuck = stuck(1);
                snapshot.pauses = vec![pause(Pausable::Worker)];
                snapshot.processes[1] = process("worker", &[ConditionKind::WhmcsRefuses]);
            }),
            vec![LanePaused, OrderStuck],
        ),
        (
            "a job could not be read",
            with(|snapshot| {
                snapshot.set_aside = UnreadableJobs {
                    jobs: 1,
                    order: "801000000000001AAA".to_owned(),
                    cause: "`dreamt` is no kind of fact".to_owned(),
                };
            }),
            vec![JobSetAside],
        ),
        (
            "WHMCS drops the marker",
            with(|snapshot| snapshot.marker_lost = Some(ago(60))),
            vec![MarkerLost],
        ),
        (
            "a worker panicked",
            with(|snapshot| snapshot.processes[1] = process("worker", &[ConditionKind::Panicked])),
            vec![WorkerPanicked],
        ),
        (
            "a worker panicked long ago, and another lately",
            with(|snapshot| {
                snapshot.processes[1] = panicked(ago(1800));
                snapshot.processes.push(panicked(ago(1799)));
            }),
            vec![WorkerPanicked],
        ),
        (
            "a worker panicked long ago",
            with(|snapshot| snapshot.processes[1] = panicked(ago(1800))),
            vec![],
        ),
    ];
    for (name, snapshot, rules) in table {
        assert_eq!(holding(&snapshot), rules, "{name}");
    }
}

#[test]
fn minimum_attempts_apply_to_firing_not_to_resolving() {
    let snapshot = with(|snapshot| snapshot.outcomes = outcomes(T0, 2, 9));
    let rule = AlertRule::ProvisioningFailureRateHigh;
    assert_eq!(rule.holds(&settings(), &snapshot, false), None);
    assert!(rule.holds(&settings(), &snapshot, true).is_some());
    let over = with(|snapshot| snapshot.outcomes = outcomes(T0, 0, 3));
    assert_eq!(rule.holds(&settings(), &over, true), None);
    let snapshot = with(|snapshot| snapshot.calls = calls(2, 9));
    let rule = AlertRule::WhmcsErrorsHigh;
    assert_eq!(rule.holds(&settings(), &snapshot, false), None);
    assert!(rule.holds(&settings(), &snapshot, true).is_some());
    assert_eq!(rule.holds(&settings(), &well(T0), true), None);
}

#[test]
fn alert_fires_once_after_pending_time_and_resolves_once() {
    let rule = AlertRule::NoLeader;
    let at = |seconds: u64| T0 + Duration::from_secs(seconds);
    let holds = || Some("x".to_owned());
    let (pending, transition) = next(rule, None, holds(), at(0)).unwrap();
    assert_eq!(
        (transition, pending.is_firing()),
        (Transition::Pending, false)
    );
    assert_eq!(next(rule, Some(&pending), holds(), at(60)), None);
    let (calm, transition) = next(rule, Some(&pending), None, at(60)).unwrap();
    assert_eq!((transition, calm.firing_since), (Transition::Cleared, None));
    assert_eq!(next(rule, Some(&calm), None, at(61)), None);
    let (fired, transition) = next(rule, Some(&pending), holds(), at(120)).unwrap();
    assert_eq!(
        (transition, fired.pending_notification()),
        (Transition::Fired, Some(Notified::Firing))
    );
    assert_eq!(next(rule, Some(&fired), holds(), at(130)), None);
    let notified = Alert {
        notified: Notified::Firing,
        ..fired
    };
    let (over, transition) = next(rule, Some(&notified), None, at(140)).unwrap();
    assert_eq!(
        (transition, over.pending_notification()),
        (Transition::Resolved, Some(Notified::Resolved))
    );
    assert_eq!(next(rule, Some(&over), None, at(150)), None);
}

#[test]
fn unnotified_resolution_is_dropped_when_alert_fires_again() {
    let rule = AlertRule::LanePaused;
    let at = |seconds: u64| T0 + Duration::from_secs(seconds);
    let holds = || Some("x".to_owned());
    let (fired, _) = next(rule, None, holds(), at(0)).unwrap();
    let notified = Alert {
        notified: Notified::Firing,
        ..fired
    };
    let (over, _) = next(rule, Some(&notified), None, at(10)).unwrap();
    let (again, transition) = next(rule, Some(&over), holds(), at(20)).unwrap();
    assert_eq!(transition, Transition::Fired);
    assert_eq!(
        (again.firing_since, again.pending_notification()),
        (Some(at(0)), None)
    );
    let ended = Alert {
        notified: Notified::Resolved,
        ..over
    };
    let (new, _) = next(rule, Some(&ended), holds(), at(20)).unwrap();
    assert_eq!(
        (new.firing_since, new.pending_notification()),
        (Some(at(20)), Some(Notified::Firing))
    );
}
