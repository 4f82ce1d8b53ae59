//! The API actions, one family per file.
mod catalogue;
mod clients;
mod lists;
mod orders;
pub(crate) mod staff_edits {
    //! Edits of orders by staff, without the API.
    pub(crate) use super::orders::{build, erase, set_status};
}
mod services;

use super::{
    install::{Context, Install},
    php::Php,
    wire::Outcome,
};

/// Supported actions, in lower case.
pub(crate) const KNOWN: &[&str] = &[
    "addorder",
    "acceptorder",
    "pendingorder",
    "cancelorder",
    "fraudorder",
    "deleteorder",
    "getorders",
    "getorderstatuses",
    "getclients",
    "getclientsdetails",
    "addclient",
    "updateclient",
    "getproducts",
    "getclientsproducts",
    "updateclientproduct",
    "modulecreate",
    "getmodulequeue",
    "getpaymentmethods",
    "getcurrencies",
    "getinvoice",
    "whmcsdetails",
];

/// Runs an action of [`KNOWN`].
pub(crate) async fn run(
    install: &Install,
    context: &Context,
    action: &str,
    params: &Php,
) -> Outcome {
    match action {
        "addorder" => orders::add(install, context, params),
        "acceptorder" => orders::accept(install, context, params).await,
        "pendingorder" => orders::pending(install, params),
        "cancelorder" => orders::end(install, params, "Cancelled"),
        "fraudorder" => orders::end(install, params, "Fraud"),
        "deleteorder" => orders::delete(install, params),
        "getorders" => lists::orders(install, context, params),
        "getorderstatuses" => lists::statuses(install, context),
        "getclients" => clients::list(install, context, params),
        "getclientsdetails" => clients::details(install, context, params),
        "addclient" => clients::add(install, context, params),
        "updateclient" => clients::update(install, context, params),
        "getproducts" => catalogue::products(install, context, params),
        "getclientsproducts" => services::list(install, context, params),
        "updateclientproduct" => services::update(install, context, params),
        "modulecreate" => services::create(install, context, params).await,
        "getmodulequeue" => services::queue(install, context, params),
        "getpaymentmethods" => catalogue::payment_methods(install, context),
        "getcurrencies" => catalogue::currencies(context),
        "getinvoice" => catalogue::invoice(install, context, params),
        _ => catalogue::version(context),
    }
}

/// A page of a list by `limitstart` and `limitnum` (default 25).
fn page<T>(params: &Php, rows: Vec<T>) -> (usize, usize, Vec<T>) {
    let total = rows.len();
    let read = |key: &str, default: u64| {
        usize::try_from(params.number(key).unwrap_or(default)).unwrap_or(usize::MAX)
    };
    let start = read("limitstart", 0);
    let rows = rows.into_iter().skip(start).take(read("limitnum", 25));
    (total, start, rows.collect())
}
