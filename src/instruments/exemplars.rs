//! Exemplars in OTLP messages. The SDK has fields for them, but never fills them (opentelemetry_sdk
//! 0.33).

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::KeyValue,
    metrics::v1::{self as proto, exemplar, metric::Data},
};

use super::SCOPE;
use crate::{pipeline::Exemplar, runtime::clock::since_epoch};

/// Adds each exemplar to its series, if a message has that. An exemplar that is older than the
/// interval of the point is left out.
pub(super) fn add(message: &mut ExportMetricsServiceRequest, exemplars: &[Exemplar]) {
    for exemplar in exemplars {
        let attributes: Vec<KeyValue> = exemplar.attributes.iter().map(Into::into).collect();
        let new = proto::Exemplar {
            filtered_attributes: Vec::new(),
            time_unix_nano: u64::try_from(since_epoch(exemplar.time).as_nanos())
                .unwrap_or_default(),
            span_id: exemplar.trace.span_id.to_bytes().to_vec(),
            trace_id: exemplar.trace.trace_id.to_bytes().to_vec(),
            value: Some(exemplar::Value::AsInt(1)),
        };
        let points = totals(message, &exemplar.metric);
        let is_it = |point: &&mut proto::NumberDataPoint| {
            point.attributes == attributes && point.start_time_unix_nano < new.time_unix_nano
        };
        if let Some(point) = points.into_iter().find(is_it) {
            point.exemplars.push(new);
        }
    }
}

/// The points of a total of the collector itself.
fn totals<'m>(
    message: &'m mut ExportMetricsServiceRequest,
    name: &'m str,
) -> impl Iterator<Item = &'m mut proto::NumberDataPoint> {
    let parts = message.resource_metrics.iter_mut();
    let scopes = parts.flat_map(|part| &mut part.scope_metrics);
    let ours = scopes.filter(|part| part.scope.as_ref().is_some_and(|of| of.name == SCOPE));
    let metrics = ours.flat_map(|scope| &mut scope.metrics);
    let named = metrics.filter(move |metric| metric.name == name);
    let sums = named.filter_map(|metric| match &mut metric.data {
        Some(Data::Sum(sum)) if sum.is_monotonic => Some(sum),
        _ => None,
    });
    sums.flat_map(|sum| &mut sum.data_points)
}
