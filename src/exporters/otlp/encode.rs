//! opentelemetry-otlp's encoding without its sending: its exporter is driven through a client
//! that keeps the body instead of sending it.

use std::{cell::Cell, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, Protocol, RetryPolicy, WithExportConfig as _,
    WithHttpConfig as _,
};
use opentelemetry_sdk::{
    error::OTelSdkError,
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter as _},
};

/// The first byte of every message that is not empty: field 1, length-delimited.
const FIRST_BYTE: u8 = 0x0a;

/// Turns metrics into `ExportMetricsServiceRequest` messages.
#[derive(Debug)]
pub(super) struct Encoder(MetricExporter);

/// Why metrics could not be encoded.
#[derive(Debug, thiserror::Error)]
pub(super) enum EncodeError {
    #[error("the exporter refused the metrics")]
    Exporter(#[source] OTelSdkError),
    #[error("the exporter produced no message")]
    NoMessage,
}

impl Encoder {
    /// An encoder that no `OTEL_EXPORTER_OTLP_*` variable influences: what they could set is set
    /// here. Compression they cannot turn on, because opentelemetry-otlp is built without; headers
    /// end with the request that is thrown away.
    pub(super) fn new() -> Result<Self, ExporterBuildError> {
        MetricExporter::builder()
            .with_http()
            .with_http_client(Capture)
            .with_endpoint("http://captured.invalid")
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(Duration::from_secs(1))
            .with_retry_policy(RetryPolicy::disabled())
            .with_max_request_body_size(usize::MAX) // delivery has the limit, and counts
            .with_temporality(Temporality::Cumulative)
            .build()
            .map(Self)
    }

    /// The message, without waiting.
    pub(super) fn encode(&self, metrics: &ResourceMetrics) -> Result<Bytes, EncodeError> {
        let done = self.0.export(metrics).now_or_never();
        let message = CAPTURED.take();
        done.ok_or(EncodeError::NoMessage)?
            .map_err(EncodeError::Exporter)?;
        message
            .filter(|message| message.first() == Some(&FIRST_BYTE))
            .ok_or(EncodeError::NoMessage)
    }
}

thread_local! {
    /// The body of the export that this thread makes right now: it is complete before anything
    /// else can run here, so that exports of several threads need no lock.
    static CAPTURED: Cell<Option<Bytes>> = const { Cell::new(None) };
}

/// Keeps the body and says that all is well.
#[derive(Debug)]
struct Capture;

#[async_trait]
impl HttpClient for Capture {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        CAPTURED.set(Some(request.into_body()));
        Ok(Response::new(Bytes::new()))
    }
}
