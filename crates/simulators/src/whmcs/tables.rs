//! Tables of the installation.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Behaviour of a product's module on create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ModuleScript {
    /// The product has no module.
    None,
    /// Creates a remote account on every call.
    Ok,
    /// Fails without creating anything.
    Fail {
        /// Error message of the module.
        text: String,
        /// Number of failures before it works; `None` is always.
        times: Option<u32>,
    },
    /// Creates the remote account and reports a failure; later calls find the account.
    CreateThenFail {
        /// Error message of the module.
        text: String,
    },
    /// Creates the remote account, and PHP dies before WHMCS updates the service's status.
    CreateThenDie,
    /// Reports that the account exists already.
    AlreadyExists,
}

/// A product's module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its behaviour.
    pub script: ModuleScript,
    /// Delay before any effect.
    #[serde(default)]
    pub delay_ms: u64,
    /// Accepts an existing account.
    #[serde(default)]
    pub idempotent: bool,
    /// System name in GetProducts.
    #[serde(default = "default_name")]
    pub name: String,
}

/// Default system name of a module.
pub(crate) const MODULE_NAME: &str = "simulated";

fn default_name() -> String {
    MODULE_NAME.to_owned()
}

impl Module {
    /// A module with this behaviour.
    pub fn new(script: ModuleScript) -> Self {
        Self {
            script,
            delay_ms: 0,
            idempotent: false,
            name: default_name(),
        }
    }

    /// Sets the system name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Makes the module idempotent.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// The module in a call where `fault` replaces its behaviour; idempotency is kept.
    pub(crate) fn with_fault(self, fault: Option<&Self>) -> Self {
        match fault {
            None => self,
            Some(fault) => Self {
                idempotent: self.idempotent || fault.idempotent,
                name: self.name,
                ..fault.clone()
            },
        }
    }

    /// A module that always fails with this text.
    pub fn failing(text: &str) -> Self {
        Self::new(ModuleScript::Fail {
            text: text.to_owned(),
            times: None,
        })
    }
}

/// A client.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Client {
    /// Id.
    pub id: u64,
    /// First name.
    pub firstname: String,
    /// Last name.
    pub lastname: String,
    /// Company.
    pub companyname: String,
    /// E-mail.
    pub email: String,
    /// Address and phone, by parameter name.
    pub details: BTreeMap<String, String>,
    /// `Active`, `Inactive` or `Closed`.
    pub status: String,
    /// Index into [`CURRENCIES`].
    pub currency: usize,
}

/// Currencies of the installation, the default first; their ids start at 1.
pub const CURRENCIES: [&str; 2] = ["USD", "EUR"];

/// A product.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Product {
    /// Id.
    pub pid: u64,
    /// Product group.
    pub gid: u64,
    /// Name.
    pub name: String,
    /// `recurring`, `onetime` or `free`.
    pub paytype: String,
    /// Price per cycle (`monthly`, …); a missing cycle is disabled.
    pub prices: BTreeMap<String, f64>,
    /// 0: no quantities, 1: several services, 2: one scaling service.
    pub allowqty: u8,
    /// Custom fields: id and name.
    pub custom_fields: Vec<(u64, String)>,
    /// Whether modules run when the order is accepted.
    pub autosetup: bool,
    /// Its module.
    pub module: Module,
}

impl Product {
    /// A recurring product with a working module.
    pub fn new(pid: u64, name: &str) -> Self {
        Self {
            pid,
            gid: 1,
            name: name.to_owned(),
            paytype: "recurring".to_owned(),
            prices: BTreeMap::from([
                ("monthly".to_owned(), 9.95),
                ("quarterly".to_owned(), 28.0),
                ("semiannually".to_owned(), 54.0),
                ("annually".to_owned(), 99.0),
                ("biennially".to_owned(), 190.0),
                ("triennially".to_owned(), 270.0),
            ]),
            allowqty: 1,
            custom_fields: Vec::new(),
            autosetup: true,
            module: Module::new(ModuleScript::Ok),
        }
    }

    /// Adds a custom field.
    #[must_use]
    pub fn with_custom_field(mut self, id: u64, name: &str) -> Self {
        self.custom_fields.push((id, name.to_owned()));
        self
    }

    /// Sets the module.
    #[must_use]
    pub fn with_module(mut self, module: Module) -> Self {
        self.module = module;
        self
    }

    /// The module's system name; empty without a module.
    pub(crate) fn module_name(&self) -> &str {
        match self.module.script {
            ModuleScript::None => "",
            _ => &self.module.name,
        }
    }

    /// Sets the payment type.
    #[must_use]
    pub fn paytype(mut self, paytype: &str) -> Self {
        paytype.clone_into(&mut self.paytype);
        self
    }
}

/// An order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// Id.
    pub id: u64,
    /// Number, ten digits.
    pub ordernum: u64,
    /// Client.
    pub userid: u64,
    /// Server-local time.
    pub date: String,
    /// Total.
    pub amount: f64,
    /// Gateway.
    pub paymentmethod: String,
    /// Invoice, 0 for none.
    pub invoiceid: u64,
    /// `Pending`, `Active`, `Fraud`, `Cancelled`, …
    pub status: String,
    /// Client IP address given at creation.
    pub ipaddress: String,
    /// Stored notes.
    pub notes: String,
    /// Notes as sent, for the test oracle.
    pub sent_notes: String,
}

/// A service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Service {
    /// Id.
    pub id: u64,
    /// Order.
    pub orderid: u64,
    /// Client.
    pub clientid: u64,
    /// Product.
    pub pid: u64,
    /// Quantity.
    pub qty: u64,
    /// Date of creation.
    pub regdate: String,
    /// Domain.
    pub domain: String,
    /// Cycle as WHMCS shows it.
    pub billingcycle: String,
    /// Price.
    pub amount: f64,
    /// `Pending`, `Active`, …
    pub status: String,
    /// Custom field values by field id.
    pub custom_fields: BTreeMap<u64, String>,
    /// Staff notes.
    pub notes: String,
    /// What UpdateClientProduct changed beside the fields above, by its name in answers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<String, String>,
}

/// An invoice.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Invoice {
    /// Id.
    pub id: u64,
    /// Client.
    pub userid: u64,
    /// Total.
    pub total: f64,
    /// `Unpaid`, …
    pub status: String,
}

/// A failed module call in the module queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueueEntry {
    /// Id.
    pub id: u64,
    /// Service.
    pub service: u64,
    /// Error message of the module.
    pub error: String,
    /// Time.
    pub at: String,
    /// Retries so far.
    pub retries: u64,
    /// Whether it was resolved.
    pub completed: bool,
}

/// A sent mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// `order`, `invoice` or `welcome`.
    pub kind: String,
    /// Order id, or service id for `welcome`.
    pub about: u64,
}

/// All tables.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Tables {
    pub(crate) clients: BTreeMap<u64, Client>,
    pub(crate) products: BTreeMap<u64, Product>,
    pub(crate) orders: BTreeMap<u64, Order>,
    pub(crate) services: BTreeMap<u64, Service>,
    pub(crate) invoices: BTreeMap<u64, Invoice>,
    pub(crate) queue: Vec<QueueEntry>,
    pub(crate) mails: Vec<Mail>,
    /// Remote accounts created, by service.
    pub(crate) remote: BTreeMap<u64, u32>,
    /// Failures already reported by a `Fail` script, by product.
    pub(crate) failures: BTreeMap<u64, u32>,
    last_ids: BTreeMap<String, u64>,
}

impl Tables {
    /// The next id of a table; every table has its own sequence.
    pub(crate) fn next_id(&mut self, table: &str) -> u64 {
        let start = match table {
            "orders" => 1000,
            "services" => 5000,
            "invoices" => 3000,
            _ => 0,
        };
        let last = self.last_ids.entry(table.to_owned()).or_insert(start);
        *last += 1;
        *last
    }

    /// Ensures that later ids of this table are above `id`.
    pub(crate) fn reserve_id(&mut self, table: &str, id: u64) {
        let last = self.last_ids.entry(table.to_owned()).or_insert(0);
        *last = id.max(*last);
    }

    pub(crate) fn services_of(&self, order: u64) -> impl Iterator<Item = &Service> {
        self.services
            .values()
            .filter(move |service| service.orderid == order)
    }
}
