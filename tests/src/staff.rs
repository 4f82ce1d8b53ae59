//! Staff actions in WHMCS for an order whose activation has an unknown outcome.

use simulators::whmcs::WhmcsSim;

/// Checks each service of a WHMCS order on the remote system: an existing account is marked
/// active, a missing one is created by hand. `named` is the WHMCS order id on the Salesforce
/// order.
///
/// Without such an id the outcome of AddOrder is unknown, nothing was activated, and a retry is
/// enough.
pub fn finish_activation(whmcs: &WhmcsSim, salesforce_order: &str, named: &str) {
    let placed = whmcs.orders_for(salesforce_order);
    let Some(placed) = placed.iter().find(|placed| placed.id.to_string() == named) else {
        return;
    };
    let built = whmcs.remote_accounts();
    for service in whmcs.services_of(placed.id) {
        if service.status == "Active" {
            continue;
        }
        match built.contains_key(&service.id) {
            true => whmcs.set_service_status(service.id, "Active"),
            false => whmcs.build_by_hand(service.id),
        }
    }
    whmcs.set_order_status(placed.id, "Active");
}
