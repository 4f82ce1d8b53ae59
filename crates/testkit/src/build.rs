//! Builders of domain values.

use std::time::Duration;

use domain::id::{AccountId, OrderId, OrderItemId, OrgId};
use domain::job::{NewJob, ProvisionRequest};
use domain::key::{Channel, EventId, IdemKey, Owner, ReplayId};
use domain::order::{Account, ActivationStatus, Item, OrderDetails, Product};
use domain::ports::{
    DeadLetter, Delivery, Entry, Epoch, Gap, LeaderElection, Leadership, Undecodable,
    UndecodableReason,
};
use domain::time::Timestamp;
use operations::{ProcessReport, Setting};

/// The `n`th order.
#[must_use]
pub fn order_id(n: u32) -> OrderId {
    OrderId::parse(&format!("801{n:012}")).expect("prefix and digits make an order id")
}

/// A lease owner.
#[must_use]
pub fn owner(name: &str) -> Owner {
    Owner::new(name).expect("the name is not blank")
}

/// The default channel.
#[must_use]
pub fn channel() -> Channel {
    Channel::new("/event/OrderProvisionRequested__e").expect("the name is not blank")
}

/// A job for an event.
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

/// An order with one line: two units of WHMCS product 5, monthly, for client 7. It was requested
/// by the event `e1`, which is its idempotency key too.
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

/// An event that cannot be decoded.
#[must_use]
pub fn dead_letter(event: &str) -> DeadLetter {
    DeadLetter {
        event: EventId::new(event).expect("the event id is not blank"),
        replay_id: ReplayId::new(vec![1]),
        undecodable: Undecodable {
            reason: UndecodableReason::Malformed,
            detail: "3 bytes left over".to_owned(),
            schema_id: "s".to_owned(),
            payload: vec![1, 2, 3],
            fields: Vec::new(),
        },
    }
}

/// Events that aged out.
#[must_use]
pub fn gap() -> Gap {
    Gap {
        from: None,
        detail: "aged out".to_owned(),
    }
}

/// A message of the default channel that moves the cursor to this position.
#[must_use]
pub fn delivery(epoch: Epoch, entries: Vec<Entry>, cursor: u8) -> Delivery {
    Delivery {
        channel: channel(),
        epoch,
        entries,
        cursor: ReplayId::new(vec![cursor]),
    }
}

/// The term of a new leader of the channel.
///
/// # Panics
/// When another process leads.
pub async fn lead(
    store: &(impl LeaderElection + ?Sized),
    channel: &Channel,
    name: &str,
    ttl: Duration,
) -> Epoch {
    match store.lead(channel, &owner(name), ttl).await {
        Ok(Leadership::Leader(epoch)) => epoch,
        other => panic!("`{name}` does not lead: {other:?}"),
    }
}

/// A worker's report, without conditions.
#[must_use]
pub fn process_report(id: &str, started_at: Timestamp) -> ProcessReport {
    ProcessReport {
        id: owner(id),
        role: "worker".to_owned(),
        version: "1.2.3".to_owned(),
        host: "host-a".to_owned(),
        pid: 42,
        started_at,
        conditions: Vec::new(),
        settings: vec![Setting {
            name: "WHMCS_SECRET".to_owned(),
            value: Some("set".to_owned()),
            origin: "file".to_owned(),
        }],
    }
}
