//! An event bus in memory, followed by channel or by managed subscription.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::job::ProvisionRequest;
use domain::key::{Channel, EventId, ReplayId};
use domain::ports::{
    Batch, DeadLetter, EventSource, EventStream, Received, Start, Undecodable, UndecodableReason,
};
use domain::time::Timestamp;
use tokio::sync::Notify;

use crate::StreamResult;

/// An event bus in memory. As a managed subscription it keeps the reader's position itself: what
/// the reader declared stored by asking for the next message.
#[derive(Debug, Default)]
pub struct FakeBus {
    state: Arc<BusState>,
    managed: bool,
}

#[derive(Debug, Default)]
struct BusState {
    events: Mutex<Vec<Received>>,
    /// Number of events that the reader of the managed subscription stored.
    stored: Mutex<usize>,
    published: Notify,
}

impl FakeBus {
    /// A bus whose reader follows a managed subscription.
    #[must_use]
    pub fn managed() -> Self {
        Self {
            managed: true,
            ..Self::default()
        }
    }

    /// Publishes the request of an order, or an event that cannot be decoded.
    pub fn publish(&self, order: Option<domain::id::OrderId>) -> EventId {
        let mut events = lock(&self.state.events);
        let number = u32::try_from(events.len() + 1).expect("a test publishes few events");
        let event = EventId::new(format!("event-{number}")).expect("the name is not blank");
        let request = order.ok_or_else(|| Undecodable {
            reason: UndecodableReason::Malformed,
            detail: "a byte is left over".to_owned(),
            schema_id: "s1".to_owned(),
            payload: vec![1],
            fields: Vec::new(),
        });
        events.push(Received {
            event: event.clone(),
            replay_id: ReplayId::new(number.to_be_bytes().to_vec()),
            request: request.map(|order| ProvisionRequest {
                order,
                idem_key: None,
                correlation: None,
                requested_by: None,
                version: 1,
                created_at: Timestamp::from_millis(1_767_225_600_000),
            }),
        });
        drop(events);
        self.state.published.notify_waiters();
        event
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl EventSource for FakeBus {
    async fn open(&self, _channel: &Channel, start: &Start) -> StreamResult<Box<dyn EventStream>> {
        let events = lock(&self.state.events);
        let after = |position: &ReplayId| {
            let at = events
                .iter()
                .position(|event| event.replay_id.as_ref() == Some(position));
            at.map_or(0, |at| at + 1)
        };
        let next = match (self.managed, start) {
            (true, _) => *lock(&self.state.stored),
            (false, Start::Latest) => events.len(),
            (false, Start::Earliest) => 0,
            (false, Start::After(position)) => after(position),
        };
        Ok(Box::new(FakeBusStream {
            state: Arc::clone(&self.state),
            next,
            opened: true,
        }))
    }

    async fn read_again(
        &self,
        dead_letter: &DeadLetter,
    ) -> StreamResult<Result<ProvisionRequest, Undecodable>> {
        Ok(Err(dead_letter.undecodable.clone()))
    }
}

struct FakeBusStream {
    state: Arc<BusState>,
    next: usize,
    /// Nothing was sent yet: the first message comes at once, with a position if nothing else.
    opened: bool,
}

#[async_trait]
impl EventStream for FakeBusStream {
    async fn next(&mut self) -> StreamResult<Batch> {
        {
            let mut stored = lock(&self.state.stored);
            *stored = (*stored).max(self.next);
        }
        loop {
            let published = self.state.published.notified();
            {
                let events = lock(&self.state.events);
                let new = events.get(self.next).cloned();
                if new.is_some() || std::mem::take(&mut self.opened) {
                    self.next += usize::from(new.is_some());
                    let at = self.next.checked_sub(1);
                    return Ok(Batch {
                        latest: at.and_then(|at| events[at].replay_id.clone()),
                        events: new.into_iter().collect(),
                    });
                }
            }
            published.await;
        }
    }

    async fn arrived(&mut self) -> Option<Batch> {
        let events = lock(&self.state.events);
        let new = events.get(self.next)?.clone();
        self.next += 1;
        Some(Batch {
            latest: new.replay_id.clone(),
            events: vec![new],
        })
    }
}
