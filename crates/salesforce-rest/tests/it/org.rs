//! The adapter against the simulated org, with its rules, its query language and its Flow.

use std::sync::Arc;
use std::time::Duration;

use domain::failure::{Code, Refusal};
use domain::id::OrderId;
use domain::key::{ServiceId, WhmcsOrderId};
use domain::order::{ActivationStatus, ItemReport, Outcome, Report};
use domain::ports::{CrmOrders, PendingActivations, ReportAnswer};
use domain::time::Timestamp;
use salesforce_rest::{Finding, RestOrders};
use serde_json::json;
use simulators::salesforce::{
    Line, NewOrder, RestFault, RestFaultKind, Route, SalesforceOptions, SalesforceSim,
};

use crate::connect_to;

struct Rig {
    sim: SalesforceSim,
    orders: RestOrders,
    order: OrderId,
}

impl Rig {
    /// An org with one approved order of three lines.
    async fn start(options: SalesforceOptions) -> Self {
        let sim = SalesforceSim::start(options).await.unwrap();
        let orders = connect_to(&sim, |config| config.bill_to = true);
        let account = sim.create_account("Acme", Some("42")).unwrap();
        let contact = json!({"AccountId": account, "FirstName": "Ada", "LastName": "L",
            "Email": "ada@example.com"});
        let contact = sim.create("Contact", contact).unwrap();
        let (_, entry) = sim
            .create_product("VPS", Some("12"), Some("monthly"), 19.99)
            .unwrap();
        let fields = json!({"BillToContactId": contact, "BillingCity": "Bonn",
            "BillingCountryCode": "DE"});
        let order = sim
            .place_order(NewOrder {
                account,
                lines: (1..=3).map(|n| Line::new(&entry, n)).collect(),
                fields: fields.as_object().unwrap().clone(),
            })
            .unwrap();
        sim.approve(&order).unwrap();
        let order = OrderId::parse(&order).unwrap();
        Self { sim, orders, order }
    }

    async fn report(&self, outcome: Outcome) -> ReportAnswer {
        let standing = self.orders.order_guard(self.order).await.unwrap().unwrap();
        let report = Report {
            outcome,
            at: Timestamp::from_millis(1_767_225_600_000),
            message: "words".to_owned(),
            version: standing.version,
            status_only: false,
        };
        self.orders.report(self.order, &report).await.unwrap()
    }

    fn field(&self, name: &str) -> serde_json::Value {
        self.sim.record(self.order.as_str()).unwrap()[name].clone()
    }
}

fn provisioned() -> Outcome {
    Outcome::Provisioned {
        order: WhmcsOrderId(7),
    }
}

#[tokio::test]
async fn order_is_read_and_reported() {
    let rig = Rig::start(SalesforceOptions {
        page_size: 2,
        ..SalesforceOptions::default()
    })
    .await;
    let details = rig.orders.details(rig.order).await.unwrap().unwrap();
    assert_eq!(details.activation, ActivationStatus::Activating);
    assert_eq!(details.org.as_str(), rig.sim.org_id());
    assert_eq!(details.account.whmcs_client.as_deref(), Some("42"));
    let contact = details.bill_to.as_ref().unwrap();
    assert_eq!(
        (contact.email.as_str(), contact.country.as_str()),
        ("ada@example.com", "DE")
    );
    assert_eq!(details.items.len(), 3);
    let item = &details.items[0];
    assert_eq!(item.unit_price, Some("19.99".parse().unwrap()));
    assert_eq!(item.product.whmcs_product.as_deref(), Some("12"));

    let standing = rig.orders.order_guard(rig.order).await.unwrap().unwrap();
    assert!(standing.admits(details.idem_key.as_ref()));

    let items: Vec<_> = details
        .items
        .iter()
        .map(|item| ItemReport {
            item: item.id,
            services: vec![ServiceId(9), ServiceId(8)],
        })
        .collect();
    rig.orders.report_items(&items).await.unwrap();
    let line = rig.sim.record(items[0].item.as_str()).unwrap();
    assert_eq!(line["WHMCS_Service_ID__c"], "8,9");

    let failed = Outcome::Failed {
        refusal: Refusal::new(Code::WhmcsModuleFailed, "x"),
        order: Some(WhmcsOrderId(7)),
    };
    assert_eq!(rig.report(failed).await, ReportAnswer::Written);
    assert_eq!(rig.field("Activation_Error_Code__c"), "WHMCS_MODULE_FAILED");
    assert_eq!(rig.field("Status"), "Failed");
    rig.sim.retry(rig.order.as_str()).unwrap();
    assert_eq!(rig.report(provisioned()).await, ReportAnswer::Written);
    assert_eq!(rig.field("Status"), "Provisioned");
    assert_eq!(rig.field("Activation_Status__c"), "Activated");
    assert!(rig.field("Activation_Error_Code__c").is_null());
}

#[tokio::test]
async fn pending_orders_are_paged() {
    let rig = Rig::start(SalesforceOptions::default()).await;
    let pending = async |older_than: u64, after| {
        let older_than = Duration::from_secs(older_than);
        rig.orders.pending(older_than, after, 10).await.unwrap()
    };
    assert!(pending(60, None).await.is_empty());
    let long_ago = json!({"Activation_Last_Attempt_At__c": "2020-01-01T00:00:00.000+0000"});
    rig.sim.update(rig.order.as_str(), long_ago).unwrap();
    let found = pending(60, None).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].order, rig.order);
    assert!(found[0].idem_key.is_some() && found[0].correlation.is_some());
    assert!(pending(60, Some(rig.order)).await.is_empty());
}

#[tokio::test]
async fn expired_session_and_moved_instance_are_handled() {
    let rig = Rig::start(SalesforceOptions::default()).await;
    rig.orders.describe().await.unwrap();
    rig.sim.rotate_instance_url();
    rig.sim.revoke_tokens();
    assert!(rig.orders.details(rig.order).await.unwrap().is_some());
    assert_eq!(rig.sim.logins(), 2);
}

#[tokio::test]
async fn broken_connection_is_unknown_and_write_is_repeatable() {
    let rig = Rig::start(SalesforceOptions::default()).await;
    let report = Report {
        outcome: provisioned(),
        at: Timestamp::from_millis(0),
        message: String::new(),
        version: None,
        status_only: false,
    };
    rig.sim
        .fault(RestFault::new(Route::OrderPatch, RestFaultKind::DropAfter));
    let error = rig.orders.report(rig.order, &report).await.unwrap_err();
    assert_eq!(error.class(), "unknown");
    assert_eq!(
        rig.orders.report(rig.order, &report).await.unwrap(),
        ReportAnswer::Written
    );
    rig.sim
        .fault(RestFault::new(Route::OrderPatch, RestFaultKind::LockRow));
    rig.orders.report(rig.order, &report).await.unwrap();
}

#[tokio::test]
async fn org_without_optional_fields_works() {
    let mut options = SalesforceOptions::default();
    for field in [
        "Activation_IdemKey__c",
        "Activation_Correlation_Id__c",
        "Activation_Last_Attempt_At__c",
        "Activation_Completed_At__c",
    ] {
        options = options.without_order_field(field);
    }
    let rig = Rig::start(options).await;
    let details = rig.orders.details(rig.order).await.unwrap().unwrap();
    assert_eq!((details.idem_key, details.requested_at), (None, None));
    assert_eq!(rig.report(provisioned()).await, ReportAnswer::Written);
}

#[tokio::test]
async fn refused_sessions_limit_logins_and_recover() {
    let rig = Arc::new(Rig::start(SalesforceOptions::default()).await);
    rig.sim.refuse_sessions(true);
    let reads: Vec<_> = (0..100)
        .map(|_| {
            let rig = Arc::clone(&rig);
            tokio::spawn(async move { rig.orders.details(rig.order).await })
        })
        .collect();
    for read in reads {
        assert_eq!(read.await.unwrap().unwrap_err().class(), "denied");
    }
    for _ in 0..100 {
        let error = rig.orders.details(rig.order).await.unwrap_err();
        assert!(error.to_string().contains("connected app"), "{error}");
    }
    assert!(rig.sim.logins() <= 3, "{} logins", rig.sim.logins());
    rig.sim.refuse_sessions(false);
    assert!(rig.orders.details(rig.order).await.is_err(), "it waits");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    assert!(rig.orders.details(rig.order).await.unwrap().is_some());
    assert!(rig.sim.logins() <= 4);
    // A session that worked is renewed at once when it expires.
    rig.sim.revoke_tokens();
    assert!(rig.orders.details(rig.order).await.unwrap().is_some());
}

#[tokio::test]
async fn read_time_is_usable_as_version() {
    let rig = Rig::start(SalesforceOptions {
        stamp_ahead: 5,
        ..SalesforceOptions::default()
    })
    .await;
    rig.sim.advance_clock(10);
    let order = WhmcsOrderId(77);
    let outcome = Outcome::Provisioned { order };
    assert_eq!(rig.report(outcome.clone()).await, ReportAnswer::Conflict);
    let standing = rig.orders.order_guard(rig.order).await.unwrap().unwrap();
    let report = Report {
        outcome,
        at: Timestamp::from_millis(1_767_225_600_000),
        message: String::new(),
        version: standing.read_at,
        status_only: false,
    };
    // A write after the read is still detected.
    rig.sim.advance_clock(10);
    let id = rig.order.as_str();
    rig.sim.update(id, json!({"PoNumber": "4711"})).unwrap();
    let answer = rig.orders.report(rig.order, &report).await.unwrap();
    assert_eq!(answer, ReportAnswer::Conflict);
    rig.sim.advance_clock(10);
    let standing = rig.orders.order_guard(rig.order).await.unwrap().unwrap();
    let report = Report {
        version: standing.read_at,
        ..report
    };
    let answer = rig.orders.report(rig.order, &report).await.unwrap();
    assert_eq!(answer, ReportAnswer::Written);
    assert_eq!(rig.field("Status"), "Provisioned");
}

/// The names of the findings that break orders, and of the others.
async fn findings(orders: &RestOrders) -> (Vec<String>, Vec<String>) {
    let all = orders.inspect_schema().await.unwrap();
    let (broken, degraded): (Vec<_>, Vec<_>) = all.into_iter().partition(Finding::is_broken);
    let names = |some: Vec<Finding>| some.into_iter().map(|one| one.name).collect();
    (names(broken), names(degraded))
}

#[tokio::test]
async fn names_that_the_org_lacks_are_found_and_found_again_once_deployed() {
    let rig = Rig::start(SalesforceOptions::default()).await;
    assert_eq!(findings(&rig.orders).await, (vec![], vec![]));
    let orders = connect_to(&rig.sim, |config| {
        config.fields.order.completed_at = "Activation_Compleated_At__c".to_owned();
    });
    let all = orders.inspect_schema().await.unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    let text = all[0].to_string();
    for words in [
        "Order.Activation_Compleated_At__c",
        "order.completed_at in ORDERBRIDGE_CONFIG",
        "did you mean Activation_Completed_At__c?",
    ] {
        assert!(text.contains(words), "{text}");
    }
    assert!(
        orders.details(rig.order).await.unwrap().is_some(),
        "it goes on"
    );

    // An optional field under its own name may be missing, and is used once it is there.
    let field = "Order.Activation_IdemKey__c";
    rig.sim.edit_description(field, serde_json::Value::Null);
    assert_eq!(
        findings(&rig.orders).await,
        (vec![], vec![field.to_owned()])
    );
    let idem_key = async || {
        rig.orders
            .details(rig.order)
            .await
            .unwrap()
            .unwrap()
            .idem_key
    };
    assert_eq!(idem_key().await, None);
    rig.sim.clear_description_edits();
    assert_eq!(findings(&rig.orders).await, (vec![], vec![]));
    assert!(idem_key().await.is_some());
}
