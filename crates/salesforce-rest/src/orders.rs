//! Reads orders.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::failure::Code;
use domain::id::{AccountId, OrderId, OrgId};
use domain::key::{ClientId, IdemKey};
use domain::order::{
    Account, ActivationStatus, Contact, CustomerOrder, Item, ItemReport, OrderDetails, OrderGuard,
    PlaceRequest, Placed, Product, Report, RetryAnswer,
};
use domain::ports::{
    ApiAllowance, CallError, CrmOrders, CustomerOrders, Pending, PendingActivations, ReportAnswer,
    ReportedAllowance, RetryRequests,
};
use outbound::Roots;
use salesforce_auth::TokenManager;
use serde_json::json;
use tokio::sync::OnceCell;

use crate::client::{Call, Client};
use crate::error::{DescribeError, Failure, refusal};
use crate::shape::{ACCOUNT, COUNTRY_CODE, CURRENCY, ITEM, ORDER, PRODUCT, Shape};
use crate::wire::{self, Page, Row};
use crate::{FieldNames, RestConfig};

/// The orders of one Salesforce org.
pub struct RestOrders {
    pub(crate) client: Client,
    pub(crate) names: FieldNames,
    pub(crate) bill_to: bool,
    pub(crate) shape: OnceCell<Shape>,
}

/// Repeats a call while it fails because of an optional field. Terminates, because each round drops
/// at least one field of a fixed list.
macro_rules! with_available_fields {
    ($shape:expr, $attempt:expr) => {
        loop {
            match $attempt.await {
                Err(failure) if $shape.drop_fields_of(&failure) => {}
                other => break other,
            }
        }
    };
}
pub(crate) use with_available_fields;

impl RestOrders {
    /// A description of the remaining daily API calls when less than a tenth is left, as reported
    /// to this process within the last hour.
    #[must_use]
    pub fn low_allowance(&self) -> Option<String> {
        let remaining = self.client.allowance.scarce()?;
        Some(format!(
            "{:.0} % of the day's API calls are left",
            remaining * 100.0
        ))
    }

    /// Why Salesforce did not answer the last call of this process; `None` if it did.
    #[must_use]
    pub fn unreachable(&self) -> Option<String> {
        self.client.reachability.problem()
    }

    /// Builds the adapter without connecting.
    ///
    /// # Errors
    /// The TLS library rejects a certificate.
    pub fn new(
        config: RestConfig,
        tokens: Arc<TokenManager>,
        roots: &Roots,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: Client::new(&config, tokens, roots)?,
            names: config.fields,
            bill_to: config.bill_to,
            shape: OnceCell::new(),
        })
    }

    /// Reads which fields the org has and checks the required ones. Happens automatically before
    /// the first use, and again after a failure, so that a program can start while Salesforce is
    /// down.
    ///
    /// # Errors
    /// [`DescribeError::Configuration`] names the fields and the fix.
    pub async fn describe(&self) -> Result<(), DescribeError> {
        self.load_shape().await.map(|_| ())
    }

    async fn load_shape(&self) -> Result<&Shape, DescribeError> {
        self.shape
            .get_or_try_init(|| Shape::load(&self.client, &self.names))
            .await
    }

    pub(crate) async fn shape(&self) -> Result<&Shape, CallError> {
        Ok(self.load_shape().await?)
    }

    pub(crate) async fn query(
        &self,
        operation: &'static str,
        soql: String,
    ) -> Result<Page, Failure> {
        let call = Call::get(operation, "query").with("q", soql);
        self.client.send(&call).await?.read()
    }

    pub(crate) async fn all_rows(
        &self,
        operation: &'static str,
        mut page: Page,
    ) -> Result<Vec<Row>, Failure> {
        let mut rows = std::mem::take(&mut page.records);
        while let Some(path) = page.rest()? {
            page = self
                .client
                .send(&Call::get(operation, path))
                .await?
                .read()?;
            rows.append(&mut page.records);
        }
        Ok(rows)
    }

    fn details_query(&self, shape: &Shape, order: OrderId) -> String {
        let (names, mut columns) = (&self.names, vec!["Id".to_owned(), "OrderNumber".to_owned()]);
        columns.push(names.order.activation_status.clone());
        for field in [&names.order.idem_key, &names.order.last_attempt_at] {
            if shape.has(ORDER, field) {
                columns.push(field.clone());
            }
        }
        if shape.has(ORDER, CURRENCY) {
            columns.push(CURRENCY.to_owned());
        }
        for field in ["Id", "Name", &names.account.whmcs_client] {
            columns.push(format!("Account.{field}"));
        }
        if self.bill_to {
            let contact = ["FirstName", "LastName", "Email", "Phone"];
            columns.extend(contact.map(|field| format!("BillToContact.{field}")));
            columns.extend(
                [
                    "BillToContactId",
                    "BillingStreet",
                    "BillingCity",
                    "BillingState",
                    "BillingPostalCode",
                    country(shape),
                ]
                .map(str::to_owned),
            );
        }
        let mut lines = vec!["Id", "Quantity", "UnitPrice", "Product2Id", "Product2.Name"];
        let item_cycle = &names.order_item.billing_cycle;
        if shape.has(ITEM, item_cycle) {
            lines.push(item_cycle);
        }
        let product = format!("Product2.{}", names.product.whmcs_product);
        lines.push(&product);
        let product_cycle = format!("Product2.{}", names.product.billing_cycle);
        if shape.has(PRODUCT, &names.product.billing_cycle) {
            lines.push(&product_cycle);
        }
        format!(
            "SELECT {}, (SELECT {} FROM OrderItems ORDER BY Id) FROM Order WHERE Id = '{order}'",
            columns.join(", "),
            lines.join(", ")
        )
    }

    async fn read_details(
        &self,
        shape: &Shape,
        order: OrderId,
    ) -> Result<Option<OrderDetails>, Failure> {
        let page = self
            .query("order_details", self.details_query(shape, order))
            .await?;
        let Some(row) = page.records.into_iter().next() else {
            return Ok(None);
        };
        let names = &self.names;
        let Some(account) = row.row("Account")? else {
            return Err(Failure::Denied {
                detail: format!(
                    "the account of order {order} is not visible: give the user of SF_USERNAME read access to accounts"
                ),
                source: "the answer has no Account".into(),
            });
        };
        let account = Account {
            id: account
                .id("Id")?
                .ok_or_else(|| Failure::unexpected("an account without an id"))?,
            name: account.text("Name")?.unwrap_or_default(),
            whmcs_client: account.text(&names.account.whmcs_client)?,
        };
        let lines = match row.page("OrderItems")? {
            Some(page) => self.all_rows("order_items", page).await?,
            None => Vec::new(),
        };
        let mut items = lines
            .iter()
            .map(|line| self.item(line))
            .collect::<Result<Vec<_>, _>>()?;
        items.sort_by_key(|item| item.id);
        let org = self.client.org().await?;
        Ok(Some(OrderDetails {
            org: OrgId::parse(&org).map_err(|error| Failure::unexpected(Box::new(error)))?,
            id: row.id("Id")?.unwrap_or(order),
            number: row.text("OrderNumber")?,
            activation: self.activation(row.text(&names.order.activation_status)?),
            idem_key: row.text(&names.order.idem_key)?.and_then(IdemKey::new),
            requested_at: row.time(&names.order.last_attempt_at)?,
            currency: row.text(CURRENCY)?,
            bill_to: self.contact(shape, &row, &account)?,
            account,
            items,
        }))
    }

    fn item(&self, line: &Row) -> Result<Item, Failure> {
        let names = &self.names;
        let product = line.row("Product2")?;
        let of_product = |field: &str| match &product {
            Some(product) => product.text(field),
            None => Ok(None),
        };
        Ok(Item {
            id: line
                .id("Id")?
                .ok_or_else(|| Failure::unexpected("an order line without an id"))?,
            product: Product {
                id: line.id("Product2Id")?,
                name: of_product("Name")?.unwrap_or_default(),
                whmcs_product: of_product(&names.product.whmcs_product)?,
                cycle: of_product(&names.product.billing_cycle)?,
            },
            cycle: line.text(&names.order_item.billing_cycle)?,
            quantity: line
                .decimal("Quantity")?
                .ok_or_else(|| Failure::unexpected("an order line without a quantity"))?,
            unit_price: line.decimal("UnitPrice")?,
        })
    }

    fn contact(
        &self,
        shape: &Shape,
        row: &Row,
        account: &Account,
    ) -> Result<Option<Contact>, Failure> {
        let contact_row = match row.row("BillToContact")? {
            Some(contact_row) if self.bill_to => contact_row,
            _ => return Ok(None),
        };
        let of = |row: &Row, field: &str| Ok(row.text(field)?.unwrap_or_default());
        Ok(Some(Contact {
            first_name: of(&contact_row, "FirstName")?,
            last_name: of(&contact_row, "LastName")?,
            email: of(&contact_row, "Email")?,
            phone: of(&contact_row, "Phone")?,
            company: account.name.clone(),
            street: of(row, "BillingStreet")?,
            city: of(row, "BillingCity")?,
            state: of(row, "BillingState")?,
            postcode: of(row, "BillingPostalCode")?,
            country: of(row, country(shape))?,
        }))
    }

    pub(crate) fn activation(&self, text: Option<String>) -> ActivationStatus {
        let status = &self.names.status;
        match text {
            None => ActivationStatus::NotRequested,
            Some(text) if text == status.activating => ActivationStatus::Activating,
            Some(text) if text == status.activated => ActivationStatus::Activated,
            Some(text) if text == status.activation_failed => ActivationStatus::Failed,
            Some(text) => ActivationStatus::Other(text),
        }
    }

    pub(crate) async fn read_standing(
        &self,
        shape: &Shape,
        order: OrderId,
    ) -> Result<Option<OrderGuard>, Failure> {
        let names = &self.names.order;
        let mut fields = vec!["LastModifiedDate", &names.activation_status];
        if shape.has(ORDER, &names.idem_key) {
            fields.push(&names.idem_key);
        }
        if self.names.two_step_status {
            fields.push(&names.status);
        }
        let call = Call::get("order_standing", format!("sobjects/Order/{order}"))
            .with("fields", fields.join(","));
        let answer = match self.client.send(&call).await {
            Err(Failure::Api(failure)) if failure.is_gone() => return Ok(None),
            other => other?,
        };
        let row: Row = answer.read()?;
        let modified = row.time("LastModifiedDate")?;
        let activation = self.activation(row.text(&names.activation_status)?);
        let status_pending = self.names.two_step_status
            && activation == ActivationStatus::Activated
            && self.may_still_become_provisioned(row.text(&names.status)?);
        Ok(Some(OrderGuard {
            activation,
            status_pending,
            idem_key: row.text(&names.idem_key)?.and_then(IdemKey::new),
            version: answer
                .last_modified
                .or_else(|| modified.map(wire::http_time)),
            read_at: answer.date,
        }))
    }
}

fn country(shape: &Shape) -> &'static str {
    if shape.has(ORDER, COUNTRY_CODE) {
        COUNTRY_CODE
    } else {
        "BillingCountry"
    }
}

#[async_trait]
impl CrmOrders for RestOrders {
    async fn details(&self, order: OrderId) -> Result<Option<OrderDetails>, CallError> {
        let shape = self.shape().await?;
        Ok(with_available_fields!(
            shape,
            self.read_details(shape, order)
        )?)
    }

    async fn order_guard(&self, order: OrderId) -> Result<Option<OrderGuard>, CallError> {
        let shape = self.shape().await?;
        Ok(with_available_fields!(
            shape,
            self.read_standing(shape, order)
        )?)
    }

    async fn link_client(&self, account: AccountId, client: ClientId) -> Result<(), CallError> {
        let field = &self.names.account.whmcs_client;
        let mut body = serde_json::Map::new();
        body.insert(field.clone(), json!(client.to_string()));
        let call = Call::patch(
            "account_link",
            format!("sobjects/{ACCOUNT}/{account}"),
            body.into(),
        );
        match self.client.send(&call).await {
            Ok(_) => Ok(()),
            Err(Failure::Api(failure)) if failure.is_gone() => Err(CallError::Refused(refusal(
                Code::SalesforceRejected,
                &failure,
            ))),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn report_items(&self, items: &[ItemReport]) -> Result<(), CallError> {
        self.write_items(items).await
    }

    async fn report(&self, order: OrderId, report: &Report) -> Result<ReportAnswer, CallError> {
        self.write_report(order, report).await
    }
}

#[async_trait]
impl PendingActivations for RestOrders {
    async fn pending(
        &self,
        older_than: Duration,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Vec<Pending>, CallError> {
        if self.client.allowance.scarce().is_some() {
            return Err(CallError::NotSent {
                retry_after: None,
                source: "less than a tenth of the daily API calls is left".into(),
            });
        }
        let shape = self.shape().await?;
        Ok(with_available_fields!(
            shape,
            self.read_pending(shape, older_than, after, limit)
        )?)
    }
}

#[async_trait]
impl CustomerOrders for RestOrders {
    async fn place(&self, request: &PlaceRequest) -> Result<Placed, CallError> {
        self.place_order(request).await
    }

    async fn customer_orders(&self, orders: &[OrderId]) -> Result<Vec<CustomerOrder>, CallError> {
        Ok(self.read_customer_orders(orders).await?)
    }
}

impl ApiAllowance for RestOrders {
    fn reported(&self) -> Option<ReportedAllowance> {
        self.client.allowance.reported()
    }
}

#[async_trait]
impl RetryRequests for RestOrders {
    async fn request_retry(&self, order: OrderId) -> Result<RetryAnswer, CallError> {
        self.ask_for_retry(order).await
    }
}
