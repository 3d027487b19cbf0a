//! Errors of the collector's own telemetry.

/// Why the collector's own telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The Prometheus reader cannot be created.
    #[error("failed to set up the collector's own Prometheus endpoint")]
    Prometheus(#[source] opentelemetry_sdk::error::OTelSdkError),
    /// The OTLP exporter cannot be created.
    #[error("failed to set up the push of the collector's own telemetry")]
    Otlp(#[source] opentelemetry_otlp::ExporterBuildError),
    /// The HTTP client cannot be created.
    #[error("failed to set up the HTTP client of the collector's own telemetry")]
    Client(#[source] reqwest::Error),
}
