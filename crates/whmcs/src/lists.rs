//! Complete lists or an error: a truncated list must never look like "not found".

use async_trait::async_trait;

use domain::key::{ClientId, ServiceId};
use domain::order::{OrderStatus, ServiceStatus, WhmcsOrder, WhmcsService};
use domain::ports::CallError;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Map, Value};

use crate::answer::{Kind, unknown};
use crate::form::Form;
use crate::newest::{self, Page, Pages, Read};
use crate::{Whmcs, wire};

/// Rows per page.
const PAGE: u64 = 100;
/// Number of reads of a list that changes while it is read.
const READS: u32 = 3;
/// Up to this many services are read one by one when the client has more than a page of services.
const FEW_SERVICES: usize = 20;
/// Number of services that are read at the same time.
const SIDE_BY_SIDE: usize = 4;

/// A page of rows, and the total number of rows if WHMCS reports it.
type Rows = (Vec<Map<String, Value>>, Option<u64>);

/// A client's orders.
struct OrderPages<'a> {
    whmcs: &'a Whmcs,
    filter: Form,
}

#[async_trait]
impl Pages<Map<String, Value>> for OrderPages<'_> {
    async fn page(&mut self, start: u64) -> Result<Page<Map<String, Value>>, CallError> {
        let (rows, total) = self
            .whmcs
            .page("GetOrders", &self.filter, ("orders", "order"), start)
            .await?;
        let rows = rows.into_iter().map(|row| match wire::id(row.get("id")) {
            Some(id) => Ok((id, row)),
            None => Err(unknown("GetOrders: an order without an id")),
        });
        Ok(Page {
            rows: rows.collect::<Result<_, _>>()?,
            total,
        })
    }
}

impl Whmcs {
    /// The client's orders above a watermark, possibly with others; see [`newest`].
    pub(crate) async fn orders_above(
        &self,
        client: ClientId,
        above: Option<u64>,
    ) -> Result<Vec<Map<String, Value>>, CallError> {
        let filter = Form::new().set("userid", client);
        let mut pages = OrderPages {
            whmcs: self,
            filter: filter.clone(),
        };
        for _ in 0..READS {
            match newest::read(above, &mut pages).await? {
                Read::Complete(rows) => return Ok(rows),
                Read::Changed => {}
                Read::Unsorted => return self.all("GetOrders", &filter, "orders", "order").await,
            }
        }
        Err(unknown(
            "GetOrders: the list kept shrinking while it was read",
        ))
    }

    /// A page of a list.
    async fn page(
        &self,
        action: &'static str,
        filter: &Form,
        (outer, inner): (&'static str, &'static str),
        start: u64,
    ) -> Result<Rows, CallError> {
        let form = filter
            .clone()
            .set("limitstart", start)
            .set("limitnum", PAGE);
        let answer = self.api.call(Kind::Read, action, form).await?;
        let reported = wire::count(answer.get("totalresults"));
        let rows = match wire::list(&answer, outer, inner) {
            Some(rows) => rows.into_iter().cloned().collect(),
            None if reported == Some(0) => Vec::new(),
            None => return Err(unknown(format!("{action}: the answer has no list"))),
        };
        Ok((rows, reported))
    }

    /// A complete list, page by page, read again when it changes meanwhile.
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
            let start = rows.len() as u64;
            let (page, reported) = self.page(action, filter, (outer, inner), start).await?;
            if total.is_some() && total != Some(reported) {
                return Ok(None);
            }
            total = Some(reported);
            let n_page = page.len();
            rows.extend(page);
            match reported {
                Some(all) if rows.len() as u64 >= all => return Ok(Some(rows)),
                Some(_) if n_page == 0 => return Ok(None),
                // Without a total, a short page is the last one.
                None if (n_page as u64) < PAGE => return Ok(Some(rows)),
                _ => {}
            }
        }
    }

    /// The first page of the client's services.
    pub(crate) async fn first_services(&self, client: ClientId) -> Result<Rows, CallError> {
        let by_client = Form::new().set("clientid", client);
        let list = ("products", "product");
        self.page("GetClientsProducts", &by_client, list, 0).await
    }

    /// Adds the client's services to their orders. `first` is the first page of them, read beside
    /// the orders; it is read again when it is older than they are. A damaged row can hide the whole list; then the
    /// services are read one by one, and an unreadable one keeps the data of its order.
    pub(crate) async fn add_services(
        &self,
        client: ClientId,
        orders: &mut [WhmcsOrder],
        first: Result<Rows, CallError>,
    ) -> Result<(), CallError> {
        let by_client = Form::new().set("clientid", client);
        let first = match first {
            Ok((rows, Some(total))) if rows.len() as u64 >= total && is_older(&rows, orders) => {
                self.first_services(client).await
            }
            first => first,
        };
        let read = match first {
            Ok(first) => self.services_of_one_page(first, orders).await,
            Err(error) => Err(error),
        };
        let read = match read {
            Ok(Some(rows)) => Ok(rows),
            Ok(None) => {
                self.all("GetClientsProducts", &by_client, "products", "product")
                    .await
            }
            Err(error) => Err(error),
        };
        let rows = match read {
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

    /// The client's services if they fit one page; otherwise those of a few orders, one by one.
    /// `None` when the whole list must be read.
    async fn services_of_one_page(
        &self,
        (rows, reported): Rows,
        orders: &[WhmcsOrder],
    ) -> Result<Option<Vec<Map<String, Value>>>, CallError> {
        if reported.is_some_and(|total| rows.len() as u64 >= total) {
            return Ok(Some(rows));
        }
        // A service that its order does not list can only be found in the client's list.
        let listed = orders.iter().all(|order| !order.lines.is_empty());
        let n_services: usize = orders.iter().map(|order| order.lines.len()).sum();
        if !listed || n_services > FEW_SERVICES {
            return Ok(None);
        }
        let Some(client) = orders.first().map(|order| order.client) else {
            return Ok(None);
        };
        self.services_one_by_one(client, orders).await.map(Some)
    }

    async fn services_one_by_one(
        &self,
        client: ClientId,
        orders: &[WhmcsOrder],
    ) -> Result<Vec<Map<String, Value>>, CallError> {
        let read = async |service: ServiceId| {
            let one = Form::new()
                .set("clientid", client)
                .set("serviceid", service);
            match self
                .all("GetClientsProducts", &one, "products", "product")
                .await
            {
                Err(CallError::Refused(_)) => Ok(Vec::new()),
                answer => answer,
            }
        };
        let lines = orders.iter().flat_map(|order| &order.lines);
        let services: Vec<_> = lines.map(|line| line.service).collect();
        let rows: Vec<_> = stream::iter(services)
            .map(read)
            .buffered(SIDE_BY_SIDE)
            .try_collect()
            .await?;
        Ok(rows.concat())
    }
}

/// Whether these services may have been read before the orders were: the newest order lists a line
/// that they lack or has none of them, or a service is still pending that its order shows as active.
/// Older orders existed when the services were read, so what those lack was deleted.
fn is_older(rows: &[Map<String, Value>], orders: &[WhmcsOrder]) -> bool {
    let services: Vec<_> = rows.iter().filter_map(wire::service).collect();
    let newest = services.iter().map(|(order, _)| *order).max();
    orders.iter().any(|order| {
        let seen = |id| services.iter().find(|(_, service)| service.service == id);
        let lacking = order.lines.iter().any(|line| seen(line.service).is_none())
            || services.iter().all(|(of, _)| *of != order.id);
        let pending = services.iter().any(|(of, service)| {
            let mut lines = order.lines.iter();
            *of == order.id
                && service.status == ServiceStatus::Pending
                && (order.status == OrderStatus::Active
                    || lines.any(|line| {
                        line.service == service.service && line.status == ServiceStatus::Active
                    }))
        });
        pending || (lacking && newest.is_none_or(|newest| order.id >= newest))
    })
}

/// An unreadable order is an error: it must not look like one that does not exist.
pub(crate) fn parse_orders(rows: &[Map<String, Value>]) -> Result<Vec<WhmcsOrder>, CallError> {
    rows.iter()
        .map(|row| wire::order(row).ok_or_else(|| unknown("GetOrders: an order without an id")))
        .collect()
}

fn put_line(lines: &mut Vec<WhmcsService>, line: WhmcsService) {
    match lines
        .iter_mut()
        .find(|existing| existing.service == line.service)
    {
        Some(existing) => *existing = line,
        None => lines.push(line),
    }
}
