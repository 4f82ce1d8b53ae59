//! Complete lists, or an error: a cut list must never look like "not there".

use domain::key::ClientId;
use domain::order::{LineSighting, OrderSighting};
use domain::ports::CallError;
use serde_json::{Map, Value};

use crate::answer::{Kind, unknown};
use crate::form::Form;
use crate::{Whmcs, wire};

/// Rows asked for at a time.
const PAGE: u64 = 100;
/// So often a list that changes while it is read is read again.
const READS: u32 = 3;

impl Whmcs {
    /// A complete list, page by page; read again when it changes on the way.
    pub(crate) async fn all(
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
    pub(crate) async fn fill_in(
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
}

/// An order that cannot be read must not look like one that is not there.
pub(crate) fn sightings(rows: &[Map<String, Value>]) -> Result<Vec<OrderSighting>, CallError> {
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
