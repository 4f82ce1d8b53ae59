//! The gRPC service: metadata checks and RPCs.
use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
};

use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming, metadata::MetadataMap};

use super::{
    managed::ManagedSession,
    publish::PublishSession,
    status::{code, status},
    stream::Session,
    wire::{
        Error, ErrorCode, FetchRequest, FetchResponse, ManagedFetchRequest, ManagedFetchResponse,
        PublishRequest, PublishResponse, PublishResult, SchemaInfo, SchemaRequest, TopicInfo,
        TopicRequest, pub_sub_server::PubSub,
    },
};
use crate::{listener::ConnectionHandle, salesforce::Org};

/// The service of an org.
#[derive(Clone)]
pub(crate) struct PubSubService(pub(crate) Arc<Org>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl PubSubService {
    fn check(&self, metadata: &MetadataMap, rpc: &str) -> Result<(), Status> {
        let rpc_id = self.0.bus.uuid();
        let read = |key: &str| {
            let value = metadata.get(key).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().trim().to_owned()
        };
        let (token, instance, tenant) =
            (read("accesstoken"), read("instanceurl"), read("tenantid"));
        if token.is_empty() || instance.is_empty() || tenant.is_empty() {
            return Err(status(
                Code::Unauthenticated,
                "service.auth.headers.invalid",
                "accesstoken, instanceurl and tenantid are required",
                rpc,
                &rpc_id,
            ));
        }
        tracing::info!(rpc, "Pub/Sub call");
        let org = &self.0.org_id;
        if !self.0.sessions.accept(&token, &self.0.clock) || (tenant != *org && tenant != org[..15])
        {
            return Err(status(
                Code::Unauthenticated,
                "service.auth.error",
                "An authentication exception occurred. Check that the access token and the org id are valid",
                rpc,
                &rpc_id,
            ));
        }
        Ok(())
    }

    fn fault(&self, rpc: &str) -> Result<(), Status> {
        match self.0.bus.unary_fault(rpc) {
            Some(fault) => Err(status(
                code(&fault.code),
                &fault.error_code,
                "The call was refused",
                rpc,
                &self.0.bus.uuid(),
            )),
            None => Ok(()),
        }
    }

    pub(super) fn publish_all(
        &self,
        request: &PublishRequest,
        rpc: &str,
    ) -> Result<PublishResponse, Status> {
        let bus = &self.0.bus;
        let bad = |suffix: &str, message: &str| {
            Err(status(
                Code::InvalidArgument,
                suffix,
                message,
                rpc,
                &bus.uuid(),
            ))
        };
        if request.topic_name.is_empty() {
            return bad("publish.topic.validation.empty", "empty topic");
        }
        if request.topic_name != bus.topic() {
            return Err(status(
                Code::NotFound,
                "topic.not.found",
                &format!(
                    "The specified topic {} does not exist or you do not have access to it",
                    request.topic_name
                ),
                rpc,
                &bus.uuid(),
            ));
        }
        if request.events.is_empty() || request.events.len() > 200 {
            return bad("publish.event.count.invalid", "between 1 and 200 events");
        }
        let mut results = Vec::new();
        for event in &request.events {
            let mut event = event.clone();
            if event.id.is_empty() {
                event.id = bus.uuid();
            }
            let correlation_key = event.id.clone();
            if event.payload.len() > 1 << 20 {
                results.push(PublishResult {
                    replay_id: Vec::new(),
                    error: Some(Error {
                        code: ErrorCode::Publish.into(),
                        msg: "The event is larger than 1 MB".to_owned(),
                    }),
                    correlation_key,
                });
                continue;
            }
            let published = bus.append(event);
            results.push(PublishResult {
                replay_id: super::bus::unhex(&published.replay_id),
                error: None,
                correlation_key,
            });
        }
        Ok(PublishResponse {
            results,
            schema_id: bus.schema().id,
            rpc_id: bus.uuid(),
        })
    }
}

#[tonic::async_trait]
impl PubSub for PubSubService {
    type SubscribeStream = Answers<FetchResponse>;
    type PublishStreamStream = Answers<PublishResponse>;
    type ManagedSubscribeStream = Answers<ManagedFetchResponse>;

    async fn subscribe(
        &self,
        request: Request<Streaming<FetchRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let bus = self.0.bus.clone();
        bus.counters.streams.fetch_add(1, Ordering::SeqCst);
        let options = bus.options();
        let allowed = self.check(request.metadata(), "Subscribe");
        let connection = request.extensions().get::<ConnectionHandle>().cloned();
        let (out, answers) = mpsc::channel(1);
        let faults = match allowed {
            Ok(()) => bus.faults_of_stream(),
            Err(_) => Vec::new(),
        };
        let inbound = Box::pin(request.into_inner());
        let session = Session::new(bus, inbound, out.clone(), connection, faults);
        tokio::spawn(async move {
            match allowed {
                Ok(()) => {
                    drop(out);
                    session.run().await;
                }
                Err(refusal) => {
                    tokio::time::sleep(options.auth_delay).await;
                    // The client may have given up already.
                    let _ = out.send(Err(refusal)).await;
                }
            }
        });
        let mut answers = ReceiverStream::new(answers);
        if !options.lazy_headers {
            return Ok(Response::new(Box::pin(answers)));
        }
        match answers.next().await {
            Some(Ok(first)) => {
                let all = futures::stream::iter([Ok(first)]).chain(answers);
                Ok(Response::new(Box::pin(all)))
            }
            Some(Err(refusal)) => Err(refusal),
            None => Ok(Response::new(Box::pin(answers))),
        }
    }

    async fn get_schema(
        &self,
        request: Request<SchemaRequest>,
    ) -> Result<Response<SchemaInfo>, Status> {
        let bus = &self.0.bus;
        bus.counters.get_schema.fetch_add(1, Ordering::SeqCst);
        self.check(request.metadata(), "GetSchema")?;
        self.fault("GetSchema")?;
        let id = request.into_inner().schema_id;
        let rpc_id = bus.uuid();
        if id.is_empty() {
            return Err(status(
                Code::InvalidArgument,
                "schema.validation.failed",
                "The schema id is blank",
                "GetSchema",
                &rpc_id,
            ));
        }
        let schema = bus.schema_by_id(&id).ok_or_else(|| {
            status(
                Code::NotFound,
                "schema.not.found",
                "The schema does not exist",
                "GetSchema",
                &rpc_id,
            )
        })?;
        Ok(Response::new(SchemaInfo {
            schema_json: schema.json,
            schema_id: schema.id,
            rpc_id,
        }))
    }

    async fn get_topic(
        &self,
        request: Request<TopicRequest>,
    ) -> Result<Response<TopicInfo>, Status> {
        let bus = &self.0.bus;
        bus.counters.get_topic.fetch_add(1, Ordering::SeqCst);
        self.check(request.metadata(), "GetTopic")?;
        self.fault("GetTopic")?;
        let topic_name = request.into_inner().topic_name;
        let rpc_id = bus.uuid();
        if topic_name.is_empty() {
            return Err(status(
                Code::InvalidArgument,
                "topic.validation.empty",
                "empty topic",
                "GetTopic",
                &rpc_id,
            ));
        }
        if topic_name != bus.topic() {
            return Err(status(
                Code::NotFound,
                "topic.not.found",
                &format!(
                    "The specified topic {topic_name} does not exist or you do not have access to it"
                ),
                "GetTopic",
                &rpc_id,
            ));
        }
        Ok(Response::new(TopicInfo {
            topic_name,
            tenant_guid: format!("core/simulated/{}", self.0.org_id),
            can_publish: true,
            can_subscribe: bus.options().can_subscribe,
            schema_id: bus.schema().id,
            rpc_id,
        }))
    }

    async fn publish(
        &self,
        request: Request<PublishRequest>,
    ) -> Result<Response<PublishResponse>, Status> {
        self.check(request.metadata(), "Publish")?;
        self.fault("Publish")?;
        self.publish_all(&request.into_inner(), "Publish")
            .map(Response::new)
    }

    async fn publish_stream(
        &self,
        request: Request<Streaming<PublishRequest>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        self.check(request.metadata(), "PublishStream")?;
        self.fault("PublishStream")?;
        let (out, answers) = mpsc::channel(1);
        let stream = PublishSession {
            service: self.clone(),
            inbound: request.into_inner(),
            topic: None,
        };
        tokio::spawn(stream.run(out));
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn managed_subscribe(
        &self,
        request: Request<Streaming<ManagedFetchRequest>>,
    ) -> Result<Response<Self::ManagedSubscribeStream>, Status> {
        self.check(request.metadata(), "ManagedSubscribe")?;
        let bus = self.0.bus.clone();
        let connection = request.extensions().get::<ConnectionHandle>().cloned();
        let (fetches, inbound) = mpsc::channel(4);
        let (plain, answers) = mpsc::channel(1);
        let (out, managed) = mpsc::channel(1);
        let inbound = Box::pin(ReceiverStream::new(inbound));
        let faults = bus.faults_of_stream();
        let session = Session::new(bus.clone(), inbound, plain, connection, faults);
        let managed_session = ManagedSession {
            rpc_id: bus.uuid(),
            inbound: request.into_inner(),
            out,
            fetches,
            answers,
            bus,
        };
        managed_session.count();
        tokio::spawn(session.run());
        tokio::spawn(managed_session.run());
        Ok(Response::new(Box::pin(ReceiverStream::new(managed))))
    }
}
