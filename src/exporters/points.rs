//! Counts data points.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest, metrics::v1::metric::Data,
};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};

/// The number of data points in all metrics.
pub(super) fn count(metrics: &ResourceMetrics) -> u64 {
    let metrics = metrics.scope_metrics().flat_map(|scope| scope.metrics());
    let points = metrics.map(|metric| match metric.data() {
        AggregatedMetrics::F64(data) => of(data),
        AggregatedMetrics::U64(data) => of(data),
        AggregatedMetrics::I64(data) => of(data),
    });
    points.sum::<usize>() as u64
}

fn of<T: Copy>(data: &MetricData<T>) -> usize {
    match data {
        MetricData::Gauge(gauge) => gauge.data_points().count(),
        MetricData::Sum(sum) => sum.data_points().count(),
        MetricData::Histogram(histogram) => histogram.data_points().count(),
        MetricData::ExponentialHistogram(histogram) => histogram.data_points().count(),
    }
}

/// The number of data points in a message.
pub(super) fn in_message(message: &ExportMetricsServiceRequest) -> u64 {
    let scopes = message
        .resource_metrics
        .iter()
        .flat_map(|of| &of.scope_metrics);
    let data = scopes
        .flat_map(|scope| &scope.metrics)
        .filter_map(|metric| metric.data.as_ref());
    let points = data.map(|data| match data {
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Sum(sum) => sum.data_points.len(),
        Data::Histogram(histogram) => histogram.data_points.len(),
        Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        Data::Summary(summary) => summary.data_points.len(),
    });
    points.sum::<usize>() as u64
}
