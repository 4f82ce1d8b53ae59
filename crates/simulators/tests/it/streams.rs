//! Limits of responses and of publish streams.
use std::time::Duration;

use simulators::{
    salesforce::{BusOptions, ManagedSubscription},
    wire::{CommitReplayRequest, ManagedFetchRequest, ProducerEvent, PublishRequest},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::pubsub::{Client, TOPIC, earliest, error_code, world};

fn request(topic: &str, size: usize, count: usize) -> PublishRequest {
    let event = ProducerEvent {
        payload: vec![0; size],
        ..ProducerEvent::default()
    };
    PublishRequest {
        topic_name: topic.to_owned(),
        events: vec![event; count],
        ..PublishRequest::default()
    }
}

#[tokio::test]
async fn responses_stay_below_three_megabytes() {
    let world = world(BusOptions::default()).await;
    let mut client = Client::new(&world).await;
    for _ in 0..4 {
        let publish = client.signed(request(TOPIC, 900_000, 4));
        client.stub.publish(publish).await.unwrap();
    }
    let mut stream = client.open(earliest(100)).await.unwrap();
    let mut seen = 0;
    while seen < 16 {
        let response = stream.next().await.unwrap().unwrap();
        let bytes: usize = response
            .events
            .iter()
            .map(|one| one.event.as_ref().map_or(0, |event| event.payload.len()))
            .sum();
        assert!(bytes <= 3 * 1024 * 1024, "{bytes}");
        seen += response.events.len();
    }
}

#[tokio::test]
async fn publishing_to_an_unknown_topic_is_not_found() {
    let world = world(BusOptions::default()).await;
    let mut client = Client::new(&world).await;
    let publish = client.signed(request("/event/Nope__e", 1, 1));
    let status = client.stub.publish(publish).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(error_code(&status).ends_with("topic.not.found"));
}

#[tokio::test]
async fn publish_stream_keeps_its_topic_and_ends_when_idle() {
    let world = world(BusOptions {
        publish_idle: Duration::from_millis(50),
        ..BusOptions::default()
    })
    .await;
    let mut client = Client::new(&world).await;
    let (requests, outbound) = mpsc::channel(4);
    for topic in [TOPIC, ""] {
        requests.send(request(topic, 1, 1)).await.unwrap();
    }
    let outbound = client.signed(ReceiverStream::new(outbound));
    let answer = client.stub.publish_stream(outbound).await.unwrap();
    let mut answers = answer.into_inner();
    for _ in 0..2 {
        assert_eq!(answers.message().await.unwrap().unwrap().results.len(), 1);
    }
    let status = answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(error_code(&status).ends_with("publish.stream.sweeper.timeout"));
}

#[tokio::test]
async fn managed_subscription_is_followed_by_its_id_and_commits_are_answered_with_a_position() {
    let world = world(BusOptions::default()).await;
    let id = world
        .salesforce
        .set_managed(ManagedSubscription::new("Bridge"))
        .unwrap();
    world.salesforce.publish_event(&serde_json::Map::new());
    let mut client = Client::new(&world).await;
    let (requests, outbound) = mpsc::channel(4);
    let first = ManagedFetchRequest {
        subscription_id: id,
        num_requested: 1,
        ..ManagedFetchRequest::default()
    };
    requests.send(first).await.unwrap();
    let outbound = client.signed(ReceiverStream::new(outbound));
    let answer = client.stub.managed_subscribe(outbound).await.unwrap();
    let mut answers = answer.into_inner();
    let event = answers.message().await.unwrap().unwrap();
    let replay_id = event.events[0].replay_id.clone();
    let commit = ManagedFetchRequest {
        commit_replay_id_request: Some(CommitReplayRequest {
            commit_request_id: "c".to_owned(),
            replay_id: replay_id.clone(),
        }),
        ..ManagedFetchRequest::default()
    };
    requests.send(commit).await.unwrap();
    let answer = answers.message().await.unwrap().unwrap();
    assert_eq!(answer.latest_replay_id, replay_id);
    assert_eq!(answer.commit_response.unwrap().error, None);
}
