//! The screens.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use domain::id::OrderId;
use domain::job::JobOutcome;
use domain::ports::DeadLetterView;
use domain::time::Timestamp;
use operations::{
    Alert, AuditEntry, CursorHistoryEntry, GapView, JobStage, OperatorSession, OrderRow, Pausable,
    Pause, ProcessView, QueueStats, StreamView, Wait,
};

use super::caller::Caller;
use super::entry::Entry;
use super::error::PageError;
use super::processes;
use super::queries::{OrderFilter, Overview, PAGE, next_page, store_error};
use super::session::Operator;
use super::state::Console;
use super::stats::{Cause, causes};
use super::timeline::Total;
use crate::config::Links;
use crate::html::render;
use crate::problem::Problem;
use crate::request::order_id;
use crate::time;

/// Failed orders that are grouped by cause.
const MAX_FAILED: usize = 500;

#[derive(Template)]
#[template(path = "console/overview.html")]
struct OverviewPage {
    alerts: Vec<Alert>,
    view: Overview,
    links: Links,
}

#[derive(Template)]
#[template(path = "console/orders.html")]
struct OrdersPage {
    links: Links,
    text: String,
    stage: String,
    stages: Vec<&'static str>,
    rows: Vec<OrderRow>,
    more: Option<String>,
}

#[derive(Template)]
#[template(path = "console/order.html")]
struct OrderPage {
    links: Links,
    csrf: String,
    may_command: bool,
    order: OrderId,
    row: Option<OrderRow>,
    entries: Vec<Entry>,
    total: Total,
    /// What the order waits for.
    wait: Option<Wait>,
    failed: bool,
}

#[derive(Template)]
#[template(path = "console/failures.html")]
struct FailuresPage {
    csrf: String,
    may_command: bool,
    causes: Vec<Cause>,
}

#[derive(Template)]
#[template(path = "console/system.html")]
struct SystemPage {
    csrf: String,
    may_command: bool,
    channel: String,
    stream: StreamView,
    leader: Option<(String, String)>,
    queue: QueueStats,
    pauses: Vec<Pause>,
    worker_paused: bool,
    intake_paused: bool,
    dead_letters: Vec<DeadLetterView>,
    gaps: Vec<GapView>,
    cursor_history: Vec<CursorHistoryEntry>,
    audit: Vec<AuditEntry>,
    processes: Vec<ProcessView>,
    sessions: Vec<OperatorSession>,
}

/// For templates, which pass references.
fn when(at: &Timestamp) -> String {
    time::seconds(*at)
}

fn span(length: &Duration) -> String {
    time::span(*length)
}

fn csrf_token(operator: Operator) -> String {
    operator.csrf.unwrap_or_default()
}

pub(super) async fn overview(
    State(state): State<Arc<Console>>,
    caller: Caller,
) -> Result<Response, PageError> {
    state.for_screen(&caller).await?;
    let view = state.overview().await?;
    let alerts = state.firing_alerts().await?;
    let links = state.links.clone();
    Ok(render(&OverviewPage {
        alerts,
        view,
        links,
    }))
}

pub(super) async fn orders(
    State(state): State<Arc<Console>>,
    Query(filter): Query<OrderFilter>,
    caller: Caller,
) -> Result<Response, PageError> {
    state.for_screen(&caller).await?;
    let query = filter.query();
    let rows = state.orders.orders(&query).await.map_err(store_error)?;
    Ok(render(&OrdersPage {
        links: state.links.clone(),
        more: next_page(&rows),
        rows,
        text: filter.q,
        stage: filter.stage,
        stages: JobStage::ALL.map(JobStage::name).into(),
    }))
}

pub(super) async fn order(
    State(state): State<Arc<Console>>,
    Path(order): Path<String>,
    caller: Caller,
) -> Result<Response, PageError> {
    let operator = state.for_screen(&caller).await?;
    let order = order_id(&order)?;
    let (row, entries, wait) = state.order_timeline(order).await?;
    if row.is_none() && entries.is_empty() {
        return Err(Problem::no_such_order().into());
    }
    let stage = row.as_ref().map(|row| row.stage);
    Ok(render(&OrderPage {
        links: state.links.clone(),
        may_command: operator.may_command,
        csrf: csrf_token(operator),
        order,
        failed: stage == Some(JobStage::Ended(JobOutcome::Failed)),
        row,
        total: Total::of(&entries),
        entries,
        wait,
    }))
}

pub(super) async fn failures(
    State(state): State<Arc<Console>>,
    caller: Caller,
) -> Result<Response, PageError> {
    let operator = state.for_screen(&caller).await?;
    let rows = state.failed_orders(None, MAX_FAILED).await?;
    Ok(render(&FailuresPage {
        may_command: operator.may_command,
        csrf: csrf_token(operator),
        causes: causes(rows),
    }))
}

pub(super) async fn system(
    State(state): State<Arc<Console>>,
    caller: Caller,
) -> Result<Response, PageError> {
    let operator = state.for_screen(&caller).await?;
    Ok(render(&system_page(&state, operator).await?))
}

async fn system_page(state: &Console, operator: Operator) -> Result<SystemPage, Problem> {
    let channel = &state.channel;
    let pauses = state.commands.pauses().await.map_err(store_error)?;
    let is_paused = |what: &Pausable| pauses.iter().any(|pause| pause.what == *what);
    let stream = state.events.stream(channel).await.map_err(store_error)?;
    Ok(SystemPage {
        may_command: operator.may_command,
        csrf: csrf_token(operator),
        channel: channel.to_string(),
        leader: stream
            .leader
            .as_ref()
            .map(|(owner, _, until)| (owner.to_string(), time::seconds(*until))),
        stream,
        queue: state.statistics.queue_stats().await.map_err(store_error)?,
        worker_paused: is_paused(&Pausable::Worker),
        intake_paused: is_paused(&Pausable::Intake(channel.clone())),
        pauses,
        dead_letters: state
            .events
            .dead_letters(true, None, PAGE)
            .await
            .map_err(store_error)?,
        gaps: state.events.gaps(20).await.map_err(store_error)?,
        cursor_history: state
            .events
            .cursor_history(channel, 50)
            .await
            .map_err(store_error)?,
        audit: state.commands.audit(PAGE).await.map_err(store_error)?,
        processes: state.processes.processes().await.map_err(store_error)?,
        sessions: state.sessions.open().await.map_err(store_error)?,
    })
}
