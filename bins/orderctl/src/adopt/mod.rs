//! `orderctl adopt`: marks WHMCS orders that another bridge placed, so that they are recognised.

mod assess;

use std::collections::HashMap;

use domain::key::{ClientId, WhmcsOrderId};
use domain::order::{OrderDetails, OrderState, WhmcsOrder};
use domain::ports::{CallError, CrmOrders, OrderDetail, ProvisionerReads};
use error_chain::chain;
use job_store::Store;
use operations::AdminCommand;
use salesforce_rest::ReconcileOrder;
use serde_json::{Value, json};

use crate::cli::Adopt;
use crate::connect::{self, Systems};
use crate::screen::{Exit, Screen, Stop, Table};
use crate::{commands, show};
use assess::{LineWrite, Missing, Pair, assess};

/// Page size of Salesforce queries.
const PAGE: usize = 200;

/// How it went with one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// It was recognised before.
    Marked,
    /// It would be marked with `--apply`.
    Planned,
    /// It was marked.
    Written,
    /// Only staff can mark it.
    ByHand,
    /// The pair does not belong together.
    Refused,
    /// A call failed.
    Failed,
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::Marked => "marked",
            Self::Planned => "planned",
            Self::Written => "written",
            Self::ByHand => "by_hand",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    const fn is_done(self) -> bool {
        matches!(self, Self::Marked | Self::Planned | Self::Written)
    }
}

/// The result of one order.
struct Adopted {
    status: Status,
    detail: String,
    writes: Vec<LineWrite>,
}

impl Adopted {
    fn new(status: Status, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            writes: Vec::new(),
        }
    }

    fn failed(error: &CallError) -> Self {
        Self::new(Status::Failed, chain(error).to_string())
    }
}

/// What one run works with.
struct Run<'a> {
    asked: &'a Adopt,
    systems: Systems,
    store: Store,
    /// Each client is read once, however many orders it has.
    clients: HashMap<ClientId, Vec<WhmcsOrder>>,
}

pub(crate) async fn run(asked: Adopt, screen: &mut Screen) -> Result<Exit, Stop> {
    let mut run = Run {
        systems: connect::systems(&asked.systems)?,
        store: connect::store(&asked.store).await?,
        asked: &asked,
        clients: HashMap::new(),
    };
    let (orders, complete) = run.recorded().await?;
    let mut uses = HashMap::<&str, usize>::new();
    for order in &orders {
        *uses.entry(recorded_id(order)).or_default() += 1;
    }
    let (mut rows, mut all_done) = (Vec::new(), true);
    for order in &orders {
        let adopted = match uses.get(recorded_id(order)) {
            Some(2..) => Adopted::new(Status::Refused, "other orders record the same WHMCS order"),
            _ => run.adopt(order).await?,
        };
        all_done &= adopted.status.is_done();
        rows.push(row(order, &adopted));
    }
    screen.note(&format!("{} orders record a WHMCS order", orders.len()));
    if !complete && let Some(last) = orders.last() {
        let last = last.order;
        screen.note(&format!(
            "stopped after {} orders; go on with --after {last}",
            orders.len()
        ));
    }
    if !asked.apply {
        screen.note("nothing was written; add --apply to write what is planned");
    }
    screen.list(Table {
        columns: &["ORDER", "NUMBER", "WHMCS ORDER", "STATUS", "DETAIL"],
        rows,
    })?;
    Ok(match all_done {
        true => Exit::Fine,
        false => Exit::Difference,
    })
}

/// The WHMCS order that the Salesforce order records, as written there.
fn recorded_id(order: &ReconcileOrder) -> &str {
    order.whmcs_order.as_deref().unwrap_or_default().trim()
}

fn row(order: &ReconcileOrder, adopted: &Adopted) -> (Vec<String>, Value) {
    let cells = vec![
        order.order.to_string(),
        show::maybe(order.number.as_ref()),
        recorded_id(order).to_owned(),
        adopted.status.name().to_owned(),
        adopted.detail.clone(),
    ];
    let writes = adopted.writes.iter().map(|write| {
        json!({"service": write.service.0, "field": write.field, "value": write.marker.to_string()})
    });
    let value = json!({
        "order": order.order.as_str(), "number": order.number, "whmcsOrder": recorded_id(order),
        "status": adopted.status.name(), "detail": adopted.detail,
        "writes": writes.collect::<Vec<_>>(),
    });
    (cells, value)
}

impl Run<'_> {
    /// The orders that record a WHMCS order, and whether these are all.
    async fn recorded(&self) -> Result<(Vec<ReconcileOrder>, bool), Stop> {
        let mut orders: Vec<ReconcileOrder> = Vec::new();
        while orders.len() < self.asked.limit {
            let size = PAGE.min(self.asked.limit - orders.len());
            let after = orders.last().map(|last| last.order).or(self.asked.after);
            let crm = &self.systems.salesforce;
            let page = crm.orders_with_whmcs_order(after, size).await?;
            let last_page = page.len() < size;
            orders.extend(page);
            if last_page {
                return Ok((orders, true));
            }
        }
        Ok((orders, false))
    }

    /// Adopts one order. A failed call is the result of this order, and the next one is tried; only
    /// a failure of the store ends the run, since nothing could be audited.
    async fn adopt(&mut self, recorded: &ReconcileOrder) -> Result<Adopted, Stop> {
        let refused = |why: &str| Ok(Adopted::new(Status::Refused, why));
        let Ok(whmcs_order) = recorded_id(recorded).parse().map(WhmcsOrderId) else {
            return refused("what it records is no WHMCS order id");
        };
        let Some(client) = recorded.client else {
            return refused("its account names no WHMCS client");
        };
        let jobs = self.store.ports.jobs_of(recorded.order).await?;
        if jobs.iter().any(|job| job.stage.outcome().is_none()) {
            return refused("a job of it is not finished. Try again afterwards");
        }
        let facts = self.store.ports.facts_of(recorded.order).await?;
        let state = OrderState::replay(facts.iter().map(|recorded| &recorded.fact))?;
        if let Some(placed) = state.whmcs_order().filter(|placed| *placed != whmcs_order) {
            let why = format!("orderbridge placed WHMCS order {placed} for it");
            return Ok(Adopted::new(Status::Refused, why));
        }
        let details = match self.read(recorded, client).await {
            Ok(Some(details)) => details,
            Ok(None) => return refused("the integration user cannot read the order"),
            Err(error) => return Ok(Adopted::failed(&error)),
        };
        let whmcs_orders = self.clients.get(&client);
        match self.missing(&details, client, whmcs_order, whmcs_orders) {
            Err(why) => Ok(Adopted::new(Status::Refused, why)),
            Ok(Missing::Nothing) => Ok(Adopted::new(Status::Marked, "recognised already")),
            Ok(Missing::Notes) => Ok(Adopted::new(
                Status::ByHand,
                format!(
                    "Add {} to the notes of WHMCS order {whmcs_order} by hand, or configure a custom field for its products",
                    details.marker()
                ),
            )),
            Ok(Missing::Lines(writes)) if !self.asked.apply => Ok(Adopted {
                writes,
                ..Adopted::new(Status::Planned, "would be marked")
            }),
            Ok(Missing::Lines(writes)) => {
                let order = recorded.order;
                let command = AdminCommand::Adopt { order, whmcs_order };
                commands::execute(&self.store, &command, &self.asked.operator).await?;
                let (status, detail) =
                    match self.write(&details, client, whmcs_order, &writes).await {
                        Ok(()) => (Status::Written, "marked, and read back".to_owned()),
                        Err(why) => (Status::Failed, why),
                    };
                Ok(Adopted {
                    writes,
                    ..Adopted::new(status, detail)
                })
            }
        }
    }

    /// Reads the order, and its client's orders where they are not known yet.
    async fn read(
        &mut self,
        recorded: &ReconcileOrder,
        client: ClientId,
    ) -> Result<Option<OrderDetails>, CallError> {
        if !self.clients.contains_key(&client) {
            let detail = OrderDetail::Services;
            let orders = self.systems.whmcs.orders(client, None, detail).await?;
            self.clients.insert(client, orders);
        }
        self.systems.salesforce.details(recorded.order).await
    }

    fn missing(
        &self,
        details: &OrderDetails,
        client: ClientId,
        whmcs_order: WhmcsOrderId,
        whmcs_orders: Option<&Vec<WhmcsOrder>>,
    ) -> Result<Missing, String> {
        assess(&Pair {
            details,
            client,
            whmcs_order,
            whmcs_orders: whmcs_orders.map_or(&[], Vec::as_slice),
            overrides: &self.systems.rules.overrides,
            field: &|product| self.systems.whmcs.line_marker_field(product),
        })
    }

    /// Writes the markers and reads them back: WHMCS ignores a field that the product does not have.
    async fn write(
        &self,
        details: &OrderDetails,
        client: ClientId,
        whmcs_order: WhmcsOrderId,
        writes: &[LineWrite],
    ) -> Result<(), String> {
        let whmcs = &self.systems.whmcs;
        let text = |error: CallError| chain(&error).to_string();
        for write in writes {
            let marked = whmcs.mark_service(write.service, write.field, write.marker);
            marked.await.map_err(text)?;
        }
        let read = whmcs.order(client, whmcs_order).await.map_err(text)?;
        let read: Vec<_> = read.into_iter().collect();
        match self.missing(details, client, whmcs_order, Some(&read))? {
            Missing::Nothing => Ok(()),
            Missing::Lines(_) | Missing::Notes => Err(
                "WHMCS did not keep the marker. Check that whmcs.line_marker_fields names a custom field of the product"
                    .to_owned(),
            ),
        }
    }
}
