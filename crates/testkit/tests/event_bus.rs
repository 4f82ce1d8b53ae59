//! The fake event bus keeps the contract of the event source.

use async_trait::async_trait;
use domain::id::OrderId;
use domain::key::{Channel, EventId};
use domain::ports::EventSource;
use testkit::FakeBus;
use testkit::contract::{BusUnderTest, check_event_source};

struct Fake(FakeBus);

#[async_trait]
impl BusUnderTest for Fake {
    fn source(&self) -> &dyn EventSource {
        &self.0
    }

    fn channel(&self) -> Channel {
        testkit::channel()
    }

    async fn publish(&self, order: Option<OrderId>) -> EventId {
        self.0.publish(order)
    }

    async fn dropped(&self) {}
}

#[tokio::test]
async fn fake_keeps_contract_by_channel_and_by_managed_subscription() {
    check_event_source(async || Fake(FakeBus::default())).await;
    check_event_source(async || Fake(FakeBus::managed())).await;
}
