//! Metrics of the programs.

use crate::monitoring::{metrics_in, missing_from};
use crate::process::{Process, page, until_logged};
use crate::test_env::TestEnv;

const WORKER: &str = env!("CARGO_BIN_EXE_crashable-worker");
const SUBSCRIBER: &str = env!("CARGO_BIN_EXE_crashable-subscriber");

/// Metrics that subscriber and worker export once an order was provisioned.
const TABLE: &[&str] = &[
    "orderbridge_build_info",
    "orderbridge_events_received_total",
    "orderbridge_events_handled_total",
    "orderbridge_event_delivery_lag_seconds",
    "orderbridge_event_lag_seconds",
    "orderbridge_subscription_up",
    "orderbridge_subscription_reconnects_total",
    "orderbridge_subscription_last_message_timestamp_seconds",
    "orderbridge_cursor_event_timestamp_seconds",
    "orderbridge_replay_window_remaining_seconds",
    "orderbridge_cursor_resets_total",
    "orderbridge_leader",
    "orderbridge_queue_jobs",
    "orderbridge_queue_oldest_job_age_seconds",
    "orderbridge_jobs_enqueued_total",
    "orderbridge_job_attempts_total",
    "orderbridge_job_attempt_duration_seconds",
    "orderbridge_job_wait_seconds",
    "orderbridge_provisioning_finished_total",
    "orderbridge_provisioning_latency_seconds",
    "orderbridge_provisioning_step_duration_seconds",
    "orderbridge_provisioning_failure_ratio",
    "orderbridge_whmcs_requests_total",
    "orderbridge_whmcs_request_duration_seconds",
    "orderbridge_whmcs_errors_total",
    "orderbridge_salesforce_requests_total",
    "orderbridge_salesforce_request_duration_seconds",
    "orderbridge_token_refreshes_total",
    "orderbridge_circuit_state",
    "orderbridge_circuit_opened_total",
    "orderbridge_db_pool_connections",
    "orderbridge_alert_active",
];

/// Metrics that have no `# HELP` line.
fn without_help(page: &str) -> Vec<&str> {
    let named = |mark: &'static str| {
        let lines = page.lines().filter_map(move |line| line.strip_prefix(mark));
        lines.filter_map(|line| line.split_whitespace().next())
    };
    let helped: Vec<_> = named("# HELP ").collect();
    let lacking = named("# TYPE ").filter(|name| !helped.contains(name));
    lacking.collect()
}

#[tokio::test]
async fn portal_describes_its_metrics_and_its_process() {
    let env = TestEnv::new().await;
    let (portal, url) = env.open_portal(&[("PORTAL_AUTH", "none")]).await;
    let page = async || {
        let page = reqwest::get(format!("{url}/metrics")).await.unwrap();
        page.text().await.unwrap()
    };
    let order = reqwest::get(format!("{url}/api/orders/801000000000009")).await;
    assert_eq!(order.unwrap().status(), 404);
    let shown = page().await;
    assert_eq!(without_help(&shown), [""; 0]);
    for metric in [
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_cpu_seconds_total",
        "process_start_time_seconds",
        r#"orderbridge_build_info{program="portal","#,
        "http_server_request_duration_seconds_count",
    ] {
        let is_shown = shown.lines().any(|line| line.starts_with(metric));
        assert!(is_shown, "{metric} is not in\n{shown}");
    }
    portal.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_are_exported_at_zero_and_then_count() {
    let env = TestEnv::new().await;
    let (subscriber_log, worker_log) = (env.file("subscriber.log"), env.file("worker.log"));
    let settings = env.without_crashes(env.subscriber_settings());
    let subscriber = Process::start(SUBSCRIBER, &settings, &subscriber_log);
    let settings = env.without_crashes(env.worker_settings());
    let worker = Process::start(WORKER, &settings, &worker_log);
    until_logged(&subscriber_log, "stream opened").await;
    until_logged(&worker_log, "worker started").await;
    let before = page(&subscriber_log, "subscriber", "/metrics").await.1
        + page(&worker_log, "worker", "/metrics").await.1.as_str();
    for line in [
        r#"orderbridge_events_handled_total{topic="/event/OrderProvisionRequested__e",outcome="duplicate"} 0"#,
        r#"orderbridge_subscription_reconnects_total{topic="/event/OrderProvisionRequested__e",reason="position_lost"} 0"#,
        r#"orderbridge_jobs_enqueued_total{kind="provision",source="reconcile"} 0"#,
        r#"orderbridge_job_attempts_total{kind="provision",outcome="lease_lost"} 0"#,
        r#"orderbridge_provisioning_finished_total{outcome="failure",reason="WHMCS_CONFIG"} 0"#,
    ] {
        assert!(before.contains(line), "{line} is not in\n{before}");
    }
    let order = *env.approve(1).first().unwrap();
    env.until_activation(&order, "Activated").await;
    until_logged(&worker_log, "attempt finished").await;
    // Gauges are set every few seconds.
    env.until(async || {
        let shown = page(&subscriber_log, "subscriber", "/metrics").await.1;
        shown.contains("orderbridge_replay_window_remaining_seconds")
    })
    .await;
    let after = page(&subscriber_log, "subscriber", "/metrics").await.1
        + page(&worker_log, "worker", "/metrics").await.1.as_str();
    for line in [
        r#"orderbridge_events_handled_total{topic="/event/OrderProvisionRequested__e",outcome="enqueued"} 1"#,
        r#"orderbridge_jobs_enqueued_total{kind="provision",source="event"} 1"#,
        r#"orderbridge_provisioning_finished_total{outcome="success",reason=""} 1"#,
        r#"orderbridge_provisioning_latency_seconds_count{outcome="success"} 1"#,
        r#"orderbridge_provisioning_step_duration_seconds_count{step="place"} 1"#,
    ] {
        assert!(after.contains(line), "{line} is not in\n{after}");
    }
    assert_eq!(without_help(&after), [""; 0]);
    let exposed = metrics_in(&after);
    let lacking: Vec<_> = TABLE
        .iter()
        .filter(|name| !exposed.contains(**name))
        .collect();
    assert!(lacking.is_empty(), "{lacking:?} are not in\n{after}");
    assert_eq!(
        missing_from(&exposed),
        [""; 0],
        "rules or dashboard ask for what is not there"
    );
    subscriber.stop().await;
    worker.stop().await;
}
