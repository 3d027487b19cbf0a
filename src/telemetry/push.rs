//! How the collector's own metrics and spans are sent: OTLP over HTTP.

use std::time::Duration;

use opentelemetry_otlp::{
    MetricExporter, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::metrics::Temporality;
use reqwest::Url;

use super::{
    config::{PeriodicConfig, SpanProcessorConfig},
    own::TelemetryError,
};

/// A push of our own telemetry takes no longer.
const PUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends metrics.
pub(super) fn metrics(config: &PeriodicConfig) -> Result<MetricExporter, TelemetryError> {
    let url = config.exporter.otlp.url("/v1/metrics");
    MetricExporter::builder()
        .with_http()
        .with_http_client(blocking_client(&url)?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url.as_str())
        .with_timeout(PUSH_TIMEOUT)
        .with_temporality(Temporality::Cumulative)
        .build()
        .map_err(TelemetryError::Otlp)
}

/// Sends spans.
pub(super) fn spans(config: &SpanProcessorConfig) -> Result<SpanExporter, TelemetryError> {
    let SpanProcessorConfig::Batch(batch) = config;
    let url = batch.exporter.otlp.url("/v1/traces");
    SpanExporter::builder()
        .with_http()
        .with_http_client(blocking_client(&url)?)
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
