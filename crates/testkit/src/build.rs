//! Builders of everyday values.

use domain::id::OrderId;
use domain::job::{NewJob, ProvisionRequest};
use domain::key::{Channel, EventId, IdemKey, Owner};
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
