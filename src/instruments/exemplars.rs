//! Exemplars in OTLP messages. The SDK has fields for them, but never fills them (opentelemetry_sdk
//! 0.33).

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{self as proto, exemplar, metric::Data},
};

use crate::{pipeline::Exemplar, runtime::clock::since_epoch};

/// Adds each exemplar of a report metric to its series, if that is in the message. An exemplar that
/// is older than the interval of the point is left out.
pub(super) fn add(metric: &mut proto::Metric, exemplars: &[Exemplar]) {
    let Some(Data::Sum(sum)) = &mut metric.data else {
        return;
    };
    if !sum.is_monotonic {
        return;
    }
    let own = exemplars.iter().filter(|of| *of.metric == *metric.name);
    for exemplar in own {
        let attributes: Vec<KeyValue> = exemplar.attributes.iter().map(Into::into).collect();
        let new = proto::Exemplar {
            filtered_attributes: Vec::new(),
            time_unix_nano: u64::try_from(since_epoch(exemplar.time).as_nanos())
                .unwrap_or_default(),
            span_id: exemplar.trace.span_id.to_bytes().to_vec(),
            trace_id: exemplar.trace.trace_id.to_bytes().to_vec(),
            value: Some(exemplar::Value::AsInt(1)),
        };
        let is_it = |point: &&mut proto::NumberDataPoint| {
            point.attributes == attributes && point.start_time_unix_nano < new.time_unix_nano
        };
        if let Some(point) = sum.data_points.iter_mut().find(is_it) {
            point.exemplars.push(new);
        }
    }
}
