//! Hooks of the event bus.

use async_trait::async_trait;
use domain::job::ProvisionRequest;
use domain::key::Channel;
use domain::ports::{DeadLetter, EventSource, EventStream, Start, StreamError, Undecodable};

hooks! {
    EventSourceHooks for EventSource, "source", StreamError {
        fn open(channel: &Channel, start: &Start) -> Box<dyn EventStream>;
        fn read_again(dead_letter: &DeadLetter) -> Result<ProvisionRequest, Undecodable>;
    }
}
