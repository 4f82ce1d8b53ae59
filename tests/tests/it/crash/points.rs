//! Crash points of the programs, and the kinds of orders that reach them.

use simulators::whmcs::FaultId;

/// The situation that an order is put into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only the worker's crash.
    Plain,
    /// The account has no WHMCS client yet.
    NewClient,
    /// AddOrder has its effect and its response is faulty.
    AddOrderFault(FaultId),
    /// The AddOrder request is lost; the operator retries.
    RequestLost,
    /// The module fails; the operator fixes it and retries.
    ModuleFails,
    /// An activation call fails.
    ActivationFails {
        call: Call,
        loss: Loss,
        /// Whether the module is listed as idempotent.
        listed: bool,
    },
    /// A write to Salesforce fails.
    WriteFails {
        write: Write,
        /// `lost` after the effect, `conflict` (412) or `away` (503) before it.
        fault: &'static str,
    },
}

/// An activation call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    AcceptOrder,
    ModuleCreate,
}

/// How an activation call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Connection reset after the effect.
    Reply,
    /// Connection reset before any effect.
    Request,
    /// A page with status 500 after the effect.
    Page,
    /// Truncated JSON after the effect.
    Cut,
    /// The account is built, then PHP dies before WHMCS records it.
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

/// Crash point of a worker, and the kind of order it works on.
pub(crate) type Case = (Kind, String);

/// Both sides of a call.
pub(crate) fn around(name: &str) -> [String; 2] {
    [format!("before {name}"), format!("after {name}")]
}

/// Calls of an order without faults, in order. A fact that is committed with the next one has no
/// point of its own.
const STEPS: [&str; 17] = [
    "salesforce.details",
    "queue.record checked",
    "whmcs.client",
    "whmcs.orders",
    "whmcs.catalogue",
    "queue.record placing",
    "whmcs.place_order",
    "queue.record placed",
    "whmcs.order",
    "queue.record accepting",
    "whmcs.accept_order",
    "queue.record accept_answered",
    "salesforce.order_guard",
    "salesforce.report_items",
    "queue.record items_reported",
    "salesforce.report",
    "queue.finish",
];

/// Every crash point of an order without faults.
pub(crate) fn happy_path(kind: Kind) -> Vec<Case> {
    let first = "after queue.claim".to_owned();
    let both = STEPS.into_iter().flat_map(around);
    std::iter::once(first)
        .chain(both)
        .map(|point| (kind, point))
        .collect()
}

/// Additional crash points of an order whose AddOrder was not answered.
pub(crate) fn unknown_outcome(kind: Kind) -> Vec<Case> {
    ["queue.record place_unknown", "queue.release"]
        .into_iter()
        .flat_map(around)
        .map(|point| (kind, point))
        .collect()
}

/// Every crash point of the worker, with a kind of order that reaches it.
pub(crate) fn worker_points() -> Vec<Case> {
    let mut points = happy_path(Kind::Plain);
    points.extend(unknown_outcome(Kind::AddOrderFault(FaultId::F05)));
    for (kind, names) in [
        (
            Kind::NewClient,
            vec![
                "whmcs.client_by_email",
                "queue.record creating_client",
                "whmcs.create_client",
                "salesforce.link_client",
                "queue.record client",
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
