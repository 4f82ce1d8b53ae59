//! Salesforce: the orders and what was written to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use domain::failure::Code;
use domain::id::{AccountId, OrderId, OrderItemId};
use domain::key::{ClientId, EventId, IdemKey, ServiceId, WhmcsOrderId};
use domain::order::{ActivationStatus, ItemReport, OrderDetails, OrderGuard, Outcome, Report};
use domain::ports::{Clock, Pending};
use domain::time::Timestamp;

use crate::trace::lock;

pub(crate) struct Crm {
    records: Mutex<BTreeMap<OrderId, OrderRecord>>,
    clock: Arc<dyn Clock>,
    coarse_versions: bool,
}

/// One Salesforce order.
#[derive(Clone, Debug)]
pub(crate) struct OrderRecord {
    pub(crate) details: OrderDetails,
    /// The error code reported last.
    pub(crate) code: Option<Code>,
    pub(crate) whmcs_order: Option<WhmcsOrderId>,
    pub(crate) services: BTreeMap<OrderItemId, Vec<ServiceId>>,
    /// Time of the last activation.
    pub(crate) since: Timestamp,
    /// The event of the last activation.
    pub(crate) event: Option<EventId>,
    /// The operator does not retry it any more.
    pub(crate) abandoned: bool,
    version: u64,
    /// Time of the last change.
    changed_at: Timestamp,
}

impl OrderRecord {
    /// The version as Salesforce shows it: with `coarse` versions, the second of the last change.
    fn shown_version(&self, coarse: bool) -> String {
        match coarse {
            true => (self.changed_at.as_millis() / 1000).to_string(),
            false => self.version.to_string(),
        }
    }
}

/// Result of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportResult {
    Written,
    Conflict,
    /// Written although the order was no longer ours.
    Unguarded,
}

impl Crm {
    pub(crate) fn new(clock: Arc<dyn Clock>, coarse_versions: bool) -> Self {
        Self {
            records: Mutex::default(),
            clock,
            coarse_versions,
        }
    }

    /// Adds an order that is not approved yet.
    pub(crate) fn add(&self, mut details: OrderDetails) {
        details.activation = ActivationStatus::NotRequested;
        details.idem_key = None;
        let record = OrderRecord {
            details,
            code: None,
            whmcs_order: None,
            services: BTreeMap::new(),
            since: Timestamp::default(),
            event: None,
            abandoned: false,
            version: 0,
            changed_at: Timestamp::default(),
        };
        lock(&self.records).insert(record.details.id, record);
    }

    /// The Flow: `Activating`, a new key, no error.
    pub(crate) fn activate(
        &self,
        order: OrderId,
        key: Option<IdemKey>,
        event: EventId,
        at: Timestamp,
    ) {
        self.edit(order, |record| {
            record.since = at;
            record.details.activation = ActivationStatus::Activating;
            record.details.idem_key = key;
            record.code = None;
            record.event = Some(event);
        });
    }

    /// Edits an order, as any user may.
    pub(crate) fn edit(&self, order: OrderId, edit: impl FnOnce(&mut OrderRecord)) {
        if let Some(record) = lock(&self.records).get_mut(&order) {
            edit(record);
            record.version += 1;
            record.changed_at = self.clock.now();
        }
    }

    pub(crate) fn records(&self) -> Vec<OrderRecord> {
        lock(&self.records).values().cloned().collect()
    }

    pub(crate) fn record(&self, order: OrderId) -> Option<OrderRecord> {
        lock(&self.records).get(&order).cloned()
    }

    pub(crate) fn details(&self, order: OrderId) -> Option<OrderDetails> {
        lock(&self.records)
            .get(&order)
            .map(|record| record.details.clone())
    }

    /// Orders that have been `Activating` since before `before`, ordered by id.
    pub(crate) fn pending(
        &self,
        before: Timestamp,
        after: Option<OrderId>,
        limit: usize,
    ) -> Vec<Pending> {
        lock(&self.records)
            .values()
            .filter(|record| record.details.activation == ActivationStatus::Activating)
            .filter(|record| record.since <= before)
            .filter(|record| after.is_none_or(|after| record.details.id > after))
            .take(limit)
            .map(|record| Pending {
                order: record.details.id,
                idem_key: record.details.idem_key.clone(),
                correlation: None,
                since: record.since,
            })
            .collect()
    }

    pub(crate) fn order_guard(&self, order: OrderId) -> Option<OrderGuard> {
        lock(&self.records).get(&order).map(|record| OrderGuard {
            activation: record.details.activation.clone(),
            idem_key: record.details.idem_key.clone(),
            version: Some(record.shown_version(self.coarse_versions)),
            read_at: None,
            status_pending: false,
        })
    }

    pub(crate) fn link(&self, account: AccountId, client: ClientId) {
        for record in lock(&self.records).values_mut() {
            if record.details.account.id == account {
                record.details.account.whmcs_client = Some(client.to_string());
            }
        }
    }

    pub(crate) fn report_items(&self, items: &[ItemReport]) {
        let mut records = lock(&self.records);
        for item in items {
            let record = records
                .values_mut()
                .find(|record| record.details.items.iter().any(|own| own.id == item.item));
            if let Some(record) = record {
                record.services.insert(item.item, item.services.clone());
            }
        }
    }

    pub(crate) fn report(&self, order: OrderId, report: &Report) -> ReportResult {
        let mut records = lock(&self.records);
        let Some(record) = records.get_mut(&order) else {
            return ReportResult::Conflict;
        };
        if report
            .version
            .as_ref()
            .is_some_and(|version| *version != record.shown_version(self.coarse_versions))
        {
            return ReportResult::Conflict;
        }
        let result = match record.details.activation {
            ActivationStatus::Activating => ReportResult::Written,
            // Within the same second a conflict is not detectable.
            _ if self.coarse_versions && report.version.is_some() => ReportResult::Written,
            _ => ReportResult::Unguarded,
        };
        match &report.outcome {
            Outcome::Provisioned { order } => {
                record.details.activation = ActivationStatus::Activated;
                record.whmcs_order = Some(*order);
                record.code = None;
            }
            Outcome::Failed { refusal, order } => {
                record.details.activation = ActivationStatus::Failed;
                record.whmcs_order = order.or(record.whmcs_order);
                record.code = Some(refusal.code);
            }
        }
        record.version += 1;
        record.changed_at = self.clock.now();
        result
    }
}
