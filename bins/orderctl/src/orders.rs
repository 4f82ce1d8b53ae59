//! `orderctl orders`.

use domain::id::OrderId;
use domain::key::WhmcsOrderId;
use domain::order::{OrderState, OrderStatus, RetryAnswer};
use domain::ports::{ProvisionerReads, RetryRequests};
use job_store::Store;
use operations::{AdminCommand, OrderQuery, Wait, align_calls};
use runtime::rfc3339;
use serde_json::json;

use crate::args::{Care, Format, OperatorArgs};
use crate::cli::{ForgetWhmcs, HandleOrder, OneOrder, OrdersList, OrdersVerb, RetryOrder};
use crate::lookup::{client_of, find};
use crate::screen::{Exit, Screen, Stop, Table};
use crate::{commands, connect, follow, plan, show};

/// Page size of store queries.
const PAGE: usize = 500;

pub(crate) async fn run(verb: OrdersVerb, screen: &mut Screen) -> Result<Exit, Stop> {
    match verb {
        OrdersVerb::List(asked) => list(asked, screen).await,
        OrdersVerb::Show(asked) => one(&asked, screen).await,
        OrdersVerb::Follow(asked) => follow::run(&asked, screen).await,
        OrdersVerb::Plan(asked) => plan::run(&asked, screen).await,
        OrdersVerb::ForgetWhmcs(asked) => forget(&asked, screen).await,
        OrdersVerb::Retry(asked) => retry(&asked, screen).await,
        OrdersVerb::Handle(asked) => handle(&asked, screen).await,
    }
}

async fn list(asked: OrdersList, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.store).await?;
    let mut query = OrderQuery {
        stage: asked.state,
        code: asked.code,
        text: asked.search,
        after: None,
        limit: PAGE,
    };
    let mut rows = Vec::new();
    while rows.len() < asked.limit {
        query.limit = PAGE.min(asked.limit - rows.len());
        let page = store.ports.orders(&query).await?;
        let Some(last) = page.last() else { break };
        query.after = Some((last.updated_at, last.order));
        rows.extend(page.iter().map(show::order));
    }
    let table = Table {
        columns: show::ORDERS,
        rows,
    };
    screen.list(table)?;
    Ok(Exit::Fine)
}

async fn one(asked: &OneOrder, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.store).await?;
    let row = find(&*store.ports, &asked.order).await?;
    let jobs = store.ports.jobs_of(row.order).await?;
    let facts = store.ports.facts_of(row.order).await?;
    let mut calls = store.ports.calls_of(row.order).await?;
    align_calls(&facts, &mut calls);
    let timeline = show::timeline(&facts, &calls);
    let entry = row.code.map(domain::failure::Code::entry);
    let wait = Wait::of(&jobs, &facts);
    let lines = [
        ("order", row.order.to_string()),
        ("number", show::maybe(row.number.as_ref())),
        ("account", show::maybe(row.account)),
        ("WHMCS order", show::maybe(row.whmcs_order)),
        ("state", row.stage.name().to_owned()),
        ("code", show::maybe(row.code)),
        ("to do", show::maybe(entry.map(|entry| entry.remediation))),
        ("attempts", row.attempts.to_string()),
        (
            "waiting for",
            show::maybe(wait.map(|wait| format!("{} at {}", wait.what, rfc3339(wait.until)))),
        ),
        (
            "handled by",
            show::maybe(row.handled.as_ref().map(|handled| &handled.who)),
        ),
    ];
    let value = json!({
        "order": show::order_value(&row),
        "wait": wait.map(|wait| json!({"what": wait.what, "until": rfc3339(wait.until)})),
        "jobs": jobs.iter().map(show::job_value).collect::<Vec<_>>(),
        "timeline": timeline.iter().map(|(_, value)| value).collect::<Vec<_>>(),
    });
    screen.show(&lines, &value)?;
    if screen.format == Format::Table {
        screen.line("")?;
        screen.list(Table {
            columns: show::JOBS,
            rows: jobs.iter().map(show::job).collect(),
        })?;
        screen.line("")?;
        screen.list(Table {
            columns: &["AT", "FACT OR CALL", "DETAIL"],
            rows: timeline,
        })?;
    }
    Ok(Exit::Fine)
}

async fn forget(asked: &ForgetWhmcs, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.one.store).await?;
    let row = find(&*store.ports, &asked.one.order).await?;
    let given = asked.whmcs_order.map(WhmcsOrderId);
    let Some(whmcs_order) = given.or(row.whmcs_order) else {
        return Err(Stop::failed(format!(
            "order {} has no recorded WHMCS order",
            row.order
        )));
    };
    let order = row.order;
    ensure_not_live(&store, asked, order, whmcs_order).await?;
    let what = format!("forget WHMCS order {whmcs_order}, so that order {order} is placed again");
    let command = AdminCommand::Forget { order, whmcs_order };
    commands::perform(&store, &command, &what, &asked.operator, asked.care, screen).await
}

/// Fails if the order is live in WHMCS: a new one would duplicate it.
async fn ensure_not_live(
    store: &Store,
    asked: &ForgetWhmcs,
    order: OrderId,
    whmcs_order: WhmcsOrderId,
) -> Result<(), Stop> {
    let systems = connect::systems(&asked.systems)?;
    let facts = store.ports.facts_of(order).await?;
    let state = OrderState::replay(facts.iter().map(|recorded| &recorded.fact))?;
    let Some(client) = client_of(&state.progress) else {
        return Err(Stop::failed(format!(
            "no WHMCS client is recorded for order {order}; it was never placed"
        )));
    };
    match systems.whmcs.order(client, whmcs_order).await? {
        None => Ok(()),
        Some(found) if matches!(found.status, OrderStatus::Cancelled | OrderStatus::Fraud) => {
            Ok(())
        }
        Some(found) => Err(Stop::failed(format!(
            "WHMCS order {whmcs_order} is {:?}: forgetting it would place the order twice. Cancel it in WHMCS first",
            found.status
        ))),
    }
}

/// The audit log gets the intent before the call and the answer after it.
async fn retry(asked: &RetryOrder, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.one.store).await?;
    let order = find(&*store.ports, &asked.one.order).await?.order;
    let crm = connect::salesforce(&asked.crm)?;
    let confirmed = screen.confirm(
        &format!("request another attempt for order {order} in Salesforce"),
        asked.care,
    )?;
    let OperatorArgs { who, reason } = &asked.operator;
    let mut answer = None;
    if confirmed {
        let intent = AdminCommand::RequestRetry { order };
        store.ports.execute(&intent, who, reason).await?;
        let called = crm.request_retry(order).await;
        answer = called.as_ref().ok().copied();
        let command = AdminCommand::RetryRequested { order, answer };
        store.ports.execute(&command, who, reason).await?;
        called?;
    }
    let result = match answer {
        Some(RetryAnswer::Asked) => "asked",
        Some(RetryAnswer::NotFailed) => "not failed",
        None => "not asked",
    };
    let lines = [
        ("order", order.to_string()),
        ("Salesforce", result.to_owned()),
        ("by", who.clone()),
        ("reason", reason.clone()),
    ];
    let value = json!({
        "act": "ask_again", "subject": order.as_str(), "who": who, "reason": reason,
        "answer": result, "done": answer == Some(RetryAnswer::Asked),
    });
    screen.show(&lines, &value)?;
    Ok(match answer {
        Some(RetryAnswer::NotFailed) => Exit::Difference,
        _ => Exit::Fine,
    })
}

async fn handle(asked: &HandleOrder, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.one.store).await?;
    let order = find(&*store.ports, &asked.one.order).await?.order;
    let care = Care {
        dry_run: asked.dry_run,
        yes: true,
    };
    let (command, what) = (
        AdminCommand::Handle { order },
        format!("acknowledge order {order}"),
    );
    commands::perform(&store, &command, &what, &asked.operator, care, screen).await
}
