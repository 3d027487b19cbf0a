//! Metrics as an OTLP message.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest, metrics::v1::metric::Data,
};
use prost::{DecodeError, Message as _};

/// An `ExportMetricsServiceRequest` as bytes: most exporters only join them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpMessage {
    /// The encoded message.
    pub bytes: Vec<u8>,
    /// The number of data points in it.
    pub points: u64,
}

impl OtlpMessage {
    /// The message.
    ///
    /// # Errors
    /// If the bytes are none.
    pub fn decode(&self) -> Result<ExportMetricsServiceRequest, DecodeError> {
        ExportMetricsServiceRequest::decode(self.bytes.as_slice())
    }
}

impl From<&ExportMetricsServiceRequest> for OtlpMessage {
    fn from(message: &ExportMetricsServiceRequest) -> Self {
        let parts = message.resource_metrics.iter();
        let scopes = parts.flat_map(|part| &part.scope_metrics);
        let metrics = scopes.flat_map(|scope| &scope.metrics);
        let data = metrics.filter_map(|metric| metric.data.as_ref());
        Self {
            bytes: message.encode_to_vec(),
            points: data.map(points).sum(),
        }
    }
}

/// The number of data points of a metric.
pub fn points(data: &Data) -> u64 {
    let points = match data {
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Sum(sum) => sum.data_points.len(),
        Data::Histogram(histogram) => histogram.data_points.len(),
        Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        Data::Summary(summary) => summary.data_points.len(),
    };
    points as u64
}
