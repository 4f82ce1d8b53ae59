//! A crash between posting an alert and saving that it was sent.

use std::fs;

use e2e::crash_points::{CRASH_POINTS_FILE, reached_file, short_intervals};
use operations::{AdminCommand, Notified};

use super::SUBSCRIBER;
use crate::alerts::open_inbox;
use crate::test_env::{Engine, TestEnv};

const ALERT: &str = "DeadLettersOpen";

on_both_stores! {
    crash_before_alert_is_saved_resends_it: crash_before_alert_is_saved();
}

async fn crash_before_alert_is_saved(engine: Engine) {
    let env = TestEnv::on(engine).await;
    let (inbox, url) = open_inbox(false).await;
    let crash_points = env.file("crash_points");
    let point = "* before store.save_alerts firing";
    fs::write(&crash_points, point).unwrap();
    let mut settings = env.subscriber_settings();
    settings.extend([
        (CRASH_POINTS_FILE, crash_points.display().to_string()),
        short_intervals(),
        ("ALERT_WEBHOOK_URL", url),
    ]);
    env.salesforce.publish_raw(vec![0xff; 40], None);
    let resent = async || inbox.accepted_about(ALERT).len() >= 2;
    env.restart_until(SUBSCRIBER, &settings, resent).await;
    let reached = fs::read_to_string(reached_file(&crash_points)).unwrap();
    assert_eq!(reached.trim(), point);
    let dead_letters = env.store.ports.dead_letters(true, None, 9).await;
    let dead_letter = dead_letters.unwrap()[0].number;
    let command = AdminCommand::Dismiss { dead_letter };
    env.store
        .ports
        .execute(&command, "Ada", "seen")
        .await
        .unwrap();
    let marked = async || {
        let alerts = env.store.ports.alerts().await.unwrap();
        let alert = alerts.iter().find(|alert| alert.name == ALERT);
        alert.is_some_and(|alert| alert.notified == Notified::Resolved)
    };
    env.restart_until(SUBSCRIBER, &settings, marked).await;
    let taken = inbox.accepted_about(ALERT);
    let (over, firing) = taken.split_last().unwrap();
    assert_eq!(over["status"], "resolved", "once, and last");
    assert!(firing.len() >= 2, "{firing:?}");
    for message in firing {
        assert_eq!(message, &firing[0], "the message is unchanged");
        assert_eq!(message["startsAt"], over["startsAt"]);
    }
}
