//! Stores deliveries, also when the store cannot hold one of their events.

use domain::job::{Admission, NewJob};
use domain::key::EventId;
use domain::ports::{
    DeadLetter, Delivery, Entry, EventIntake, StoreError, Undecodable, UndecodableReason,
};
use error_chain::chain;
use sha2::{Digest, Sha256};

use crate::measure;

/// Stores a delivery and returns the result of each entry, in order.
///
/// If the store cannot hold one of the entries ([`StoreError::Unstorable`]), they are stored one by
/// one and the cursor last: an entry that cannot be held becomes a dead letter, the others are
/// stored unchanged. After a crash in between, the cursor is before all of them and the bus
/// redelivers them; stored ones are recognised.
///
/// # Errors
/// As [`EventIntake::accept`].
pub async fn accept(
    store: &dyn EventIntake,
    delivery: &Delivery,
) -> Result<Vec<Admission>, StoreError> {
    match store.accept(delivery).await {
        Err(StoreError::Unstorable(error)) => {
            tracing::error!(
                error = %chain(&*error),
                events = delivery.entries.len(),
                "message with an unstorable event; storing its events one by one"
            );
            one_by_one(store, delivery).await
        }
        result => result,
    }
}

async fn one_by_one(
    store: &dyn EventIntake,
    delivery: &Delivery,
) -> Result<Vec<Admission>, StoreError> {
    let alone = |entries: Vec<Entry>| Delivery {
        entries,
        cursor: None,
        ..delivery.clone()
    };
    let mut admissions = Vec::with_capacity(delivery.entries.len());
    for entry in &delivery.entries {
        let mut admitted = store.accept(&alone(vec![entry.clone()])).await;
        for fallback in [storable, minimal] {
            let Err(StoreError::Unstorable(error)) = &admitted else {
                break;
            };
            let dead_letter = fallback(entry, &error.to_string());
            tracing::error!(
                event = %dead_letter.event,
                error = %chain(&**error),
                "unstorable event becomes a dead letter"
            );
            measure::unstorable(1);
            let dead_letter = Entry::DeadLetter(dead_letter);
            admitted = store.accept(&alone(vec![dead_letter])).await;
        }
        admissions.extend(admitted?);
    }
    let position = Delivery {
        entries: Vec::new(),
        ..delivery.clone()
    };
    store.accept(&position).await?;
    Ok(admissions)
}

/// An id that is always storable, and the same for the same event.
fn storable_id(event: &EventId) -> EventId {
    match event.is_storable() {
        true => event.clone(),
        false => EventId::from_digest(&format!("{:x}", Sha256::digest(event.as_str()))),
    }
}

/// The event as a dead letter, with texts that every store can hold.
fn storable(entry: &Entry, why: &str) -> DeadLetter {
    match entry {
        Entry::DeadLetter(dead_letter) => DeadLetter {
            event: storable_id(&dead_letter.event),
            undecodable: dead_letter.undecodable.clone().storable(),
            ..dead_letter.clone()
        },
        Entry::Job(job) => DeadLetter {
            event: storable_id(&event_of(job)),
            replay_id: None,
            undecodable: refused(job, why),
        },
    }
}

/// A dead letter with the minimum that identifies the event.
fn minimal(entry: &Entry, why: &str) -> DeadLetter {
    let dead_letter = storable(entry, why);
    DeadLetter {
        event: EventId::from_digest(&format!("{:x}", Sha256::digest(dead_letter.event.as_str()))),
        replay_id: None,
        undecodable: Undecodable {
            reason: UndecodableReason::Malformed,
            detail: "the store could not hold the event".to_owned(),
            schema_id: String::new(),
            payload: Vec::new(),
            fields: Vec::new(),
        },
    }
}

fn event_of(job: &NewJob) -> EventId {
    let event = job.event.clone();
    event
        .or_else(|| EventId::new(job.id.as_str()))
        .expect("a job's id is not blank")
}

/// A decoded request that the store cannot hold. Its original bytes are not available.
pub(crate) fn refused(job: &NewJob, why: &str) -> Undecodable {
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut fields = vec![field("OrderId__c", job.order.as_str())];
    if let Some(key) = &job.idem_key {
        fields.push(field("IdemKey__c", key.as_str()));
    }
    fields.push(field("CorrelationId__c", job.correlation.as_str()));
    if let Some(who) = &job.requested_by {
        fields.push(field("RequestedBy__c", who));
    }
    Undecodable {
        reason: UndecodableReason::Malformed,
        detail: format!("the store cannot hold the event: {why}"),
        schema_id: String::new(),
        payload: Vec::new(),
        fields,
    }
    .storable()
}
