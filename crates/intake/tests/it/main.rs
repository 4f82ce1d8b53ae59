//! The subscriber, with every fault of bus and store.
#![expect(clippy::unwrap_used, reason = "a failing step fails its test")]

mod env;
mod logs;

use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::key::{EventId, Owner};
use domain::ports::{Batch, Epoch, LeaderElection, Start, StreamError};
use env::{LEASE, TestEnv, broken, lost, pass};
use intake::{OnLoss, Status};
use operations::{AdminCommand, AdminCommands, EventViews, Pausable, Statistics};
use testkit::source::{heartbeat, message, poison, position};
use testkit::{channel, order_id};

#[tokio::test(start_paused = true)]
async fn start_without_cursor_follows_settings() {
    for start in [Start::Latest, Start::Earliest] {
        let mut env = TestEnv::new();
        env.start = start.clone();
        env.source.script([Ok(message(1))]);
        let running = env.subscribe();
        pass(1).await;
        assert_eq!(env.source.opened(), [start]);
        assert!(env.has_job(1).await);
        assert_eq!(running.health.view().status, Status::Subscribed);
    }
}

#[tokio::test(start_paused = true)]
async fn silent_stream_counts_as_subscribed() {
    let env = TestEnv::new();
    env.source.script([]);
    let running = env.subscribe();
    pass(5).await;
    assert_eq!(running.health.view().status, Status::Connecting);
    pass(10).await;
    assert_eq!(running.health.view().status, Status::Subscribed);
}

#[tokio::test(start_paused = true)]
async fn broken_stream_resumes_after_committed_cursor() {
    let env = TestEnv::new();
    env.source
        .script([Ok(message(1)), Ok(message(2)), Err(broken())]);
    env.source.script([Ok(message(3))]);
    let _running = env.subscribe();
    pass(5).await;
    assert_eq!(
        env.source.opened(),
        [Start::Latest, Start::After(position(2))]
    );
    assert!(env.has_job(3).await);
}

#[tokio::test(start_paused = true)]
async fn messages_are_committed_before_next_request() {
    let env = TestEnv::new();
    env.source.script((1..=20).map(message).map(Ok));
    let _running = env.subscribe();
    loop {
        let (requested, accepted) = (
            env.source.asked() as u64,
            env.store.accepted.load(Ordering::SeqCst),
        );
        assert!(
            requested <= accepted + 1,
            "{requested} requested, {accepted} committed"
        );
        if accepted == 20 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(env.position().await, Some(20));
}

#[tokio::test(start_paused = true)]
async fn heartbeat_moves_cursor() {
    let env = TestEnv::new();
    env.source.script([Ok(message(1)), Ok(heartbeat(9))]);
    let _running = env.subscribe();
    pass(1).await;
    assert_eq!(env.position().await, Some(9));
}

#[tokio::test(start_paused = true)]
async fn poison_events_become_dead_letters() {
    let env = TestEnv::new();
    env.source
        .script((1..=50).map(poison).chain([message(51)]).map(Ok));
    let _running = env.subscribe();
    pass(2).await;
    assert!(env.has_job(51).await);
    assert_eq!(env.position().await, Some(51));
    let queue_stats = env.store.inner.queue_stats().await.unwrap();
    assert_eq!(queue_stats.open_dead_letters, 50);
}

#[tokio::test(start_paused = true)]
async fn cursor_loss_restarts_per_settings() {
    for (on_loss, start) in [
        (OnLoss::All, Start::Earliest),
        (OnLoss::Latest, Start::Latest),
    ] {
        let mut env = TestEnv::new();
        env.on_loss = on_loss;
        env.source.script([Ok(message(1)), Err(lost())]);
        env.source.script([Ok(message(2))]);
        let _running = env.subscribe();
        pass(5).await;
        assert_eq!(env.source.opened()[1], start);
        assert!(env.has_job(2).await);
        assert_eq!(env.position().await, Some(2));
    }
}

#[tokio::test(start_paused = true)]
async fn cursor_loss_stops_channel_per_settings() {
    let mut env = TestEnv::new();
    env.on_loss = OnLoss::Stop;
    env.source.script([Ok(message(1)), Err(lost())]);
    let running = env.subscribe();
    pass(500).await;
    assert_eq!(env.source.opened().len(), 1);
    let view = running.health.view();
    assert_eq!(view.status, Status::Stopped);
    assert!(view.last_error.unwrap().contains("older than 72 hours"));
    assert_eq!(env.position().await, Some(1), "for the operator's decision");
}

#[tokio::test(start_paused = true)]
async fn next_leader_detects_cursor_loss_again() {
    let env = TestEnv::new();
    env.source.script([Ok(message(1)), Err(lost())]);
    env.source.script([]);
    let first = env.subscribe();
    pass(5).await;
    assert_eq!(env.source.opened().len(), 2, "without a message");
    first.task.abort();
    env.source.script([Err(lost())]);
    env.source.script([Ok(message(2))]);
    let _second = env.subscribe();
    pass(LEASE.as_secs() + 5).await;
    assert_eq!(
        env.source.opened()[2..],
        [Start::After(position(1)), Start::Earliest]
    );
    assert!(env.has_job(2).await);
}

#[tokio::test(start_paused = true)]
async fn unrecorded_cursor_loss_is_retried() {
    let env = TestEnv::new();
    env.store.failing_loss_records.store(2, Ordering::SeqCst);
    env.source.script([Ok(message(1)), Err(lost())]);
    env.source.script([Err(lost())]);
    env.source.script([Err(lost())]);
    env.source.script([Ok(message(2))]);
    let running = env.subscribe();
    pass(20).await;
    let after = Start::After(position(1));
    assert_eq!(
        env.source.opened(),
        [Start::Latest, after.clone(), after, Start::Earliest]
    );
    assert!(env.has_job(2).await);
    assert_eq!(running.health.view().status, Status::Subscribed);
}

#[tokio::test(start_paused = true)]
async fn standby_takes_over_expired_lease() {
    let env = TestEnv::new();
    let first = env.subscribe();
    pass(1).await;
    let second = env.subscribe();
    pass(60).await;
    assert_eq!(second.health.view().status, Status::Standby);
    assert_eq!(env.source.opened().len(), 1);
    first.task.abort();
    pass(LEASE.as_secs() + 5).await;
    assert_eq!(env.source.opened().len(), 2);
    assert!(env.leader().await.unwrap().1 > Epoch::from_number(1));
}

#[tokio::test(start_paused = true)]
async fn clean_stop_hands_over_within_two_seconds() {
    let env = TestEnv::new();
    let first = env.subscribe();
    pass(1).await;
    let _second = env.subscribe();
    pass(1).await;
    first.shutdown.cancel();
    first.task.await.unwrap();
    assert_eq!(env.leader().await, None);
    pass(2).await;
    assert_eq!(env.source.opened().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn shutdown_interrupts_opening_stream() {
    let env = TestEnv::new();
    env.source.never_open();
    let running = env.subscribe();
    pass(60).await;
    assert_eq!(
        env.leader().await.unwrap().1,
        Epoch::from_number(1),
        "it led meanwhile"
    );
    running.shutdown.cancel();
    tokio::time::timeout(Duration::from_millis(1), running.task)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn busy_stream_does_not_block_renewal() {
    let env = TestEnv::new();
    env.store.slow_to_lead.store(true, Ordering::SeqCst);
    env.source
        .script((0..12_000).map(|n| Ok(heartbeat(u8::try_from(n % 200).unwrap() + 1))));
    let _running = env.subscribe();
    pass(55).await;
    assert!(env.is_led().await);
    assert!(env.source.asked() > 10_000, "the stream was busy");
}

#[tokio::test(start_paused = true)]
async fn store_outage_loses_nothing() {
    let env = TestEnv::new();
    env.source.script([Ok(message(1)), Ok(message(2))]);
    let first = env.store.accepted.load(Ordering::SeqCst);
    let running = env.subscribe();
    while env.store.accepted.load(Ordering::SeqCst) == first {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    env.store.set_unavailable(true);
    pass(60).await;
    assert!(!env.has_job(2).await);
    assert!(running.health.view().last_error.is_some());
    // An uncommitted message is requested and delivered again.
    env.source.script([Ok(message(2))]);
    env.store.set_unavailable(false);
    pass(5).await;
    assert!(env.has_job(2).await);
    assert_eq!(env.source.opened().last(), Some(&Start::After(position(1))));
    assert_eq!(running.health.view().last_error, None);
}

#[tokio::test(start_paused = true)]
async fn stale_leader_becomes_standby() {
    let env = TestEnv::new();
    env.source.script([Ok(message(1))]);
    let running = env.subscribe();
    pass(1).await;
    // Another process takes over while this one believes that it leads.
    let (first, _) = env.leader().await.unwrap();
    env.store.inner.resign(&channel(), &first).await.unwrap();
    let other = Owner::new("other").unwrap();
    env.store
        .inner
        .lead(&channel(), &other, Duration::from_secs(3600))
        .await
        .unwrap();
    pass(LEASE.as_secs()).await;
    assert_eq!(running.health.view().status, Status::Standby);
    assert_eq!(env.leader().await.unwrap().0, other);
}

#[tokio::test(start_paused = true)]
async fn denied_stream_is_retried_after_ten_minutes() {
    let env = TestEnv::new();
    env.source.script([Err(StreamError::Denied {
        detail: "the user may not subscribe".to_owned(),
    })]);
    env.source.script([Ok(message(1))]);
    let running = env.subscribe();
    pass(500).await;
    assert_eq!(env.source.opened().len(), 1);
    assert_eq!(running.health.view().status, Status::Stopped);
    assert_eq!(
        env.leader().await.unwrap().1,
        Epoch::from_number(1),
        "it keeps leading"
    );
    pass(120).await;
    assert!(env.has_job(1).await);
}

#[tokio::test(start_paused = true)]
async fn paused_intake_stops_and_resumes() {
    let env = TestEnv::new();
    env.source.script([Ok(message(1))]);
    env.source.script([Ok(message(2))]);
    let running = env.subscribe();
    pass(1).await;
    let what = Pausable::Intake(channel());
    let pause = AdminCommand::Pause { what: what.clone() };
    env.store
        .inner
        .execute(&pause, "ada", "database maintenance")
        .await
        .unwrap();
    pass(LEASE.as_secs()).await;
    let view = running.health.view();
    assert_eq!((view.status, view.leads), (Status::Stopped, false));
    let text = "intake is paused by ada: database maintenance";
    assert_eq!(view.last_error.as_deref(), Some(text));
    assert!(!env.is_led().await && !env.has_job(2).await);
    let resume = AdminCommand::Resume { what };
    env.store
        .inner
        .execute(&resume, "ada", "finished")
        .await
        .unwrap();
    pass(2).await;
    assert!(env.has_job(2).await);
    assert_eq!(running.health.view().status, Status::Subscribed);
}

/// A message with an unstorable event between two storable ones.
fn unstorable(first: u8) -> Batch {
    let (mut before, mut unstorable, after) =
        (message(first), message(first + 1), message(first + 2));
    if let Ok(request) = &mut unstorable.events[0].request {
        request.requested_by = Some("a\0b".to_owned());
    }
    before.events.append(&mut unstorable.events);
    before.events.extend(after.events);
    before.latest = after.latest;
    before
}

#[tokio::test(start_paused = true)]
async fn unstorable_event_becomes_dead_letter() {
    let env = TestEnv::new();
    let mut long = message(4);
    long.events[0].event = EventId::new("x".repeat(20_000)).unwrap();
    env.source
        .script([Ok(unstorable(1)), Ok(long), Ok(message(5))]);
    let _running = env.subscribe();
    pass(2).await;
    for (n, has_job) in [(1, true), (2, false), (3, true), (4, false), (5, true)] {
        assert_eq!(env.has_job(n).await, has_job, "{n}");
    }
    assert_eq!(env.position().await, Some(5));
    let dead_letters = env.store.inner.dead_letters(true, None, 9).await.unwrap();
    assert_eq!(dead_letters.len(), 2);
    let order = ("OrderId__c".to_owned(), order_id(2).to_string());
    assert!(
        dead_letters[1]
            .dead_letter
            .undecodable
            .fields
            .contains(&order)
    );
    assert!(
        dead_letters[0]
            .dead_letter
            .event
            .as_str()
            .starts_with("sha256:")
    );
}

#[tokio::test(start_paused = true)]
async fn redelivered_unstorable_event_is_kept_once() {
    let env = TestEnv::new();
    env.source.script([Ok(unstorable(1)), Err(broken())]);
    env.source.script([Ok(unstorable(1))]);
    let _running = env.subscribe();
    pass(5).await;
    let dead_letters = env.store.inner.dead_letters(true, None, 9).await.unwrap();
    assert_eq!(dead_letters.len(), 1);
}
