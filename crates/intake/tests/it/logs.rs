//! What intake logs.

use std::time::Duration;

use domain::ports::StreamError;
use testkit::Logs;
use testkit::source::poison;

use crate::env::TestEnv;

/// The lines with this message that are logged while a subscriber runs.
async fn lines(env: &TestEnv, message: &str) -> Vec<String> {
    let logs = Logs::capture();
    let intake = env.intake();
    let running = intake.run(tokio_util::sync::CancellationToken::new());
    let _ = tokio::time::timeout(Duration::from_secs(5), running).await;
    let text = logs.text();
    let matching = text.lines().filter(|line| line.contains(message));
    matching.map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn logged_store_error_ends_with_its_innermost_cause() {
    let env = TestEnv::new();
    env.store.set_unavailable(true);
    let lines = lines(&env, "leadership not acquired").await;
    assert!(
        lines[0].contains("the job store is unavailable: away"),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn dead_letter_is_one_warning_with_event_and_reason() {
    let env = TestEnv::new();
    env.source.script([Ok(poison(1))]);
    let lines = lines(&env, "event became a dead letter").await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("WARN") && lines[0].contains("malformed"),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn stream_is_logged_as_opened_once_messages_arrive() {
    let env = TestEnv::new();
    let broken = || StreamError::Disconnected {
        detail: "no connection".to_owned(),
        source: None,
    };
    env.source.script([Err(broken()), Err(broken())]);
    let silent = lines(&env, "stream opened").await;
    assert!(silent.is_empty(), "{silent:?}");
    let env = TestEnv::new();
    env.source.script([Ok(poison(1)), Ok(poison(2))]);
    let opened = lines(&env, "stream opened").await;
    assert_eq!(opened.len(), 1, "{opened:?}");
}
