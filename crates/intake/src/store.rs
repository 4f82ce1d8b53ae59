//! Storing a delivery although one of its events is nothing that the store can hold.

use domain::job::{Admission, NewJob};
use domain::key::EventId;
use domain::ports::{
    DeadLetter, Delivery, Entry, JobIntake, StoreError, Undecodable, UndecodableReason,
};
use sha2::{Digest, Sha256};

use crate::measure;

/// Hands a delivery to the store; answers what became of each entry, in their order.
///
/// A store that cannot hold one of the entries ([`StoreError::Unstorable`]) gets them one by one,
/// and the position last: neighbours are stored as they are, and what cannot be held becomes a
/// dead letter. After a crash in between, the position stands before all of them and the bus
/// delivers them again; what was stored is recognised.
///
/// # Errors
/// As [`JobIntake::accept`].
pub async fn accept(
    store: &dyn JobIntake,
    delivery: &Delivery,
) -> Result<Vec<Admission>, StoreError> {
    match store.accept(delivery).await {
        Err(StoreError::Unstorable(error)) => {
            tracing::error!(
                error = &*error as &dyn std::error::Error,
                events = delivery.entries.len(),
                "the store cannot hold an event of a message; its events are stored one by one"
            );
            one_by_one(store, delivery).await
        }
        answered => answered,
    }
}

async fn one_by_one(
    store: &dyn JobIntake,
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
        for instead in [storable, least] {
            let Err(StoreError::Unstorable(error)) = &admitted else {
                break;
            };
            let letter = instead(entry, &error.to_string());
            tracing::error!(
                event = %letter.event,
                error = &**error as &dyn std::error::Error,
                "the store cannot hold an event; it is kept as a dead letter"
            );
            measure::unstorable(1);
            let letter = Entry::DeadLetter(letter);
            admitted = store.accept(&alone(vec![letter])).await;
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

/// An id that can be kept in any case, the same for the same event.
fn keepable(event: &EventId) -> EventId {
    match event.is_keepable() {
        true => event.clone(),
        false => EventId::of_digest(&format!("{:x}", Sha256::digest(event.as_str()))),
    }
}

/// The event as a dead letter, with texts that any store can hold.
fn storable(entry: &Entry, why: &str) -> DeadLetter {
    match entry {
        Entry::DeadLetter(letter) => DeadLetter {
            event: keepable(&letter.event),
            undecodable: letter.undecodable.clone().storable(),
            ..letter.clone()
        },
        Entry::Job(job) => DeadLetter {
            event: keepable(&event_of(job)),
            replay_id: None,
            undecodable: refused(job, why),
        },
    }
}

/// As little of the event as tells that it came.
fn least(entry: &Entry, why: &str) -> DeadLetter {
    let letter = storable(entry, why);
    DeadLetter {
        event: EventId::of_digest(&format!("{:x}", Sha256::digest(letter.event.as_str()))),
        replay_id: None,
        undecodable: Undecodable {
            reason: UndecodableReason::Malformed,
            detail: "the store could not hold what the event says".to_owned(),
            schema_id: String::new(),
            payload: Vec::new(),
            fields: Vec::new(),
        },
    }
}

fn event_of(job: &NewJob) -> EventId {
    let known = job.event.clone();
    known
        .or_else(|| EventId::new(job.id.as_str()))
        .expect("a job's id is not blank")
}

/// A request that was read, and that the store cannot hold. Its bytes are not known any more.
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
