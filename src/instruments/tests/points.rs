//! What a collect gave, point by point.

use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};

use crate::pipeline::Number;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    pub(super) name: String,
    /// `key=value`, joined with commas.
    pub(super) attributes: String,
    pub(super) value: Value,
    pub(super) start: Option<SystemTime>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    Unsigned(u64),
    Signed(i64),
    Double(f64),
    Histogram(u64, f64),
}

pub(super) fn points(parts: &[ResourceMetrics]) -> Vec<Point> {
    let scopes = parts.iter().flat_map(ResourceMetrics::scope_metrics);
    let mut points = Vec::new();
    for metric in scopes.flat_map(|scope| scope.metrics()) {
        let name = metric.name();
        match metric.data() {
            AggregatedMetrics::U64(data) => extend(&mut points, name, data, Value::Unsigned),
            AggregatedMetrics::I64(data) => extend(&mut points, name, data, Value::Signed),
            AggregatedMetrics::F64(data) => extend(&mut points, name, data, Value::Double),
        }
    }
    points
}

fn extend<T: Copy + Into<Number>>(
    points: &mut Vec<Point>,
    name: &str,
    data: &MetricData<T>,
    value: impl Fn(T) -> Value,
) {
    let mut push = |attributes: Vec<String>, value, start| {
        points.push(Point {
            name: name.to_owned(),
            attributes: attributes.join(","),
            value,
            start,
        });
    };
    let texts = |pairs: &mut dyn Iterator<Item = &KeyValue>| -> Vec<String> {
        pairs.map(|a| format!("{}={}", a.key, a.value)).collect()
    };
    match data {
        MetricData::Gauge(gauge) => gauge
            .data_points()
            .for_each(|p| push(texts(&mut p.attributes()), value(p.value()), None)),
        MetricData::Sum(sum) => {
            let start = Some(sum.start_time());
            sum.data_points()
                .for_each(|p| push(texts(&mut p.attributes()), value(p.value()), start));
        }
        MetricData::Histogram(histogram) => {
            let start = Some(histogram.start_time());
            histogram.data_points().for_each(|p| {
                let value = Value::Histogram(p.count(), p.sum().into().as_f64());
                push(texts(&mut p.attributes()), value, start);
            });
        }
        MetricData::ExponentialHistogram(_) => panic!("{name} is exponential"),
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Unsigned(value)
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::Negative(value)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

pub(super) fn named<'a>(points: &'a [Point], name: &str) -> Vec<&'a Point> {
    points.iter().filter(|point| point.name == name).collect()
}

/// The one point of a metric.
pub(super) fn one(points: &[Point], name: &str) -> Point {
    match named(points, name).as_slice() {
        [point] => (*point).clone(),
        other => panic!("{name}: {other:?}"),
    }
}
