//! A program dies between the post of an alert and its mark.

use std::fs;

use domain::ports::{AdminCommand, Notified};
use e2e::points::{FATES, brisk, reached_file};

use super::SUBSCRIBER;
use crate::alerts::open_inbox;
use crate::house::{Engine, TestEnv};

const ALERT: &str = "DeadLettersOpen";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_post_and_mark_on_sqlite_the_successor_tells_it_again() {
    killed_between_post_and_mark(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_post_and_mark_on_postgres_the_successor_tells_it_again() {
    killed_between_post_and_mark(Engine::Postgres).await;
}

async fn killed_between_post_and_mark(engine: Engine) {
    let house = TestEnv::on(engine).await;
    let (inbox, url) = open_inbox(false).await;
    let fates = house.file("fates");
    let point = "* before store.save_alerts firing";
    fs::write(&fates, point).unwrap();
    let mut settings = house.subscriber_settings();
    settings.extend([
        (FATES, fates.display().to_string()),
        brisk(),
        ("ALERT_WEBHOOK_URL", url),
    ]);
    house.salesforce.publish_raw(vec![0xff; 40], None);
    let told_again = async || inbox.taken_about(ALERT).len() >= 2;
    house.outlive(SUBSCRIBER, &settings, told_again).await;
    let reached = fs::read_to_string(reached_file(&fates)).unwrap();
    assert_eq!(reached.trim(), point);
    let letters = house.store.reader.dead_letters(true, None, 9).await;
    let letter = letters.unwrap()[0].number;
    let act = AdminCommand::Dismiss { letter };
    house.store.intake.act(&act, "Ada", "seen").await.unwrap();
    let marked = async || {
        let alerts = house.store.reader.alerts().await.unwrap();
        let alert = alerts.iter().find(|alert| alert.name == ALERT);
        alert.is_some_and(|alert| alert.notified == Notified::Resolved)
    };
    house.outlive(SUBSCRIBER, &settings, marked).await;
    let taken = inbox.taken_about(ALERT);
    let (over, firing) = taken.split_last().unwrap();
    assert_eq!(over["status"], "resolved", "once, and last");
    assert!(firing.len() >= 2, "{firing:?}");
    for message in firing {
        assert_eq!(message, &firing[0], "it is the same message");
        assert_eq!(message["startsAt"], over["startsAt"]);
    }
}
