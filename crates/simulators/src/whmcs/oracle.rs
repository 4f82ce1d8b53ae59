//! What really happened, and what staff do by hand.
use std::collections::BTreeMap;

use rand::Rng;

use super::{actions::orders_hands as hands, books::Order, install::Install};
use crate::lock;

/// Tokens of the bridge in a text.
pub(crate) fn markers_of(text: &str) -> Vec<String> {
    text.split(|c: char| c.is_whitespace() || [',', ';', '"', '\''].contains(&c))
        .filter(|token| token.starts_with("orderbridge:"))
        .map(str::to_owned)
        .collect()
}

/// Orders by the marker they were sent with, whatever became of the notes since.
pub(crate) fn orders_by_marker(install: &Install) -> BTreeMap<String, Vec<u64>> {
    let books = lock(&install.books);
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for order in books.orders.values() {
        for marker in markers_of(&order.sent_notes) {
            found.entry(marker).or_default().push(order.id);
        }
    }
    found
}

/// An order of somebody else appears for this client, without any service.
pub(crate) fn foreign_order(install: &Install, client: u64) {
    let now = install.now(&lock(&install.knobs).clone());
    let ordernum = lock(&install.dice).random_range(1_000_000_000..10_000_000_000);
    let mut books = lock(&install.books);
    let id = books.next_id("orders");
    books.orders.insert(
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

/// Staff edits an order: `cancel`, `fraud`, `accept`, `delete`, `clear_notes`, `build`.
pub(crate) fn meddle(install: &Install, order: u64, edit: &str) {
    let mut books = lock(&install.books);
    match edit {
        "accept" => hands::set_status(&mut books, order, "Active"),
        "delete" => hands::erase(&mut books, order),
        "fraud" => hands::set_status(&mut books, order, "Fraud"),
        "build" => hands::build(&mut books, order),
        "clear_notes" => {
            if let Some(order) = books.orders.get_mut(&order) {
                order.notes.clear();
            }
        }
        _ => hands::set_status(&mut books, order, "Cancelled"),
    }
}
