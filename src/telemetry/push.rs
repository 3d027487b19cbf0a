//! Sends the collector's own metrics and spans as OTLP over HTTP.

use std::{collections::HashMap, time::Duration};

use opentelemetry_otlp::{
    MetricExporter, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::metrics::Temporality;
use reqwest::Url;

use super::{
    config::{OtlpConfig, PeriodicConfig, SpanProcessorConfig},
    error::TelemetryError,
};

/// Creates the exporter of metrics.
pub(super) fn metrics(config: &PeriodicConfig) -> Result<MetricExporter, TelemetryError> {
    let otlp = &config.exporter.otlp;
    let url = otlp.url("/v1/metrics");
    MetricExporter::builder()
        .with_http()
        .with_http_client(blocking_client(&url, timeout(otlp))?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url.as_str())
        .with_headers(headers(otlp))
        .with_timeout(timeout(otlp))
        .with_temporality(Temporality::Cumulative)
        .build()
        .map_err(TelemetryError::Otlp)
}

/// Creates the exporter of spans.
pub(super) fn spans(config: &SpanProcessorConfig) -> Result<SpanExporter, TelemetryError> {
    let SpanProcessorConfig::Batch(batch) = config;
    let otlp = &batch.exporter.otlp;
    let url = otlp.url("/v1/traces");
    SpanExporter::builder()
        .with_http()
        .with_http_client(blocking_client(&url, timeout(otlp))?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url.as_str())
        .with_headers(headers(otlp))
        .with_timeout(timeout(otlp))
        .build()
        .map_err(TelemetryError::Otlp)
}

fn timeout(otlp: &OtlpConfig) -> Duration {
    Duration::from_millis(otlp.timeout)
}

fn headers(otlp: &OtlpConfig) -> HashMap<String, String> {
    let headers = otlp.headers.iter();
    headers
        .map(|(name, value)| (name.to_owned(), value.expose().to_owned()))
        .collect()
}

/// Uses a blocking client, because the SDK's own threads have no tokio runtime and an async client
/// would panic there. A blocking client must not be created inside of a runtime.
fn blocking_client(
    url: &Url,
    timeout: Duration,
) -> Result<reqwest::blocking::Client, TelemetryError> {
    let is_https = url.scheme() == "https";
    let build = || {
        let builder = reqwest::blocking::Client::builder()
            .timeout(timeout)
            .no_proxy();
        // A machine without certificates can still use plain HTTP.
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
