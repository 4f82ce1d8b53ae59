//! Both simulators with matching data.
use std::io;

use serde_json::{Map, Value, json};

use crate::{
    salesforce::{Line, NewOrder, Refusal, SalesforceOptions, SalesforceSim},
    whmcs::{Module, ModuleScript, Product, WhmcsOptions, WhmcsSim},
};

/// A product in both systems.
#[derive(Debug, Clone)]
pub struct WorldProduct {
    /// Name.
    pub name: String,
    /// Product2 id.
    pub salesforce: String,
    /// Its entry in the standard price book.
    pub pricebook_entry: String,
    /// WHMCS product id.
    pub pid: u64,
    /// Id of its custom field `Order line` in WHMCS.
    pub custom_field: u64,
    /// Billing cycle of the product.
    pub billing_cycle: String,
}

/// An account and its client.
#[derive(Debug, Clone)]
pub struct WorldAccount {
    /// Account id.
    pub salesforce: String,
    /// Contact id.
    pub contact: String,
    /// WHMCS client id.
    pub client: u64,
}

/// Size of the simulated data.
#[derive(Debug, Clone)]
pub struct WorldOptions {
    /// Salesforce.
    pub salesforce: SalesforceOptions,
    /// WHMCS.
    pub whmcs: WhmcsOptions,
    /// Products in both systems, at least 1.
    pub products: usize,
    /// Accounts with a client, at least 1.
    pub accounts: usize,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self {
            salesforce: SalesforceOptions::default(),
            whmcs: WhmcsOptions::default(),
            products: 4,
            accounts: 3,
        }
    }
}

/// Both running simulators.
#[derive(Debug)]
pub struct World {
    /// Salesforce.
    pub salesforce: SalesforceSim,
    /// WHMCS.
    pub whmcs: WhmcsSim,
    /// Products mapped in both. The last has no module when there are more than two.
    pub products: Vec<WorldProduct>,
    /// Accounts linked to clients.
    pub accounts: Vec<WorldAccount>,
    /// Settings of the bridge that the simulators do not know, such as files.
    pub(crate) more_environment: Vec<(String, String)>,
    /// What a reset goes back to.
    pub(crate) initial: std::sync::OnceLock<crate::snapshot::Snapshot>,
}

const NAMES: &[(&str, &str, f64)] = &[
    ("Web Hosting Start", "monthly", 9.95),
    ("Virtual Server S", "monthly", 24.0),
    ("Mail Pro", "annually", 99.0),
    ("Onboarding", "onetime", 150.0),
];

const CUSTOMERS: &[(&str, &str, &str)] = &[
    ("Ada", "Archer", "Archer Bakery"),
    ("Ben", "Brook", "Brook & Sons"),
    ("Cleo", "Carver", "Carver Studio"),
];

impl World {
    /// Starts both simulators and creates the data.
    pub async fn start(options: WorldOptions) -> io::Result<Self> {
        let salesforce = SalesforceSim::start(options.salesforce).await?;
        let whmcs = WhmcsSim::start(options.whmcs).await?;
        let mut world = Self {
            salesforce,
            whmcs,
            products: Vec::new(),
            accounts: Vec::new(),
            more_environment: Vec::new(),
            initial: std::sync::OnceLock::new(),
        };
        for at in 0..options.products.max(1) {
            let last = at > 1 && at + 1 == options.products;
            world.add_product(at, last).map_err(io::Error::other)?;
        }
        for at in 0..options.accounts.max(1) {
            world.add_account(at).map_err(io::Error::other)?;
        }
        Ok(world)
    }

    fn add_product(&mut self, at: usize, last: bool) -> Result<(), Refusal> {
        let (name, cycle, price) = NAMES[at % NAMES.len()];
        let name = numbered(name, at / NAMES.len());
        let pid = at as u64 + 1;
        let custom_field = 100 + pid;
        let mut product = Product::new(pid, &name).with_custom_field(custom_field, "Order line");
        if cycle == "onetime" {
            product = product.paytype("onetime");
        }
        if last {
            product = product.with_module(Module::new(ModuleScript::None));
        }
        product.prices.insert("monthly".to_owned(), price);
        self.whmcs.set_product(product);
        let (salesforce, pricebook_entry) =
            self.salesforce
                .create_product(&name, Some(&pid.to_string()), Some(cycle), price)?;
        self.products.push(WorldProduct {
            name,
            salesforce,
            pricebook_entry,
            pid,
            custom_field,
            billing_cycle: cycle.to_owned(),
        });
        Ok(())
    }

    fn add_account(&mut self, at: usize) -> Result<(), Refusal> {
        let (first, last, company) = CUSTOMERS[at % CUSTOMERS.len()];
        let company = numbered(company, at / CUSTOMERS.len());
        let email = format!("{}{at}@customers.example", first.to_lowercase());
        let client = self.whmcs.add_client(first, last, &email);
        let salesforce = self
            .salesforce
            .create_account(&company, Some(&client.to_string()))?;
        let contact = self.salesforce.create(
            "Contact",
            json!({
                "AccountId": salesforce, "FirstName": first, "LastName": last,
                "Email": email, "Phone": "+44 20 7946 0000",
            }),
        )?;
        self.accounts.push(WorldAccount {
            salesforce,
            contact,
            client,
        });
        Ok(())
    }

    /// Places an order of an account with lines of (product index, quantity).
    pub fn place_order(&self, account: usize, lines: &[(usize, u32)]) -> Result<String, Refusal> {
        self.place_order_with(account, lines, json!({}))
    }

    /// Places an order with additional fields.
    pub fn place_order_with(
        &self,
        account: usize,
        lines: &[(usize, u32)],
        fields: Value,
    ) -> Result<String, Refusal> {
        let account = &self.accounts[account % self.accounts.len()];
        let mut all = Map::new();
        all.insert(
            "BillToContactId".to_owned(),
            account.contact.as_str().into(),
        );
        for (field, value) in [
            ("BillingStreet", "1 Market Row"),
            ("BillingCity", "London"),
            ("BillingState", "London"),
            ("BillingPostalCode", "E1 6AN"),
            ("BillingCountry", "United Kingdom"),
            ("BillingCountryCode", "GB"),
        ] {
            all.insert(field.to_owned(), value.into());
        }
        if let Value::Object(fields) = fields {
            all.extend(fields);
        }
        let lines = lines.iter().map(|(product, quantity)| {
            let product = &self.products[product % self.products.len()];
            Line::new(&product.pricebook_entry, *quantity)
        });
        self.salesforce.place_order(NewOrder {
            account: account.salesforce.clone(),
            lines: lines.collect(),
            fields: all,
        })
    }

    /// Places and approves an order.
    pub fn place_and_approve(
        &self,
        account: usize,
        lines: &[(usize, u32)],
    ) -> Result<String, Refusal> {
        let id = self.place_order(account, lines)?;
        self.salesforce.approve(&id)?;
        Ok(id)
    }

    /// Adds settings of the bridge that only the caller knows, to be read from the control API.
    #[must_use]
    pub fn with_environment(mut self, settings: Vec<(String, String)>) -> Self {
        self.more_environment = settings;
        self
    }

    /// Settings for the bridge to run against these simulators, as environment variables without
    /// the private key.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let login = self.salesforce.login();
        let credentials = self.whmcs.credentials();
        vec![
            ("SF_LOGIN_URL", self.salesforce.rest_url()),
            ("SF_CLIENT_ID", login.client_id),
            ("SF_USERNAME", login.username),
            ("SF_PUBSUB_ENDPOINT", self.salesforce.pubsub_url()),
            ("SF_PROVISION_EVENT_CHANNEL", self.salesforce.channel()),
            ("WHMCS_URL", self.whmcs.url()),
            ("WHMCS_IDENTIFIER", credentials.identifier),
            ("WHMCS_SECRET", credentials.secret),
            ("WHMCS_PAYMENT_METHOD", "banktransfer".to_owned()),
        ]
    }
}

fn numbered(name: &str, round: usize) -> String {
    if round == 0 {
        name.to_owned()
    } else {
        format!("{name} {}", round + 1)
    }
}
