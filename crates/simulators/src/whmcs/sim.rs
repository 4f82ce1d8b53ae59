//! Handle of the running simulator: listener, tables, faults, options and the test oracle.
use std::{collections::BTreeMap, io, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    faults::{Fault, FaultId},
    http,
    install::{ActionCall, Install},
    modules,
    options::{Credentials, RuntimeOptions, WhmcsOptions},
    oracle,
    tables::{CURRENCIES, Client, Mail, Module, Order, Product, QueueEntry, Service, Tables},
};
use crate::{
    faults::{Hold, Phase},
    listener::{Host, Port},
    lock,
};

/// The state of an installation, for a snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SavedInstall {
    tables: Tables,
    runtime: RuntimeOptions,
    passed_ms: i64,
}

/// A simulated installation on a local port. Dropping it closes the port.
#[derive(Debug)]
pub struct WhmcsSim {
    install: Arc<Install>,
    host: Host,
}

impl WhmcsSim {
    /// Binds the port and starts serving.
    pub async fn start(options: WhmcsOptions) -> io::Result<Self> {
        let (host, listener) = Host::bind(&options.listen, Port::Whmcs, options.port).await?;
        let install = Arc::new(Install::new(options));
        host.serve_http(listener, http::router(install.clone()));
        Ok(Self { install, host })
    }

    /// Base URL; the API is at `/includes/api.php` below it.
    pub fn url(&self) -> String {
        self.host.url() + &self.install.options.base()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.host.port()
    }

    /// API credentials for a client.
    pub fn credentials(&self) -> Credentials {
        Credentials {
            identifier: self.install.options.identifier.clone(),
            secret: self.install.options.secret.clone(),
        }
    }

    /// Closes the port and resets every connection; data and running calls are kept.
    pub async fn stop(&self) {
        self.host.stop().await;
    }

    /// Opens the port again, with the same number.
    pub async fn restart(&self) -> io::Result<()> {
        self.host.stop().await;
        let listener = self.host.rebind().await?;
        self.host
            .serve_http(listener, http::router(self.install.clone()));
        Ok(())
    }

    /// Resets every open connection; new ones are accepted.
    pub fn cut_connections(&self) {
        self.host.cut_all();
    }

    /// Number of connections that clients have opened so far.
    pub fn connections(&self) -> usize {
        self.host.accepted()
    }

    // State.

    pub(crate) fn save(&self) -> SavedInstall {
        SavedInstall {
            tables: lock(&self.install.tables).clone(),
            runtime: self.runtime(),
            passed_ms: self.install.clock.passed_ms(),
        }
    }

    pub(crate) fn load(&self, saved: SavedInstall) {
        *lock(&self.install.tables) = saved.tables;
        *lock(&self.install.runtime) = saved.runtime;
        self.install.clock.set_passed_ms(saved.passed_ms);
    }

    /// Forgets every call.
    pub fn clear_calls(&self) {
        lock(&self.install.calls).clear();
    }

    // Faults and options.

    /// The faults that are left, and how many calls each has matched.
    pub fn faults(&self) -> Vec<(Fault, u64)> {
        self.install.faults.list()
    }

    /// Adds a fault for the next calls.
    pub fn fault(&self, fault: Fault) {
        self.install.faults.add(fault.when, fault);
    }

    /// Holds the next call of an action; [`Hold::release`] resumes it.
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

    /// Releases the hold of this name.
    pub fn release(&self, name: &str) {
        self.install.holds.named(name).release();
    }

    /// Removes every fault and releases every hold.
    pub fn clear_faults(&self) {
        self.install.faults.clear();
        self.install.holds.release_all();
    }

    /// Changes runtime options.
    pub fn turn(&self, change: impl FnOnce(&mut RuntimeOptions)) {
        change(&mut lock(&self.install.runtime));
    }

    /// The current runtime options.
    pub fn runtime(&self) -> RuntimeOptions {
        lock(&self.install.runtime).clone()
    }

    /// Lets time pass.
    pub fn pass_time(&self, seconds: i64) {
        self.install.clock.pass_seconds(seconds);
    }

    /// Advances the server's clock.
    pub fn advance_clock(&self, seconds: i64) {
        self.install.clock.advance_seconds(seconds);
    }

    /// Every call.
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

    // Tables.

    /// Adds a client with this e-mail and returns its id.
    pub fn add_client(&self, firstname: &str, lastname: &str, email: &str) -> u64 {
        let mut tables = lock(&self.install.tables);
        let id = tables.next_id("clients");
        tables.clients.insert(
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
        if let Some(client) = lock(&self.install.tables).clients.get_mut(&client) {
            status.clone_into(&mut client.status);
        }
    }

    /// Sets a client's currency to one of [`CURRENCIES`].
    pub fn set_client_currency(&self, client: u64, code: &str) {
        let Some(currency) = CURRENCIES.iter().position(|known| *known == code) else {
            return;
        };
        if let Some(client) = lock(&self.install.tables).clients.get_mut(&client) {
            client.currency = currency;
        }
    }

    /// All clients.
    pub fn clients(&self) -> Vec<Client> {
        lock(&self.install.tables)
            .clients
            .values()
            .cloned()
            .collect()
    }

    /// Adds or replaces a product.
    pub fn set_product(&self, product: Product) {
        let mut tables = lock(&self.install.tables);
        tables.reserve_id("products", product.pid);
        tables.products.insert(product.pid, product);
    }

    /// Replaces a product's module.
    pub fn set_module(&self, pid: u64, module: Module) {
        if let Some(product) = lock(&self.install.tables).products.get_mut(&pid) {
            product.module = module;
        }
    }

    /// All products.
    pub fn products(&self) -> Vec<Product> {
        lock(&self.install.tables)
            .products
            .values()
            .cloned()
            .collect()
    }

    /// All orders, oldest first.
    pub fn orders(&self) -> Vec<Order> {
        lock(&self.install.tables)
            .orders
            .values()
            .cloned()
            .collect()
    }

    /// One order.
    pub fn order(&self, id: u64) -> Option<Order> {
        lock(&self.install.tables).orders.get(&id).cloned()
    }

    /// All services.
    pub fn services(&self) -> Vec<Service> {
        lock(&self.install.tables)
            .services
            .values()
            .cloned()
            .collect()
    }

    /// The services of an order.
    pub fn services_of(&self, order: u64) -> Vec<Service> {
        lock(&self.install.tables)
            .services_of(order)
            .cloned()
            .collect()
    }

    /// The module queue, including resolved entries.
    pub fn module_queue(&self) -> Vec<QueueEntry> {
        lock(&self.install.tables).queue.clone()
    }

    /// Mails sent.
    pub fn mails(&self) -> Vec<Mail> {
        lock(&self.install.tables).mails.clone()
    }

    // Staff.

    /// Edits an order as staff do: `cancel`, `fraud`, `accept`, `delete`, `clear_notes`, `build`.
    pub fn staff(&self, order: u64, edit: &str) {
        oracle::edit_as_staff(&self.install, order, edit);
    }

    /// Sets only the order's status, as staff may; its services are unchanged.
    pub fn set_order_status(&self, order: u64, status: &str) {
        if let Some(order) = lock(&self.install.tables).orders.get_mut(&order) {
            status.clone_into(&mut order.status);
        }
    }

    /// Sets an order's notes, as staff may.
    pub fn set_notes(&self, order: u64, notes: &str) {
        if let Some(order) = lock(&self.install.tables).orders.get_mut(&order) {
            notes.clone_into(&mut order.notes);
        }
    }

    /// Sets a service's status, as staff may.
    pub fn set_service_status(&self, service: u64, status: &str) {
        if let Some(service) = lock(&self.install.tables).services.get_mut(&service) {
            status.clone_into(&mut service.status);
        }
    }

    /// Creates a service on the remote system by hand and marks it active in WHMCS.
    pub fn build_by_hand(&self, service: u64) {
        modules::build_by_hand(&self.install, service);
    }

    /// Adds an order of this client that is unrelated to the bridge.
    pub fn foreign_order(&self, client: u64) {
        oracle::foreign_order(&self.install, client);
    }

    // Test oracle.

    /// Orders by the marker they were sent with, whether or not it was stored.
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

    /// Remote accounts created, by service.
    pub fn remote_accounts(&self) -> BTreeMap<u64, u32> {
        lock(&self.install.tables).remote.clone()
    }

    /// Services with more than one remote account.
    pub fn duplicate_accounts(&self) -> BTreeMap<u64, u32> {
        let mut all = self.remote_accounts();
        all.retain(|_, accounts| *accounts > 1);
        all
    }

    /// All results of the test oracle, as JSON.
    pub fn oracle(&self) -> Value {
        json!({
            "orders_by_marker": self.orders_by_marker(),
            "duplicates": self.duplicates(),
            "remote_accounts": self.remote_accounts(),
            "doubled_accounts": self.duplicate_accounts(),
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
