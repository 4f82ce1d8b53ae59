//! What differs between the books of one order. Pure.

use domain::id::{OrderId, OrgId};
use domain::job::{Admission, EarlierJob, NewJob, admit};
use domain::key::{Marker, WhmcsOrderId};
use domain::order::{OrderState, OrderStatus, Phase, WhmcsOrder};
use domain::ports::{JobView, Pending};
use domain::time::Timestamp;
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
    /// `Activating`, and no job that would come to it.
    NoJob,
    /// More than one live WHMCS order carries its mark.
    Duplicate,
    /// The store knows a WHMCS order that is not there, or that staff have ended.
    GoneFromWhmcs,
    /// The outcome does not stand on the order.
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
                "Put the WHMCS order right; or, when it was ended on purpose, run `orderctl orders forget-whmcs` and set Activation Status back to Activating"
            }
            Self::NotWrittenBack => {
                "Set Activation Status back to Activating: what exists is adopted and reported again"
            }
        }
    }
}

/// Everything that is known of one order.
pub(crate) struct Books<'a> {
    pub(crate) org: OrgId,
    pub(crate) orders_to_reconcile: &'a ReconcileOrder,
    pub(crate) jobs: &'a [JobView],
    pub(crate) state: &'a OrderState,
    /// All orders of its WHMCS client; `None` where no client is known.
    pub(crate) sightings: Option<&'a [WhmcsOrder]>,
}

/// The differences of one order, but for its missing job ([`lacks_job`]).
pub(crate) fn differences(books: &Books<'_>) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut add = |kind, detail| {
        found.push(Difference {
            order: books.orders_to_reconcile.order,
            number: books.orders_to_reconcile.number.clone(),
            kind,
            detail,
        });
    };
    if let Some(ours) = books.ours()
        && ours.len() > 1
    {
        add(Kind::Duplicate, format!("WHMCS orders {}", list(&ours)));
    }
    // Whatever is on its way has not been written yet.
    if books.jobs.iter().any(|job| job.outcome.is_none()) {
        return found;
    }
    let Some(placed) = books.state.whmcs_order() else {
        return found;
    };
    if let Some(sightings) = books.sightings {
        match sightings.iter().find(|sighting| sighting.id == placed) {
            None => add(
                Kind::GoneFromWhmcs,
                format!("WHMCS order {placed} is not there"),
            ),
            Some(sighting) if !is_live(sighting) => {
                let detail = format!("WHMCS order {placed} is {:?}", sighting.status);
                add(Kind::GoneFromWhmcs, detail);
            }
            Some(_) => {}
        }
    }
    let stands = books
        .orders_to_reconcile
        .whmcs_order
        .as_deref()
        .map(str::trim);
    if books.state.phase == Phase::Reported && stands != Some(placed.to_string().as_str()) {
        let stands = stands.filter(|text| !text.is_empty()).unwrap_or("empty");
        add(
            Kind::NotWrittenBack,
            format!("WHMCS order {placed} was reported, and the field is {stands}"),
        );
    }
    found
}

impl Books<'_> {
    /// The live WHMCS orders that carry the order's mark.
    fn ours(&self) -> Option<Vec<WhmcsOrderId>> {
        let marker = Marker {
            org: self.org,
            order: self.orders_to_reconcile.order,
        };
        let ours = self.sightings?.iter();
        let ours = ours.filter(|sighting| marker.is_in(&sighting.notes) && is_live(sighting));
        Some(ours.map(|sighting| sighting.id).collect())
    }
}

fn is_live(sighting: &WhmcsOrder) -> bool {
    !matches!(sighting.status, OrderStatus::Cancelled | OrderStatus::Fraud)
}

fn list(orders: &[WhmcsOrderId]) -> String {
    let orders: Vec<_> = orders.iter().map(ToString::to_string).collect();
    orders.join(", ")
}

/// Whether an activation has no job that would come to it, by the rules of the sweep.
pub(crate) fn lacks_job(pending: &Pending, jobs: &[JobView], now: Timestamp) -> bool {
    let job = NewJob::of_sweep(pending, now);
    let earlier: Vec<_> = jobs
        .iter()
        .map(|view| EarlierJob {
            idem_key: view.job.idem_key.as_ref(),
            outcome: view.outcome,
            requested_at: view.job.requested_at,
        })
        .collect();
    admit(&job, &earlier) == Admission::Enqueued
}
