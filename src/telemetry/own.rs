//! The collector's own metrics and spans: providers, and the way out of them.

use std::{collections::BTreeMap, time::Duration};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    MetricExporter, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    metrics::{PeriodicReader, SdkMeterProvider, Temporality},
    trace::{Sampler, SdkTracerProvider},
};
use prometheus::{Registry, TextEncoder};
use reqwest::Url;

use super::{
    Meter,
    config::{MetricReaderConfig, MetricsLevel, SpanProcessorConfig, TelemetryConfig},
    process,
};

/// A push of our own telemetry takes no longer.
const PUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// The collector's own providers.
#[derive(Debug)]
pub struct OwnTelemetry {
    metrics: SdkMeterProvider,
    /// The maker of its instruments.
    meter: Meter,
    traces: Option<SdkTracerProvider>,
    /// One a pull reader, with its address.
    scrapes: Vec<Scrape>,
}

/// One endpoint where the collector's own metrics can be scraped.
#[derive(Debug, Clone)]
pub struct Scrape {
    /// `host:port`.
    pub endpoint: String,
    registry: Registry,
}

/// Why the collector cannot speak of itself.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The Prometheus reader cannot be made.
    #[error("failed to set up the collector's own Prometheus endpoint")]
    Prometheus(#[source] opentelemetry_sdk::error::OTelSdkError),
    /// The OTLP exporter cannot be made.
    #[error("failed to set up the push of the collector's own telemetry")]
    Otlp(#[source] opentelemetry_otlp::ExporterBuildError),
    /// The HTTP client cannot be made.
    #[error("failed to set up the HTTP client of the collector's own telemetry")]
    Client(#[source] reqwest::Error),
}

impl OwnTelemetry {
    /// Builds the providers as configured.
    ///
    /// # Errors
    /// If a client cannot be set up.
    pub fn new(config: &TelemetryConfig) -> Result<Self, TelemetryError> {
        let resource = resource(&config.resource);
        let mut builder = SdkMeterProvider::builder().with_resource(resource.clone());
        let mut scrapes = Vec::new();
        let readers = match config.metrics.level {
            MetricsLevel::None => &[],
            _ => config.metrics.readers.as_slice(),
        };
        for reader in readers {
            match reader {
                MetricReaderConfig::Pull(pull) => {
                    let at = &pull.exporter.prometheus;
                    let registry = Registry::new();
                    builder = builder.with_reader(prometheus_reader(&registry)?);
                    scrapes.push(Scrape {
                        endpoint: at.endpoint(),
                        registry,
                    });
                }
                MetricReaderConfig::Periodic(periodic) => {
                    let url = periodic.exporter.otlp.url("/v1/metrics");
                    let interval = Duration::from_millis(periodic.interval);
                    let reader = PeriodicReader::builder(metric_exporter(&url)?);
                    builder = builder.with_reader(reader.with_interval(interval).build());
                }
            }
        }
        let metrics = builder.build();
        let meter = Meter::of(&metrics);
        process::observe(&meter);
        Ok(Self {
            metrics,
            meter,
            traces: traces(config, resource)?,
            scrapes,
        })
    }

    /// What makes the collector's own instruments.
    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// Where spans go, if anywhere.
    pub fn tracer_provider(&self) -> Option<&SdkTracerProvider> {
        self.traces.as_ref()
    }

    /// Where the collector's own metrics can be scraped.
    pub fn scrapes(&self) -> &[Scrape] {
        &self.scrapes
    }

    /// Sends what is left. Blocks: call it where blocking is allowed.
    pub fn shutdown(&self) {
        if let Err(error) = self.metrics.shutdown() {
            tracing::debug!(%error, "the last push of the collector's own metrics failed");
        }
        if let Some(Err(error)) = self.traces.as_ref().map(SdkTracerProvider::shutdown) {
            tracing::debug!(%error, "the last push of spans failed");
        }
    }
}

impl Scrape {
    /// The metrics as Prometheus text 0.0.4.
    pub fn text(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_else(|error| {
                tracing::warn!(%error, "the collector's own metrics could not be written");
                String::new()
            })
    }
}

/// Names as the OpenTelemetry Collector has them: no suffixes, no scope labels.
fn prometheus_reader(
    registry: &Registry,
) -> Result<opentelemetry_prometheus::PrometheusExporter, TelemetryError> {
    opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .without_units()
        .without_counter_suffixes()
        .scope_info_enabled(false)
        .build()
        .map_err(TelemetryError::Prometheus)
}

fn traces(
    config: &TelemetryConfig,
    resource: Resource,
) -> Result<Option<SdkTracerProvider>, TelemetryError> {
    if config.traces.processors.is_empty() {
        return Ok(None);
    }
    let root = match &config.traces.sampler.trace_id_ratio_based {
        Some(share) => Sampler::TraceIdRatioBased(share.ratio),
        None => Sampler::AlwaysOn,
    };
    let mut builder = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(Sampler::ParentBased(Box::new(root)));
    for processor in &config.traces.processors {
        let SpanProcessorConfig::Batch(batch) = processor;
        let url = batch.exporter.otlp.url("/v1/traces");
        builder = builder.with_batch_exporter(span_exporter(&url)?);
    }
    Ok(Some(builder.build()))
}

fn metric_exporter(url: &Url) -> Result<MetricExporter, TelemetryError> {
    MetricExporter::builder()
        .with_http()
        .with_http_client(blocking_client(url)?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url.as_str())
        .with_timeout(PUSH_TIMEOUT)
        .with_temporality(Temporality::Cumulative)
        .build()
        .map_err(TelemetryError::Otlp)
}

fn span_exporter(url: &Url) -> Result<SpanExporter, TelemetryError> {
    SpanExporter::builder()
        .with_http()
        .with_http_client(blocking_client(url)?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url.as_str())
        .with_timeout(PUSH_TIMEOUT)
        .build()
        .map_err(TelemetryError::Otlp)
}

/// The SDK's own threads have no tokio runtime, so an async client would panic there; and a
/// blocking client must not be made inside of one.
fn blocking_client(url: &Url) -> Result<reqwest::blocking::Client, TelemetryError> {
    let is_https = url.scheme() == "https";
    let build = || {
        let builder = reqwest::blocking::Client::builder()
            .timeout(PUSH_TIMEOUT)
            .no_proxy();
        // A machine without certificates can still speak clear text.
        if is_https {
            builder.build()
        } else {
            builder.tls_certs_only([]).build()
        }
    };
    std::thread::scope(|scope| scope.spawn(build).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        .map_err(TelemetryError::Client)
}

fn resource(configured: &BTreeMap<String, String>) -> Resource {
    let mut attributes = vec![
        KeyValue::new("service.name", "betanet-collector"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
    ];
    attributes.extend(
        configured
            .iter()
            .map(|(key, value)| KeyValue::new(key.clone(), value.clone())),
    );
    Resource::builder_empty()
        .with_attributes(attributes)
        .build()
}
