//! The event source against the simulated event bus.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::id::OrderId;
use domain::key::{Channel, EventId, ReplayId};
use domain::ports::{
    Batch, EventSource, EventStream, Received, Start, StreamError, UndecodableReason,
};
use outbound::Roots;
use salesforce_auth::{SalesforceArgs, TokenManager};
use salesforce_pubsub::{Config, PubSub};
use serde_json::json;
use settings::Problems;
use simulators::salesforce::{
    ManagedSubscription, SalesforceOptions, SalesforceSim, StreamFault, StreamFaultKind, UnaryFault,
};
use simulators::{Fields, When};
use testkit::contract::{BusUnderTest, check_event_source};

const ORDER: &str = "801000000000001AAA";

struct Rig {
    sim: SalesforceSim,
    source: PubSub,
    channel: Channel,
}

impl Rig {
    async fn start(knob: impl FnOnce(&mut SalesforceOptions)) -> Self {
        Self::with(knob, Vec::new()).await
    }

    async fn with(
        knob: impl FnOnce(&mut SalesforceOptions),
        settings: Vec<(&str, String)>,
    ) -> Self {
        let mut options = SalesforceOptions::default();
        options.bus.keepalive = Duration::from_millis(50);
        knob(&mut options);
        let sim = SalesforceSim::start(options).await.unwrap();
        let mut problems = Problems::new();
        let login = settings::given::<SalesforceArgs>(sim.login_settings()).unwrap();
        let login = login.args.check(&mut problems).unwrap();
        let roots = Roots::load(None).unwrap();
        let tokens = Arc::new(TokenManager::new(login, &roots).unwrap());
        let endpoint = ("SF_PUBSUB_ENDPOINT", sim.pubsub_url());
        let config = settings::given::<Config>(settings.into_iter().chain([endpoint]));
        let source = PubSub::new(config.unwrap().args, tokens, &roots).unwrap();
        let channel = Channel::new(sim.channel()).unwrap();
        Self {
            sim,
            source,
            channel,
        }
    }

    fn publish(&self, order: &str) -> String {
        let fields: Fields = [("OrderId__c", json!(order)), ("IdemKey__c", json!("k1"))]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        self.sim.publish_event(&fields).event_id
    }

    async fn open(&self, start: Start) -> Box<dyn EventStream> {
        self.source.open(&self.channel, &start).await.unwrap()
    }

    /// The error that ends a stream from the earliest event.
    async fn error(&self) -> StreamError {
        let mut stream = self.open(Start::Earliest).await;
        loop {
            if let Err(error) = stream.next().await {
                return error;
            }
        }
    }
}

async fn events(stream: &mut Box<dyn EventStream>, count: usize) -> Vec<Received> {
    let mut events = Vec::new();
    while events.len() < count {
        events.extend(stream.next().await.unwrap().events);
    }
    events
}

fn reason(received: &Received) -> UndecodableReason {
    received.request.as_ref().unwrap_err().reason
}

#[tokio::test]
async fn events_arrive_in_order_and_resume_after_position() {
    let rig = Rig::start(|_| {}).await;
    let ids = [rig.publish(ORDER), rig.publish(ORDER), rig.publish(ORDER)];
    let got = events(&mut rig.open(Start::Earliest).await, 3).await;
    for (event, id) in got.iter().zip(&ids) {
        assert_eq!(event.event.as_str(), id);
        let request = event.request.as_ref().unwrap();
        assert_eq!(request.order.as_str(), ORDER);
        assert_eq!(request.idem_key.as_ref().unwrap().as_str(), "k1");
    }
    let position = got[0].replay_id.clone().unwrap();
    let rest = events(&mut rig.open(Start::After(position)).await, 2).await;
    assert_eq!(rest[0].event.as_str(), ids[1]);
    assert_eq!(rig.sim.bus_stats().get_schema, 1);
}

#[tokio::test]
async fn heartbeat_has_position_and_headers_may_be_late() {
    let rig = Rig::start(|options| {
        options.bus.lazy_headers = true;
    })
    .await;
    let mut stream = rig.open(Start::Latest).await;
    let Batch { events, latest } = stream.next().await.unwrap();
    assert!(events.is_empty());
    let id = rig.publish(ORDER);
    let mut after = rig.open(Start::After(latest.unwrap())).await;
    assert_eq!(crate::events(&mut after, 1).await[0].event.as_str(), id);
}

#[tokio::test]
async fn credit_is_renewed_with_few_requests() {
    let rig = Rig::start(|options| options.bus.max_batch = 7).await;
    for _ in 0..320 {
        rig.publish(ORDER);
    }
    let got = events(&mut rig.open(Start::Earliest).await, 320).await;
    let mut ids: Vec<_> = got.iter().map(|event| event.event.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 320);
    let requests = rig.sim.bus_stats().fetch_requests;
    assert!((4..=12).contains(&requests), "{requests} requests");
}

#[tokio::test]
async fn slow_reader_gets_at_most_one_window() {
    let args = vec![("SF_PUBSUB_NUM_REQUESTED", "10".to_owned())];
    let rig = Rig::with(|_| {}, args).await;
    for _ in 0..30 {
        rig.publish(ORDER);
    }
    let mut stream = rig.open(Start::Earliest).await;
    stream.next().await.unwrap();
    assert!(rig.sim.bus_stats().delivered <= 10);
    assert_eq!(rig.sim.bus_stats().fetch_requests, 1);
}

#[tokio::test]
async fn undecodable_events_do_not_stop_the_stream() {
    for (kind, expected) in [
        (
            StreamFaultKind::UnknownSchema,
            UndecodableReason::UnknownSchema,
        ),
        (StreamFaultKind::Truncated, UndecodableReason::Malformed),
    ] {
        let rig = Rig::start(|options| options.bus.max_batch = 1).await;
        rig.publish(ORDER);
        let last = rig.publish(ORDER);
        rig.sim.stream_fault(StreamFault::new(kind));
        let got = events(&mut rig.open(Start::Earliest).await, 2).await;
        assert_eq!(reason(&got[0]), expected);
        assert!(!got[0].request.as_ref().unwrap_err().payload.is_empty());
        assert_eq!(got[1].event.as_str(), last);
        assert!(got[1].request.is_ok());
    }
}

#[tokio::test]
async fn missing_and_invalid_order_ids_are_distinguished() {
    let rig = Rig::start(|_| {}).await;
    rig.publish("  ");
    rig.publish("001000000000001AAA");
    let got = events(&mut rig.open(Start::Earliest).await, 2).await;
    assert_eq!(reason(&got[0]), UndecodableReason::MissingOrder);
    assert_eq!(reason(&got[1]), UndecodableReason::InvalidOrder);
}

#[tokio::test]
async fn unavailable_schema_ends_the_stream() {
    let rig = Rig::start(|_| {}).await;
    rig.publish(ORDER);
    rig.sim.unary_fault(UnaryFault {
        rpc: "GetSchema".to_owned(),
        code: "UNAVAILABLE".to_owned(),
        error_code: "schema.api.unavailable".to_owned(),
        when: When::Next(1),
    });
    assert_eq!(rig.error().await.class(), "disconnected");
    let got = events(&mut rig.open(Start::Earliest).await, 1).await;
    assert!(got[0].request.is_ok());
}

#[tokio::test]
async fn revoked_token_is_renewed() {
    let rig = Rig::start(|_| {}).await;
    rig.publish(ORDER);
    events(&mut rig.open(Start::Earliest).await, 1).await;
    rig.sim.revoke_tokens();
    assert_eq!(rig.error().await.class(), "disconnected");
    events(&mut rig.open(Start::Earliest).await, 1).await;
    assert_eq!(rig.sim.logins(), 2);
}

#[tokio::test]
async fn refusal_after_new_login_needs_operator() {
    let rig = Rig::start(|_| {}).await;
    rig.sim
        .stream_fault(StreamFault::status("UNAUTHENTICATED", "service.auth.error").streams(2));
    assert_eq!(rig.error().await.class(), "disconnected");
    let error = rig.error().await;
    // The token manager backs off and tries again later.
    assert_eq!(error.class(), "logged_out");
    assert!(error.to_string().contains("SF_USERNAME"), "{error}");
    assert!(
        rig.source
            .open(&rig.channel, &Start::Earliest)
            .await
            .is_err()
    );
    assert_eq!(rig.sim.logins(), 2);
}

#[tokio::test]
async fn only_unknown_position_is_cursor_loss() {
    let rig = Rig::start(|_| {}).await;
    rig.publish(ORDER);
    let position = events(&mut rig.open(Start::Earliest).await, 1).await[0]
        .replay_id
        .clone();
    rig.sim.reset_org();
    for position in [position.unwrap(), ReplayId::new(vec![1, 2, 3]).unwrap()] {
        let error = rig
            .open(Start::After(position))
            .await
            .next()
            .await
            .unwrap_err();
        assert_eq!(error.class(), "position_lost", "{error}");
    }
    for (code, error_code, class) in [
        (
            "INVALID_ARGUMENT",
            "subscription.fetch.topic.mismatch",
            "denied",
        ),
        (
            "RESOURCE_EXHAUSTED",
            "subscription.limit.exceeded",
            "allowance",
        ),
        (
            "RESOURCE_EXHAUSTED",
            "service.protection.triggered",
            "throttled",
        ),
        ("INTERNAL", "service.unavailable", "disconnected"),
    ] {
        rig.sim.stream_fault(StreamFault::status(code, error_code));
        assert_eq!(rig.error().await.class(), class, "{error_code}");
    }
}

#[tokio::test]
async fn silent_or_broken_stream_ends_with_error() {
    let args = vec![("SF_PUBSUB_WATCHDOG", "200ms".to_owned())];
    let rig = Rig::with(
        |options| {
            options.bus.lazy_headers = true;
            options.bus.keepalive = Duration::from_secs(3600);
        },
        args,
    )
    .await;
    let error = rig.error().await;
    assert!(error.to_string().contains("SF_PUBSUB_WATCHDOG"), "{error}");
    for kind in [StreamFaultKind::End, StreamFaultKind::Reset] {
        rig.publish(ORDER);
        rig.sim.stream_fault(StreamFault::new(kind));
        assert_eq!(rig.error().await.class(), "disconnected");
    }
}

#[tokio::test]
async fn unknown_channel_needs_operator() {
    let rig = Rig::start(|_| {}).await;
    let channel = Channel::new("/event/Nothing__e").unwrap();
    let mut stream = rig.source.open(&channel, &Start::Latest).await.unwrap();
    let error = stream.next().await.unwrap_err();
    assert_eq!(error.class(), "denied");
    assert!(
        error.to_string().contains("SF_PROVISION_EVENT_CHANNEL"),
        "{error}"
    );
}

#[tokio::test]
async fn unavailable_service_is_a_disconnect() {
    let rig = Rig::start(|_| {}).await;
    rig.sim.stop_pubsub().await;
    assert_eq!(rig.error().await.class(), "disconnected");
    rig.sim.restart_pubsub().await.unwrap();
    rig.publish(ORDER);
    events(&mut rig.open(Start::Earliest).await, 1).await;
}

const SUBSCRIPTION: &str = "Order_Bridge";

/// An org with a managed subscription, and a source that follows it.
async fn managed(knob: impl FnOnce(&mut SalesforceOptions)) -> Rig {
    let settings = vec![("SF_MANAGED_SUBSCRIPTION", SUBSCRIPTION.to_owned())];
    let with_subscription = |options: &mut SalesforceOptions| {
        options.bus.managed = vec![ManagedSubscription::new(SUBSCRIPTION)];
        knob(options);
    };
    Rig::with(with_subscription, settings).await
}

impl Rig {
    fn committed(&self) -> Option<String> {
        self.sim.managed_state(SUBSCRIPTION).committed
    }

    /// Waits until Salesforce has this position.
    async fn until_committed(&self, stream: &mut dyn EventStream, position: &ReplayId) {
        while self.committed().as_deref() != Some(position.to_hex().as_str()) {
            stream.next().await.unwrap();
        }
    }
}

#[tokio::test]
async fn managed_subscription_is_committed_after_its_events_are_stored() {
    let rig = managed(|_| {}).await;
    let ids = [rig.publish(ORDER), rig.publish(ORDER)];
    let mut stream = rig.open(Start::Latest).await;
    let got = events(&mut stream, 2).await;
    assert_eq!(got[1].event.as_str(), ids[1]);
    let last = got[1].replay_id.clone().unwrap();
    assert_ne!(rig.committed(), Some(last.to_hex()), "not stored yet");
    rig.until_committed(&mut *stream, &last).await;
    // Keepalives repeat the commit, so that the stream is not closed for want of one.
    let commits = rig.sim.managed_state(SUBSCRIPTION).commits;
    while rig.sim.managed_state(SUBSCRIPTION).commits < commits + 2 {
        assert!(stream.next().await.unwrap().events.is_empty());
    }
    assert_eq!(rig.sim.managed_state(SUBSCRIPTION).refused_commits, 0);
}

#[tokio::test]
async fn managed_subscription_goes_on_at_salesforces_position() {
    let rig = managed(|options| options.bus.max_batch = 1).await;
    let ids = [rig.publish(ORDER), rig.publish(ORDER), rig.publish(ORDER)];
    let mut stream = rig.open(Start::Earliest).await;
    let first = events(&mut stream, 1).await;
    let position = first[0].replay_id.clone().unwrap();
    // Asking for the second event reports the first as stored; the second is lost in a crash.
    events(&mut stream, 1).await;
    while rig.committed() != Some(position.to_hex()) {
        tokio::task::yield_now().await;
    }
    drop(stream);
    while rig.sim.managed_state(SUBSCRIPTION).active {
        tokio::task::yield_now().await;
    }
    let rest = events(&mut rig.open(Start::Latest).await, 2).await;
    assert_eq!(rest[0].event.as_str(), ids[1]);
    assert_eq!(rest[1].event.as_str(), ids[2]);
}

#[tokio::test]
async fn managed_subscription_keeps_flowing_beyond_one_window() {
    let rig = managed(|options| options.bus.max_batch = 7).await;
    for _ in 0..320 {
        rig.publish(ORDER);
    }
    let got = events(&mut rig.open(Start::Latest).await, 320).await;
    let mut ids: Vec<_> = got.iter().map(|event| event.event.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 320);
}

#[tokio::test]
async fn unusable_managed_subscription_says_what_to_do() {
    for (knob, class, words) in [
        (
            (|options: &mut SalesforceOptions| options.bus.managed.clear()) as fn(&mut _),
            "denied",
            "SF_MANAGED_SUBSCRIPTION",
        ),
        (
            |options| options.bus.managed[0].running = false,
            "denied",
            "RUN",
        ),
    ] {
        let rig = managed(knob).await;
        let error = rig.error().await;
        assert_eq!(error.class(), class);
        assert!(error.to_string().contains(words), "{error}");
    }
    // The slot of a client that vanished is free after a while.
    let rig = managed(|_| {}).await;
    rig.sim.hold_managed(SUBSCRIPTION, Duration::from_secs(900));
    assert_eq!(rig.error().await.class(), "throttled");
    rig.sim.hold_managed(SUBSCRIPTION, Duration::ZERO);
    rig.publish(ORDER);
    events(&mut rig.open(Start::Latest).await, 1).await;
}

#[tokio::test]
async fn managed_stream_without_commits_is_closed_and_opened_again() {
    let rig = managed(|options| options.bus.commit_timeout = Duration::from_millis(100)).await;
    rig.sim
        .stream_fault(StreamFault::new(StreamFaultKind::Stall));
    assert_eq!(rig.error().await.class(), "disconnected");
    rig.publish(ORDER);
    events(&mut rig.open(Start::Latest).await, 1).await;
}

#[async_trait]
impl BusUnderTest for Rig {
    fn source(&self) -> &dyn EventSource {
        &self.source
    }

    fn channel(&self) -> Channel {
        self.channel.clone()
    }

    async fn publish(&self, order: Option<OrderId>) -> EventId {
        let event = match order {
            Some(order) => Rig::publish(self, order.as_str()),
            None => self.sim.publish_raw(vec![0xff; 40], None).event_id,
        };
        EventId::new(event).unwrap()
    }

    async fn dropped(&self) {
        while self.sim.managed_state(SUBSCRIPTION).active {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn adapter_keeps_contract_by_channel_and_by_managed_subscription() {
    let one_by_one = |options: &mut SalesforceOptions| options.bus.max_batch = 1;
    check_event_source(async || Rig::start(one_by_one).await).await;
    check_event_source(async || managed(one_by_one).await).await;
}
