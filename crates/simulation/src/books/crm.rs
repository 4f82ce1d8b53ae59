//! Salesforce: the orders as they stand, and what was written to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use domain::failure::Code;
use domain::id::{AccountId, OrderId, OrderItemId};
use domain::key::{ClientId, EventId, IdemKey, ServiceId, WhmcsOrderId};
use domain::order::{ActivationStatus, ItemReport, OrderDetails, Outcome, Report, OrderGuard};
use domain::ports::{Clock, Pending};
use domain::time::Timestamp;

use crate::trace::lock;

pub(crate) struct Crm {
    sheets: Mutex<BTreeMap<OrderId, Sheet>>,
    clock: Arc<dyn Clock>,
    coarse_versions: bool,
}

/// One order as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Sheet {
    pub(crate) details: OrderDetails,
    /// What was reported last.
    pub(crate) code: Option<Code>,
    pub(crate) whmcs_order: Option<WhmcsOrderId>,
    pub(crate) services: BTreeMap<OrderItemId, Vec<ServiceId>>,
    /// When it was activated last.
    pub(crate) since: Timestamp,
    /// The event of the last activation.
    pub(crate) event: Option<EventId>,
    /// The operator leaves it failed.
    pub(crate) given_up: bool,
    version: u64,
    /// When it was changed last.
    changed_at: Timestamp,
}

impl Sheet {
    /// The version as Salesforce shows it: with `coarse` versions, the second of the last change.
    fn shown_version(&self, coarse: bool) -> String {
        match coarse {
            true => (self.changed_at.as_millis() / 1000).to_string(),
            false => self.version.to_string(),
        }
    }
}

/// What a report met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Met {
    Written,
    Conflict,
    /// Written, though the order was not to be written to.
    Unguarded,
}

impl Crm {
    pub(crate) fn new(clock: Arc<dyn Clock>, coarse_versions: bool) -> Self {
        Self {
            sheets: Mutex::default(),
            clock,
            coarse_versions,
        }
    }

    /// Adds an order that nobody has approved yet.
    pub(crate) fn add(&self, mut details: OrderDetails) {
        details.activation = ActivationStatus::NotRequested;
        details.idem_key = None;
        let sheet = Sheet {
            details,
            code: None,
            whmcs_order: None,
            services: BTreeMap::new(),
            since: Timestamp::default(),
            event: None,
            given_up: false,
            version: 0,
            changed_at: Timestamp::default(),
        };
        lock(&self.sheets).insert(sheet.details.id, sheet);
    }

    /// The Flow: `Activating`, a new key, no error.
    pub(crate) fn activate(
        &self,
        order: OrderId,
        key: Option<IdemKey>,
        event: EventId,
        at: Timestamp,
    ) {
        self.edit(order, |sheet| {
            sheet.since = at;
            sheet.details.activation = ActivationStatus::Activating;
            sheet.details.idem_key = key;
            sheet.code = None;
            sheet.event = Some(event);
        });
    }

    /// Changes an order as anybody may.
    pub(crate) fn edit(&self, order: OrderId, edit: impl FnOnce(&mut Sheet)) {
        if let Some(sheet) = lock(&self.sheets).get_mut(&order) {
            edit(sheet);
            sheet.version += 1;
            sheet.changed_at = self.clock.now();
        }
    }

    pub(crate) fn sheets(&self) -> Vec<Sheet> {
        lock(&self.sheets).values().cloned().collect()
    }

    pub(crate) fn sheet(&self, order: OrderId) -> Option<Sheet> {
        lock(&self.sheets).get(&order).cloned()
    }

    pub(crate) fn details(&self, order: OrderId) -> Option<OrderDetails> {
        lock(&self.sheets)
            .get(&order)
            .map(|sheet| sheet.details.clone())
    }

    /// Orders that have been `Activating` since before `before`, in their sequence.
    pub(crate) fn pending(
        &self,
        before: Timestamp,
        after: Option<OrderId>,
        limit: usize,
    ) -> Vec<Pending> {
        lock(&self.sheets)
            .values()
            .filter(|sheet| sheet.details.activation == ActivationStatus::Activating)
            .filter(|sheet| sheet.since <= before)
            .filter(|sheet| after.is_none_or(|after| sheet.details.id > after))
            .take(limit)
            .map(|sheet| Pending {
                order: sheet.details.id,
                idem_key: sheet.details.idem_key.clone(),
                correlation: None,
                since: sheet.since,
            })
            .collect()
    }

    pub(crate) fn order_guard(&self, order: OrderId) -> Option<OrderGuard> {
        lock(&self.sheets).get(&order).map(|sheet| OrderGuard {
            activation: sheet.details.activation.clone(),
            idem_key: sheet.details.idem_key.clone(),
            version: Some(sheet.shown_version(self.coarse_versions)),
            read_at: None,
        })
    }

    pub(crate) fn link(&self, account: AccountId, client: ClientId) {
        for sheet in lock(&self.sheets).values_mut() {
            if sheet.details.account.id == account {
                sheet.details.account.whmcs_client = Some(client.to_string());
            }
        }
    }

    pub(crate) fn report_items(&self, items: &[ItemReport]) {
        let mut books = lock(&self.sheets);
        for item in items {
            let sheet = books
                .values_mut()
                .find(|sheet| sheet.details.items.iter().any(|own| own.id == item.item));
            if let Some(sheet) = sheet {
                sheet.services.insert(item.item, item.services.clone());
            }
        }
    }

    pub(crate) fn report(&self, order: OrderId, report: &Report) -> Met {
        let mut books = lock(&self.sheets);
        let Some(sheet) = books.get_mut(&order) else {
            return Met::Conflict;
        };
        if report
            .version
            .as_ref()
            .is_some_and(|version| *version != sheet.shown_version(self.coarse_versions))
        {
            return Met::Conflict;
        }
        let met = match sheet.details.activation {
            ActivationStatus::Activating => Met::Written,
            // Within the second of the version nobody can tell.
            _ if self.coarse_versions && report.version.is_some() => Met::Written,
            _ => Met::Unguarded,
        };
        match &report.outcome {
            Outcome::Provisioned { order } => {
                sheet.details.activation = ActivationStatus::Activated;
                sheet.whmcs_order = Some(*order);
                sheet.code = None;
            }
            Outcome::Failed { refusal, order } => {
                sheet.details.activation = ActivationStatus::Failed;
                sheet.whmcs_order = order.or(sheet.whmcs_order);
                sheet.code = Some(refusal.code);
            }
        }
        sheet.version += 1;
        sheet.changed_at = self.clock.now();
        met
    }
}
