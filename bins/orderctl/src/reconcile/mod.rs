//! `orderctl reconcile`: compares Salesforce, the store and WHMCS.

mod compare;

use std::collections::{BTreeMap, HashMap};

use domain::id::OrderId;
use domain::job::{Admission, NewJob};
use domain::key::ClientId;
use domain::order::{OrderState, WhmcsOrder};
use domain::ports::{Clock, OrderDetail, Pending, PendingActivations, ProvisionerReads};
use futures::stream::{self, StreamExt, TryStreamExt};
use indicatif::{ProgressBar, ProgressDrawTarget};
use job_store::Store;
use operations::JobView;
use runtime::SystemClock;
use salesforce_rest::ReconcileOrder;
use serde_json::json;

use crate::args::Format;
use crate::cli::Reconcile;
use crate::connect::{self, Systems};
use crate::lookup::client_of;
use crate::screen::{Exit, Screen, Stop, Table};
use crate::show;
use compare::{Difference, Kind, OrderRecords, differences, lacks_job};

/// Page size of Salesforce queries.
const PAGE: usize = 200;
/// Concurrent WHMCS calls.
const CONCURRENCY: usize = 4;

/// An order in Salesforce and in the store.
struct Known {
    orders_to_reconcile: ReconcileOrder,
    jobs: Vec<JobView>,
    state: OrderState,
}

impl Known {
    /// The WHMCS client: the one it was ordered for, else the account's.
    fn client(&self) -> Option<ClientId> {
        client_of(&self.state.progress).or(self.orders_to_reconcile.client)
    }
}

pub(crate) async fn run(asked: Reconcile, screen: &mut Screen) -> Result<Exit, Stop> {
    let systems = connect::systems(&asked.systems)?;
    let store = connect::store(&asked.store).await?;
    let bar = match screen.terminal {
        true => ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()),
        false => ProgressBar::hidden(),
    };
    let (mut found, orders, complete) = compare_all(&asked, &systems, &store, &bar).await?;
    let (lacking, all_pending) = without_job(&asked, &systems, &store).await?;
    bar.finish_and_clear();
    let number = |order: OrderId| {
        let mut known = orders.iter();
        known
            .find(|known| known.order == order)
            .and_then(|known| known.number.clone())
    };
    found.extend(lacking.iter().map(|pending| Difference {
        order: pending.order,
        number: number(pending.order),
        kind: Kind::NoJob,
        detail: format!("Activating since {}", runtime::rfc3339(pending.since)),
    }));
    found.sort_by_key(|difference| difference.order);
    let enqueued = match asked.check {
        true => Vec::new(),
        false => enqueue(&store, &lacking).await?,
    };
    let complete = complete && all_pending;
    write(&found, &enqueued, orders.len(), complete, screen)?;
    if !complete {
        screen.note(&format!(
            "stopped after {} orders; give a higher --limit or a shorter --within",
            asked.limit
        ));
    }
    let left = found
        .iter()
        .any(|difference| difference.kind != Kind::NoJob || !enqueued.contains(&difference.order));
    Ok(match left || !complete {
        true => Exit::Difference,
        false => Exit::Fine,
    })
}

/// Page by page: the orders in Salesforce, their jobs and facts, their WHMCS clients' orders.
/// Also returns the orders, and whether the list is complete.
async fn compare_all(
    asked: &Reconcile,
    systems: &Systems,
    store: &Store,
    bar: &ProgressBar,
) -> Result<(Vec<Difference>, Vec<ReconcileOrder>, bool), Stop> {
    let org = systems.salesforce.org().await?;
    let since = SystemClock.now() - asked.within;
    let mut orders: Vec<ReconcileOrder> = Vec::new();
    let mut found = Vec::new();
    // Each client is read once, however many orders it has.
    let mut clients: HashMap<ClientId, Vec<WhmcsOrder>> = HashMap::new();
    while orders.len() < asked.limit {
        let size = PAGE.min(asked.limit - orders.len());
        let after = orders.last().map(|last| last.order);
        let page = systems
            .salesforce
            .orders_to_reconcile(since, after, size)
            .await?;
        let last_page = page.len() < size;
        let mut known = Vec::new();
        for orders_to_reconcile in page {
            known.push(look_up(store, orders_to_reconcile).await?);
        }
        let new = known.iter().filter_map(Known::client);
        let mut new: Vec<_> = new.filter(|client| !clients.contains_key(client)).collect();
        new.sort_unstable();
        new.dedup();
        let read = async |client| {
            let orders = systems
                .whmcs
                .orders(client, None, OrderDetail::Services)
                .await?;
            Ok::<_, Stop>((client, orders))
        };
        let read: Vec<_> = stream::iter(new)
            .map(read)
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        clients.extend(read);
        for known in &known {
            let whmcs_orders = known.client().and_then(|client| clients.get(&client));
            found.extend(differences(&OrderRecords {
                org,
                orders_to_reconcile: &known.orders_to_reconcile,
                jobs: &known.jobs,
                state: &known.state,
                whmcs_orders: whmcs_orders.map(Vec::as_slice),
            }));
        }
        bar.inc(known.len() as u64);
        orders.extend(known.into_iter().map(|known| known.orders_to_reconcile));
        if last_page {
            return Ok((found, orders, true));
        }
    }
    Ok((found, orders, false))
}

async fn look_up(store: &Store, orders_to_reconcile: ReconcileOrder) -> Result<Known, Stop> {
    // Facts before jobs: an order in progress still has its job.
    let facts = store.ports.facts_of(orders_to_reconcile.order).await?;
    let jobs = store.ports.jobs_of(orders_to_reconcile.order).await?;
    let state = OrderState::replay(facts.iter().map(|recorded| &recorded.fact))?;
    Ok(Known {
        orders_to_reconcile,
        jobs,
        state,
    })
}

/// Activations without a job, and whether the list is complete.
async fn without_job(
    asked: &Reconcile,
    systems: &Systems,
    store: &Store,
) -> Result<(Vec<Pending>, bool), Stop> {
    let (mut after, mut seen) = (None, 0);
    let mut lacking = Vec::new();
    while seen < asked.limit {
        let size = PAGE.min(asked.limit - seen);
        let page = systems.salesforce.pending(asked.after, after, size).await?;
        let last_page = page.len() < size;
        seen += page.len();
        after = page.last().map(|last| last.order);
        for pending in page {
            let jobs = store.ports.jobs_of(pending.order).await?;
            if lacks_job(&pending, &jobs, SystemClock.now()) {
                lacking.push(pending);
            }
        }
        if last_page {
            return Ok((lacking, true));
        }
    }
    Ok((lacking, false))
}

/// Enqueues jobs; returns the orders that have one now.
async fn enqueue(store: &Store, lacking: &[Pending]) -> Result<Vec<OrderId>, Stop> {
    let mut enqueued = Vec::new();
    for page in lacking.chunks(PAGE) {
        let now = SystemClock.now();
        let jobs = page.iter().map(|pending| NewJob::of_sweep(pending, now));
        let jobs: Vec<_> = jobs.collect();
        let admissions = store.ports.enqueue(&jobs).await?;
        // A duplicate got its job from another process meanwhile.
        let has_job = |admission: &Admission| *admission != Admission::DeadLettered;
        let admitted = jobs
            .iter()
            .zip(&admissions)
            .filter(|(_, admission)| has_job(admission));
        enqueued.extend(admitted.map(|(job, _)| job.order));
    }
    Ok(enqueued)
}

fn write(
    found: &[Difference],
    enqueued: &[OrderId],
    orders: usize,
    complete: bool,
    screen: &mut Screen,
) -> Result<(), Stop> {
    let is_enqueued = |difference: &Difference| {
        difference.kind == Kind::NoJob && enqueued.contains(&difference.order)
    };
    let rows: Vec<_> = found
        .iter()
        .map(|difference| {
            let enqueued_now = is_enqueued(difference);
            let (kind, fix) = (difference.kind.name(), difference.kind.fix());
            let next_step = if enqueued_now { "enqueued" } else { fix };
            let cells = vec![
                difference.order.to_string(),
                show::maybe(difference.number.as_ref()),
                kind.to_owned(),
                difference.detail.clone(),
                next_step.to_owned(),
            ];
            let value = json!({
                "order": difference.order.as_str(),
                "number": difference.number,
                "kind": kind,
                "detail": difference.detail,
                "mend": fix,
                "enqueued": enqueued_now,
            });
            (cells, value)
        })
        .collect();
    let mut kinds = BTreeMap::<_, u32>::new();
    for difference in found {
        *kinds.entry(difference.kind.name()).or_default() += 1;
    }
    if screen.format == Format::Json {
        let differences: Vec<_> = rows.into_iter().map(|(_, value)| value).collect();
        return screen.value(&json!({
            "orders": orders,
            "complete": complete,
            "counts": kinds,
            "differences": differences,
        }));
    }
    screen.note(&format!(
        "{orders} orders compared, {} differences",
        found.len()
    ));
    if screen.format == Format::Table && rows.is_empty() {
        return screen.line("no differences");
    }
    screen.list(Table {
        columns: &["ORDER", "NUMBER", "DIFFERENCE", "DETAIL", "NEXT STEP"],
        rows,
    })
}
