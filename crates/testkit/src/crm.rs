//! An in-memory CRM.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::id::{AccountId, OrderId};
use domain::key::{ClientId, IdemKey};
use domain::order::{
    ActivationStatus, BusinessStatus, CustomerOrder, ItemReport, OrderDetails, OrderGuard, Outcome,
    PlaceRequest, Placed, Report, RetryAnswer,
};
use domain::ports::{
    ApiAllowance, CallError, Clock, CrmOrders, CustomerOrders, Pending, PendingActivations,
    ReportAnswer, ReportedAllowance, RetryRequests,
};
use domain::time::Timestamp;

use crate::CallResult;
use crate::order_id;

/// Version and read time of orders when versions are compared.
const MODIFIED: &str = "10:00:00";
const READ: &str = "10:00:05";

/// A write that reached the CRM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// Service ids on order lines.
    Items(Vec<ItemReport>),
    /// An outcome on an order.
    Report(OrderId, Report),
    /// A client id on an account.
    Client(AccountId, ClientId),
    /// A customer's order.
    Placed(OrderId),
    /// A retry request.
    RetryRequested(OrderId),
}

/// An in-memory CRM that can be unavailable or lose replies.
#[derive(Default)]
pub struct FakeCrm {
    state: Mutex<CrmState>,
    clock: Option<Arc<dyn Clock>>,
}

#[derive(Debug, Default)]
struct CrmState {
    orders: HashMap<OrderId, OrderDetails>,
    customers: HashMap<OrderId, CustomerOrder>,
    placed: Vec<(PlaceRequest, OrderId)>,
    reads: u64,
    written: Vec<Written>,
    calls: u64,
    away: bool,
    lost_replies: u32,
    later_stamp: bool,
    two_steps: bool,
    status_pending: HashSet<OrderId>,
    allowance: Option<ReportedAllowance>,
}

impl FakeCrm {
    /// A CRM with its own clock. Without one, every order is old enough for a sweep.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Mutex::default(),
            clock: Some(clock),
        }
    }

    /// The number of calls.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Adds or replaces an order.
    pub fn put(&self, details: OrderDetails) {
        self.state().orders.insert(details.id, details);
    }

    /// Removes an order, as when the integration user loses access to it.
    pub fn remove(&self, order: OrderId) {
        self.state().orders.remove(&order);
    }

    /// Adds or replaces an order as customers see it.
    pub fn put_customer(&self, order: CustomerOrder) {
        self.state().customers.insert(order.id, order);
    }

    /// The number of reads for customers.
    #[must_use]
    pub fn customer_reads(&self) -> u64 {
        self.state().reads
    }

    /// Sets `Activating` with a new key, as an operator's retry does.
    pub fn retry(&self, order: OrderId, idem_key: &str) {
        if let Some(details) = self.state().orders.get_mut(&order) {
            details.activation = ActivationStatus::Activating;
            details.idem_key = IdemKey::new(idem_key);
        }
    }

    /// Sets the activation status, as a manual edit does.
    pub fn set_activation(&self, order: OrderId, activation: ActivationStatus) {
        if let Some(details) = self.state().orders.get_mut(&order) {
            details.activation = activation;
        }
    }

    /// Sets whether calls fail without effect.
    pub fn set_unavailable(&self, away: bool) {
        self.state().away = away;
    }

    /// Loses the replies of the next `count` reports, which are written.
    pub fn lose_replies(&self, count: u32) {
        self.state().lost_replies = count;
    }

    /// From now on compares reports with a later version than was read, so that only a report
    /// with the time of the read is written.
    pub fn compare_with_later_stamp(&self) {
        self.state().later_stamp = true;
    }

    /// From now on takes a success in two writes.
    pub fn take_success_in_two_writes(&self) {
        self.state().two_steps = true;
    }

    /// Reports this many used and granted API calls.
    pub fn set_allowance(&self, used: u64, limit: u64) {
        self.state().allowance = Some(ReportedAllowance { used, limit });
    }

    /// Every write, in order.
    #[must_use]
    pub fn written(&self) -> Vec<Written> {
        self.state().written.clone()
    }

    /// The outcomes written to an order, in order.
    #[must_use]
    pub fn outcomes(&self, order: OrderId) -> Vec<Outcome> {
        let reports = self
            .written()
            .into_iter()
            .filter_map(|written| match written {
                Written::Report(id, report) if id == order => Some(report.outcome),
                _ => None,
            });
        reports.collect()
    }

    fn state(&self) -> MutexGuard<'_, CrmState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> CallResult<MutexGuard<'_, CrmState>> {
        let mut state = self.state();
        state.calls += 1;
        if state.away {
            return Err(CallError::NotSent {
                retry_after: None,
                source: "unavailable".into(),
            });
        }
        Ok(state)
    }
}

#[async_trait]
impl CrmOrders for FakeCrm {
    async fn details(&self, order: OrderId) -> CallResult<Option<OrderDetails>> {
        Ok(self.open()?.orders.get(&order).cloned())
    }

    async fn order_guard(&self, order: OrderId) -> CallResult<Option<OrderGuard>> {
        let state = self.open()?;
        let stamped = |stamp: &str| state.later_stamp.then(|| stamp.to_owned());
        Ok(state.orders.get(&order).map(|details| OrderGuard {
            activation: details.activation.clone(),
            idem_key: details.idem_key.clone(),
            version: stamped(MODIFIED),
            read_at: stamped(READ),
            status_pending: state.status_pending.contains(&order),
        }))
    }

    async fn link_client(&self, account: AccountId, client: ClientId) -> CallResult<()> {
        self.open()?.written.push(Written::Client(account, client));
        Ok(())
    }

    async fn report_items(&self, items: &[ItemReport]) -> CallResult<()> {
        self.open()?.written.push(Written::Items(items.to_vec()));
        Ok(())
    }

    async fn report(&self, order: OrderId, report: &Report) -> CallResult<ReportAnswer> {
        let mut state = self.open()?;
        if state.later_stamp && report.version.as_deref() != Some(READ) {
            return Ok(ReportAnswer::Conflict);
        }
        if let Some(details) = state.orders.get_mut(&order) {
            details.activation = match report.outcome {
                Outcome::Provisioned { .. } => ActivationStatus::Activated,
                Outcome::Failed { .. } => ActivationStatus::Failed,
            };
        }
        state.written.push(Written::Report(order, report.clone()));
        let succeeded = matches!(report.outcome, Outcome::Provisioned { .. });
        let first_of_two = state.two_steps && succeeded && !report.status_only;
        match first_of_two {
            true => state.status_pending.insert(order),
            false => state.status_pending.remove(&order),
        };
        if state.lost_replies > 0 {
            state.lost_replies -= 1;
            return Err(CallError::Unknown {
                source: "reply lost".into(),
            });
        }
        Ok(match first_of_two {
            true => ReportAnswer::StatusPending,
            false => ReportAnswer::Written,
        })
    }
}

#[async_trait]
impl PendingActivations for FakeCrm {
    async fn pending(
        &self,
        older_than: Duration,
        after: Option<OrderId>,
        limit: usize,
    ) -> CallResult<Vec<Pending>> {
        let before = self.clock.as_ref().map(|clock| clock.now() - older_than);
        let state = self.open()?;
        let mut pending: Vec<_> = state
            .orders
            .values()
            .filter(|details| details.activation == ActivationStatus::Activating)
            .filter(|details| {
                let since = details.requested_at.unwrap_or_default();
                before.is_none_or(|before| since < before)
            })
            .filter(|details| after.is_none_or(|after| details.id > after))
            .map(|details| Pending {
                order: details.id,
                idem_key: details.idem_key.clone(),
                correlation: None,
                since: details.requested_at.unwrap_or_default(),
            })
            .collect();
        pending.sort_by_key(|pending| pending.order);
        pending.truncate(limit);
        Ok(pending)
    }
}

#[async_trait]
impl CustomerOrders for FakeCrm {
    async fn place(&self, request: &PlaceRequest) -> CallResult<Placed> {
        let mut state = self.open()?;
        let known = state
            .placed
            .iter()
            .find(|(earlier, _)| earlier.key == request.key);
        if let Some((earlier, id)) = known {
            let same = earlier.items == request.items
                && earlier.effective_date == request.effective_date
                && earlier.pricebook == request.pricebook;
            return Ok(match state.customers.get(id) {
                Some(order) if same => Placed::Known(Box::new(order.clone())),
                _ => Placed::KeyTaken,
            });
        }
        let number = 900_000 + u32::try_from(state.placed.len()).unwrap_or(u32::MAX);
        let order = CustomerOrder {
            id: order_id(number),
            account: request.account,
            number: Some(number.to_string()),
            status: BusinessStatus::Pending,
            activation: ActivationStatus::NotRequested,
            updated_at: Timestamp::from_millis(1_767_225_600_000),
        };
        state.placed.push((request.clone(), order.id));
        state.customers.insert(order.id, order.clone());
        state.written.push(Written::Placed(order.id));
        if state.lost_replies > 0 {
            state.lost_replies -= 1;
            return Err(CallError::Unknown {
                source: "reply lost".into(),
            });
        }
        Ok(Placed::New(Box::new(order)))
    }

    async fn customer_orders(&self, orders: &[OrderId]) -> CallResult<Vec<CustomerOrder>> {
        let mut state = self.open()?;
        state.reads += orders.len() as u64;
        let found = orders.iter().filter_map(|order| state.customers.get(order));
        Ok(found.cloned().collect())
    }
}

impl ApiAllowance for FakeCrm {
    fn reported(&self) -> Option<ReportedAllowance> {
        self.state().allowance
    }
}

#[async_trait]
impl RetryRequests for FakeCrm {
    async fn request_retry(&self, order: OrderId) -> CallResult<RetryAnswer> {
        let mut state = self.open()?;
        let Some(found) = state.customers.get_mut(&order) else {
            return Ok(RetryAnswer::NotFailed);
        };
        if found.activation != ActivationStatus::Failed {
            return Ok(RetryAnswer::NotFailed);
        }
        found.activation = ActivationStatus::Activating;
        state.written.push(Written::RetryRequested(order));
        Ok(RetryAnswer::Asked)
    }
}
