//! The points of the programs' roads, and the orders that come by them.

use simulators::whmcs::FaultId;

/// What an order is to meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing but the worker's death.
    Plain,
    /// The account has no WHMCS client yet.
    NewClient,
    /// AddOrder has its effect, and this befalls its answer.
    Spoilt(FaultId),
    /// AddOrder does not happen and nobody knows; the operator asks again.
    RequestLost,
    /// The module fails; the operator mends it and asks again.
    ModuleFails,
    /// A call that sets the services up goes wrong.
    SetUpLost {
        call: Call,
        loss: Loss,
        /// Whether the module is listed as idempotent.
        listed: bool,
    },
    /// A write to Salesforce goes wrong.
    WriteFails {
        write: Write,
        /// `lost` after the effect, `conflict` (412) or `away` (503) before it.
        fault: &'static str,
    },
}

/// A call that sets services up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    AcceptOrder,
    ModuleCreate,
}

/// How such a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The connection is reset after the effect.
    Reply,
    /// The connection is reset before any effect.
    Request,
    /// A page with status 500 after the effect.
    Page,
    /// The JSON is cut short after the effect.
    Cut,
    /// The account is built, then PHP dies before WHMCS writes that down.
    Died,
}

impl Loss {
    pub(crate) const ALL: [Self; 5] = [
        Self::Reply,
        Self::Request,
        Self::Page,
        Self::Cut,
        Self::Died,
    ];
}

/// A write to Salesforce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Items,
    Order,
}

/// Where a worker is to die, with what kind of order in hand.
pub(crate) type Case = (Kind, String);

/// Both sides of a call.
pub(crate) fn around(name: &str) -> [String; 2] {
    [format!("before {name}"), format!("after {name}")]
}

/// The road of an order that nothing befalls.
const ROAD: [&str; 20] = [
    "salesforce.details",
    "queue.record checked",
    "whmcs.client",
    "queue.record client",
    "whmcs.orders",
    "whmcs.catalogue",
    "queue.record placing",
    "whmcs.place_order",
    "queue.record placed",
    "queue.record verified",
    "whmcs.order",
    "queue.record accepting",
    "whmcs.accept_order",
    "queue.record accept_answered",
    "queue.record accepted",
    "salesforce.standing",
    "salesforce.report_items",
    "queue.record items_reported",
    "salesforce.report",
    "queue.finish",
];

/// Every point of the road, for orders of one kind.
pub(crate) fn road(kind: Kind) -> Vec<Case> {
    let first = "after queue.claim".to_owned();
    let both = ROAD.into_iter().flat_map(around);
    std::iter::once(first)
        .chain(both)
        .map(|point| (kind, point))
        .collect()
}

/// What is on the way of an order whose AddOrder was never answered, too.
pub(crate) fn doubt(kind: Kind) -> Vec<Case> {
    ["queue.record place_unknown", "queue.release"]
        .into_iter()
        .flat_map(around)
        .map(|point| (kind, point))
        .collect()
}

/// Every point of the worker's road, with a kind of order that comes by.
pub(crate) fn worker_points() -> Vec<Case> {
    let mut points = road(Kind::Plain);
    points.extend(doubt(Kind::Spoilt(FaultId::F05)));
    for (kind, names) in [
        (
            Kind::NewClient,
            vec![
                "whmcs.client_by_email",
                "queue.record creating_client",
                "whmcs.create_client",
                "salesforce.link_client",
            ],
        ),
        (
            Kind::RequestLost,
            vec!["queue.record searched_empty", "queue.record refused"],
        ),
        (
            Kind::ModuleFails,
            vec![
                "queue.record accept_failed",
                "queue.record creating",
                "whmcs.create_service",
                "queue.record created",
            ],
        ),
    ] {
        let both = names.into_iter().flat_map(around);
        points.extend(both.map(|point| (kind, point)));
    }
    points
}
