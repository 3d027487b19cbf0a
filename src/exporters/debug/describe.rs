//! Formats metrics as lines for people.

use std::fmt::Debug;

use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData};

/// The kind of a metric, and one text for each data point.
pub(super) fn describe(metric: &Metric) -> (&'static str, Vec<String>) {
    match metric.data() {
        AggregatedMetrics::F64(data) => of(data),
        AggregatedMetrics::U64(data) => of(data),
        AggregatedMetrics::I64(data) => of(data),
    }
}

/// Formats attributes as `{key="value", …}`.
pub(super) fn attributes<'a>(attributes: impl Iterator<Item = (&'a Key, &'a Value)>) -> String {
    let pairs: Vec<String> = attributes
        .map(|(key, value)| format!("{key}={:?}", value.as_str()))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

fn pairs<'a>(of: impl Iterator<Item = &'a KeyValue>) -> String {
    attributes(of.map(|pair| (&pair.key, &pair.value)))
}

fn of<T: Copy + Debug>(data: &MetricData<T>) -> (&'static str, Vec<String>) {
    match data {
        MetricData::Gauge(gauge) => {
            let points = gauge.data_points();
            let text = points.map(|p| format!("{} {:?}", pairs(p.attributes()), p.value()));
            ("gauge", text.collect())
        }
        MetricData::Sum(sum) => {
            let points = sum.data_points();
            let text = points.map(|p| format!("{} {:?}", pairs(p.attributes()), p.value()));
            ("sum", text.collect())
        }
        MetricData::Histogram(histogram) => {
            let text = histogram.data_points().map(|p| {
                let (bounds, counts): (Vec<f64>, Vec<u64>) =
                    (p.bounds().collect(), p.bucket_counts().collect());
                let of = pairs(p.attributes());
                let (count, sum) = (p.count(), p.sum());
                format!("{of} count={count} sum={sum:?} bounds={bounds:?} counts={counts:?}")
            });
            ("histogram", text.collect())
        }
        MetricData::ExponentialHistogram(histogram) => {
            let text = histogram.data_points().map(|p| {
                let of = pairs(p.attributes());
                let (count, sum, scale) = (p.count(), p.sum(), p.scale());
                format!("{of} count={count} sum={sum:?} scale={scale}")
            });
            ("exponential histogram", text.collect())
        }
    }
}
