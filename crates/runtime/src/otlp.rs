//! Trace export by OTLP.

use error_chain::chain;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::{Args, ValueEnum};
use opentelemetry::Context;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, SdkTracer, SdkTracerProvider, Span, SpanData, SpanProcessor,
};
use settings::Invalid;
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;
use url::Url;

/// Timeout of an export; spans that cannot be sent are dropped.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Conventional port for OTLP over HTTP.
const HTTP_PORT: u16 = 4318;

/// Settings of trace export.
#[derive(Args, Clone, Debug)]
pub(crate) struct CollectorArgs {
    /// OTLP endpoint for traces [default: none]
    #[arg(long, env, value_parser = endpoint)]
    otel_exporter_otlp_endpoint: Option<Url>,
    /// Protocol of the endpoint [default: by the endpoint's port, else grpc]
    #[arg(long, env)]
    otel_exporter_otlp_protocol: Option<Protocol>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Protocol {
    #[value(name = "grpc")]
    Grpc,
    #[value(name = "http/protobuf")]
    Http,
}

fn endpoint(text: &str) -> Result<Url, Invalid> {
    let usable = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    let url = Url::parse(text.trim()).ok().filter(usable);
    url.ok_or_else(|| Invalid::new("Use the collector's URL, such as http://127.0.0.1:4317"))
}

impl CollectorArgs {
    /// The configured collector. The default protocol depends on the port: each has its own.
    pub(crate) fn collector(&self) -> Option<Collector> {
        let url = self.otel_exporter_otlp_endpoint.clone()?;
        let by_port = match url.port() {
            Some(HTTP_PORT) => Protocol::Http,
            _ => Protocol::Grpc,
        };
        let protocol = self.otel_exporter_otlp_protocol.unwrap_or(by_port);
        Some(Collector {
            url,
            http: protocol == Protocol::Http,
        })
    }
}

/// The collector that receives traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Collector {
    url: Url,
    http: bool,
}

impl Collector {
    fn exporter(&self) -> Result<SpanExporter, ExporterBuildError> {
        if !self.http {
            return SpanExporter::builder()
                .with_tonic()
                .with_endpoint(self.url.as_str())
                .with_timeout(TIMEOUT)
                .build();
        }
        let base = self.url.as_str().trim_end_matches('/');
        SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{base}/v1/traces"))
            .with_timeout(TIMEOUT)
            .build()
    }
}

/// The provider of this process and its deferred exporter.
static TRACES: OnceLock<(SdkTracerProvider, Arc<DeferredExporter>)> = OnceLock::new();

/// The tracing layer; spans are discarded until [`start`]. `None` without a collector.
pub(crate) fn layer<S>(collector: Option<Collector>) -> Option<OpenTelemetryLayer<S, SdkTracer>>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let deferred = Arc::new(DeferredExporter {
        collector: collector?,
        resource: resource(),
        exporting: OnceLock::new(),
    });
    let provider = SdkTracerProvider::builder()
        .with_resource(deferred.resource.clone())
        .with_span_processor(Shared(Arc::clone(&deferred)))
        .build();
    let tracer = provider.tracer("orderbridge");
    TRACES.set((provider, deferred)).ok()?;
    Some(
        tracing_opentelemetry::layer()
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_tracer(tracer),
    )
}

fn resource() -> Resource {
    let resource = Resource::builder();
    if std::env::var_os("OTEL_SERVICE_NAME").is_some() {
        return resource.build();
    }
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(Path::file_stem);
    let name = name.map_or_else(|| "orderbridge".into(), OsStr::to_string_lossy);
    resource.with_service_name(name.into_owned()).build()
}

/// Starts the export if a collector is configured. Must be called on a runtime.
pub(crate) fn start() {
    let Some((_, deferred)) = TRACES.get() else {
        return;
    };
    match deferred.collector.exporter() {
        Ok(exporter) => {
            let mut exporting = BatchSpanProcessor::builder(exporter).build();
            exporting.set_resource(&deferred.resource);
            // A second call changes nothing.
            let _ = deferred.exporting.set(exporting);
        }
        Err(error) => {
            tracing::error!(error = %chain(&error), "trace export disabled: exporter not created");
        }
    }
}

/// Flushes the remaining spans, within the timeout of one export.
pub(crate) async fn shutdown() {
    let Some((provider, _)) = TRACES.get() else {
        return;
    };
    let flush = tokio::task::spawn_blocking(|| provider.shutdown_with_timeout(TIMEOUT));
    if let Ok(Err(error)) = flush.await {
        tracing::warn!(error = %chain(&error), "last traces not exported");
    }
}

/// A span processor whose exporter is created later: it needs a runtime, which starts after
/// settings and logs are set up.
#[derive(Debug)]
struct DeferredExporter {
    collector: Collector,
    resource: Resource,
    exporting: OnceLock<BatchSpanProcessor>,
}

#[derive(Debug)]
struct Shared(Arc<DeferredExporter>);

impl SpanProcessor for Shared {
    fn on_start(&self, span: &mut Span, context: &Context) {
        if let Some(exporting) = self.0.exporting.get() {
            exporting.on_start(span, context);
        }
    }

    fn on_end(&self, span: SpanData) {
        if let Some(exporting) = self.0.exporting.get() {
            exporting.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0
            .exporting
            .get()
            .map_or(Ok(()), SpanProcessor::force_flush)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let exporting = self.0.exporting.get();
        exporting.map_or(Ok(()), |exporting| exporting.shutdown_with_timeout(timeout))
    }
}
