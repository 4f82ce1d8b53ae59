//! Every rule and every turn of an alert.

use std::time::Duration;

use domain::id::OrderId;
use domain::key::{Channel, Owner, ReplayId};
use domain::ports::{
    CallStats, Condition, Cursor, Epoch, GapView, AttemptStats, Pausable, Pause, ProcessReport,
    ProcessView, UnreadableJobs, ConditionKind, StuckOrders,
};

use super::*;

const T0: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn settings() -> Settings {
    Settings {
        pace: crate::Pace::default(),
        channel: Channel::new("/event/X__e").unwrap(),
        events_enabled: true,
        failure_rate: 0.10,
        window: Duration::from_secs(900),
        min_attempts: 10,
    }
}

fn process(role: &str, signs: &[ConditionKind]) -> ProcessView {
    ProcessView {
        report: ProcessReport {
            id: Owner::new(role).unwrap(),
            role: role.to_owned(),
            version: String::new(),
            host: "host-a".to_owned(),
            pid: 1,
            started_at: T0,
            conditions: signs
                .iter()
                .map(|sign| Condition {
                    sign: *sign,
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

/// Everything is well.
fn well(now: Timestamp) -> Seen {
    let mut seen = Seen {
        processes: vec![
            process("subscriber", &[ConditionKind::Leads, ConditionKind::Subscribed]),
            process("worker", &[]),
        ],
        ..Seen::default()
    };
    seen.outcomes.now = now;
    seen.stream.leader = Some((
        Owner::new("s").unwrap(),
        Epoch(1),
        now + Duration::from_secs(10),
    ));
    seen.stream.cursor = Some(Cursor {
        replay_id: ReplayId::new(vec![1]).unwrap(),
        committed_at: now,
    });
    seen
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

/// What holds of what is seen.
fn holding(seen: &Seen) -> Vec<Rule> {
    let settings = settings();
    let holds = |rule: &Rule| rule.holds(&settings, seen, false).is_some();
    Rule::ALL.into_iter().filter(holds).collect()
}

fn with(change: impl FnOnce(&mut Seen)) -> Seen {
    let mut seen = well(T0);
    change(&mut seen);
    seen
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
fn an_alert_names_what_is_stuck_or_cannot_be_read() {
    let seen = with(|seen| seen.stuck = stuck(3));
    let words = Rule::OrderStuck.holds(&settings(), &seen, false).unwrap();
    assert!(words.starts_with("3 orders"), "{words}");
    assert!(words.contains("801000000000001AAA, for 2 h"), "{words}");
}

#[test]
fn an_alert_holds_nothing_that_a_store_cannot_keep() {
    let seen = with(|seen| {
        seen.processes[1] = process("worker", &[ConditionKind::WhmcsRefuses]);
        seen.processes[1].report.conditions[0].detail = "a\0b".to_owned();
    });
    let changes = judge(&settings(), &seen, &[]);
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
fn each_rule_holds_when_it_should_and_no_other_does() {
    use Rule::*;
    let order: Option<OrderId> = OrderId::parse("801000000000001").ok();
    assert!(order.is_some());
    let channel = settings().channel;
    let table: Vec<(&str, Seen, Vec<Rule>)> = vec![
        ("all is well", well(T0), vec![]),
        (
            "2 of 12 failed",
            with(|seen| seen.outcomes = outcomes(T0, 2, 12)),
            vec![ProvisioningFailureRateHigh],
        ),
        (
            "exactly the rate is not above it",
            with(|seen| seen.outcomes = outcomes(T0, 1, 10)),
            vec![],
        ),
        (
            "fewer attempts than the least raise nothing",
            with(|seen| seen.outcomes = outcomes(T0, 9, 9)),
            vec![],
        ),
        (
            "orders are slow",
            with(|seen| seen.latency.p95 = Some(Duration::from_secs(301))),
            vec![ProvisioningLatencyHigh],
        ),
        (
            "the stream stands",
            with(|seen| {
                seen.processes[0] = process("subscriber", &[ConditionKind::Leads, ConditionKind::Stopped]);
            }),
            vec![EventStreamDown],
        ),
        (
            "a standby's sign does not count for the leader's",
            with(|seen| seen.processes.push(process("subscriber", &[ConditionKind::Standby]))),
            vec![],
        ),
        (
            "nobody is there",
            with(|seen| {
                seen.processes.clear();
                seen.stream.leader = None;
            }),
            vec![EventStreamDown, NoLeader],
        ),
        (
            "the channel was never followed and no subscriber is there",
            with(|seen| {
                seen.processes.clear();
                seen.stream = Default::default();
            }),
            vec![],
        ),
        (
            "events are disabled, and old",
            with(|seen| {
                seen.processes[0] = process("subscriber", &[ConditionKind::EventsDisabled]);
                seen.stream.leader = None;
                seen.stream.cursor = cursor_at(ago(71 * 3600));
            }),
            vec![],
        ),
        (
            "a person holds intake back",
            with(|seen| {
                seen.processes[0] = process("subscriber", &[]);
                seen.stream.leader = None;
                seen.pauses = vec![pause(Pausable::Intake(channel.clone()))];
            }),
            vec![],
        ),
        (
            "a person holds intake back until events are lost",
            with(|seen| {
                seen.processes[0] = process("subscriber", &[]);
                seen.stream.leader = None;
                seen.stream.cursor = cursor_at(ago(61 * 3600));
                seen.pauses = vec![pause(Pausable::Intake(channel))];
            }),
            vec![ReplayWindowShrinking, ReplayWindowCritical],
        ),
        (
            "the window shrinks",
            with(|seen| seen.stream.cursor = cursor_at(ago(25 * 3600))),
            vec![ReplayWindowShrinking, EventLagHigh],
        ),
        (
            "the stream is silent",
            with(|seen| seen.stream.cursor = cursor_at(ago(601))),
            vec![EventLagHigh],
        ),
        (
            "nothing ends",
            with(|seen| seen.queue_stats.oldest_due = Some(ago(901))),
            vec![QueueStuck],
        ),
        (
            "something ends",
            with(|seen| {
                seen.queue_stats.oldest_due = Some(ago(901));
                seen.outcomes.last_end = Some(ago(60));
            }),
            vec![],
        ),
        (
            "a person holds the workers back",
            with(|seen| {
                seen.queue_stats.oldest_due = Some(ago(901));
                seen.pauses = vec![pause(Pausable::Worker)];
            }),
            vec![],
        ),
        (
            "WHMCS refuses two workers, and the queue waits",
            with(|seen| {
                seen.queue_stats.oldest_due = Some(ago(901));
                seen.processes[1] = process("worker", &[ConditionKind::WhmcsRefuses]);
                seen.processes
                    .push(process("worker", &[ConditionKind::WhmcsRefuses]));
            }),
            vec![LanePaused],
        ),
        (
            "3 of 10 calls to WHMCS fail",
            with(|seen| seen.calls = calls(3, 10)),
            vec![WhmcsErrorsHigh],
        ),
        (
            "exactly a fifth is not above it",
            with(|seen| seen.calls = calls(2, 10)),
            vec![],
        ),
        (
            "few calls are no evidence",
            with(|seen| seen.calls = calls(9, 9)),
            vec![],
        ),
        (
            "the day's calls run out",
            with(|seen| seen.processes[1] = process("worker", &[ConditionKind::ApiScarce])),
            vec![ApiAllowanceLow],
        ),
        (
            "Salesforce refuses the login",
            with(|seen| seen.processes[1] = process("worker", &[ConditionKind::SalesforceRefuses])),
            vec![CredentialFailure],
        ),
        (
            "failed orders wait",
            with(|seen| seen.neglected = 1),
            vec![NeedsAttention],
        ),
        (
            "a gap was recorded",
            with(|seen| {
                seen.gap = Some(GapView {
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
            with(|seen| seen.queue_stats.open_dead_letters = 1),
            vec![DeadLettersOpen],
        ),
        (
            "an order has been in progress for long",
            with(|seen| seen.stuck = stuck(2)),
            vec![OrderStuck],
        ),
        (
            "an order is stuck while a person holds the workers back and WHMCS refuses",
            with(|seen| {
                seen.stuck = stuck(1);
                seen.pauses = vec![pause(Pausable::Worker)];
                seen.processes[1] = process("worker", &[ConditionKind::WhmcsRefuses]);
            }),
            vec![LanePaused, OrderStuck],
        ),
        (
            "a job could not be read",
            with(|seen| {
                seen.set_aside = UnreadableJobs {
                    jobs: 1,
                    order: "801000000000001AAA".to_owned(),
                    cause: "`dreamt` is no kind of fact".to_owned(),
                };
            }),
            vec![JobSetAside],
        ),
        (
            "WHMCS drops the marker",
            with(|seen| seen.marker_lost = Some(ago(60))),
            vec![MarkerLost],
        ),
        (
            "a worker panicked",
            with(|seen| seen.processes[1] = process("worker", &[ConditionKind::Panicked])),
            vec![WorkerPanicked],
        ),
        (
            "a worker panicked long ago, and another lately",
            with(|seen| {
                seen.processes[1] = panicked(ago(1800));
                seen.processes.push(panicked(ago(1799)));
            }),
            vec![WorkerPanicked],
        ),
        (
            "a worker panicked long ago",
            with(|seen| seen.processes[1] = panicked(ago(1800))),
            vec![],
        ),
    ];
    for (name, seen, rules) in table {
        assert_eq!(holding(&seen), rules, "{name}");
    }
}

#[test]
fn evidence_is_asked_for_to_begin_and_not_to_go_on() {
    let seen = with(|seen| seen.outcomes = outcomes(T0, 2, 9));
    let rule = Rule::ProvisioningFailureRateHigh;
    assert_eq!(rule.holds(&settings(), &seen, false), None);
    assert!(rule.holds(&settings(), &seen, true).is_some());
    let over = with(|seen| seen.outcomes = outcomes(T0, 0, 3));
    assert_eq!(rule.holds(&settings(), &over, true), None);
    let seen = with(|seen| seen.calls = calls(2, 9));
    let rule = Rule::WhmcsErrorsHigh;
    assert_eq!(rule.holds(&settings(), &seen, false), None);
    assert!(rule.holds(&settings(), &seen, true).is_some());
    assert_eq!(rule.holds(&settings(), &well(T0), true), None);
}

#[test]
fn an_alert_waits_for_its_patience_then_fires_once_and_is_resolved_once() {
    let rule = Rule::NoLeader;
    let at = |seconds: u64| T0 + Duration::from_secs(seconds);
    let holds = || Some("x".to_owned());
    let (pending, turn) = next(rule, None, holds(), at(0)).unwrap();
    assert_eq!((turn, pending.is_firing()), (Turn::Pending, false));
    assert_eq!(next(rule, Some(&pending), holds(), at(60)), None);
    let (calm, turn) = next(rule, Some(&pending), None, at(60)).unwrap();
    assert_eq!((turn, calm.firing_since), (Turn::Calmed, None));
    assert_eq!(next(rule, Some(&calm), None, at(61)), None);
    let (fired, turn) = next(rule, Some(&pending), holds(), at(120)).unwrap();
    assert_eq!((turn, fired.pending_notification()), (Turn::Fired, Some(Notified::Firing)));
    assert_eq!(next(rule, Some(&fired), holds(), at(130)), None);
    let told = Alert {
        notified: Notified::Firing,
        ..fired
    };
    let (over, turn) = next(rule, Some(&told), None, at(140)).unwrap();
    assert_eq!(
        (turn, over.pending_notification()),
        (Turn::Resolved, Some(Notified::Resolved))
    );
    assert_eq!(next(rule, Some(&over), None, at(150)), None);
}

#[test]
fn an_end_that_nobody_was_told_of_is_none_when_the_trouble_comes_back() {
    let rule = Rule::LanePaused;
    let at = |seconds: u64| T0 + Duration::from_secs(seconds);
    let holds = || Some("x".to_owned());
    let (fired, _) = next(rule, None, holds(), at(0)).unwrap();
    let told = Alert {
        notified: Notified::Firing,
        ..fired
    };
    let (over, _) = next(rule, Some(&told), None, at(10)).unwrap();
    let (again, turn) = next(rule, Some(&over), holds(), at(20)).unwrap();
    assert_eq!(turn, Turn::Fired);
    assert_eq!((again.firing_since, again.pending_notification()), (Some(at(0)), None));
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
