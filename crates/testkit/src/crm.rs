//! A CRM in memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::id::{AccountId, OrderId};
use domain::key::{ClientId, IdemKey};
use domain::order::{Activation, ItemReport, OrderDetails, Outcome, Report, Standing};
use domain::ports::{CallError, CrmOrders, Pending, ReportAnswer};
use domain::time::Timestamp;

/// One write that reached the CRM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// Service ids on order lines.
    Items(Vec<ItemReport>),
    /// An outcome on an order.
    Report(OrderId, Report),
    /// A client's id on an account.
    Client(AccountId, ClientId),
}

/// A CRM in memory, which can be away, or lose its replies.
#[derive(Debug, Default)]
pub struct FakeCrm(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    orders: HashMap<OrderId, OrderDetails>,
    written: Vec<Written>,
    calls: u64,
    away: bool,
    lost_replies: u32,
}

impl FakeCrm {
    /// How often it was called.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.books().calls
    }

    /// Adds or replaces an order.
    pub fn put(&self, details: OrderDetails) {
        self.books().orders.insert(details.id, details);
    }

    /// The operator asks again: a new key, `Activating`.
    pub fn retry(&self, order: OrderId, idem_key: &str) {
        if let Some(details) = self.books().orders.get_mut(&order) {
            details.activation = Activation::Activating;
            details.idem_key = IdemKey::new(idem_key);
        }
    }

    /// Somebody sets the activation by hand.
    pub fn set_activation(&self, order: OrderId, activation: Activation) {
        if let Some(details) = self.books().orders.get_mut(&order) {
            details.activation = activation;
        }
    }

    /// Whether calls fail without effect from now on.
    pub fn set_away(&self, away: bool) {
        self.books().away = away;
    }

    /// The next `count` reports are written, but their replies are lost.
    pub fn lose_replies(&self, count: u32) {
        self.books().lost_replies = count;
    }

    /// Every write, in sequence.
    #[must_use]
    pub fn written(&self) -> Vec<Written> {
        self.books().written.clone()
    }

    /// The outcomes written to an order, in sequence.
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

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Result<MutexGuard<'_, Books>, CallError> {
        let mut books = self.books();
        books.calls += 1;
        if books.away {
            return Err(CallError::NotSent {
                retry_after: None,
                source: "away".into(),
            });
        }
        Ok(books)
    }
}

#[async_trait]
impl CrmOrders for FakeCrm {
    async fn details(&self, order: OrderId) -> Result<Option<OrderDetails>, CallError> {
        Ok(self.open()?.orders.get(&order).cloned())
    }

    async fn standing(&self, order: OrderId) -> Result<Option<Standing>, CallError> {
        Ok(self.open()?.orders.get(&order).map(|details| Standing {
            activation: details.activation.clone(),
            idem_key: details.idem_key.clone(),
            version: None,
        }))
    }

    async fn link_client(&self, account: AccountId, client: ClientId) -> Result<(), CallError> {
        self.open()?.written.push(Written::Client(account, client));
        Ok(())
    }

    async fn report_items(&self, items: &[ItemReport]) -> Result<(), CallError> {
        self.open()?.written.push(Written::Items(items.to_vec()));
        Ok(())
    }

    async fn report(&self, order: OrderId, report: &Report) -> Result<ReportAnswer, CallError> {
        let mut books = self.open()?;
        if let Some(details) = books.orders.get_mut(&order) {
            details.activation = match report.outcome {
                Outcome::Provisioned { .. } => Activation::Activated,
                Outcome::Failed { .. } => Activation::Failed,
            };
        }
        books.written.push(Written::Report(order, report.clone()));
        if books.lost_replies > 0 {
            books.lost_replies -= 1;
            return Err(CallError::Unknown {
                source: "the reply was lost".into(),
            });
        }
        Ok(ReportAnswer::Written)
    }

    async fn pending(
        &self,
        before: Timestamp,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Vec<Pending>, CallError> {
        let books = self.open()?;
        let mut pending: Vec<_> = books
            .orders
            .values()
            .filter(|details| details.activation == Activation::Activating)
            .filter(|details| details.requested_at.unwrap_or_default() < before)
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
