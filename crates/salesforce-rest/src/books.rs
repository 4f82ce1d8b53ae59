//! Orders that the bridge has to do with, for comparing the books of the systems; and what a
//! report would write.

use domain::id::{OrderId, OrgId};
use domain::key::ClientId;
use domain::order::{ActivationStatus, Report};
use domain::ports::CallError;
use domain::time::Timestamp;
use serde_json::{Map, Value};

use crate::RestOrders;
use crate::error::Failure;
use crate::orders::adapting;
use crate::shape::Shape;
use crate::wire;

/// An order as Salesforce's books have it.
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
    /// The account's `WHMCS_Client_ID__c`, where it is a number.
    pub client: Option<ClientId>,
}

impl RestOrders {
    /// The org that the login belongs to.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn org(&self) -> Result<OrgId, CallError> {
        let org = self.client.org().await?;
        Ok(OrgId::parse(&org).map_err(|error| Failure::garbled(Box::new(error)))?)
    }

    /// Orders that are `Activating`, and those that were `Activated` or `Failed` and have been
    /// modified since then, by id, at most `limit`, after `after`.
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
        Ok(adapting!(shape, self.read_booked(since, after, limit))?)
    }

    async fn read_booked(
        &self,
        since: Timestamp,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Vec<ReconcileOrder>, Failure> {
        let (order, status) = (&self.names.order, &self.names.status);
        let client = &self.names.account.whmcs_client;
        let next = after.map_or_else(String::new, |id| format!(" AND Id > '{id}'"));
        let soql = format!(
            "SELECT Id, OrderNumber, {activation}, {whmcs}, Account.{client} FROM Order
             WHERE ({activation} = {activating} OR ({activation} IN ({activated}, {failed})
                 AND LastModifiedDate >= {since})){next} ORDER BY Id LIMIT {limit}",
            activation = order.activation_status,
            whmcs = order.whmcs_order,
            activating = wire::quoted(&status.activating),
            activated = wire::quoted(&status.activated),
            failed = wire::quoted(&status.activation_failed),
            since = wire::query_time(since),
        );
        let page = self.query("orders_booked", soql).await?;
        let rows = self.all_rows("orders_booked", page).await?;
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
                        .ok_or_else(|| Failure::garbled("an order without an id"))?,
                    number: row.text("OrderNumber")?,
                    activation: self.activation(row.text(&order.activation_status)?),
                    whmcs_order: row.text(&order.whmcs_order)?,
                    client: client.and_then(|text| text.trim().parse().ok().map(ClientId)),
                })
            })
            .collect()
    }

    /// The fields that this report would write to the order, without writing them.
    ///
    /// # Errors
    /// [`CallError`]: the org could not be looked over.
    pub async fn preview(&self, report: &Report) -> Result<Map<String, Value>, CallError> {
        let shape: &Shape = self.shape().await?;
        Ok(self.report_body(shape, report))
    }

    /// The name of the field that takes a line's service ids.
    #[must_use]
    pub fn service_field(&self) -> &str {
        &self.names.order_item.whmcs_service
    }
}
