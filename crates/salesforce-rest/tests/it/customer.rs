//! Customers' orders against the simulated org.

use domain::failure::Code;
use domain::id::{AccountId, OrderId, PricebookEntryId};
use domain::order::{
    ActivationStatus, BusinessStatus, CustomerOrder, PlaceItem, PlaceKey, PlaceRequest, Placed,
    RetryAnswer,
};
use domain::ports::{CallError, CustomerOrders, RetryRequests};
use salesforce_rest::RestOrders;
use serde_json::json;
use simulators::salesforce::{RestFault, RestFaultKind, Route, SalesforceOptions, SalesforceSim};

use crate::connect_to;

struct Rig {
    sim: SalesforceSim,
    orders: RestOrders,
    request: PlaceRequest,
}

impl Rig {
    async fn start() -> Self {
        let sim = SalesforceSim::start(SalesforceOptions::default())
            .await
            .unwrap();
        let orders = connect_to(&sim, |_| {});
        let account = sim.create_account("Acme", Some("42")).unwrap();
        let items = [("VPS", 19.99), ("Mail", 3.0)].map(|(name, price)| {
            let (_, entry) = sim
                .create_product(name, Some("12"), Some("monthly"), price)
                .unwrap();
            PlaceItem {
                entry: PricebookEntryId::parse(&entry).unwrap(),
                quantity: 2.into(),
                unit_price: None,
                cycle: Some("annually".parse().unwrap()),
            }
        });
        let request = PlaceRequest {
            key: PlaceKey::new("k1").unwrap(),
            account: AccountId::parse(&account).unwrap(),
            effective_date: None,
            today: "2026-11-24".to_owned(),
            pricebook: None,
            items: items.into(),
        };
        Self {
            sim,
            orders,
            request,
        }
    }

    async fn place(&self) -> Placed {
        self.orders.place(&self.request).await.unwrap()
    }

    fn rows(&self, object: &str) -> usize {
        self.sim.records(object).len()
    }
}

fn new(placed: Placed) -> CustomerOrder {
    match placed {
        Placed::New(order) => *order,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn order_is_placed_once() {
    let rig = Rig::start().await;
    let order = new(rig.place().await);
    assert_eq!(order.status, BusinessStatus::Pending);
    assert_eq!(order.account, rig.request.account);
    assert!(matches!(rig.place().await, Placed::Known(known) if known.id == order.id));
    let record = rig.sim.record(order.id.as_str()).unwrap();
    assert_eq!(record["Status"], "Pending Review");
    assert_eq!(record["Portal_Order_Key__c"], "k1");
    assert_eq!(record["EffectiveDate"], "2026-11-24");
    assert_eq!(record["TotalAmount"], json!(45.98));
    assert_eq!((rig.rows("Order"), rig.rows("OrderItem")), (1, 2));
}

#[tokio::test]
async fn order_is_found_by_key_after_lost_reply() {
    let rig = Rig::start().await;
    rig.sim
        .fault(RestFault::new(Route::Composite, RestFaultKind::DropAfter));
    let lost = rig.orders.place(&rig.request).await.unwrap_err();
    assert_eq!(lost.class(), "unknown");
    assert!(matches!(rig.place().await, Placed::Known(_)));
    assert_eq!((rig.rows("Order"), rig.rows("OrderItem")), (1, 2));
}

#[tokio::test]
async fn reused_key_creates_no_order() {
    let mut rig = Rig::start().await;
    rig.place().await;
    rig.request.items[0].quantity = 3.into();
    assert_eq!(rig.place().await, Placed::KeyTaken);
    rig.request.items[0].quantity = 2.into();
    rig.request.items.pop();
    assert_eq!(rig.place().await, Placed::KeyTaken);
    assert_eq!((rig.rows("Order"), rig.rows("OrderItem")), (1, 2));
}

#[tokio::test]
async fn rejected_order_leaves_nothing_behind() {
    let mut rig = Rig::start().await;
    let refused = |error: CallError| match error {
        CallError::Refused(refusal) => {
            assert_eq!(refusal.code, Code::SalesforceRejected);
            refusal.detail
        }
        other => panic!("{other:?}"),
    };
    let entry = rig.request.items[1].entry;
    rig.request.items[1].entry = PricebookEntryId::parse("01u00000000000A").unwrap();
    let detail = refused(rig.orders.place(&rig.request).await.unwrap_err());
    assert!(detail.contains("01u00000000000A"), "{detail}");
    rig.request.items[1].entry = entry;
    rig.request.effective_date = Some("2026-13-77".to_owned());
    refused(rig.orders.place(&rig.request).await.unwrap_err());
    assert_eq!((rig.rows("Order"), rig.rows("OrderItem")), (0, 0));
}

#[tokio::test]
async fn orders_are_read_in_batch_without_missing_ones() {
    let rig = Rig::start().await;
    let order = new(rig.place().await);
    let stranger = OrderId::parse("80100000000000Z").unwrap();
    let before = rig.sim.calls().len();
    let found = rig.orders.customer_orders(&[stranger, order.id]).await;
    assert_eq!(found.unwrap(), [order]);
    assert_eq!(rig.sim.calls().len(), before + 1);
}

#[tokio::test]
async fn only_failed_orders_are_retried() {
    let rig = Rig::start().await;
    let order = new(rig.place().await).id;
    assert_eq!(
        rig.orders.request_retry(order).await.unwrap(),
        RetryAnswer::NotFailed
    );
    let set = |field: &str, value: &str| rig.sim.set_field(order.as_str(), field, value).unwrap();
    set("Activation_Status__c", "Failed");
    assert_eq!(
        rig.orders.request_retry(order).await.unwrap(),
        RetryAnswer::Asked
    );
    let seen = rig.orders.customer_orders(&[order]).await.unwrap();
    assert_eq!(seen[0].activation, ActivationStatus::Activating);
    assert_eq!(rig.sim.published().len(), 1);
    assert_eq!(
        rig.orders.request_retry(order).await.unwrap(),
        RetryAnswer::NotFailed
    );
}
