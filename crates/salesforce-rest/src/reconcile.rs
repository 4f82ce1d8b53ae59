//! Orders for reconciliation between the systems, and previews of reports.

use domain::id::{OrderId, OrgId};
use domain::key::ClientId;
use domain::order::{ActivationStatus, Report};
use domain::ports::CallError;
use domain::time::Timestamp;
use serde_json::{Map, Value};

use crate::RestOrders;
use crate::error::Failure;
use crate::orders::with_available_fields;
use crate::shape::Shape;
use crate::wire;

/// An order as recorded in Salesforce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconcileOrder {
    /// The order.
    pub order: OrderId,
    /// `OrderNumber`.
    pub number: Option<String>,
    /// `Activation_Status__c`.
    pub activation: ActivationStatus,
    /// `WHMCS_Order_ID__c`.
    pub whmcs_order: Option<String>,
    /// The account's `WHMCS_Client_ID__c`, if it is a number.
    pub client: Option<ClientId>,
}

impl RestOrders {
    /// The org of the login.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn org(&self) -> Result<OrgId, CallError> {
        let org = self.client.org().await?;
        Ok(OrgId::parse(&org).map_err(|error| Failure::unexpected(Box::new(error)))?)
    }

    /// Orders that are `Activating`, or `Activated` or `Failed` and modified after `since`, by id,
    /// at most `limit`, starting after `after`.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn orders_to_reconcile(
        &self,
        since: Timestamp,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Vec<ReconcileOrder>, CallError> {
        let shape = self.shape().await?;
        Ok(with_available_fields!(
            shape,
            self.read_booked(since, after, limit)
        )?)
    }

    async fn read_booked(
        &self,
        since: Timestamp,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Vec<ReconcileOrder>, Failure> {
        let (order, status) = (&self.names.order, &self.names.status);
        let filter = format!(
            "({activation} = {activating} OR ({activation} IN ({activated}, {failed})
                 AND LastModifiedDate >= {since}))",
            activation = order.activation_status,
            activating = wire::quoted(&status.activating),
            activated = wire::quoted(&status.activated),
            failed = wire::quoted(&status.activation_failed),
            since = wire::query_time(since),
        );
        self.read_recorded("orders_booked", &filter, after, limit)
            .await
    }

    /// Orders that record a WHMCS order, by id, at most `limit`, starting after `after`.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn orders_with_whmcs_order(
        &self,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Vec<ReconcileOrder>, CallError> {
        let shape = self.shape().await?;
        let filter = format!("{} != null", self.names.order.whmcs_order);
        Ok(with_available_fields!(
            shape,
            self.read_recorded("orders_placed", &filter, after, limit)
        )?)
    }

    async fn read_recorded(
        &self,
        call: &'static str,
        filter: &str,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Vec<ReconcileOrder>, Failure> {
        let order = &self.names.order;
        let client = &self.names.account.whmcs_client;
        let next = after.map_or_else(String::new, |id| format!(" AND Id > '{id}'"));
        let soql = format!(
            "SELECT Id, OrderNumber, {activation}, {whmcs}, Account.{client} FROM Order
             WHERE {filter}{next} ORDER BY Id LIMIT {limit}",
            activation = order.activation_status,
            whmcs = order.whmcs_order,
        );
        let page = self.query(call, soql).await?;
        let rows = self.all_rows(call, page).await?;
        rows.iter()
            .map(|row| {
                let account = row.row("Account")?;
                let client = match &account {
                    Some(account) => account.text(client)?,
                    None => None,
                };
                Ok(ReconcileOrder {
                    order: row
                        .id("Id")?
                        .ok_or_else(|| Failure::unexpected("an order without an id"))?,
                    number: row.text("OrderNumber")?,
                    activation: self.activation(row.text(&order.activation_status)?),
                    whmcs_order: row.text(&order.whmcs_order)?,
                    client: client.and_then(|text| text.trim().parse().ok().map(ClientId)),
                })
            })
            .collect()
    }

    /// The fields that this report would write to the order.
    ///
    /// # Errors
    /// [`CallError`]: the org's fields could not be read.
    pub async fn preview(&self, report: &Report) -> Result<Map<String, Value>, CallError> {
        let shape: &Shape = self.shape().await?;
        Ok(self.report_body(shape, report))
    }

    /// The name of the account's field for its WHMCS client.
    #[must_use]
    pub fn client_field(&self) -> &str {
        &self.names.account.whmcs_client
    }

    /// The name of the field for a line's service ids.
    #[must_use]
    pub fn service_field(&self) -> &str {
        &self.names.order_item.whmcs_service
    }
}
