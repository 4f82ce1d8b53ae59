//! WHMCS: orders, services, what the modules built, and whose order each truly is.

use std::collections::BTreeMap;
use std::sync::Mutex;

use domain::id::OrderId;
use domain::key::{ClientId, ServiceId, WhmcsOrderId};
use domain::order::{
    WhmcsClient, ClientStatus, WhmcsService, WhmcsOrder, OrderStatus, ServiceStatus,
};
use domain::ports::NewOrder;

use crate::trace::lock;

#[derive(Debug, Default)]
pub(crate) struct Whmcs(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    orders: Vec<Placed>,
    services: u64,
    clients: BTreeMap<String, ClientId>,
    builds: BTreeMap<ServiceId, u32>,
}

/// An order, with what WHMCS itself does not know.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) sighting: WhmcsOrder,
    /// The Salesforce order it was placed for.
    pub(crate) truth: OrderId,
    /// Something between us and WHMCS made it by repeating a call.
    pub(crate) echo: bool,
    /// Whether anybody ever got an answer that named it.
    pub(crate) answered: bool,
}

impl Placed {
    /// Whether it counts: staff have not ended it.
    pub(crate) fn stands(&self) -> bool {
        self.sighting.status != OrderStatus::Cancelled
    }
}

impl Whmcs {
    pub(crate) fn place(&self, order: &NewOrder, drop_notes: bool, echo: bool) -> WhmcsOrderId {
        let mut books = lock(&self.0);
        let id = WhmcsOrderId(books.orders.len() as u64 + 1);
        let mut lines = Vec::new();
        for line in &order.plan.lines {
            books.services += 1;
            lines.push(WhmcsService {
                service: ServiceId(1000 + books.services),
                product: Some(line.product),
                cycle: Some(line.cycle),
                status: ServiceStatus::Pending,
                marker: None,
            });
        }
        let notes = match drop_notes {
            true => String::new(),
            false => order.marker.to_string(),
        };
        books.orders.push(Placed {
            sighting: WhmcsOrder {
                id,
                client: order.client,
                status: OrderStatus::Pending,
                notes,
                lines,
            },
            truth: order.marker.order,
            echo,
            answered: false,
        });
        id
    }

    pub(crate) fn answer(&self, id: WhmcsOrderId) {
        self.edit(id, |order| order.answered = true);
    }

    /// Whether AcceptOrder takes the order.
    pub(crate) fn is_pending(&self, id: WhmcsOrderId) -> bool {
        let books = lock(&self.0);
        let mut orders = books.orders.iter();
        orders.any(|order| order.sighting.id == id && order.sighting.status == OrderStatus::Pending)
    }

    /// The services of an order that are still to be built.
    pub(crate) fn pending(&self, id: WhmcsOrderId) -> Vec<ServiceId> {
        let books = lock(&self.0);
        let order = books.orders.iter().find(|order| order.sighting.id == id);
        order
            .into_iter()
            .flat_map(|order| &order.sighting.lines)
            .filter(|line| line.status == ServiceStatus::Pending)
            .map(|line| line.service)
            .collect()
    }

    /// The module builds a service, whether or not it stands there already. WHMCS does not
    /// show it yet.
    pub(crate) fn build(&self, service: ServiceId) {
        *lock(&self.0).builds.entry(service).or_default() += 1;
    }

    /// WHMCS shows the service as active.
    pub(crate) fn activate(&self, service: ServiceId) {
        let mut books = lock(&self.0);
        let lines = books
            .orders
            .iter_mut()
            .flat_map(|order| order.sighting.lines.iter_mut());
        for line in lines.filter(|line| line.service == service) {
            line.status = ServiceStatus::Active;
        }
    }

    /// Changes an order as staff may.
    pub(crate) fn edit(&self, id: WhmcsOrderId, edit: impl FnOnce(&mut Placed)) {
        let mut books = lock(&self.0);
        if let Some(order) = books
            .orders
            .iter_mut()
            .find(|order| order.sighting.id == id)
        {
            edit(order);
        }
    }

    pub(crate) fn all(&self) -> Vec<Placed> {
        lock(&self.0).orders.clone()
    }

    /// Whose order or service it is.
    pub(crate) fn truth_of(&self, is: impl Fn(&Placed) -> bool) -> Option<OrderId> {
        let books = lock(&self.0);
        books.orders.iter().find(|order| is(order)).map(|o| o.truth)
    }

    /// Services that were built more than once.
    pub(crate) fn built_twice(&self) -> Vec<ServiceId> {
        let books = lock(&self.0);
        let twice = books.builds.iter().filter(|(_, count)| **count > 1);
        twice.map(|(service, _)| *service).collect()
    }

    pub(crate) fn client(&self, id: ClientId) -> Option<WhmcsClient> {
        let books = lock(&self.0);
        let known = id == ClientId(7) || books.clients.values().any(|client| *client == id);
        known.then_some(sighting(id))
    }

    pub(crate) fn client_by_email(&self, email: &str) -> Option<WhmcsClient> {
        lock(&self.0).clients.get(email).map(|id| sighting(*id))
    }

    /// `None` when the address is taken: WHMCS allows one client for each.
    pub(crate) fn create_client(&self, email: &str) -> Option<ClientId> {
        let mut books = lock(&self.0);
        if books.clients.contains_key(email) {
            return None;
        }
        let id = ClientId(100 + books.clients.len() as u64);
        books.clients.insert(email.to_owned(), id);
        Some(id)
    }
}

fn sighting(id: ClientId) -> WhmcsClient {
    WhmcsClient {
        id,
        status: ClientStatus::Open,
        currency: None,
    }
}
