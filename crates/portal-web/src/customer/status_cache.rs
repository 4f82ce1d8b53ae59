//! Cached statuses: one Salesforce read per order and half minute, however many clients poll,
//! and one call for all orders that are due at the same time. Ids that Salesforce does not know
//! are cached apart, so that they displace no order.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use domain::id::{AccountId, OrderId};
use domain::order::CustomerOrder;
use domain::ports::{ApiAllowance, CallError, Clock, CustomerOrders};
use error_chain::chain;
use moka::Entry;
use moka::future::Cache;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use operations::{OrderQuery, OrderRow, OrderViews};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::crm_budget::CrmBudget;
use super::rate_limit::AccountLimit;
use super::status::{CrmSnapshot, View, view};
use crate::config::Rate;

const CRM_TTL: Duration = Duration::from_secs(30);
/// An id that Salesforce does not know is not looked up again for this long.
const UNKNOWN_TTL: Duration = Duration::from_secs(60);
/// After a failed call Salesforce is not called for this long.
const CRM_BACKOFF: Duration = Duration::from_secs(5);
const STORE_TTL: Duration = Duration::from_secs(1);
const MAX_ORDERS: u64 = 10_000;
/// Ids that are known not to exist, or not to belong to an account.
const MAX_UNKNOWN: u64 = 50_000;
/// Reads of one account that reach Salesforce.
const CRM_READS: Rate = Rate::per_minute(NonZeroU32::new(60).expect("not zero"));
/// Orders in one call to Salesforce.
const BATCH: usize = 200;

/// Why there is no status at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unavailable {
    /// Neither Salesforce nor the store can provide it.
    Down,
    /// The account's reads have reached Salesforce too often; how long to wait.
    Limited(Duration),
}

struct Lookup {
    order: OrderId,
    reply: oneshot::Sender<Result<Option<CustomerOrder>, NotRead>>,
}

/// Salesforce was not read, or did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NotRead;

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
    /// When Salesforce last said that it does not know an id.
    unknown: Cache<OrderId, Duration>,
    /// When an account was last answered that there is no such order.
    not_found: Cache<(AccountId, OrderId), Duration>,
    account_limit: AccountLimit,
    lookups: mpsc::Sender<Lookup>,
    _stop: DropGuard,
}

impl StatusCache {
    /// Starts the task that calls Salesforce; it ends when the cache is dropped.
    pub(super) fn new(
        crm: Arc<dyn CustomerOrders>,
        allowance: Arc<dyn ApiAllowance>,
        views: Arc<dyn OrderViews>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let (lookups, receiver) = mpsc::channel(1024);
        let stop = CancellationToken::new();
        let budget = CrmBudget::new(allowance, Arc::clone(&clock));
        let batches = run_batches(crm, budget, Arc::clone(&clock), receiver);
        tokio::spawn(stop.clone().run_until_cancelled_owned(batches));
        Arc::new(Self {
            views,
            account_limit: AccountLimit::new(CRM_READS, Arc::clone(&clock)),
            clock,
            unknown: Cache::new(MAX_UNKNOWN),
            not_found: Cache::new(MAX_UNKNOWN),
            cache: Cache::builder()
                .max_capacity(MAX_ORDERS)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            lookups,
            _stop: stop.drop_guard(),
        })
    }

    /// The status of an order; `None` when the order does not exist or `owns` rejects its
    /// account. The two cost the account the same: the limit of its reads that reach Salesforce
    /// must not tell them apart.
    pub(super) async fn get(
        self: &Arc<Self>,
        order: OrderId,
        account: Option<AccountId>,
        owns: impl FnOnce(AccountId) -> bool,
    ) -> Result<Option<View>, Unavailable> {
        let asked = account.map(|account| (account, order));
        if let Some(asked) = &asked
            && self.is_recent(self.not_found.get(asked).await)
        {
            return Ok(None);
        }
        let (status, charged) = self.status(order, account).await?;
        let view = match status {
            Some(status) => self.view(order, &status)?,
            None => None,
        };
        let view = view.filter(|view| owns(view.account));
        if view.is_none() {
            if !charged {
                let limited = self.account_limit.check(account);
                limited.map_err(Unavailable::Limited)?;
            }
            if let Some(asked) = asked {
                self.not_found.insert(asked, self.clock.monotonic()).await;
            }
        }
        Ok(view)
    }

    /// The status, refreshed when it is due, and whether the account was charged for a read;
    /// `None` when Salesforce does not know the order.
    async fn status(
        self: &Arc<Self>,
        order: OrderId,
        account: Option<AccountId>,
    ) -> Result<(Option<CachedStatus>, bool), Unavailable> {
        if self.is_recent(self.unknown.get(&order).await) {
            return Ok((None, false));
        }
        let cached = self.cache.get(&order).await;
        if let Some(cached) = cached.filter(|cached| self.is_fresh(cached)) {
            return Ok((Some(cached), false));
        }
        let this = Arc::clone(self);
        // A task of its own: a client that disconnects must not discard the response.
        let refresh = tokio::spawn(async move { this.refresh(order, account).await });
        refresh.await.unwrap_or(Err(Unavailable::Down))
    }

    fn view(&self, order: OrderId, status: &CachedStatus) -> Result<Option<View>, Unavailable> {
        if status.crm_failed && status.store_failed {
            return Err(Unavailable::Down);
        }
        let now = self.clock.now();
        let view = view(order, status.snapshot.as_ref(), status.row.as_ref(), now);
        view.map(Some).ok_or(Unavailable::Down)
    }

    /// Caches an order that was just created.
    pub(super) async fn insert(&self, order: CustomerOrder) {
        let id = order.id;
        let (read_at, now) = (self.clock.now(), self.clock.monotonic());
        self.unknown.invalidate(&id).await;
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

    async fn refresh(
        &self,
        order: OrderId,
        account: Option<AccountId>,
    ) -> Result<(Option<CachedStatus>, bool), Unavailable> {
        let mut refreshed = Err(Unavailable::Down);
        let entry = self.cache.entry(order);
        entry
            .and_compute_with(async |cached| {
                let mut status = cached.map(Entry::into_value).unwrap_or_default();
                let charged = self.refresh_crm(order, account, &mut status).await;
                if !status.crm_failed && status.snapshot.is_none() {
                    refreshed = Ok((None, charged.is_ok()));
                    return Op::Remove;
                }
                self.refresh_store(order, &mut status).await;
                refreshed = match charged {
                    // Neither source knows it, and Salesforce could not be asked.
                    Err(wait) if status.snapshot.is_none() && status.row.is_none() => {
                        Err(Unavailable::Limited(wait))
                    }
                    charged => Ok((Some(status.clone()), charged == Ok(true))),
                };
                // What nobody knows must not displace an order.
                match status.snapshot.is_some() || status.row.is_some() {
                    true => Op::Put(status),
                    false => Op::Nop,
                }
            })
            .await;
        refreshed
    }

    /// Reads Salesforce when that is due; whether the account was charged for it.
    ///
    /// # Errors
    /// The account's limit is reached; how long to wait.
    async fn refresh_crm(
        &self,
        order: OrderId,
        account: Option<AccountId>,
        status: &mut CachedStatus,
    ) -> Result<bool, Duration> {
        // Another request may have read it while this one waited for the entry.
        if !self.is_due(status.crm_read_at, CRM_TTL)
            || self.is_recent(self.unknown.get(&order).await)
        {
            return Ok(false);
        }
        status.crm_failed = true;
        self.account_limit.check(account)?;
        let read_at = self.clock.now();
        let found = self.look_up(order).await;
        status.crm_failed = found.is_err();
        if let Ok(found) = found {
            let now = self.clock.monotonic();
            if found.is_none() {
                self.unknown.insert(order, now).await;
            }
            status.snapshot = found.map(|order| CrmSnapshot { order, read_at });
            status.crm_read_at = Some(now);
        }
        Ok(true)
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

    async fn look_up(&self, order: OrderId) -> Result<Option<CustomerOrder>, NotRead> {
        let (reply, response) = oneshot::channel();
        let lookup = Lookup { order, reply };
        self.lookups.send(lookup).await.map_err(|_| NotRead)?;
        response.await.unwrap_or(Err(NotRead))
    }

    fn is_fresh(&self, status: &CachedStatus) -> bool {
        !self.is_due(status.crm_read_at, CRM_TTL) && !self.is_due(status.store_read_at, STORE_TTL)
    }

    /// Whether an id was found to be unknown so recently that it still counts as that.
    fn is_recent(&self, unknown_at: Option<Duration>) -> bool {
        unknown_at.is_some() && !self.is_due(unknown_at, UNKNOWN_TTL)
    }

    fn is_due(&self, read_at: Option<Duration>, ttl: Duration) -> bool {
        read_at.is_none_or(|at| self.clock.monotonic().saturating_sub(at) >= ttl)
    }
}

/// Reads in one call all orders that arrived during the previous one: never more than one call
/// at a time.
async fn run_batches(
    crm: Arc<dyn CustomerOrders>,
    budget: CrmBudget,
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
        } else if budget.is_low() || !budget.take(NonZeroU32::MIN) {
            count_reads("withheld");
            None
        } else {
            let read = crm.customer_orders(&orders).await;
            let outcome = read.as_ref().map_or_else(CallError::class, |_| "ok");
            count_reads(outcome);
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
                None => Err(NotRead),
            };
            // The receiver may be gone.
            let _ = lookup.reply.send(reply);
        }
    }
}

fn count_reads(outcome: &'static str) {
    metrics::counter!("orderbridge_portal_status_reads_total", "outcome" => outcome).increment(1);
}
