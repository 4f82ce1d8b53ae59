//! Test oracle and edits by staff.
use std::collections::BTreeMap;

use rand::Rng;

use super::{actions::staff_edits, install::Install, tables::Order};
use crate::lock;

/// Markers of the bridge in a text.
pub(crate) fn markers_of(text: &str) -> Vec<String> {
    text.split(|c: char| c.is_whitespace() || [',', ';', '"', '\''].contains(&c))
        .filter(|token| token.starts_with("orderbridge:"))
        .map(str::to_owned)
        .collect()
}

/// Orders by the marker they were sent with, whether or not it was stored.
pub(crate) fn orders_by_marker(install: &Install) -> BTreeMap<String, Vec<u64>> {
    let tables = lock(&install.tables);
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for order in tables.orders.values() {
        for marker in markers_of(&order.sent_notes) {
            found.entry(marker).or_default().push(order.id);
        }
    }
    found
}

/// Adds an unrelated order of this client, without services.
pub(crate) fn foreign_order(install: &Install, client: u64) {
    let now = install.now(&lock(&install.runtime).clone());
    let ordernum = lock(&install.rng).random_range(1_000_000_000..10_000_000_000);
    let mut tables = lock(&install.tables);
    let id = tables.next_id("orders");
    tables.orders.insert(
        id,
        Order {
            id,
            ordernum,
            userid: client,
            date: now,
            amount: 0.0,
            paymentmethod: "banktransfer".to_owned(),
            invoiceid: 0,
            status: "Pending".to_owned(),
            ipaddress: String::new(),
            notes: String::new(),
            sent_notes: String::new(),
        },
    );
}

/// Edits an order as staff do: `cancel`, `fraud`, `accept`, `delete`, `clear_notes`, `build`.
pub(crate) fn edit_as_staff(install: &Install, order: u64, edit: &str) {
    let mut tables = lock(&install.tables);
    match edit {
        "accept" => staff_edits::set_status(&mut tables, order, "Active"),
        "delete" => staff_edits::erase(&mut tables, order),
        "fraud" => staff_edits::set_status(&mut tables, order, "Fraud"),
        "build" => staff_edits::build(&mut tables, order),
        "clear_notes" => {
            if let Some(order) = tables.orders.get_mut(&order) {
                order.notes.clear();
            }
        }
        _ => staff_edits::set_status(&mut tables, order, "Cancelled"),
    }
}
