//! What each metric means: the `# HELP` lines.

use ::metrics::{describe_counter, describe_gauge, describe_histogram};

const COUNTERS: &[(&str, &str)] = &[
    (
        "orderbridge_alert_posts_total",
        "Notifications of alerts posted, by outcome.",
    ),
    (
        "orderbridge_circuit_opened_total",
        "How often calls to a system were suspended.",
    ),
    (
        "orderbridge_cursor_resets_total",
        "Stored cursors that Salesforce no longer knew.",
    ),
    (
        "orderbridge_event_version_unknown_total",
        "Events of a newer version than known.",
    ),
    (
        "orderbridge_events_handled_total",
        "Events that were decided on, by outcome.",
    ),
    (
        "orderbridge_events_received_total",
        "Events received from Salesforce.",
    ),
    (
        "orderbridge_events_unstorable_total",
        "Events that the store could not hold.",
    ),
    (
        "orderbridge_http_accept_failures_total",
        "Connections that could not be accepted.",
    ),
    (
        "orderbridge_http_connections_refused_total",
        "Connections closed at a limit, by reason.",
    ),
    (
        "orderbridge_job_attempts_total",
        "Attempts at jobs, by outcome.",
    ),
    (
        "orderbridge_jobs_enqueued_total",
        "Jobs stored, by what they come from.",
    ),
    (
        "orderbridge_jobs_set_aside_total",
        "Jobs that could not be read and were set aside.",
    ),
    (
        "orderbridge_portal_denied_total",
        "Requests of customers that were denied, by reason.",
    ),
    (
        "orderbridge_portal_ops_denied_total",
        "Wrong operator tokens.",
    ),
    (
        "orderbridge_portal_status_reads_total",
        "Reads of order statuses, by where the answer came from.",
    ),
    (
        "orderbridge_provisioning_finished_total",
        "Attempts that ended, by outcome and error code.",
    ),
    (
        "orderbridge_reconcile_sweeps_total",
        "Sweeps for orders without a job, by outcome.",
    ),
    (
        "orderbridge_salesforce_requests_total",
        "Calls to Salesforce's REST API, by outcome.",
    ),
    (
        "orderbridge_salesforce_status_pending_total",
        "Reports of which Salesforce took only a part.",
    ),
    (
        "orderbridge_subscription_reconnects_total",
        "Streams that ended and were opened again, by reason.",
    ),
    ("orderbridge_token_refreshes_total", "Logins, by outcome."),
    (
        "orderbridge_whmcs_errors_total",
        "Calls to WHMCS that ended in an error, by action and reason.",
    ),
    (
        "orderbridge_whmcs_requests_total",
        "Calls to WHMCS, by action and outcome.",
    ),
];

const GAUGES: &[(&str, &str)] = &[
    (
        "orderbridge_alert_active",
        "Whether an alert is firing (1) or not (0).",
    ),
    (
        "orderbridge_build_info",
        "1, with the running program and its version as labels.",
    ),
    (
        "orderbridge_circuit_state",
        "Whether calls to a system are suspended (1) or not (0).",
    ),
    (
        "orderbridge_cursor_event_timestamp_seconds",
        "When the event of the stored cursor was committed.",
    ),
    (
        "orderbridge_db_pool_connections",
        "Connections to the store, idle and busy.",
    ),
    (
        "orderbridge_dead_letters_open",
        "Dead letters that no operator closed.",
    ),
    (
        "orderbridge_event_lag_seconds",
        "Time since the last message of the stream was stored.",
    ),
    (
        "orderbridge_http_connections",
        "Open connections of the listener.",
    ),
    (
        "orderbridge_leader",
        "Whether this process leads (1) or not (0).",
    ),
    (
        "orderbridge_marker_lost",
        "Whether WHMCS dropped the marker of the newest order (1) or not (0).",
    ),
    (
        "orderbridge_orders_neglected",
        "Orders that failed more than an hour ago and were not acknowledged.",
    ),
    (
        "orderbridge_orders_stuck",
        "Orders in progress for long without progress.",
    ),
    (
        "orderbridge_provisioning_failure_ratio",
        "Share of the attempts within ALERT_WINDOW that failed.",
    ),
    ("orderbridge_queue_jobs", "Jobs in the store, by state."),
    (
        "orderbridge_queue_oldest_job_age_seconds",
        "How long the oldest job has been due, by state.",
    ),
    (
        "orderbridge_replay_window_remaining_seconds",
        "Time until Salesforce deletes events after the stored cursor.",
    ),
    (
        "orderbridge_salesforce_api_remaining_ratio",
        "Share of the day's Salesforce API calls that is left.",
    ),
    (
        "orderbridge_subscription_last_message_timestamp_seconds",
        "When the stream's last message arrived.",
    ),
    (
        "orderbridge_subscription_up",
        "Whether this process has an open stream (1) or not (0).",
    ),
];

const HISTOGRAMS: &[(&str, &str)] = &[
    (
        "http_server_request_duration_seconds",
        "Time to answer a request, by method, route and status.",
    ),
    (
        "orderbridge_event_delivery_lag_seconds",
        "Time from an event's creation to its storage.",
    ),
    (
        "orderbridge_job_attempt_duration_seconds",
        "Duration of attempts.",
    ),
    (
        "orderbridge_job_wait_seconds",
        "Time that jobs waited to be claimed.",
    ),
    (
        "orderbridge_provisioning_latency_seconds",
        "Time from an order's approval to its outcome in Salesforce.",
    ),
    (
        "orderbridge_provisioning_step_duration_seconds",
        "Duration of the steps of an attempt.",
    ),
    (
        "orderbridge_salesforce_request_duration_seconds",
        "Duration of calls to Salesforce's REST API.",
    ),
    (
        "orderbridge_whmcs_request_duration_seconds",
        "Duration of calls to WHMCS, by action.",
    ),
];

/// Describes every metric to the installed recorder.
pub(crate) fn describe() {
    for (name, help) in COUNTERS {
        describe_counter!(*name, *help);
    }
    for (name, help) in GAUGES {
        describe_gauge!(*name, *help);
    }
    for (name, help) in HISTOGRAMS {
        describe_histogram!(*name, *help);
    }
}
