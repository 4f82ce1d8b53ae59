//! WHMCS: orders, services, built accounts, and the Salesforce order of each WHMCS order.

use std::collections::BTreeMap;
use std::sync::Mutex;

use domain::id::OrderId;
use domain::key::{ClientId, ServiceId, WhmcsOrderId};
use domain::order::{
    ClientStatus, OrderStatus, ServiceStatus, WhmcsClient, WhmcsOrder, WhmcsService,
};
use domain::ports::NewOrder;

use crate::trace::lock;

#[derive(Debug, Default)]
pub(crate) struct Whmcs(Mutex<WhmcsState>);

#[derive(Debug, Default)]
struct WhmcsState {
    orders: Vec<Placed>,
    services: u64,
    clients: BTreeMap<String, ClientId>,
    builds: BTreeMap<ServiceId, u32>,
}

/// A WHMCS order, with facts that WHMCS itself does not know.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) row: WhmcsOrder,
    /// The Salesforce order it was placed for.
    pub(crate) sf_order: OrderId,
    /// Created by a call that the network duplicated.
    pub(crate) duplicate: bool,
    /// Whether a response with its id was ever received.
    pub(crate) answered: bool,
}

impl Placed {
    /// Whether it is not cancelled.
    pub(crate) fn is_live(&self) -> bool {
        self.row.status != OrderStatus::Cancelled
    }
}

impl Whmcs {
    pub(crate) fn place(
        &self,
        order: &NewOrder,
        drop_notes: bool,
        duplicate: bool,
    ) -> WhmcsOrderId {
        let mut state = lock(&self.0);
        let id = WhmcsOrderId(state.orders.len() as u64 + 1);
        let mut lines = Vec::new();
        for line in &order.plan.lines {
            state.services += 1;
            lines.push(WhmcsService {
                service: ServiceId(1000 + state.services),
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
        state.orders.push(Placed {
            row: WhmcsOrder {
                id,
                client: order.client,
                status: OrderStatus::Pending,
                notes,
                lines,
            },
            sf_order: order.marker.order,
            duplicate,
            answered: false,
        });
        id
    }

    pub(crate) fn answer(&self, id: WhmcsOrderId) {
        self.edit(id, |order| order.answered = true);
    }

    /// Whether AcceptOrder accepts the order.
    pub(crate) fn is_pending(&self, id: WhmcsOrderId) -> bool {
        let state = lock(&self.0);
        let mut orders = state.orders.iter();
        orders.any(|order| order.row.id == id && order.row.status == OrderStatus::Pending)
    }

    /// The pending services of an order.
    pub(crate) fn pending(&self, id: WhmcsOrderId) -> Vec<ServiceId> {
        let state = lock(&self.0);
        let order = state.orders.iter().find(|order| order.row.id == id);
        order
            .into_iter()
            .flat_map(|order| &order.row.lines)
            .filter(|line| line.status == ServiceStatus::Pending)
            .map(|line| line.service)
            .collect()
    }

    /// The module builds a service, whether or not it exists; WHMCS does not show it yet.
    pub(crate) fn build(&self, service: ServiceId) {
        *lock(&self.0).builds.entry(service).or_default() += 1;
    }

    /// Shows the service as active.
    pub(crate) fn activate(&self, service: ServiceId) {
        let mut state = lock(&self.0);
        let lines = state
            .orders
            .iter_mut()
            .flat_map(|order| order.row.lines.iter_mut());
        for line in lines.filter(|line| line.service == service) {
            line.status = ServiceStatus::Active;
        }
    }

    /// Edits an order, as staff may.
    pub(crate) fn edit(&self, id: WhmcsOrderId, edit: impl FnOnce(&mut Placed)) {
        let mut state = lock(&self.0);
        if let Some(order) = state.orders.iter_mut().find(|order| order.row.id == id) {
            edit(order);
        }
    }

    pub(crate) fn all(&self) -> Vec<Placed> {
        lock(&self.0).orders.clone()
    }

    /// The Salesforce order of a WHMCS order or service.
    pub(crate) fn sf_order_of(&self, is: impl Fn(&Placed) -> bool) -> Option<OrderId> {
        let state = lock(&self.0);
        state
            .orders
            .iter()
            .find(|order| is(order))
            .map(|o| o.sf_order)
    }

    /// Services that were built more than once.
    pub(crate) fn built_twice(&self) -> Vec<ServiceId> {
        let state = lock(&self.0);
        let twice = state.builds.iter().filter(|(_, count)| **count > 1);
        twice.map(|(service, _)| *service).collect()
    }

    pub(crate) fn client(&self, id: ClientId) -> Option<WhmcsClient> {
        let state = lock(&self.0);
        let known = id == ClientId(7) || state.clients.values().any(|client| *client == id);
        known.then_some(open_client(id))
    }

    pub(crate) fn client_by_email(&self, email: &str) -> Option<WhmcsClient> {
        lock(&self.0).clients.get(email).map(|id| open_client(*id))
    }

    /// Returns `None` when the address is taken: WHMCS allows one client per address.
    pub(crate) fn create_client(&self, email: &str) -> Option<ClientId> {
        let mut state = lock(&self.0);
        if state.clients.contains_key(email) {
            return None;
        }
        let id = ClientId(100 + state.clients.len() as u64);
        state.clients.insert(email.to_owned(), id);
        Some(id)
    }
}

fn open_client(id: ClientId) -> WhmcsClient {
    WhmcsClient {
        id,
        status: ClientStatus::Open,
        currency: None,
    }
}
