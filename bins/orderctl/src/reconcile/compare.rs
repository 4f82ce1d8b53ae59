//! Differences between the three records of one order. Pure.

use domain::id::{OrderId, OrgId};
use domain::job::{Admission, EarlierJob, NewJob, admit};
use domain::key::{Marker, WhmcsOrderId};
use domain::order::{OrderState, OrderStatus, Phase, WhmcsOrder};
use domain::ports::Pending;
use domain::time::Timestamp;
use operations::JobView;
use salesforce_rest::ReconcileOrder;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) order: OrderId,
    pub(crate) number: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) detail: String,
}

/// What kind of difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `Activating` without a job.
    NoJob,
    /// More than one live WHMCS order carries its marker.
    Duplicate,
    /// The recorded WHMCS order is missing, cancelled or fraud.
    GoneFromWhmcs,
    /// The outcome is missing on the Salesforce order.
    NotWrittenBack,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NoJob => "no_job",
            Self::Duplicate => "duplicate",
            Self::GoneFromWhmcs => "gone_from_whmcs",
            Self::NotWrittenBack => "not_written_back",
        }
    }

    pub(crate) const fn fix(self) -> &'static str {
        match self {
            Self::NoJob => "Run `orderctl reconcile` without --check, or wait for the sweep",
            Self::Duplicate => "Decide which WHMCS order is right and cancel the others",
            Self::GoneFromWhmcs => {
                "Restore the WHMCS order; or, if it was cancelled on purpose, run `orderctl orders forget-whmcs` and set Activation Status back to Activating"
            }
            Self::NotWrittenBack => {
                "Set Activation Status back to Activating: the existing order is adopted and reported again"
            }
        }
    }
}

/// One order in Salesforce, the store and WHMCS.
pub(crate) struct OrderRecords<'a> {
    pub(crate) org: OrgId,
    pub(crate) orders_to_reconcile: &'a ReconcileOrder,
    pub(crate) jobs: &'a [JobView],
    pub(crate) state: &'a OrderState,
    /// All orders of its WHMCS client; `None` without a client.
    pub(crate) whmcs_orders: Option<&'a [WhmcsOrder]>,
}

/// The differences of one order, except a missing job ([`lacks_job`]).
pub(crate) fn differences(records: &OrderRecords<'_>) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut add = |kind, detail| {
        found.push(Difference {
            order: records.orders_to_reconcile.order,
            number: records.orders_to_reconcile.number.clone(),
            kind,
            detail,
        });
    };
    if let Some(ours) = records.ours()
        && ours.len() > 1
    {
        add(Kind::Duplicate, format!("WHMCS orders {}", list(&ours)));
    }
    // The outcome of an unfinished job is not written yet.
    if records.jobs.iter().any(|job| job.stage.outcome().is_none()) {
        return found;
    }
    let Some(placed) = records.state.whmcs_order() else {
        return found;
    };
    if let Some(whmcs_orders) = records.whmcs_orders {
        match whmcs_orders
            .iter()
            .find(|whmcs_order| whmcs_order.id == placed)
        {
            None => add(
                Kind::GoneFromWhmcs,
                format!("WHMCS order {placed} does not exist"),
            ),
            Some(whmcs_order) if !is_live(whmcs_order) => {
                let detail = format!("WHMCS order {placed} is {:?}", whmcs_order.status);
                add(Kind::GoneFromWhmcs, detail);
            }
            Some(_) => {}
        }
    }
    let written = records
        .orders_to_reconcile
        .whmcs_order
        .as_deref()
        .map(str::trim);
    if records.state.phase == Phase::Reported && written != Some(placed.to_string().as_str()) {
        let written = written.filter(|text| !text.is_empty()).unwrap_or("empty");
        add(
            Kind::NotWrittenBack,
            format!("WHMCS order {placed} was reported, and the field is {written}"),
        );
    }
    found
}

impl OrderRecords<'_> {
    /// Live WHMCS orders that carry the order's marker.
    fn ours(&self) -> Option<Vec<WhmcsOrderId>> {
        let marker = Marker {
            org: self.org,
            order: self.orders_to_reconcile.order,
        };
        let ours = self.whmcs_orders?.iter();
        let ours =
            ours.filter(|whmcs_order| marker.is_in(&whmcs_order.notes) && is_live(whmcs_order));
        Some(ours.map(|whmcs_order| whmcs_order.id).collect())
    }
}

fn is_live(whmcs_order: &WhmcsOrder) -> bool {
    !matches!(
        whmcs_order.status,
        OrderStatus::Cancelled | OrderStatus::Fraud
    )
}

fn list(orders: &[WhmcsOrderId]) -> String {
    let orders: Vec<_> = orders.iter().map(ToString::to_string).collect();
    orders.join(", ")
}

/// Whether an activation needs a job, by the rules of the sweep.
pub(crate) fn lacks_job(pending: &Pending, jobs: &[JobView], now: Timestamp) -> bool {
    let job = NewJob::of_sweep(pending, now);
    let earlier: Vec<_> = jobs
        .iter()
        .map(|view| EarlierJob {
            idem_key: view.job.idem_key.as_ref(),
            outcome: view.stage.outcome(),
            requested_at: view.job.requested_at,
        })
        .collect();
    admit(&job, &earlier) == Admission::Enqueued
}
