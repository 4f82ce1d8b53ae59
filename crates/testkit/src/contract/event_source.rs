//! Contract of the event source, whether it follows a channel or a managed subscription.

use async_trait::async_trait;
use domain::id::OrderId;
use domain::key::{Channel, EventId};
use domain::ports::{Batch, EventSource, EventStream, Received, Start};

use crate::order_id;

/// A bus under test.
#[async_trait]
pub trait BusUnderTest: Send + Sync {
    /// Its reader.
    fn source(&self) -> &dyn EventSource;
    /// The channel.
    fn channel(&self) -> Channel;
    /// Publishes the request of an order, or an event that cannot be decoded.
    async fn publish(&self, order: Option<OrderId>) -> EventId;
    /// Waits until the bus noticed that the last stream was dropped.
    async fn dropped(&self);
}

/// Runs every contract, each on a new bus.
pub async fn check_event_source<B: BusUnderTest>(new: impl AsyncFn() -> B) {
    let test = async || Subject { bus: new().await };
    test().await.events_arrive_in_order_with_positions().await;
    test().await.nothing_is_skipped_after_a_crash().await;
    test().await.undecodable_event_does_not_stop_stream().await;
    test().await.event_published_later_arrives().await;
    test()
        .await
        .messages_that_arrived_are_not_declared_stored()
        .await;
}

struct Subject<B> {
    bus: B,
}

impl<B: BusUnderTest> Subject<B> {
    async fn open(&self, start: Start) -> Box<dyn EventStream> {
        let channel = self.bus.channel();
        self.bus.source().open(&channel, &start).await.unwrap()
    }

    async fn publish(&self, n_events: u32) -> Vec<EventId> {
        let mut ids = Vec::new();
        for n in 1..=n_events {
            ids.push(self.bus.publish(Some(order_id(n))).await);
        }
        ids
    }

    async fn events_arrive_in_order_with_positions(&self) {
        let ids = self.publish(5).await;
        let got = events(&mut *self.open(Start::Earliest).await, 5).await;
        let got_ids: Vec<_> = got.iter().map(|event| event.event.clone()).collect();
        assert_eq!(got_ids, ids);
        for (n, event) in (1..).zip(&got) {
            assert!(event.replay_id.is_some());
            assert_eq!(event.request.as_ref().unwrap().order, order_id(n));
        }
    }

    /// A message counts as stored once the next one is asked for. One that was not stored arrives
    /// again after the stream was opened anew; stored ones may.
    async fn nothing_is_skipped_after_a_crash(&self) {
        let ids = self.publish(4).await;
        let mut stream = self.open(Start::Earliest).await;
        let stored = message_with_events(&mut *stream).await;
        let n_stored = stored.events.len();
        if n_stored < ids.len() {
            message_with_events(&mut *stream).await;
        }
        drop(stream);
        self.bus.dropped().await;
        let cursor = stored.latest.expect("a message with events has a position");
        let mut stream = self.open(Start::After(cursor)).await;
        let mut missing = ids[n_stored..].to_vec();
        while let Some(next) = missing.first().cloned() {
            for event in stream.next().await.unwrap().events {
                match missing.first() {
                    Some(first) if *first == event.event => drop(missing.remove(0)),
                    _ => assert!(ids.contains(&event.event), "{next:?} was skipped"),
                }
            }
        }
    }

    /// What is read ahead is not stored yet: after a crash all of it arrives again.
    async fn messages_that_arrived_are_not_declared_stored(&self) {
        let ids = self.publish(6).await;
        let mut stream = self.open(Start::Earliest).await;
        let mut got = message_with_events(&mut *stream).await.events;
        while let Some(batch) = stream.arrived().await {
            got.extend(batch.events);
        }
        let got: Vec<_> = got.into_iter().map(|event| event.event).collect();
        assert_eq!(got, ids[..got.len()], "in order");
        drop(stream);
        self.bus.dropped().await;
        let again = events(&mut *self.open(Start::Earliest).await, ids.len()).await;
        let again: Vec<_> = again.into_iter().map(|event| event.event).collect();
        assert_eq!(again, ids);
    }

    async fn undecodable_event_does_not_stop_stream(&self) {
        let garbage = self.bus.publish(None).await;
        self.publish(1).await;
        let got = events(&mut *self.open(Start::Earliest).await, 2).await;
        assert_eq!(got[0].event, garbage);
        assert!(got[0].request.is_err() && got[1].request.is_ok());
    }

    async fn event_published_later_arrives(&self) {
        let mut stream = self.open(Start::Earliest).await;
        assert!(stream.next().await.unwrap().events.is_empty());
        let ids = self.publish(1).await;
        assert_eq!(events(&mut *stream, 1).await[0].event, ids[0]);
    }
}

async fn message_with_events(stream: &mut dyn EventStream) -> Batch {
    loop {
        let batch = stream.next().await.unwrap();
        if !batch.events.is_empty() {
            return batch;
        }
    }
}

async fn events(stream: &mut dyn EventStream, count: usize) -> Vec<Received> {
    let mut events = Vec::new();
    while events.len() < count {
        events.extend(stream.next().await.unwrap().events);
    }
    events
}
