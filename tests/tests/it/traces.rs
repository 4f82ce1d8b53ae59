//! Exported traces.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::process::Process;
use crate::test_env::{TestEnv, with};

const WORKER: &str = env!("CARGO_BIN_EXE_crashable-worker");
const SUBSCRIBER: &str = env!("CARGO_BIN_EXE_crashable-subscriber");

/// A collector that keeps every span with its service name.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

impl Collector {
    fn take(&self, request: ExportTraceServiceRequest) {
        let spans = request
            .resource_spans
            .into_iter()
            .flat_map(|of_service| of_service.scope_spans)
            .flat_map(|of_scope| of_scope.spans);
        self.0.lock().unwrap().extend(spans);
    }

    fn named(&self, name: &str) -> Span {
        let spans = self.0.lock().unwrap();
        let found = spans.iter().find(|span| span.name == name);
        let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
        found
            .unwrap_or_else(|| panic!("no {name} in {names:?}"))
            .clone()
    }

    /// Listens for OTLP over gRPC and returns the address.
    async fn listen_grpc(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = TraceServiceServer::new(self.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        format!("http://{address}")
    }

    /// Listens for OTLP over HTTP and returns the address.
    async fn listen_http(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taker = self.clone();
        let take = async move |body: Bytes| {
            taker.take(ExportTraceServiceRequest::decode(body).unwrap());
            ExportTraceServiceResponse::default().encode_to_vec()
        };
        let router = axum::Router::new().route("/v1/traces", post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.take(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempt_trace_contains_calls_and_links_to_event_trace() {
    let env = TestEnv::new().await;
    let collector = Collector::default();
    let grpc = collector.listen_grpc().await;
    let http = collector.listen_http().await;
    let settings = env.without_crashes(env.subscriber_settings());
    let settings = with(settings, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &grpc)]);
    let subscriber = Process::start(SUBSCRIBER, &settings, &env.file("subscriber.log"));
    let settings = env.without_crashes(env.short_lease_worker_settings());
    let over_http = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*http),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    ];
    let settings = with(settings, &over_http);
    let worker = Process::start(WORKER, &settings, &env.file("worker.log"));
    let order = *env.approve(1).first().unwrap();
    env.until_activation(&order, "Activated").await;
    subscriber.stop().await;
    worker.stop().await;

    let job = env.store.ports.jobs_of(order).await.unwrap().remove(0).job;
    let event = uuid::Uuid::parse_str(job.event.unwrap().as_str()).unwrap();
    let received = collector.named("receive");
    assert_eq!(received.trace_id, event.as_bytes());
    let attempt = collector.named("provision");
    assert_ne!(attempt.trace_id, received.trace_id);
    assert_eq!(attempt.links[0].trace_id, received.trace_id);
    assert_eq!(attempt.links[0].span_id, received.parent_span_id);
    for name in ["AddOrder", "AcceptOrder"] {
        let call = collector.named(name);
        assert_eq!(call.trace_id, attempt.trace_id, "{name}");
        assert_eq!(call.parent_span_id, attempt.span_id, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unavailable_collector_does_not_block_provisioning() {
    let env = TestEnv::new().await;
    let unavailable = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")];
    let settings = with(
        env.without_crashes(env.short_lease_worker_settings()),
        &unavailable,
    );
    let worker = Process::start(WORKER, &settings, &env.file("worker.log"));
    let subscriber = env.subscribe();
    let order = *env.approve(1).first().unwrap();
    env.until_activation(&order, "Activated").await;
    worker.stop().await;
    subscriber.stop().await;
}
