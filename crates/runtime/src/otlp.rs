//! Traces, exported by OTLP where a collector is named.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, SdkTracer, SdkTracerProvider, Span, SpanData, SpanProcessor,
};
use settings::Problems;
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// One export may take so long; what cannot be sent is dropped, never waited for.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Where collectors listen for OTLP over HTTP by convention.
const HTTP_PORT: u16 = 4318;

/// Where traces go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Collector {
    url: url::Url,
    http: bool,
}

impl Collector {
    /// The collector that the settings name; `None` also when they are wrong, which is then
    /// noted.
    pub(crate) fn of(
        endpoint: Option<&str>,
        protocol: Option<&str>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let endpoint = endpoint.filter(|text| !text.trim().is_empty())?;
        let fix = "Give the collector's address, such as http://127.0.0.1:4317";
        let url: url::Url = problems.parse(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            Some(endpoint),
            "",
            fix,
            |text| {
                let url: url::Url = text.trim().parse().ok()?;
                (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
            },
        )?;
        // As the port says, where nobody says it: the two protocols have one each.
        let by_port = if url.port() == Some(HTTP_PORT) {
            "http/protobuf"
        } else {
            "grpc"
        };
        let http = problems.parse(
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            protocol,
            by_port,
            "Give grpc or http/protobuf",
            |text| match text {
                "grpc" => Some(false),
                "http/protobuf" => Some(true),
                _ => None,
            },
        )?;
        Some(Self { url, http })
    }

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

/// The one provider of this process, and who waits for a runtime to begin.
static TRACES: OnceLock<(SdkTracerProvider, Arc<Late>)> = OnceLock::new();

/// The layer that traces; what it is told goes nowhere until [`begin`]. `None` without a
/// collector.
pub(crate) fn layer<S>(collector: Option<Collector>) -> Option<OpenTelemetryLayer<S, SdkTracer>>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let late = Arc::new(Late {
        collector: collector?,
        resource: resource(),
        exporting: OnceLock::new(),
    });
    let provider = SdkTracerProvider::builder()
        .with_resource(late.resource.clone())
        .with_span_processor(Shared(Arc::clone(&late)))
        .build();
    let tracer = provider.tracer("orderbridge");
    TRACES.set((provider, late)).ok()?;
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

/// Begins to export, inside a runtime, if a collector is named.
pub(crate) fn begin() {
    let Some((_, late)) = TRACES.get() else {
        return;
    };
    match late.collector.exporter() {
        Ok(exporter) => {
            let mut exporting = BatchSpanProcessor::builder(exporter).build();
            exporting.set_resource(&late.resource);
            // A second beginning changes nothing.
            let _ = late.exporting.set(exporting);
        }
        Err(error) => tracing::error!(%error, "traces cannot be exported; going on without them"),
    }
}

/// Sends what is left. Waits no longer than one export may take.
pub(crate) async fn end() {
    let Some((provider, _)) = TRACES.get() else {
        return;
    };
    let outcome = tokio::task::spawn_blocking(|| provider.shutdown_with_timeout(TIMEOUT));
    if let Ok(Err(error)) = outcome.await {
        tracing::warn!(%error, "the last traces were not sent");
    }
}

/// Exports as soon as there is a runtime: the exporter needs one, and settings, logs among
/// them, are checked before.
#[derive(Debug)]
struct Late {
    collector: Collector,
    resource: Resource,
    exporting: OnceLock<BatchSpanProcessor>,
}

#[derive(Debug)]
struct Shared(Arc<Late>);

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
