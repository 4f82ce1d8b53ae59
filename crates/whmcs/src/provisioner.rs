//! The port, action by action.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use domain::failure::{Code, Refusal};
use domain::key::{ClientId, ProductId, ServiceId, WhmcsOrderId};
use domain::order::{ClientSighting, ClientStatus, Cycle, LineSighting, OrderSighting};
use domain::ports::{
    CallError, CatalogueEntry, Module, ModuleKind, NewClient, NewOrder, PlaceAnswer, Provisioner,
};
use serde_json::{Map, Value};

use crate::answer::{Kind, unknown};
use crate::api::Api;
use crate::form::Form;
use crate::{php, wire};

/// Rows asked for at a time.
const PAGE: u64 = 100;
/// So often a list that changes while it is read is read again.
const READS: u32 = 3;

/// Which product keeps our line marker in which of its custom fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineMarkers(pub BTreeMap<ProductId, u64>);

/// What the configuration file says about this install.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Custom fields for line markers.
    pub line_markers: LineMarkers,
    /// Modules that may be called again for a service that is still pending.
    pub idempotent_modules: BTreeSet<String>,
}

/// WHMCS as a provisioner.
#[derive(Debug)]
pub struct Whmcs {
    api: Api,
    options: Options,
}

impl Whmcs {
    /// A provisioner over this API.
    #[must_use]
    pub fn new(api: Api, options: Options) -> Self {
        Self { api, options }
    }

    /// A complete list, page by page; read again when it changes on the way.
    async fn all(
        &self,
        action: &'static str,
        filter: &Form,
        outer: &'static str,
        inner: &'static str,
    ) -> Result<Vec<Map<String, Value>>, CallError> {
        for _ in 0..READS {
            if let Some(rows) = self.all_once(action, filter, outer, inner).await? {
                return Ok(rows);
            }
        }
        Err(unknown(format!(
            "{action}: the list kept changing while it was read"
        )))
    }

    async fn all_once(
        &self,
        action: &'static str,
        filter: &Form,
        outer: &'static str,
        inner: &'static str,
    ) -> Result<Option<Vec<Map<String, Value>>>, CallError> {
        let mut rows = Vec::new();
        let mut total = None;
        loop {
            let form = filter
                .clone()
                .set("limitstart", rows.len())
                .set("limitnum", PAGE);
            let answer = self.api.call(Kind::Read, action, form).await?;
            let said = wire::count(answer.get("totalresults"));
            if total.is_some() && total != Some(said) {
                return Ok(None);
            }
            total = Some(said);
            let page = match wire::list(&answer, outer, inner) {
                Some(page) => page,
                None if said == Some(0) => Vec::new(),
                None => return Err(unknown(format!("{action}: the answer has no list"))),
            };
            let n_page = page.len();
            rows.extend(page.into_iter().cloned());
            match said {
                Some(all) if rows.len() as u64 >= all => return Ok(Some(rows)),
                Some(_) if n_page == 0 => return Ok(None),
                // Without a total a short page is the last one.
                None if (n_page as u64) < PAGE => return Ok(Some(rows)),
                _ => {}
            }
        }
    }

    /// The client's services by order. A damaged row can hide the whole list; then the
    /// services are read one by one, and what stays unreadable keeps what the order tells.
    async fn fill_in(
        &self,
        client: ClientId,
        orders: &mut [OrderSighting],
    ) -> Result<(), CallError> {
        let by_client = Form::new().set("clientid", client);
        let rows = match self
            .all("GetClientsProducts", &by_client, "products", "product")
            .await
        {
            Ok(rows) => rows,
            Err(CallError::Refused(_)) => self.services_one_by_one(client, orders).await?,
            Err(error) => return Err(error),
        };
        for (order, line) in rows.iter().filter_map(wire::service) {
            if let Some(order) = orders.iter_mut().find(|found| found.id == order) {
                put_line(&mut order.lines, line);
            }
        }
        for order in orders {
            order.lines.sort_unstable_by_key(|line| line.service);
        }
        Ok(())
    }

    async fn services_one_by_one(
        &self,
        client: ClientId,
        orders: &[OrderSighting],
    ) -> Result<Vec<Map<String, Value>>, CallError> {
        let mut rows = Vec::new();
        for line in orders.iter().flat_map(|order| &order.lines) {
            let one = Form::new()
                .set("clientid", client)
                .set("serviceid", line.service);
            match self
                .all("GetClientsProducts", &one, "products", "product")
                .await
            {
                Ok(found) => rows.extend(found),
                Err(CallError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(rows)
    }

    async fn find_client(&self, form: Form) -> Result<Option<(ClientSighting, String)>, CallError> {
        let answer = match self.api.call(Kind::Read, "GetClientsDetails", form).await {
            Ok(answer) => answer,
            Err(CallError::Refused(refusal)) if refusal.code == Code::ClientNotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let client = answer
            .get("client")
            .and_then(Value::as_object)
            .unwrap_or(&answer);
        let id = ["id", "clientid", "userid"]
            .into_iter()
            .find_map(|key| wire::id(client.get(key)));
        let id = id
            .map(ClientId)
            .ok_or_else(|| unknown("GetClientsDetails: no client id"))?;
        let closed = wire::text(client.get("status")).eq_ignore_ascii_case("closed");
        let status = if closed {
            ClientStatus::Closed
        } else {
            ClientStatus::Open
        };
        Ok(Some((
            ClientSighting { id, status },
            wire::text(client.get("email")).to_owned(),
        )))
    }
}

#[async_trait]
impl Provisioner for Whmcs {
    async fn client(&self, client: ClientId) -> Result<Option<ClientSighting>, CallError> {
        let found = self
            .find_client(Form::new().set("clientid", client))
            .await?;
        Ok(found.map(|(sighting, _)| sighting))
    }

    async fn client_by_email(&self, email: &str) -> Result<Option<ClientSighting>, CallError> {
        let found = self.find_client(Form::new().set("email", email)).await?;
        let same = |found: &str| found.trim().eq_ignore_ascii_case(email.trim());
        Ok(found
            .filter(|(_, found)| same(found))
            .map(|(sighting, _)| sighting))
    }

    async fn catalogue(
        &self,
        products: &[ProductId],
    ) -> Result<Option<Vec<CatalogueEntry>>, CallError> {
        let ids: Vec<_> = products.iter().map(ToString::to_string).collect();
        if ids.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let form = Form::new().set("pid", ids.join(","));
        let answer = match self.api.call(Kind::Read, "GetProducts", form).await {
            Ok(answer) => answer,
            // The catalogue is a convenience: AddOrder itself refuses what it cannot sell.
            Err(CallError::Denied { detail, .. })
                if detail.contains("Invalid Permissions")
                    || detail.contains("Invalid API Action") =>
            {
                tracing::warn!(
                    detail,
                    "the WHMCS catalogue cannot be read; mappings go unchecked"
                );
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Some(found) = wire::list(&answer, "products", "product") else {
            return Ok(None);
        };
        Ok(Some(
            found
                .into_iter()
                .filter_map(|product| self.entry(product))
                .collect(),
        ))
    }

    async fn orders(
        &self,
        client: ClientId,
        above: Option<WhmcsOrderId>,
    ) -> Result<Vec<OrderSighting>, CallError> {
        let filter = Form::new().set("userid", client);
        let rows = self.all("GetOrders", &filter, "orders", "order").await?;
        let mut orders = sightings(&rows)?;
        orders.retain(|order| above.is_none_or(|above| order.id > above));
        if !orders.is_empty() {
            self.fill_in(client, &mut orders).await?;
        }
        Ok(orders)
    }

    async fn order(
        &self,
        client: ClientId,
        order: WhmcsOrderId,
    ) -> Result<Option<OrderSighting>, CallError> {
        let filter = Form::new().set("id", order);
        let rows = self.all("GetOrders", &filter, "orders", "order").await?;
        let mut orders = sightings(&rows)?;
        orders.retain(|found| found.id == order);
        self.fill_in(client, &mut orders).await?;
        Ok(orders.pop())
    }

    async fn create_client(&self, client: &NewClient) -> Result<ClientId, CallError> {
        let contact = &client.contact;
        // WHMCS 9 wants a password; nobody ever uses this one.
        let password = format!("{:032x}aA1!", rand::random::<u128>());
        let form = Form::new()
            .set("firstname", &contact.first_name)
            .set("lastname", &contact.last_name)
            .set("companyname", &contact.company)
            .set("email", &contact.email)
            .set("address1", &contact.street)
            .set("city", &contact.city)
            .set("state", &contact.state)
            .set("postcode", &contact.postcode)
            .set("country", &contact.country)
            .set("phonenumber", &contact.phone)
            .set("password2", password)
            .flag("noemail", !self.api.config.emails);
        let answer = self
            .api
            .call(Kind::Effect, "AddClient", form)
            .await
            .map_err(|error| match error {
                CallError::Refused(refusal) if refusal.code == Code::WhmcsRejected => {
                    CallError::Refused(Refusal::new(Code::ClientNotLinked, refusal.detail))
                }
                other => other,
            })?;
        let id = wire::id(answer.get("clientid"));
        id.map(ClientId)
            .ok_or_else(|| unknown("AddClient: success without a client id"))
    }

    async fn place_order(&self, order: &NewOrder) -> Result<PlaceAnswer, CallError> {
        let config = &self.api.config;
        let mut form = Form::new()
            .set("clientid", order.client)
            .set("paymentmethod", &config.payment_method)
            .set("notes", order.marker)
            .flag("noinvoice", !config.invoice)
            .flag("noinvoiceemail", !config.emails)
            .flag("noemail", !config.emails);
        for (index, line) in order.plan.lines.iter().enumerate() {
            form =
                form.column("pid", index, line.product)
                    .column("billingcycle", index, line.cycle);
            if let Some(price) = line.unit_price.filter(|_| config.override_prices) {
                form = form.column("priceoverride", index, price);
            }
            if let Some(field) = self.options.line_markers.0.get(&line.product) {
                let fields = php::encoded_map([(*field, line.marker.to_string().as_str())]);
                form = form.column("customfields", index, fields);
            }
        }
        let answer = self.api.call(Kind::Effect, "AddOrder", form).await?;
        let order = wire::id(answer.get("orderid")).map(WhmcsOrderId);
        let order = order.ok_or_else(|| unknown("AddOrder: success without an order id"))?;
        Ok(PlaceAnswer { order })
    }

    async fn accept_order(&self, order: WhmcsOrderId, run_modules: bool) -> Result<(), CallError> {
        let form = Form::new()
            .set("orderid", order)
            .flag("autosetup", run_modules)
            .flag("sendemail", run_modules && self.api.config.emails);
        self.api
            .call(Kind::Module, "AcceptOrder", form)
            .await
            .map(|_| ())
    }

    async fn create_service(&self, service: ServiceId) -> Result<(), CallError> {
        let form = Form::new().set("serviceid", service);
        match self.api.call(Kind::Module, "ModuleCreate", form).await {
            Err(CallError::Refused(refusal))
                if refusal
                    .detail
                    .to_ascii_lowercase()
                    .contains("not assigned to a module") =>
            {
                Ok(())
            }
            result => result.map(|_| ()),
        }
    }

    async fn probe(&self) -> Result<(), CallError> {
        self.api
            .call(Kind::Read, "GetOrderStatuses", Form::new())
            .await
            .map(|_| ())
    }
}

impl Whmcs {
    fn entry(&self, product: &Map<String, Value>) -> Option<CatalogueEntry> {
        let module = product.get("module").and_then(Value::as_str);
        let name = module.unwrap_or_default().to_owned();
        let kind = match module {
            Some("") => ModuleKind::None,
            Some(name) if self.options.idempotent_modules.contains(name) => ModuleKind::Idempotent,
            _ => ModuleKind::Unlisted,
        };
        Some(CatalogueEntry {
            product: ProductId(wire::id(product.get("pid"))?),
            module: Module { name, kind },
            closed_cycles: closed_cycles(product),
        })
    }
}

/// Recurring cycles that have no price in any currency (`-1.00` says so).
fn closed_cycles(product: &Map<String, Value>) -> Vec<Cycle> {
    let recurring = wire::text(product.get("paytype")).eq_ignore_ascii_case("recurring");
    let Some(pricing) = product
        .get("pricing")
        .and_then(Value::as_object)
        .filter(|_| recurring)
    else {
        return Vec::new();
    };
    let closed = |cycle: &Cycle| {
        let prices: Vec<_> = pricing
            .values()
            .filter_map(|price| price.get(cycle.name()))
            .collect();
        !prices.is_empty()
            && prices.iter().all(|price| match price {
                Value::String(text) => text.trim().starts_with('-'),
                other => other.as_f64().is_some_and(|price| price < 0.0),
            })
    };
    Cycle::ALL.into_iter().filter(closed).collect()
}

/// An order that cannot be read must not look like one that is not there.
fn sightings(rows: &[Map<String, Value>]) -> Result<Vec<OrderSighting>, CallError> {
    rows.iter()
        .map(|row| wire::order(row).ok_or_else(|| unknown("GetOrders: an order without an id")))
        .collect()
}

fn put_line(lines: &mut Vec<LineSighting>, line: LineSighting) {
    match lines.iter_mut().find(|known| known.service == line.service) {
        Some(known) => *known = line,
        None => lines.push(line),
    }
}
