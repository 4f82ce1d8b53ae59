//! What people do in WHMCS about an order whose set-up is in doubt.

use simulators::whmcs::WhmcsSim;

/// Looks at the remote system for each service of a WHMCS order: what exists there is marked
/// active, what does not is built by hand. `named` is the order that Salesforce names.
///
/// Without a WHMCS order on the Salesforce order the doubt is about placing it, nothing was
/// set up, and a retry goes on.
pub fn finish_set_up(whmcs: &WhmcsSim, salesforce_order: &str, named: &str) {
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
