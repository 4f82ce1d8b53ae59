//! Cached statuses: one Salesforce read per order and half minute, however many clients poll,
//! and one call for all orders that are due at the same time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::id::OrderId;
use domain::order::CustomerOrder;
use domain::ports::{CallError, Clock, CustomerOrders};
use error_chain::chain;
use moka::Entry;
use moka::future::Cache;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use operations::{OrderQuery, OrderRow, OrderViews};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::status::{CrmSnapshot, View, view};

const CRM_TTL: Duration = Duration::from_secs(30);
/// After a failed call Salesforce is not called for this long.
const CRM_BACKOFF: Duration = Duration::from_secs(5);
const STORE_TTL: Duration = Duration::from_secs(1);
const MAX_ORDERS: u64 = 10_000;
/// Orders in one call to Salesforce.
const BATCH: usize = 200;

/// Neither Salesforce nor the store can provide the status at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unavailable;

struct Lookup {
    order: OrderId,
    reply: oneshot::Sender<Result<Option<CustomerOrder>, Unavailable>>,
}

/// Cached data of one order, with monotonic times of the reads.
#[derive(Clone, Default)]
struct CachedStatus {
    snapshot: Option<CrmSnapshot>,
    crm_read_at: Option<Duration>,
    crm_failed: bool,
    row: Option<OrderRow>,
    store_read_at: Option<Duration>,
    store_failed: bool,
}

/// Statuses of orders. Freshness follows the injected clock; the cache bounds the number of
/// orders and serializes refreshes of the same order.
pub(super) struct StatusCache {
    views: Arc<dyn OrderViews>,
    clock: Arc<dyn Clock>,
    cache: Cache<OrderId, CachedStatus>,
    lookups: mpsc::Sender<Lookup>,
    _stop: DropGuard,
}

impl StatusCache {
    /// Starts the task that calls Salesforce; it ends when the cache is dropped.
    pub(super) fn new(
        crm: Arc<dyn CustomerOrders>,
        views: Arc<dyn OrderViews>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let (lookups, receiver) = mpsc::channel(1024);
        let stop = CancellationToken::new();
        let batches = run_batches(crm, Arc::clone(&clock), receiver);
        tokio::spawn(stop.clone().run_until_cancelled_owned(batches));
        Arc::new(Self {
            views,
            clock,
            cache: Cache::builder()
                .max_capacity(MAX_ORDERS)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            lookups,
            _stop: stop.drop_guard(),
        })
    }

    /// The status of an order; `None` when the order does not exist.
    pub(super) async fn get(self: &Arc<Self>, order: OrderId) -> Result<Option<View>, Unavailable> {
        let cached = self.cache.get(&order).await;
        let status = match cached.filter(|cached| self.is_fresh(cached)) {
            Some(cached) => cached,
            None => {
                let this = Arc::clone(self);
                // A task of its own: a client that disconnects must not discard the response.
                let refresh = tokio::spawn(async move { this.refresh(order).await });
                refresh.await.map_err(|_| Unavailable)?
            }
        };
        if !status.crm_failed && status.snapshot.is_none() {
            return Ok(None);
        }
        if status.crm_failed && status.store_failed {
            return Err(Unavailable);
        }
        let now = self.clock.now();
        match view(order, status.snapshot.as_ref(), status.row.as_ref(), now) {
            Some(view) => Ok(Some(view)),
            None => Err(Unavailable),
        }
    }

    /// Caches an order that was just created.
    pub(super) async fn insert(&self, order: CustomerOrder) {
        let id = order.id;
        let (read_at, now) = (self.clock.now(), self.clock.monotonic());
        let entry = self.cache.entry(id);
        entry
            .and_compute_with(|cached| {
                let status = CachedStatus {
                    snapshot: Some(CrmSnapshot { order, read_at }),
                    crm_read_at: Some(now),
                    crm_failed: false,
                    ..cached.map(Entry::into_value).unwrap_or_default()
                };
                std::future::ready(Op::Put(status))
            })
            .await;
    }

    async fn refresh(&self, order: OrderId) -> CachedStatus {
        let entry = self.cache.entry(order);
        let computed = entry
            .and_compute_with(async |cached| {
                let mut status = cached.map(Entry::into_value).unwrap_or_default();
                self.refresh_crm(order, &mut status).await;
                if status.crm_failed || status.snapshot.is_some() {
                    self.refresh_store(order, &mut status).await;
                }
                Op::Put(status)
            })
            .await;
        computed
            .into_entry()
            .map(Entry::into_value)
            .unwrap_or_default()
    }

    async fn refresh_crm(&self, order: OrderId, status: &mut CachedStatus) {
        if !self.is_due(status.crm_read_at, CRM_TTL) {
            return;
        }
        let read_at = self.clock.now();
        let found = self.look_up(order).await;
        status.crm_failed = found.is_err();
        if let Ok(found) = found {
            status.snapshot = found.map(|order| CrmSnapshot { order, read_at });
            status.crm_read_at = Some(self.clock.monotonic());
        }
    }

    async fn refresh_store(&self, order: OrderId, status: &mut CachedStatus) {
        if !self.is_due(status.store_read_at, STORE_TTL) {
            return;
        }
        let query = OrderQuery {
            text: Some(order.to_string()),
            limit: 1,
            ..OrderQuery::default()
        };
        let rows = self.views.orders(&query).await;
        status.store_failed = rows.is_err();
        match rows {
            Ok(rows) => status.row = rows.into_iter().find(|row| row.order == order),
            Err(error) => tracing::warn!(%order, error = %chain(&error), "store query failed"),
        }
        status.store_read_at = Some(self.clock.monotonic());
    }

    async fn look_up(&self, order: OrderId) -> Result<Option<CustomerOrder>, Unavailable> {
        let (reply, response) = oneshot::channel();
        let lookup = Lookup { order, reply };
        self.lookups.send(lookup).await.map_err(|_| Unavailable)?;
        response.await.unwrap_or(Err(Unavailable))
    }

    fn is_fresh(&self, status: &CachedStatus) -> bool {
        !self.is_due(status.crm_read_at, CRM_TTL)
            && (status.snapshot.is_none() || !self.is_due(status.store_read_at, STORE_TTL))
    }

    fn is_due(&self, read_at: Option<Duration>, ttl: Duration) -> bool {
        read_at.is_none_or(|at| self.clock.monotonic().saturating_sub(at) >= ttl)
    }
}

/// Reads in one call all orders that arrived during the previous one: never more than one call
/// at a time.
async fn run_batches(
    crm: Arc<dyn CustomerOrders>,
    clock: Arc<dyn Clock>,
    mut lookups: mpsc::Receiver<Lookup>,
) {
    let mut batch = Vec::new();
    let mut failed_at: Option<Duration> = None;
    while lookups.recv_many(&mut batch, BATCH).await > 0 {
        let orders: Vec<_> = batch.iter().map(|lookup| lookup.order).collect();
        let backs_off =
            failed_at.is_some_and(|at| clock.monotonic().saturating_sub(at) < CRM_BACKOFF);
        let read = if backs_off {
            None
        } else {
            let read = crm.customer_orders(&orders).await;
            let outcome = read.as_ref().map_or_else(CallError::class, |_| "ok");
            metrics::counter!("orderbridge_portal_status_reads_total", "outcome" => outcome)
                .increment(1);
            if let Err(error) = &read {
                tracing::warn!(error = %chain(&error), "Salesforce status read failed");
            }
            failed_at = read.is_err().then(|| clock.monotonic());
            read.ok()
        };
        let found: Option<HashMap<_, _>> =
            read.map(|orders| orders.into_iter().map(|order| (order.id, order)).collect());
        for lookup in batch.drain(..) {
            let reply = match &found {
                Some(found) => Ok(found.get(&lookup.order).cloned()),
                None => Err(Unavailable),
            };
            // The receiver may be gone.
            let _ = lookup.reply.send(reply);
        }
    }
}
