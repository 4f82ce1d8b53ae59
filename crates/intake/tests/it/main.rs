//! A subscriber from its first message to its last, with every way bus and store misbehave.
#![expect(clippy::unwrap_used, reason = "a failing step fails its test")]

mod house;

use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::key::{EventId, Owner};
use domain::ports::{
    AdminCommand, Batch, Epoch, JobIntake, JobReader, Pausable, Start, StreamError,
};
use house::{LEASE, TestEnv, broken, lost, pass};
use intake::{OnLoss, Status};
use testkit::source::{heartbeat, message, poison, position};
use testkit::{channel, order_id};

#[tokio::test(start_paused = true)]
async fn without_a_stored_position_it_begins_where_the_settings_say() {
    for start in [Start::Latest, Start::Earliest] {
        let mut house = TestEnv::new();
        house.start = start.clone();
        house.source.script([Ok(message(1))]);
        let running = house.subscribe();
        pass(1).await;
        assert_eq!(house.source.opened(), [start]);
        assert!(house.has_job(1).await);
        assert_eq!(running.health.view().status, Status::Subscribed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_on_which_nothing_happens_counts_as_followed_after_a_while() {
    let house = TestEnv::new();
    house.source.script([]);
    let running = house.subscribe();
    pass(5).await;
    assert_eq!(running.health.view().status, Status::Connecting);
    pass(10).await;
    assert_eq!(running.health.view().status, Status::Subscribed);
}

#[tokio::test(start_paused = true)]
async fn a_broken_stream_is_opened_again_after_the_last_position_that_was_committed() {
    let house = TestEnv::new();
    house
        .source
        .script([Ok(message(1)), Ok(message(2)), Err(broken())]);
    house.source.script([Ok(message(3))]);
    let _running = house.subscribe();
    pass(5).await;
    assert_eq!(
        house.source.opened(),
        [Start::Latest, Start::After(position(2))]
    );
    assert!(house.has_job(3).await);
}

#[tokio::test(start_paused = true)]
async fn every_message_is_committed_before_the_next_one_is_asked_for() {
    let house = TestEnv::new();
    house.source.script((1..=20).map(message).map(Ok));
    let _running = house.subscribe();
    loop {
        let (asked, accepted) = (
            house.source.asked() as u64,
            house.store.accepted.load(Ordering::SeqCst),
        );
        assert!(asked <= accepted + 1, "{asked} asked, {accepted} committed");
        if accepted == 20 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(house.position().await, Some(20));
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_moves_the_position() {
    let house = TestEnv::new();
    house.source.script([Ok(message(1)), Ok(heartbeat(9))]);
    let _running = house.subscribe();
    pass(1).await;
    assert_eq!(house.position().await, Some(9));
}

#[tokio::test(start_paused = true)]
async fn poison_in_a_row_becomes_dead_letters_and_holds_nothing_up() {
    let house = TestEnv::new();
    house
        .source
        .script((1..=50).map(poison).chain([message(51)]).map(Ok));
    let _running = house.subscribe();
    pass(2).await;
    assert!(house.has_job(51).await);
    assert_eq!(house.position().await, Some(51));
    let queue_stats = house.store.books.queue_stats().await.unwrap();
    assert_eq!(queue_stats.open_dead_letters, 50);
}

#[tokio::test(start_paused = true)]
async fn a_lost_position_is_followed_by_what_the_settings_say() {
    for (on_loss, start) in [
        (OnLoss::All, Start::Earliest),
        (OnLoss::Latest, Start::Latest),
    ] {
        let mut house = TestEnv::new();
        house.on_loss = on_loss;
        house.source.script([Ok(message(1)), Err(lost())]);
        house.source.script([Ok(message(2))]);
        let _running = house.subscribe();
        pass(5).await;
        assert_eq!(house.source.opened()[1], start);
        assert!(house.has_job(2).await);
        assert_eq!(house.position().await, Some(2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_position_stops_the_channel_where_the_settings_say_so() {
    let mut house = TestEnv::new();
    house.on_loss = OnLoss::Stop;
    house.source.script([Ok(message(1)), Err(lost())]);
    let running = house.subscribe();
    pass(500).await;
    assert_eq!(house.source.opened().len(), 1);
    let view = running.health.view();
    assert_eq!(view.status, Status::Stopped);
    assert!(view.last_error.unwrap().contains("older than 72 hours"));
    assert_eq!(
        house.position().await,
        Some(1),
        "for the person who decides"
    );
}

#[tokio::test(start_paused = true)]
async fn who_leads_after_a_crash_finds_the_position_lost_as_well_and_skips_nothing() {
    let house = TestEnv::new();
    house.source.script([Ok(message(1)), Err(lost())]);
    house.source.script([]);
    let first = house.subscribe();
    pass(5).await;
    assert_eq!(house.source.opened().len(), 2, "and not a message came");
    first.task.abort();
    house.source.script([Err(lost())]);
    house.source.script([Ok(message(2))]);
    let _second = house.subscribe();
    pass(LEASE.as_secs() + 5).await;
    assert_eq!(
        house.source.opened()[2..],
        [Start::After(position(1)), Start::Earliest]
    );
    assert!(house.has_job(2).await);
}

#[tokio::test(start_paused = true)]
async fn a_lost_position_that_cannot_be_recorded_is_tried_again_soon() {
    let house = TestEnv::new();
    house.store.unrecorded.store(2, Ordering::SeqCst);
    house.source.script([Ok(message(1)), Err(lost())]);
    house.source.script([Err(lost())]);
    house.source.script([Err(lost())]);
    house.source.script([Ok(message(2))]);
    let running = house.subscribe();
    pass(20).await;
    let after = Start::After(position(1));
    assert_eq!(
        house.source.opened(),
        [Start::Latest, after.clone(), after, Start::Earliest]
    );
    assert!(house.has_job(2).await);
    assert_eq!(running.health.view().status, Status::Subscribed);
}

#[tokio::test(start_paused = true)]
async fn a_second_subscriber_stands_by_and_takes_over_when_the_lease_ran_out() {
    let house = TestEnv::new();
    let first = house.subscribe();
    pass(1).await;
    let second = house.subscribe();
    pass(60).await;
    assert_eq!(second.health.view().status, Status::Standby);
    assert_eq!(house.source.opened().len(), 1);
    first.task.abort();
    pass(LEASE.as_secs() + 5).await;
    assert_eq!(house.source.opened().len(), 2);
    assert!(house.leader().await.unwrap().1 > Epoch(1));
}

#[tokio::test(start_paused = true)]
async fn a_clean_stop_resigns_so_that_the_standby_leads_within_two_seconds() {
    let house = TestEnv::new();
    let first = house.subscribe();
    pass(1).await;
    let _second = house.subscribe();
    pass(1).await;
    first.shutdown.cancel();
    first.task.await.unwrap();
    assert_eq!(house.leader().await, None);
    pass(2).await;
    assert_eq!(house.source.opened().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_stops_at_once_even_while_a_stream_is_being_opened() {
    let house = TestEnv::new();
    house.source.never_open();
    let running = house.subscribe();
    pass(60).await;
    assert_eq!(
        house.leader().await.unwrap().1,
        Epoch(1),
        "it led meanwhile"
    );
    running.shutdown.cancel();
    tokio::time::timeout(Duration::from_millis(1), running.task)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_busy_stream_does_not_keep_the_leader_from_renewing() {
    let house = TestEnv::new();
    house.store.slow_to_lead.store(true, Ordering::SeqCst);
    house
        .source
        .script((0..12_000).map(|n| Ok(heartbeat(u8::try_from(n % 200).unwrap() + 1))));
    let _running = house.subscribe();
    pass(55).await;
    assert!(house.is_led().await);
    assert!(house.source.asked() > 10_000, "it was busy all the time");
}

#[tokio::test(start_paused = true)]
async fn with_the_store_away_nothing_is_dropped_and_it_goes_on_by_itself() {
    let house = TestEnv::new();
    house.source.script([Ok(message(1)), Ok(message(2))]);
    let first = house.store.accepted.load(Ordering::SeqCst);
    let running = house.subscribe();
    while house.store.accepted.load(Ordering::SeqCst) == first {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    house.store.set_unavailable(true);
    pass(60).await;
    assert!(!house.has_job(2).await);
    assert!(running.health.view().last_error.is_some());
    // What was not committed comes again, since it is asked for again.
    house.source.script([Ok(message(2))]);
    house.store.set_unavailable(false);
    pass(5).await;
    assert!(house.has_job(2).await);
    assert_eq!(
        house.source.opened().last(),
        Some(&Start::After(position(1)))
    );
    assert_eq!(running.health.view().last_error, None);
}

#[tokio::test(start_paused = true)]
async fn a_stale_leader_commits_nothing_and_stands_back() {
    let house = TestEnv::new();
    house.source.script([Ok(message(1))]);
    let running = house.subscribe();
    pass(1).await;
    // Somebody else takes over while this process believes that it leads.
    let (first, _) = house.leader().await.unwrap();
    house.store.books.resign(&channel(), &first).await.unwrap();
    let other = Owner::new("other").unwrap();
    house
        .store
        .books
        .lead(&channel(), &other, Duration::from_secs(3600))
        .await
        .unwrap();
    pass(LEASE.as_secs()).await;
    assert_eq!(running.health.view().status, Status::Standby);
    assert_eq!(house.leader().await.unwrap().0, other);
}

#[tokio::test(start_paused = true)]
async fn what_only_a_person_can_mend_is_shown_and_tried_again_in_ten_minutes() {
    let house = TestEnv::new();
    house.source.script([Err(StreamError::Denied {
        detail: "the user may not subscribe".to_owned(),
    })]);
    house.source.script([Ok(message(1))]);
    let running = house.subscribe();
    pass(500).await;
    assert_eq!(house.source.opened().len(), 1);
    assert_eq!(running.health.view().status, Status::Stopped);
    assert_eq!(
        house.leader().await.unwrap().1,
        Epoch(1),
        "it goes on leading"
    );
    pass(120).await;
    assert!(house.has_job(1).await);
}

#[tokio::test(start_paused = true)]
async fn a_paused_intake_stops_says_by_whom_and_goes_on_within_a_second_of_its_release() {
    let house = TestEnv::new();
    house.source.script([Ok(message(1))]);
    house.source.script([Ok(message(2))]);
    let running = house.subscribe();
    pass(1).await;
    let what = Pausable::Intake(channel());
    let pause = AdminCommand::Pause { what: what.clone() };
    house
        .store
        .act(&pause, "ada", "moving house")
        .await
        .unwrap();
    pass(LEASE.as_secs()).await;
    let view = running.health.view();
    assert_eq!((view.status, view.leads), (Status::Stopped, false));
    let text = "intake is paused by ada: moving house";
    assert_eq!(view.last_error.as_deref(), Some(text));
    assert!(!house.is_led().await && !house.has_job(2).await);
    let resume = AdminCommand::Resume { what };
    house.store.act(&resume, "ada", "moved").await.unwrap();
    pass(2).await;
    assert!(house.has_job(2).await);
    assert_eq!(running.health.view().status, Status::Subscribed);
}

/// A message with one event that no store can hold between two that any can.
fn hard(first: u8) -> Batch {
    let (mut before, mut hard, after) = (message(first), message(first + 1), message(first + 2));
    if let Ok(request) = &mut hard.events[0].request {
        request.requested_by = Some("a\0b".to_owned());
    }
    before.events.append(&mut hard.events);
    before.events.extend(after.events);
    before.latest = after.latest;
    before
}

#[tokio::test(start_paused = true)]
async fn an_event_that_the_store_cannot_hold_is_a_dead_letter_and_holds_nothing_up() {
    let house = TestEnv::new();
    let mut long = message(4);
    long.events[0].event = EventId::new("x".repeat(20_000)).unwrap();
    house.source.script([Ok(hard(1)), Ok(long), Ok(message(5))]);
    let _running = house.subscribe();
    pass(2).await;
    for (n, has_job) in [(1, true), (2, false), (3, true), (4, false), (5, true)] {
        assert_eq!(house.has_job(n).await, has_job, "{n}");
    }
    assert_eq!(house.position().await, Some(5));
    let letters = house.store.books.dead_letters(true, None, 9).await.unwrap();
    assert_eq!(letters.len(), 2);
    let order = ("OrderId__c".to_owned(), order_id(2).to_string());
    assert!(letters[1].letter.undecodable.fields.contains(&order));
    assert!(letters[0].letter.event.as_str().starts_with("sha256:"));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_the_store_cannot_hold_is_kept_once_however_often_it_comes() {
    let house = TestEnv::new();
    house.source.script([Ok(hard(1)), Err(broken())]);
    house.source.script([Ok(hard(1))]);
    let _running = house.subscribe();
    pass(5).await;
    let letters = house.store.books.dead_letters(true, None, 9).await.unwrap();
    assert_eq!(letters.len(), 1);
}
