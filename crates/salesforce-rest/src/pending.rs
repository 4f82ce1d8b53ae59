//! Orders that should have produced an event.

use std::time::Duration;

use domain::id::OrderId;
use domain::key::{CorrelationId, IdemKey};
use domain::ports::Pending;

use crate::RestOrders;
use crate::error::Failure;
use crate::shape::{ORDER, Shape};
use crate::wire;

impl RestOrders {
    pub(crate) async fn read_pending(
        &self,
        shape: &Shape,
        older_than: Duration,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Vec<Pending>, Failure> {
        let names = &self.names.order;
        let attempt = &names.last_attempt_at;
        // The org was described by now, so Salesforce's time is known.
        let before = wire::query_time(self.client.time.before(older_than));
        let has_attempt = shape.has(ORDER, attempt);
        let mut columns = vec!["Id", "LastModifiedDate"];
        for field in [&names.idem_key, &names.correlation_id, attempt] {
            if shape.has(ORDER, field) {
                columns.push(field);
            }
        }
        let old = if has_attempt {
            format!("({attempt} < {before} OR ({attempt} = null AND LastModifiedDate < {before}))")
        } else {
            format!("LastModifiedDate < {before}")
        };
        let next = after.map_or_else(String::new, |id| format!(" AND Id > '{id}'"));
        let soql = format!(
            "SELECT {} FROM Order WHERE {} = {} AND {old}{next} ORDER BY Id LIMIT {limit}",
            columns.join(", "),
            names.activation_status,
            wire::quoted(&self.names.status.activating),
        );
        let page = self.query("orders_pending", soql).await?;
        let rows = self.all_rows("orders_pending", page).await?;
        rows.iter()
            .map(|row| {
                let since = match row.time(attempt)? {
                    Some(at) => Some(at),
                    None => row.time("LastModifiedDate")?,
                };
                Ok(Pending {
                    order: row
                        .id("Id")?
                        .ok_or_else(|| Failure::unexpected("an order without an id"))?,
                    idem_key: row.text(&names.idem_key)?.and_then(IdemKey::new),
                    correlation: row
                        .text(&names.correlation_id)?
                        .and_then(CorrelationId::new),
                    since: since
                        .ok_or_else(|| Failure::unexpected("an order without LastModifiedDate"))?,
                })
            })
            .collect()
    }
}
