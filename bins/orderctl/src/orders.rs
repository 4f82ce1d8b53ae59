//! Orders as the store knows them.

use domain::id::OrderId;
use domain::key::{ClientId, WhmcsOrderId};
use domain::order::{OrderState, OrderStatus, Progress, RetryAnswer};
use domain::ports::{
    AdminCommand, OrderQuery, OrderRow, OrderViews, ProvisionerReads, RetryRequests, Wait,
    align_calls,
};
use job_store::Store;
use runtime::rfc3339;
use serde_json::json;

use crate::acts;
use crate::cli::{
    Care, ForgetWhmcs, HandleOrder, OneOrder, OrdersList, OrdersVerb, Person, RetryOrder,
};
use crate::screen::{Exit, Screen, Stop, Table};
use crate::{connect, follow, plan, show};

/// Orders read at a time.
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

/// The one order that this text means.
pub(crate) async fn find(reader: &dyn OrderViews, text: &str) -> Result<OrderRow, Stop> {
    let query = OrderQuery {
        text: Some(text.to_owned()),
        limit: 2,
        ..OrderQuery::default()
    };
    let mut found = reader.orders(&query).await?;
    match (found.pop(), found.is_empty()) {
        (Some(row), true) => Ok(row),
        (None, _) => Err(Stop::failed(format!(
            "the store knows no order `{text}`. Give a Salesforce order id or number, or a WHMCS order id"
        ))),
        (Some(_), false) => Err(Stop::failed(format!(
            "`{text}` means more than one order. Look with `orderctl orders list --search {text}` and give an order id"
        ))),
    }
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
    if screen.format == crate::Format::Table {
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
            "order {} has no WHMCS order that could be forgotten",
            row.order
        )));
    };
    let order = row.order;
    ended_in_whmcs(&store, asked, order, whmcs_order).await?;
    let what =
        format!("let order {order} be placed anew, as if WHMCS order {whmcs_order} were not there");
    let act = AdminCommand::Forget { order, whmcs_order };
    acts::perform(&store, &act, &what, &asked.person, asked.care, screen).await
}

/// That nothing lives in WHMCS that a new order would double.
async fn ended_in_whmcs(
    store: &Store,
    asked: &ForgetWhmcs,
    order: OrderId,
    whmcs_order: WhmcsOrderId,
) -> Result<(), Stop> {
    let systems = asked.outside.systems()?;
    let facts = store.ports.facts_of(order).await?;
    let state = OrderState::replay(facts.iter().map(|recorded| &recorded.fact))?;
    let Some(client) = client_of(&state.progress) else {
        return Err(Stop::failed(format!(
            "the store does not know which WHMCS client order {order} is for; nothing was ever placed for it"
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

/// The WHMCS client, once it is known.
pub(crate) fn client_of(progress: &Progress) -> Option<ClientId> {
    match progress {
        Progress::Nothing | Progress::CreatingClient(_) => None,
        Progress::ClientResolved { client }
        | Progress::Placing { client, .. }
        | Progress::Placed { client, .. }
        | Progress::Activating { client, .. }
        | Progress::Accepted { client, .. } => Some(*client),
    }
}

/// The intent goes into the audit log first and the answer after it, as in the console.
async fn retry(asked: &RetryOrder, screen: &mut Screen) -> Result<Exit, Stop> {
    let store = connect::store(&asked.one.store).await?;
    let order = find(&*store.ports, &asked.one.order).await?.order;
    let crm = asked.crm.orders()?;
    let may = screen.may(
        &format!("ask Salesforce for another attempt at order {order}"),
        asked.care,
    )?;
    let Person { who, reason } = &asked.person;
    let mut answer = None;
    if may {
        let intent = AdminCommand::RequestRetry { order };
        store.ports.execute(&intent, who, reason).await?;
        let called = crm.request_retry(order).await;
        answer = called.as_ref().ok().copied();
        let act = AdminCommand::RetryRequested { order, answer };
        store.ports.execute(&act, who, reason).await?;
        called?;
    }
    let came = match answer {
        Some(RetryAnswer::Asked) => "asked",
        Some(RetryAnswer::NotFailed) => "not failed",
        None => "not asked",
    };
    let lines = [
        ("order", order.to_string()),
        ("Salesforce", came.to_owned()),
        ("by", who.clone()),
        ("reason", reason.clone()),
    ];
    let value = json!({
        "act": "ask_again", "subject": order.as_str(), "who": who, "reason": reason,
        "answer": came, "done": answer == Some(RetryAnswer::Asked),
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
    let (act, what) = (
        AdminCommand::Handle { order },
        format!("mark order {order} as seen to"),
    );
    acts::perform(&store, &act, &what, &asked.person, care, screen).await
}
