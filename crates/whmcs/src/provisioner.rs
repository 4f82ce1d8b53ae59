//! Implementation of the provisioner port.

use async_trait::async_trait;
use domain::failure::{Code, Refusal};
use domain::key::{ClientId, ProductId, ServiceId, WhmcsOrderId};
use domain::order::{ClientStatus, WhmcsClient, WhmcsOrder};
use domain::ports::{
    CallError, CatalogueEntry, Freshness, NewClient, NewOrder, OrderDetail, PlaceAnswer,
    Provisioner, ProvisionerReads,
};
use error_chain::chain;
use futures::future::join;
use serde_json::{Map, Value};

use crate::answer::{self, Denial, Kind, unknown};
use crate::api::Api;
use crate::form::Form;
use crate::options::Options;
use crate::{catalogue, lists, php, wire};

/// WHMCS as a provisioner.
#[derive(Debug)]
pub struct Whmcs {
    pub(crate) api: Api,
    pub(crate) options: Options,
    pub(crate) catalogue: catalogue::Answers,
}

impl Whmcs {
    /// Creates a provisioner on top of this API.
    #[must_use]
    pub fn new(api: Api, options: Options) -> Self {
        Self {
            api,
            options,
            catalogue: catalogue::answers(),
        }
    }

    /// Whether WHMCS answered the last call.
    #[must_use]
    pub fn reachability(&self) -> outbound::Reachability {
        self.api.reachability.clone()
    }

    pub(crate) fn client_form(&self, client: &NewClient, password: &str) -> Form {
        let contact = &client.contact;
        Form::new()
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
            .flag("noemail", !self.api.config.emails)
    }

    pub(crate) fn order_form(&self, order: &NewOrder) -> Form {
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
        form
    }

    pub(crate) fn accept_form(&self, order: WhmcsOrderId, run_modules: bool) -> Form {
        Form::new()
            .set("orderid", order)
            .flag("autosetup", run_modules)
            .flag("sendemail", run_modules && self.api.config.emails)
    }

    /// A call whose error may be the message of a provisioning module. If the message equals one
    /// with which WHMCS denies access, a harmless read tells the two apart: a module failure must
    /// not be taken for a call that never ran.
    async fn run_modules(&self, action: &'static str, form: Form) -> Result<(), CallError> {
        match self.api.call(Kind::Module, action, form).await {
            Err(CallError::Refused(refusal)) if answer::is_denial_message(&refusal.detail) => {
                match self.probe().await {
                    Err(denied @ CallError::Denied { .. }) => Err(denied),
                    _ => Err(CallError::Refused(refusal)),
                }
            }
            result => result.map(|_| ()),
        }
    }

    async fn find_client(&self, form: Form) -> Result<Option<(WhmcsClient, String)>, CallError> {
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
        let currency = self.currency_of(client).await?;
        Ok(Some((
            WhmcsClient {
                id,
                status,
                currency,
            },
            wire::text(client.get("email")).to_owned(),
        )))
    }
}

impl Whmcs {
    /// The billing currency of a client, where it matters. Installs that do not report the code
    /// report the id of the currency.
    async fn currency_of(&self, client: &Map<String, Value>) -> Result<Option<String>, CallError> {
        let code = wire::text(client.get("currency_code")).trim();
        if !code.is_empty() {
            return Ok(Some(code.to_owned()));
        }
        let Some(id) = wire::id(client.get("currency")).filter(|_| self.api.config.override_prices)
        else {
            return Ok(None);
        };
        let answer = self.api.call(Kind::Read, "GetCurrencies", Form::new());
        let answer = match answer.await {
            Ok(answer) => answer,
            Err(error) if Denial::closes_one_action(&error) => {
                tracing::warn!(error = %chain(&error), "currencies not readable; client currencies are not checked");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let all = wire::list(&answer, "currencies", "currency").unwrap_or_default();
        let own = all
            .into_iter()
            .find(|currency| wire::id(currency.get("id")) == Some(id));
        Ok(own.map(|currency| wire::text(currency.get("code")).to_owned()))
    }
}

#[async_trait]
impl ProvisionerReads for Whmcs {
    async fn client(&self, client: ClientId) -> Result<Option<WhmcsClient>, CallError> {
        let found = self
            .find_client(Form::new().set("clientid", client))
            .await?;
        Ok(found.map(|(client, _)| client))
    }

    async fn client_by_email(&self, email: &str) -> Result<Option<WhmcsClient>, CallError> {
        let found = self.find_client(Form::new().set("email", email)).await?;
        let same = |found: &str| found.trim().eq_ignore_ascii_case(email.trim());
        Ok(found
            .filter(|(_, found)| same(found))
            .map(|(client, _)| client))
    }

    async fn catalogue(
        &self,
        products: &[ProductId],
        freshness: Freshness,
    ) -> Result<Option<Vec<CatalogueEntry>>, CallError> {
        self.catalogue_of(products, freshness).await
    }

    async fn orders(
        &self,
        client: ClientId,
        above: Option<WhmcsOrderId>,
        detail: OrderDetail,
    ) -> Result<Vec<WhmcsOrder>, CallError> {
        let orders = async {
            let rows = self
                .orders_above(client, above.map(|above| above.0))
                .await?;
            let mut orders = lists::parse_orders(&rows)?;
            orders.retain(|order| above.is_none_or(|above| order.id > above));
            Ok(orders)
        };
        // Only a custom field, where one is configured, can hold a marker that the notes lack.
        if detail == OrderDetail::Markers && self.options.line_markers.0.is_empty() {
            return orders.await;
        }
        let (orders, services) = join(orders, self.first_services(client)).await;
        let mut orders = orders?;
        if !orders.is_empty() {
            self.add_services(client, &mut orders, services).await?;
        }
        Ok(orders)
    }

    async fn order(
        &self,
        client: ClientId,
        order: WhmcsOrderId,
    ) -> Result<Option<WhmcsOrder>, CallError> {
        let filter = Form::new().set("id", order);
        let rows = self.all("GetOrders", &filter, "orders", "order");
        let (rows, services) = join(rows, self.first_services(client)).await;
        let mut orders = lists::parse_orders(&rows?)?;
        orders.retain(|found| found.id == order);
        self.add_services(client, &mut orders, services).await?;
        Ok(orders.pop())
    }

    async fn probe(&self) -> Result<(), CallError> {
        self.api
            .call(Kind::Read, "GetOrderStatuses", Form::new())
            .await
            .map(|_| ())
    }
}

#[async_trait]
impl Provisioner for Whmcs {
    async fn create_client(&self, client: &NewClient) -> Result<ClientId, CallError> {
        // WHMCS 9 requires a password; this one is never used.
        let password = format!("{:032x}aA1!", rand::random::<u128>());
        let form = self.client_form(client, &password);
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
        let form = self.order_form(order);
        let answer = self.api.call(Kind::Effect, "AddOrder", form).await?;
        let order = wire::id(answer.get("orderid")).map(WhmcsOrderId);
        let order = order.ok_or_else(|| unknown("AddOrder: success without an order id"))?;
        Ok(PlaceAnswer { order })
    }

    async fn accept_order(&self, order: WhmcsOrderId, run_modules: bool) -> Result<(), CallError> {
        let form = self.accept_form(order, run_modules);
        self.run_modules("AcceptOrder", form).await
    }

    async fn create_service(&self, service: ServiceId) -> Result<(), CallError> {
        let form = Form::new().set("serviceid", service);
        match self.run_modules("ModuleCreate", form).await {
            Err(CallError::Refused(refusal))
                if refusal
                    .detail
                    .to_ascii_lowercase()
                    .contains("not assigned to a module") =>
            {
                Ok(())
            }
            result => result,
        }
    }
}
