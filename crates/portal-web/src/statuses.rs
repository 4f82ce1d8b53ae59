//! Statuses for many who ask often: one Salesforce read per order and half minute, whoever
//! asks, and all orders that are due together in one call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::id::OrderId;
use domain::order::CustomerOrder;
use domain::ports::{CallError, Clock, CustomerOrders, OrderQuery, OrderRow, OrderViews};
use domain::time::Timestamp;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::status::{Seen, View, view};

/// What Salesforce said holds so long.
const CRM_HOLDS: Duration = Duration::from_secs(30);
/// After Salesforce did not answer, nobody asks it for so long.
const CRM_REST: Duration = Duration::from_secs(5);
/// What the store said holds so long.
const STORE_HOLDS: Duration = Duration::from_secs(1);
/// Orders that are remembered.
const CAPACITY: usize = 10_000;
/// Orders in one call to Salesforce.
const BATCH: usize = 200;

/// Nobody can say how the order stands: Salesforce is away, and the store does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unavailable;

struct Ask {
    order: OrderId,
    answer: oneshot::Sender<Result<Option<CustomerOrder>, Unavailable>>,
}

/// What is known of one order. Times are the monotonic clock's.
#[derive(Default)]
struct Slot {
    seen: Option<Seen>,
    /// When Salesforce answered last.
    crm_at: Option<Duration>,
    row: Option<OrderRow>,
    store_at: Option<Duration>,
    store_failed: bool,
}

type Slots = HashMap<OrderId, (Arc<AsyncMutex<Slot>>, Duration)>;

/// Statuses of orders.
pub(crate) struct Statuses {
    reader: Arc<dyn OrderViews>,
    clock: Arc<dyn Clock>,
    slots: Mutex<Slots>,
    asks: mpsc::Sender<Ask>,
    _over: DropGuard,
}

impl Statuses {
    /// Starts the task that asks Salesforce; it ends when the last handle is dropped.
    pub(crate) fn new(
        crm: Arc<dyn CustomerOrders>,
        reader: Arc<dyn OrderViews>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let (asks, asked) = mpsc::channel(1024);
        let over = CancellationToken::new();
        let work = ask_in_batches(crm, Arc::clone(&clock), asked);
        tokio::spawn(over.clone().run_until_cancelled_owned(work));
        Arc::new(Self {
            reader,
            clock,
            slots: Mutex::default(),
            asks,
            _over: over.drop_guard(),
        })
    }

    /// How the order stands; `None` when there is no such order.
    pub(crate) async fn look(
        self: &Arc<Self>,
        order: OrderId,
    ) -> Result<Option<View>, Unavailable> {
        let slot = self.slot(order);
        let this = Arc::clone(self);
        // A task of its own: whoever hangs up while Salesforce is asked must not waste the
        // answer, or the next one would have to ask again.
        let looked = tokio::spawn(async move { this.refreshed(order, &slot).await });
        looked.await.unwrap_or(Err(Unavailable))
    }

    /// What was just read or made need not be read again.
    pub(crate) async fn remember(&self, order: CustomerOrder) {
        let slot = self.slot(order.id);
        let mut slot = slot.lock().await;
        slot.crm_at = Some(self.clock.monotonic());
        slot.seen = Some(Seen {
            order,
            at: self.clock.now(),
        });
    }

    async fn refreshed(
        &self,
        order: OrderId,
        slot: &AsyncMutex<Slot>,
    ) -> Result<Option<View>, Unavailable> {
        let mut slot = slot.lock().await;
        let mut away = false;
        if self.is_due(slot.crm_at, CRM_HOLDS) {
            let asked_at: Timestamp = self.clock.now();
            match self.ask(order).await {
                Ok(found) => {
                    slot.seen = found.map(|order| Seen {
                        order,
                        at: asked_at,
                    });
                    slot.crm_at = Some(self.clock.monotonic());
                }
                Err(Unavailable) => away = true,
            }
        }
        if !away && slot.seen.is_none() {
            return Ok(None);
        }
        if self.is_due(slot.store_at, STORE_HOLDS) {
            self.read_store(order, &mut slot).await;
        }
        let told = view(
            order,
            slot.seen.as_ref(),
            slot.row.as_ref(),
            self.clock.now(),
        );
        if told.is_none() || (away && slot.store_failed) {
            return Err(Unavailable);
        }
        Ok(told)
    }

    async fn read_store(&self, order: OrderId, slot: &mut Slot) {
        let query = OrderQuery {
            text: Some(order.to_string()),
            limit: 1,
            ..OrderQuery::default()
        };
        let read = self.reader.orders(&query).await;
        slot.store_failed = read.is_err();
        match read {
            Ok(rows) => slot.row = rows.into_iter().find(|row| row.order == order),
            Err(error) => {
                tracing::warn!(%order, %error, "the store did not tell an order's status");
            }
        }
        slot.store_at = Some(self.clock.monotonic());
    }

    async fn ask(&self, order: OrderId) -> Result<Option<CustomerOrder>, Unavailable> {
        let (answer, answered) = oneshot::channel();
        let ask = Ask { order, answer };
        self.asks.send(ask).await.map_err(|_| Unavailable)?;
        answered.await.unwrap_or(Err(Unavailable))
    }

    fn is_due(&self, at: Option<Duration>, holds: Duration) -> bool {
        at.is_none_or(|at| self.clock.monotonic().saturating_sub(at) >= holds)
    }

    fn slot(&self, order: OrderId) -> Arc<AsyncMutex<Slot>> {
        let now = self.clock.monotonic();
        let mut slots = self.slots();
        if slots.len() >= CAPACITY && !slots.contains_key(&order) {
            forget_some(&mut slots);
        }
        let (slot, used) = slots.entry(order).or_default();
        *used = now;
        Arc::clone(slot)
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets the quarter that nobody has asked for the longest.
fn forget_some(slots: &mut Slots) {
    let mut uses: Vec<_> = slots.values().map(|(_, used)| *used).collect();
    uses.sort_unstable();
    let line = uses.get(uses.len() / 4).copied().unwrap_or_default();
    slots.retain(|_, (_, used)| *used > line);
}

/// Asks for everything that came in while the last call was out: never more than one call at
/// a time, however many orders are due.
async fn ask_in_batches(
    crm: Arc<dyn CustomerOrders>,
    clock: Arc<dyn Clock>,
    mut asked: mpsc::Receiver<Ask>,
) {
    let mut batch = Vec::new();
    let mut resting: Option<Duration> = None;
    while asked.recv_many(&mut batch, BATCH).await > 0 {
        let orders: Vec<_> = batch.iter().map(|ask| ask.order).collect();
        let rests = resting.is_some_and(|since| clock.monotonic().saturating_sub(since) < CRM_REST);
        let read = if rests {
            None
        } else {
            let read = crm.customer_orders(&orders).await;
            let outcome = read.as_ref().map_or_else(CallError::class, |_| "ok");
            metrics::counter!("orderbridge_portal_status_reads_total", "outcome" => outcome)
                .increment(1);
            read.inspect_err(|error| {
                tracing::warn!(%error, "Salesforce did not tell the status of orders");
            })
            .ok()
        };
        if !rests {
            resting = read.is_none().then(|| clock.monotonic());
        }
        let found: Option<HashMap<_, _>> =
            read.map(|orders| orders.into_iter().map(|order| (order.id, order)).collect());
        for ask in batch.drain(..) {
            let answer = match &found {
                Some(found) => Ok(found.get(&ask.order).cloned()),
                None => Err(Unavailable),
            };
            // Nobody may be waiting any more.
            let _ = ask.answer.send(answer);
        }
    }
}
