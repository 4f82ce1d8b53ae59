//! The event bus with a real gRPC client.
use std::time::Duration;

use serde_json::json;
use simulators::{
    When, World, WorldOptions,
    salesforce::{
        BusOptions, EventField, EventKind, IdleStyle, SalesforceOptions, StreamFault,
        StreamFaultKind, UnaryFault,
    },
    wire::{
        FetchRequest, FetchResponse, ReplayPreset, SchemaRequest, TopicRequest,
        pub_sub_client::PubSubClient,
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming, transport::Channel};

pub(crate) const TOPIC: &str = "/event/OrderProvisionRequested__e";

pub(crate) fn quick() -> BusOptions {
    BusOptions {
        keepalive: Duration::from_millis(30),
        idle_close: Duration::from_millis(60),
        ..BusOptions::default()
    }
}

pub(crate) async fn world(bus: BusOptions) -> World {
    let salesforce = SalesforceOptions {
        bus,
        ..SalesforceOptions::default()
    };
    World::start(WorldOptions {
        salesforce,
        ..WorldOptions::default()
    })
    .await
    .unwrap()
}

pub(crate) struct Client {
    pub(crate) stub: PubSubClient<Channel>,
    token: String,
    instance: String,
    org: String,
}

impl Client {
    pub(crate) async fn new(world: &World) -> Self {
        let sim = &world.salesforce;
        Self {
            stub: PubSubClient::connect(sim.pubsub_url()).await.unwrap(),
            token: crate::token(sim).await,
            instance: sim.rest_url(),
            org: sim.org_id(),
        }
    }

    pub(crate) fn signed<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        for (key, value) in [
            ("accesstoken", &self.token),
            ("instanceurl", &self.instance),
            ("tenantid", &self.org),
        ] {
            if !value.is_empty() {
                request.metadata_mut().insert(key, value.parse().unwrap());
            }
        }
        request
    }

    pub(crate) async fn open(&self, first: FetchRequest) -> Result<Open, Status> {
        let (requests, outbound) = mpsc::channel(8);
        requests.send(first).await.unwrap();
        let request = self.signed(ReceiverStream::new(outbound));
        let responses = self.stub.clone().subscribe(request).await?.into_inner();
        Ok(Open {
            requests,
            responses,
        })
    }
}

pub(crate) struct Open {
    requests: mpsc::Sender<FetchRequest>,
    responses: Streaming<FetchResponse>,
}

impl Open {
    pub(crate) async fn next(&mut self) -> Result<Option<FetchResponse>, Status> {
        self.responses.message().await
    }

    /// Collects responses until there are this many events.
    async fn events(&mut self, wanted: usize) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        while found.len() < wanted {
            let response = self.next().await.unwrap().unwrap();
            found.extend(
                response
                    .events
                    .into_iter()
                    .map(|delivery| (delivery.event.unwrap().id, delivery.replay_id)),
            );
        }
        found
    }
}

pub(crate) fn latest(credit: i32) -> FetchRequest {
    FetchRequest {
        topic_name: TOPIC.to_owned(),
        replay_preset: ReplayPreset::Latest.into(),
        num_requested: credit,
        ..FetchRequest::default()
    }
}

pub(crate) fn earliest(credit: i32) -> FetchRequest {
    FetchRequest {
        replay_preset: ReplayPreset::Earliest.into(),
        ..latest(credit)
    }
}

pub(crate) fn after(replay_id: &[u8], credit: i32) -> FetchRequest {
    FetchRequest {
        replay_preset: ReplayPreset::Custom.into(),
        replay_id: replay_id.to_vec(),
        ..latest(credit)
    }
}

pub(crate) fn error_code(status: &Status) -> &str {
    let code = status
        .metadata()
        .get("error-code")
        .map_or("", |value| value.to_str().unwrap());
    code.strip_prefix("sfdc.platform.eventbus.grpc.")
        .unwrap_or(code)
}

fn publish(world: &World, count: usize) -> Vec<String> {
    (0..count)
        .map(|at| {
            let fields = json!({"OrderId__c": format!("801{at}")});
            world
                .salesforce
                .publish_event(fields.as_object().unwrap())
                .event_id
        })
        .collect()
}

/// The error of a stream, with or after the headers.
async fn refusal(client: &Client, first: FetchRequest) -> Status {
    match client.open(first).await {
        Err(status) => status,
        Ok(mut open) => loop {
            match open.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("ended with OK"),
                Err(status) => return status,
            }
        },
    }
}

#[tokio::test]
async fn credit_accumulates_up_to_window() {
    let world = world(BusOptions::default()).await;
    let client = Client::new(&world).await;
    let sent = publish(&world, 130);
    let mut open = client.open(earliest(3)).await.unwrap();
    let mut found = Vec::new();
    let mut credit = 3;
    while credit > 0 {
        let response = open.next().await.unwrap().unwrap();
        credit -= i32::try_from(response.events.len()).unwrap();
        assert_eq!(response.pending_num_requested, credit);
        assert_eq!(response.latest_replay_id.len(), 10);
        found.extend(response.events);
    }
    // Credit is limited to the window.
    open.requests.send(latest(1000)).await.unwrap();
    let mut credit = 100;
    while credit > 0 {
        let response = open.next().await.unwrap().unwrap();
        credit -= i32::try_from(response.events.len()).unwrap();
        assert_eq!(response.pending_num_requested, credit);
        found.extend(response.events);
    }
    assert_eq!(found.len(), 103);
    let ids: Vec<String> = found
        .iter()
        .map(|one| one.event.as_ref().unwrap().id.clone())
        .collect();
    assert_eq!(ids, sent[..103]);
    assert!(
        found
            .windows(2)
            .all(|two| two[0].replay_id < two[1].replay_id)
    );
    // A blank topic is accepted later on, another one is not.
    let blank = FetchRequest {
        topic_name: String::new(),
        ..latest(1)
    };
    open.requests.send(blank).await.unwrap();
    assert_eq!(open.events(1).await[0].0, sent[103]);
    let other = FetchRequest {
        topic_name: "/event/Other__e".to_owned(),
        ..latest(1)
    };
    open.requests.send(other).await.unwrap();
    let status = open.next().await.unwrap_err();
    assert_eq!(
        (status.code(), error_code(&status)),
        (Code::InvalidArgument, "subscription.fetch.topic.mismatch")
    );
    assert!(status.metadata().contains_key("rpc-id"));
}

#[tokio::test]
async fn replay_ids_are_checked() {
    let world = world(quick()).await;
    let client = Client::new(&world).await;
    let sent = publish(&world, 3);
    let all = client.open(earliest(10)).await.unwrap().events(3).await;
    for id in [all[0].1.clone(), all[0].1[..8].to_vec()] {
        let rest = client.open(after(&id, 10)).await.unwrap().events(2).await;
        assert_eq!([&rest[0].0, &rest[1].0], [&sent[1], &sent[2]]);
    }
    for bad in [
        b"12345678".to_vec(),
        vec![1, 2],
        vec![0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
    ] {
        let status = refusal(&client, after(&bad, 1)).await;
        assert_eq!(error_code(&status), "subscription.fetch.replayid.corrupted");
    }
    let status = refusal(&client, after(&[], 1)).await;
    assert_eq!(
        error_code(&status),
        "subscription.fetch.replayid.validation.failed"
    );
    let status = refusal(&client, latest(0)).await;
    assert_eq!(
        error_code(&status),
        "subscription.fetch.requested.events.invalid"
    );
    // Positions of keepalives are valid too, and advance without events.
    let mut open = client.open(after(&all[2].1, 10)).await.unwrap();
    let keepalive = open.next().await.unwrap().unwrap();
    assert!(keepalive.events.is_empty() && keepalive.latest_replay_id > all[2].1);
    world.salesforce.advance_clock(73 * 3600);
    let client = Client::new(&world).await;
    let status = refusal(&client, after(&all[2].1, 1)).await;
    assert_eq!(error_code(&status), "subscription.fetch.replayid.corrupted");
    let sent = publish(&world, 1);
    let left = client.open(earliest(10)).await.unwrap().events(1).await;
    assert_eq!(left[0].0, sent[0]);
    world.salesforce.reset_org();
    let status = refusal(&client, after(&left[0].1, 1)).await;
    assert_eq!(error_code(&status), "subscription.fetch.replayid.corrupted");
}

#[tokio::test]
async fn keepalives_and_idle_close() {
    let world = world(quick()).await;
    let client = Client::new(&world).await;
    let mut open = client.open(latest(1)).await.unwrap();
    let keepalive = open.next().await.unwrap().unwrap();
    assert_eq!(
        (keepalive.events.len(), keepalive.pending_num_requested),
        (0, 1)
    );
    publish(&world, 1);
    open.events(1).await;
    // Without credit the stream is closed, with OK or as configured.
    assert!(open.next().await.unwrap().is_none());
    world
        .salesforce
        .bus_options(|bus| bus.idle_style = IdleStyle::Unavailable);
    let mut open = client.open(earliest(1)).await.unwrap();
    open.events(1).await;
    assert_eq!(open.next().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(world.salesforce.bus_stats().streams, 2);
}

#[tokio::test]
async fn metadata_is_checked_on_every_rpc() {
    let world = world(quick()).await;
    let mut client = Client::new(&world).await;
    let topic = TopicRequest {
        topic_name: TOPIC.to_owned(),
    };
    let info = client
        .stub
        .clone()
        .get_topic(client.signed(topic.clone()))
        .await
        .unwrap();
    let schema_id = info.into_inner().schema_id;
    assert_eq!(schema_id, "Jz2IXccKYaA3NmZLbRDumA");
    world.salesforce.unary_fault(UnaryFault {
        rpc: "GetSchema".to_owned(),
        code: "UNAVAILABLE".to_owned(),
        error_code: "schema.api.unavailable".to_owned(),
        when: When::Next(1),
    });
    let ask = |id: &str| SchemaRequest {
        schema_id: id.to_owned(),
    };
    let status = client
        .stub
        .clone()
        .get_schema(client.signed(ask(&schema_id)))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), error_code(&status)),
        (Code::Unavailable, "schema.api.unavailable")
    );
    assert!(
        client
            .stub
            .clone()
            .get_schema(client.signed(ask(&schema_id)))
            .await
            .is_ok()
    );
    let status = client
        .stub
        .clone()
        .get_schema(client.signed(ask("x")))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let status = client
        .stub
        .clone()
        .get_schema(client.signed(ask("")))
        .await
        .unwrap_err();
    assert_eq!(error_code(&status), "schema.validation.failed");
    let mut open = client.open(latest(10)).await.unwrap();
    open.next().await.unwrap().unwrap();
    world.salesforce.revoke_tokens();
    // The open stream continues, new calls are rejected.
    open.next().await.unwrap().unwrap();
    assert_eq!(
        error_code(&refusal(&client, latest(1)).await),
        "service.auth.error"
    );
    let status = client
        .stub
        .clone()
        .get_topic(client.signed(topic))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    client.org.clear();
    assert_eq!(
        error_code(&refusal(&client, latest(1)).await),
        "service.auth.headers.invalid"
    );
}

#[tokio::test]
async fn old_events_keep_schema_after_evolution() {
    let world = world(quick()).await;
    let client = Client::new(&world).await;
    let old = world.salesforce.event_schema();
    publish(&world, 1);
    let new = world.salesforce.evolve_schema(|fields| {
        fields.push(EventField::new("Priority__c", EventKind::Number));
    });
    publish(&world, 1);
    let poison = world.salesforce.publish_raw(vec![0xff], None);
    let twice = world.salesforce.duplicate_last_event().unwrap();
    assert_eq!(poison.event_id, twice.event_id);
    assert_ne!(poison.replay_id, twice.replay_id);
    let mut open = client.open(earliest(10)).await.unwrap();
    let mut schemas = Vec::new();
    while schemas.len() < 4 {
        let response = open.next().await.unwrap().unwrap();
        schemas.extend(
            response
                .events
                .into_iter()
                .map(|one| one.event.unwrap().schema_id),
        );
    }
    assert_eq!(
        schemas,
        [&old.id, &new.id, &new.id, &new.id].map(String::clone)
    );
    let request = client.signed(SchemaRequest { schema_id: old.id });
    assert_eq!(
        client
            .stub
            .clone()
            .get_schema(request)
            .await
            .unwrap()
            .into_inner()
            .schema_json,
        old.json
    );
}

#[tokio::test]
async fn streams_fail_as_configured() {
    let world = world(quick()).await;
    let client = Client::new(&world).await;
    let sim = &world.salesforce;
    publish(&world, 1);
    sim.stream_fault(StreamFault::status("INTERNAL", "service.unavailable").at(2));
    let mut open = client.open(earliest(10)).await.unwrap();
    assert!(open.next().await.is_ok());
    let status = open.next().await.unwrap_err();
    assert_eq!(
        (status.code(), error_code(&status)),
        (Code::Internal, "service.unavailable")
    );
    sim.stream_fault(StreamFault::new(StreamFaultKind::End));
    assert!(
        client
            .open(earliest(10))
            .await
            .unwrap()
            .next()
            .await
            .unwrap()
            .is_none()
    );
    sim.stream_fault(StreamFault::new(StreamFaultKind::EmptyReplayId));
    let mut open = client.open(earliest(10)).await.unwrap();
    assert!(
        open.next().await.unwrap().unwrap().events[0]
            .replay_id
            .is_empty()
    );
    sim.stream_fault(StreamFault::new(StreamFaultKind::UnknownSchema));
    let mut open = client.open(earliest(10)).await.unwrap();
    let event = open.next().await.unwrap().unwrap().events.remove(0);
    assert_eq!(event.event.unwrap().schema_id, "AAAAAAAAAAAAAAAAAAAAAA");
    sim.kill_streams();
    loop {
        match open.next().await {
            Ok(answer) => assert!(answer.is_some()),
            Err(status) => break assert_eq!(status.code(), Code::Unavailable),
        }
    }
    sim.stream_fault(StreamFault::new(StreamFaultKind::Reset));
    refusal(&client, earliest(10)).await;
    sim.bus_options(|bus| bus.delivery_allocation = Some(0));
    let status = refusal(&Client::new(&world).await, earliest(1)).await;
    assert_eq!(error_code(&status), "subscription.limit.exceeded");
}

#[tokio::test]
async fn lazy_headers_and_duplicates() {
    let world = world(BusOptions {
        duplicates: 1.0,
        lazy_headers: true,
        ..quick()
    })
    .await;
    let client = Client::new(&world).await;
    publish(&world, 30);
    let mut open = client.open(earliest(100)).await.unwrap();
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    while seen.len() < 30 || seen.values().all(|copies| *copies == 1) {
        for (id, _) in open.events(1).await {
            *seen.entry(id).or_default() += 1;
        }
    }
    // A resume may start with the event before the cursor.
    let all = client.open(earliest(100)).await.unwrap().events(1).await;
    let again = client
        .open(after(&all[0].1, 100))
        .await
        .unwrap()
        .events(1)
        .await;
    assert_eq!(again[0].0, all[0].0);
}

#[tokio::test]
async fn replay_ids_survive_restart() {
    let world = world(quick()).await;
    let client = Client::new(&world).await;
    let sent = publish(&world, 2);
    let all = client.open(earliest(10)).await.unwrap().events(2).await;
    world.salesforce.stop_pubsub().await;
    assert!(
        PubSubClient::connect(world.salesforce.pubsub_url())
            .await
            .is_err()
    );
    world.salesforce.restart_pubsub().await.unwrap();
    let client = Client::new(&world).await;
    let rest = client
        .open(after(&all[0].1, 10))
        .await
        .unwrap()
        .events(1)
        .await;
    assert_eq!(rest[0].0, sent[1]);
}
