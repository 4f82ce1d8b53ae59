//! The five screens.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use domain::failure::Code;
use domain::id::OrderId;
use domain::job::JobOutcome;
use domain::ports::{
    Alert, AuditEntry, CursorHistoryEntry, DeadLetterView, GapView, JobStage, OrderQuery, OrderRow,
    Pausable, Pause, ProcessView, QueueStats, StreamView, Wait,
};
use domain::time::Timestamp;
use serde::Deserialize;

use super::chart::Charts;
use super::numbers::{Cause, Numbers, causes, stream_words};
use super::session::Operator;
use super::timeline::{Moment, Total, timeline};
use super::{Turned, process_registry, store};
use crate::api::order_id;
use crate::config::Links;
use crate::page::html;
use crate::portal::Portal;
use crate::problem::Problem;
use crate::time;

const DAY: Duration = Duration::from_secs(24 * 3600);
const MANY: usize = 5000;
/// Rows of one page of a list.
const PAGE: usize = 50;
/// Failed orders that are grouped by cause.
const FAILED: usize = 500;
/// Pages of failed orders that are looked through for those that nobody has seen to.
const PAGES: usize = 100;

#[derive(Template)]
#[template(path = "ops/overview.html")]
struct OverviewPage {
    alerts: Vec<Alert>,
    view: Overview,
    links: Links,
}

/// What the overview shows.
pub(super) struct Overview {
    pub(super) sentence: String,
    pub(super) stream: StreamView,
    pub(super) hours_left: Option<u64>,
    pub(super) queue_stats: QueueStats,
    pub(super) numbers: Numbers,
    charts: Charts,
    pub(super) pauses: Vec<Pause>,
    pub(super) attention: Vec<OrderRow>,
    pub(super) now: Timestamp,
}

impl Overview {
    fn rate(&self) -> String {
        let (good, bad) = self.numbers.recent;
        match self.numbers.failure_rate() {
            None => "no attempts".to_owned(),
            Some(_) => format!("{good} of {} succeeded", good + bad),
        }
    }

    fn is_over_the_line(&self) -> bool {
        self.numbers.failure_rate().is_some_and(|rate| rate > 10)
    }

    fn lag(&self) -> String {
        let cursor = self.stream.cursor.as_ref();
        cursor.map_or_else(
            || "no position yet".to_owned(),
            |cursor| time::span(self.now.since(cursor.committed_at)),
        )
    }
}

#[derive(Template)]
#[template(path = "ops/orders.html")]
struct OrdersPage {
    links: Links,
    text: String,
    stage: String,
    stages: Vec<&'static str>,
    rows: Vec<OrderRow>,
    more: Option<String>,
}

#[derive(Template)]
#[template(path = "ops/order.html")]
struct OrderPage {
    links: Links,
    csrf: String,
    may_act: bool,
    order: OrderId,
    row: Option<OrderRow>,
    moments: Vec<Moment>,
    total: Total,
    /// What the order waits for, if it does.
    wait: Option<Wait>,
    failed: bool,
}

#[derive(Template)]
#[template(path = "ops/failures.html")]
struct FailuresPage {
    csrf: String,
    may_act: bool,
    causes: Vec<Cause>,
}

#[derive(Template)]
#[template(path = "ops/system.html")]
struct SystemPage {
    csrf: String,
    may_act: bool,
    channel: String,
    stream: StreamView,
    leader: Option<(String, String)>,
    queue_stats: QueueStats,
    pauses: Vec<Pause>,
    worker_paused: bool,
    intake_paused: bool,
    letters: Vec<DeadLetterView>,
    gaps: Vec<GapView>,
    marks: Vec<CursorHistoryEntry>,
    audit: Vec<AuditEntry>,
    processes: Vec<ProcessView>,
}

/// How a moment reads in the templates.
fn when(at: &Timestamp) -> String {
    time::plain(*at)
}

fn span(length: &Duration) -> String {
    time::span(*length)
}

fn token(operator: Operator) -> String {
    operator.csrf.unwrap_or_default()
}

impl Portal {
    pub(super) async fn overview(&self) -> Result<Overview, Problem> {
        let ports = &self.ports;
        let now = self.ports.clock.now();
        let finished_jobs = ports
            .statistics
            .finished_jobs(now - DAY, MANY)
            .await
            .map_err(store)?;
        let stream = ports
            .events
            .stream(&self.ports.channel)
            .await
            .map_err(store)?;
        let queue_stats = ports.statistics.queue_stats().await.map_err(store)?;
        let attention = self.failed_orders(None, 100).await?;
        let (flow, hours_left) = stream_words(&stream, now);
        let need = attention.len() as u64 + queue_stats.open_dead_letters;
        let sentence = match need {
            0 => format!("{flow} Nothing needs you."),
            1 => format!("{flow} One thing needs you."),
            many => format!("{flow} {many} things need you."),
        };
        Ok(Overview {
            sentence,
            hours_left,
            stream,
            queue_stats,
            numbers: Numbers::of(&finished_jobs, now),
            charts: Charts::of(&finished_jobs, now),
            pauses: ports.commands.pauses().await.map_err(store)?,
            attention,
            now,
        })
    }

    /// Failed orders that nobody has seen to, of one cause or of any.
    pub(super) async fn failed_orders(
        &self,
        code: Option<Code>,
        limit: usize,
    ) -> Result<Vec<OrderRow>, Problem> {
        let mut query = OrderQuery {
            stage: Some(JobStage::Ended(JobOutcome::Failed)),
            code,
            limit,
            ..OrderQuery::default()
        };
        let mut open = Vec::new();
        // Those that were seen to must not hide the others behind them.
        for _ in 0..PAGES {
            let rows = self.ports.orders.orders(&query).await.map_err(store)?;
            query.after = rows
                .last()
                .filter(|_| rows.len() == limit)
                .map(|row| (row.updated_at, row.order));
            open.extend(rows.into_iter().filter(|row| row.handled.is_none()));
            if query.after.is_none() || open.len() >= limit {
                break;
            }
        }
        open.truncate(limit);
        Ok(open)
    }

    /// One order and its story.
    pub(super) async fn story(
        &self,
        order: OrderId,
    ) -> Result<(Option<OrderRow>, Vec<Moment>, Option<Wait>), Problem> {
        let ports = &self.ports;
        let query = OrderQuery {
            text: Some(order.to_string()),
            limit: 1,
            ..OrderQuery::default()
        };
        let row = ports
            .orders
            .orders(&query)
            .await
            .map_err(store)?
            .into_iter()
            .next();
        let jobs = ports.orders.jobs_of(order).await.map_err(store)?;
        let facts = ports.orders.facts_of(order).await.map_err(store)?;
        let calls = ports.orders.calls_of(order).await.map_err(store)?;
        let wait = Wait::of(&jobs, &facts);
        Ok((row, timeline(&jobs, &facts, &calls), wait))
    }
}

pub(super) async fn overview(
    State(portal): State<Arc<Portal>>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    portal.operator_person(&headers)?;
    let view = portal.overview().await?;
    let alerts = portal.firing().await?;
    let links = portal.links.clone();
    Ok(html(&OverviewPage {
        alerts,
        view,
        links,
    }))
}

#[derive(Deserialize, Default)]
pub(super) struct Wanted {
    #[serde(default)]
    q: String,
    #[serde(default)]
    stage: String,
    #[serde(default)]
    after: String,
}

impl Wanted {
    pub(super) fn query(&self) -> OrderQuery {
        let after = self.after.split_once('.').and_then(|(at, order)| {
            let at = Timestamp::from_millis(at.parse().ok()?);
            Some((at, OrderId::parse(order).ok()?))
        });
        OrderQuery {
            stage: JobStage::parse(&self.stage),
            text: Some(self.q.trim().to_owned()).filter(|text| !text.is_empty()),
            code: None,
            after,
            limit: PAGE,
        }
    }
}

/// Where the list goes on.
pub(super) fn next_page(rows: &[OrderRow]) -> Option<String> {
    let last = rows.last().filter(|_| rows.len() == PAGE)?;
    Some(format!("{}.{}", last.updated_at.as_millis(), last.order))
}

pub(super) async fn orders(
    State(portal): State<Arc<Portal>>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    portal.operator_person(&headers)?;
    let query = wanted.query();
    let rows = portal.ports.orders.orders(&query).await.map_err(store)?;
    Ok(html(&OrdersPage {
        links: portal.links.clone(),
        more: next_page(&rows),
        rows,
        text: wanted.q,
        stage: wanted.stage,
        stages: JobStage::ALL.map(JobStage::name).into(),
    }))
}

pub(super) async fn order(
    State(portal): State<Arc<Portal>>,
    Path(order): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let operator = portal.operator_person(&headers)?;
    let order = order_id(&order)?;
    let (row, moments, wait) = portal.story(order).await?;
    if row.is_none() && moments.is_empty() {
        return Err(Problem::no_such_order().into());
    }
    let outcome = row.as_ref().map(|row| row.stage);
    Ok(html(&OrderPage {
        links: portal.links.clone(),
        may_act: operator.may_act,
        csrf: token(operator),
        order,
        failed: outcome == Some(JobStage::Ended(JobOutcome::Failed)),
        row,
        total: Total::of(&moments),
        moments,
        wait,
    }))
}

pub(super) async fn failures(
    State(portal): State<Arc<Portal>>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let operator = portal.operator_person(&headers)?;
    let rows = portal.failed_orders(None, FAILED).await?;
    Ok(html(&FailuresPage {
        may_act: operator.may_act,
        csrf: token(operator),
        causes: causes(rows),
    }))
}

pub(super) async fn system(
    State(portal): State<Arc<Portal>>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let operator = portal.operator_person(&headers)?;
    Ok(html(&system_page(&portal, operator).await?))
}

async fn system_page(portal: &Portal, operator: Operator) -> Result<SystemPage, Problem> {
    let (ports, channel) = (&portal.ports, &portal.ports.channel);
    let pauses = ports.commands.pauses().await.map_err(store)?;
    let held = |what: &Pausable| pauses.iter().any(|pause| pause.what == *what);
    let stream = ports.events.stream(channel).await.map_err(store)?;
    Ok(SystemPage {
        may_act: operator.may_act,
        csrf: token(operator),
        channel: channel.to_string(),
        leader: stream
            .leader
            .as_ref()
            .map(|(owner, _, until)| (owner.to_string(), time::plain(*until))),
        stream,
        queue_stats: ports.statistics.queue_stats().await.map_err(store)?,
        worker_paused: held(&Pausable::Worker),
        intake_paused: held(&Pausable::Intake(channel.clone())),
        pauses,
        letters: ports
            .events
            .dead_letters(true, None, PAGE)
            .await
            .map_err(store)?,
        gaps: ports.events.gaps(20).await.map_err(store)?,
        marks: ports
            .events
            .cursor_history(channel, 50)
            .await
            .map_err(store)?,
        audit: ports.commands.audit(PAGE).await.map_err(store)?,
        processes: ports.processes.processes().await.map_err(store)?,
    })
}
