//! Builders of everyday values.

use domain::id::{AccountId, OrderId, OrderItemId, OrgId};
use domain::job::{NewJob, ProvisionRequest};
use domain::key::{Channel, EventId, IdemKey, Owner};
use domain::order::{Account, ActivationStatus, Item, OrderDetails, Product};
use domain::time::Timestamp;

/// The `n`th order.
#[must_use]
pub fn order_id(n: u32) -> OrderId {
    OrderId::parse(&format!("801{n:012}")).expect("prefix and digits make an order id")
}

/// An owner of leases.
#[must_use]
pub fn owner(name: &str) -> Owner {
    Owner::new(name).expect("the name is not blank")
}

/// The channel of tests.
#[must_use]
pub fn channel() -> Channel {
    Channel::new("/event/OrderProvisionRequested__e").expect("the name is not blank")
}

/// The job that an event makes.
#[must_use]
pub fn new_job(event: &str, order: OrderId, idem_key: Option<&str>) -> NewJob {
    let event = EventId::new(event).expect("the event id is not blank");
    NewJob::of_event(
        &event,
        ProvisionRequest {
            order,
            idem_key: idem_key.and_then(IdemKey::new),
            correlation: None,
            requested_by: None,
            version: 1,
            created_at: Timestamp::from_millis(1_767_225_600_000),
        },
    )
}

/// An order with one line: two units of WHMCS product 5, monthly, for client 7. It was asked
/// for by the event `e1`, whose name is its key too.
#[must_use]
pub fn details(order: OrderId) -> OrderDetails {
    let id = |text: &str| text.to_owned();
    OrderDetails {
        org: OrgId::parse("00D000000000001").expect("prefix and digits make an org id"),
        id: order,
        number: None,
        activation: ActivationStatus::Activating,
        idem_key: IdemKey::new("e1"),
        requested_at: None,
        currency: None,
        account: Account {
            id: AccountId::parse("001000000000001").expect("prefix and digits make an account id"),
            name: id("Ada Ltd"),
            whmcs_client: Some(id("7")),
        },
        bill_to: None,
        items: vec![Item {
            id: OrderItemId::parse(&order.as_str()[..15].replacen("801", "802", 1))
                .expect("prefix and digits make an item id"),
            product: Product {
                id: None,
                name: id("Web hosting"),
                whmcs_product: Some(id("5")),
                cycle: Some(id("monthly")),
            },
            cycle: None,
            quantity: 2.into(),
            unit_price: None,
        }],
    }
}
