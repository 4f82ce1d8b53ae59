//! Shared state of the org, which outlives its listeners.
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Map, Value, json};

use super::{
    faults::RestFault,
    history::{Author, Call},
    ids,
    options::{SalesforceOptions, USERNAME},
    records::Records,
    rules::Refusal,
    sessions::Sessions,
    shape,
    transaction::Transaction,
};
use crate::{
    clock::SkewedClock,
    faults::{Holds, Script},
    lock,
    pubsub::{Bus, Published},
};

/// State of the org.
#[derive(Debug)]
pub(crate) struct Org {
    pub(crate) options: SalesforceOptions,
    pub(crate) org_id: String,
    pub(crate) user_id: String,
    pub(crate) clock: Arc<SkewedClock>,
    pub(crate) rng: Mutex<StdRng>,
    pub(crate) records: Mutex<Records>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) sessions: Sessions,
    pub(crate) faults: Script<RestFault>,
    pub(crate) holds: Holds,
    pub(crate) calls: Mutex<Vec<Call>>,
    /// Calls that are not listed any more.
    pub(crate) earlier_calls: AtomicU64,
    pub(crate) pages: Mutex<HashMap<String, (Vec<Value>, usize)>>,
    pub(crate) instance_url: Mutex<String>,
    /// Changes to what `describe` says, by object or field.
    pub(crate) description_edits: Mutex<HashMap<String, Value>>,
    /// Allowances that `/limits` shows differently.
    pub(crate) limit_edits: Mutex<HashMap<String, Value>>,
    pub(crate) published: Mutex<Vec<Published>>,
}

impl Org {
    pub(crate) fn new(options: SalesforceOptions) -> Self {
        let clock = Arc::new(SkewedClock::default());
        let bus = Arc::new(Bus::new(options.bus.clone(), options.seed, clock.clone()));
        let mut records = Records::default();
        let org_id = ids::mint("00D", 1);
        insert_platform_records(&mut records, &org_id, &options);
        Self {
            user_id: ids::integration_user(),
            org_id,
            rng: Mutex::new(StdRng::seed_from_u64(options.seed)),
            records: Mutex::new(records),
            sessions: Sessions::new(options.session_timeout),
            faults: Script::default(),
            holds: Holds::default(),
            calls: Mutex::default(),
            earlier_calls: AtomicU64::new(0),
            pages: Mutex::default(),
            instance_url: Mutex::default(),
            description_edits: Mutex::default(),
            limit_edits: Mutex::default(),
            published: Mutex::default(),
            clock,
            bus,
            options,
        }
    }

    pub(crate) fn username(&self) -> &'static str {
        USERNAME
    }

    /// Where a login says that its user is described.
    pub(crate) fn identity_url(&self) -> String {
        let instance = lock(&self.instance_url);
        format!("{}/id/{}/{}", instance, self.org_id, self.user_id)
    }

    /// Runs `work` in one transaction. Events are published right after the commit.
    pub(crate) fn write<T>(
        &self,
        author: Author,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut records = lock(&self.records);
        let mut transaction =
            Transaction::begin(&mut records, &self.options, self.clock.now(), author);
        let start = transaction.mark();
        let outcome = work(&mut transaction);
        let events = if outcome.is_ok() {
            transaction.commit()
        } else {
            transaction.roll_back_to(start);
            Vec::new()
        };
        // Still under the lock, so that events are published in commit order.
        for event in events {
            self.publish(&event);
        }
        outcome
    }

    pub(crate) fn publish(&self, values: &Map<String, Value>) -> Published {
        let published = self.bus.publish(values);
        lock(&self.published).push(published.clone());
        published
    }

    /// The number of calls so far.
    pub(crate) fn used_calls(&self) -> u64 {
        self.earlier_calls.load(Ordering::SeqCst) + lock(&self.calls).len() as u64
    }

    /// Logs a call; [`Org::answered`] adds its status.
    pub(crate) fn called(&self, method: &str, route: &str, path: &str) -> usize {
        let mut calls = lock(&self.calls);
        calls.push(Call {
            at: Timestamp::now(),
            method: method.to_owned(),
            route: route.to_owned(),
            path: path.to_owned(),
            status: 0,
        });
        calls.len() - 1
    }

    pub(crate) fn answered(&self, call: usize, status: u16) {
        if let Some(call) = lock(&self.calls).get_mut(call) {
            call.status = status;
        }
    }
}

fn insert_platform_records(records: &mut Records, org_id: &str, options: &SalesforceOptions) {
    let map = |value: Value| value.as_object().cloned().unwrap_or_default();
    if let Some(object) = shape::object("Organization") {
        let fields = map(json!({
            "Name": "Simulated org", "InstanceName": "SIM1", "IsSandbox": true,
            "OrganizationType": "Developer Edition",
        }));
        records.insert_platform(object, org_id.to_owned(), fields);
    }
    if let Some(object) = shape::object("User") {
        let fields = map(json!({
            "Username": USERNAME, "Name": "Integration User", "Email": USERNAME, "IsActive": true,
        }));
        records.insert_platform(object, ids::integration_user(), fields);
    }
    if let Some(object) = shape::object("OrderStatus") {
        for (at, (name, category)) in shape::ORDER_STATUSES.iter().enumerate() {
            let category = if *name == "Provisioned" {
                options.provisioned_category.as_str()
            } else {
                category
            };
            let fields = map(json!({
                "ApiName": name, "MasterLabel": name, "StatusCode": category,
                "IsDefault": at == 0, "SortOrder": at as f64 + 1.0,
            }));
            records.insert_platform(object, ids::mint(object.prefix, at as u64 + 1), fields);
        }
    }
}
