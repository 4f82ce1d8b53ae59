//! The handle of a running simulator: listener, books, faults, knobs and the oracle.
use std::{collections::BTreeMap, io, sync::Arc};

use serde_json::{Value, json};

use super::{
    books::{CURRENCIES, Client, Mail, Module, Order, Product, QueueEntry, Service},
    faults::{Fault, FaultId},
    http,
    install::{ActionCall, Install},
    modules,
    options::{Credentials, Knobs, WhmcsOptions},
    oracle,
};
use crate::{
    door::Host,
    faults::{Hold, Phase},
    lock,
};

/// A simulated install on a local port. Dropping it closes the port.
#[derive(Debug)]
pub struct WhmcsSim {
    install: Arc<Install>,
    host: Host,
}

impl WhmcsSim {
    /// Binds the port and serves.
    pub async fn start(options: WhmcsOptions) -> io::Result<Self> {
        let (host, door) = Host::bind(options.port).await?;
        let install = Arc::new(Install::new(options));
        host.serve_http(door, http::router(install.clone()));
        Ok(Self { install, host })
    }

    /// Base URL; the API is below it at `/includes/api.php`.
    pub fn url(&self) -> String {
        self.host.url()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.host.port()
    }

    /// What a client needs to call.
    pub fn credentials(&self) -> Credentials {
        Credentials {
            identifier: self.install.options.identifier.clone(),
            secret: self.install.options.secret.clone(),
        }
    }

    /// Closes the port and resets every connection; the books stay, and so do calls in hand.
    pub async fn stop(&self) {
        self.host.stop().await;
    }

    /// Opens the port again, on the same number.
    pub async fn restart(&self) -> io::Result<()> {
        self.host.stop().await;
        let door = self.host.rebind().await?;
        self.host
            .serve_http(door, http::router(self.install.clone()));
        Ok(())
    }

    /// Resets every open connection; new ones are welcome.
    pub fn cut_connections(&self) {
        self.host.cut_all();
    }

    // Faults and knobs.

    /// Spoils coming calls.
    pub fn fault(&self, fault: Fault) {
        self.install.faults.add(fault.when, fault);
    }

    /// Parks the next call of an action; release it with [`Hold::release`].
    pub fn hold(&self, action: &str, phase: Phase) -> Hold {
        let name = uuid::Uuid::new_v4().to_string();
        let hold = self.install.holds.named(&name);
        let id = match phase {
            Phase::Before => FaultId::HoldBefore,
            Phase::After => FaultId::HoldAfter,
        };
        self.fault(Fault::new(id).on(action).text(&name));
        hold
    }

    /// Releases the hold of a fault that named it.
    pub fn release(&self, name: &str) {
        self.install.holds.named(name).release();
    }

    /// Takes away every fault and releases every hold.
    pub fn clear_faults(&self) {
        self.install.faults.clear();
        self.install.holds.release_all();
    }

    /// Turns knobs.
    pub fn turn(&self, knob: impl FnOnce(&mut Knobs)) {
        knob(&mut lock(&self.install.knobs));
    }

    /// The knobs as they are.
    pub fn knobs(&self) -> Knobs {
        lock(&self.install.knobs).clone()
    }

    /// Moves the server's clock.
    pub fn advance_clock(&self, seconds: i64) {
        self.install.clock.advance_seconds(seconds);
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<ActionCall> {
        lock(&self.install.calls).clone()
    }

    /// Number of calls by action, lower case.
    pub fn call_counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in lock(&self.install.calls).iter() {
            *counts.entry(call.action.clone()).or_default() += 1;
        }
        counts
    }

    // Books.

    /// Adds a client with this e-mail and returns its id.
    pub fn add_client(&self, firstname: &str, lastname: &str, email: &str) -> u64 {
        let mut books = lock(&self.install.books);
        let id = books.next_id("clients");
        books.clients.insert(
            id,
            Client {
                id,
                firstname: firstname.to_owned(),
                lastname: lastname.to_owned(),
                email: email.to_owned(),
                status: "Active".to_owned(),
                ..Client::default()
            },
        );
        id
    }

    /// Sets a client's status: `Active`, `Inactive`, `Closed`.
    pub fn set_client_status(&self, client: u64, status: &str) {
        if let Some(client) = lock(&self.install.books).clients.get_mut(&client) {
            status.clone_into(&mut client.status);
        }
    }

    /// Bills a client in another of [`CURRENCIES`].
    pub fn set_client_currency(&self, client: u64, code: &str) {
        let Some(currency) = CURRENCIES.iter().position(|known| *known == code) else {
            return;
        };
        if let Some(client) = lock(&self.install.books).clients.get_mut(&client) {
            client.currency = currency;
        }
    }

    /// All clients.
    pub fn clients(&self) -> Vec<Client> {
        lock(&self.install.books)
            .clients
            .values()
            .cloned()
            .collect()
    }

    /// Adds or replaces a product.
    pub fn set_product(&self, product: Product) {
        let mut books = lock(&self.install.books);
        books.reserve_id("products", product.pid);
        books.products.insert(product.pid, product);
    }

    /// Replaces a product's module.
    pub fn set_module(&self, pid: u64, module: Module) {
        if let Some(product) = lock(&self.install.books).products.get_mut(&pid) {
            product.module = module;
        }
    }

    /// All products.
    pub fn products(&self) -> Vec<Product> {
        lock(&self.install.books)
            .products
            .values()
            .cloned()
            .collect()
    }

    /// All orders, oldest first.
    pub fn orders(&self) -> Vec<Order> {
        lock(&self.install.books).orders.values().cloned().collect()
    }

    /// One order.
    pub fn order(&self, id: u64) -> Option<Order> {
        lock(&self.install.books).orders.get(&id).cloned()
    }

    /// All services.
    pub fn services(&self) -> Vec<Service> {
        lock(&self.install.books)
            .services
            .values()
            .cloned()
            .collect()
    }

    /// The services of an order.
    pub fn services_of(&self, order: u64) -> Vec<Service> {
        lock(&self.install.books)
            .services_of(order)
            .cloned()
            .collect()
    }

    /// The module queue, healed entries included.
    pub fn module_queue(&self) -> Vec<QueueEntry> {
        lock(&self.install.books).queue.clone()
    }

    /// Mails sent.
    pub fn mails(&self) -> Vec<Mail> {
        lock(&self.install.books).mails.clone()
    }

    // Staff.

    /// Staff edits an order: `cancel`, `fraud`, `accept`, `delete`, `clear_notes`, `build`.
    pub fn staff(&self, order: u64, edit: &str) {
        oracle::meddle(&self.install, order, edit);
    }

    /// Staff sets an order's status alone, its services stay as they are.
    pub fn set_order_status(&self, order: u64, status: &str) {
        if let Some(order) = lock(&self.install.books).orders.get_mut(&order) {
            status.clone_into(&mut order.status);
        }
    }

    /// Staff sets an order's notes.
    pub fn set_notes(&self, order: u64, notes: &str) {
        if let Some(order) = lock(&self.install.books).orders.get_mut(&order) {
            notes.clone_into(&mut order.notes);
        }
    }

    /// Staff sets a service's status.
    pub fn set_service_status(&self, service: u64, status: &str) {
        if let Some(service) = lock(&self.install.books).services.get_mut(&service) {
            status.clone_into(&mut service.status);
        }
    }

    /// Staff set a service up on the remote system themselves and mark it active in WHMCS.
    pub fn build_by_hand(&self, service: u64) {
        modules::build_by_hand(&self.install, service);
    }

    /// An order of this client that has nothing to do with the bridge.
    pub fn foreign_order(&self, client: u64) {
        oracle::foreign_order(&self.install, client);
    }

    // Oracle.

    /// Orders by the marker they were sent with, whatever became of the notes since.
    pub fn orders_by_marker(&self) -> BTreeMap<String, Vec<u64>> {
        oracle::orders_by_marker(&self.install)
    }

    /// Orders whose marker names this Salesforce order.
    pub fn orders_for(&self, salesforce_order: &str) -> Vec<Order> {
        let mut orders = self.orders();
        orders.retain(|order| {
            oracle::markers_of(&order.sent_notes)
                .iter()
                .any(|marker| marker.split(':').any(|part| part == salesforce_order))
        });
        orders
    }

    /// Markers with more than one order.
    pub fn duplicates(&self) -> BTreeMap<String, Vec<u64>> {
        let mut all = self.orders_by_marker();
        all.retain(|_, orders| orders.len() > 1);
        all
    }

    /// Remote accounts made per service.
    pub fn remote_accounts(&self) -> BTreeMap<u64, u32> {
        lock(&self.install.books).remote.clone()
    }

    /// Services with more than one remote account.
    pub fn doubled_accounts(&self) -> BTreeMap<u64, u32> {
        let mut all = self.remote_accounts();
        all.retain(|_, accounts| *accounts > 1);
        all
    }

    /// Everything the oracle knows, as JSON.
    pub fn oracle(&self) -> Value {
        json!({
            "orders_by_marker": self.orders_by_marker(),
            "duplicates": self.duplicates(),
            "remote_accounts": self.remote_accounts(),
            "doubled_accounts": self.doubled_accounts(),
            "mails": self.mails(),
        })
    }

    /// All tables, as JSON.
    pub fn dump(&self) -> Value {
        json!({
            "clients": self.clients(), "products": self.products(), "orders": self.orders(),
            "services": self.services(), "module_queue": self.module_queue(),
        })
    }
}
