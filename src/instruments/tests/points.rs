//! The result of a collection, point by point.

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};

use super::{Number, Starts, last_totals::Start, point_times::Nanos};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    pub(super) name: String,
    /// The attributes as `key=value`, joined with commas.
    pub(super) attributes: String,
    pub(super) value: Value,
    pub(super) start: Option<Nanos>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    Unsigned(u64),
    Signed(i64),
    Double(f64),
    Histogram(u64, f64),
}

pub(super) fn points(parts: &[ResourceMetrics], starts: &Starts) -> Vec<Point> {
    let scopes = parts.iter().flat_map(ResourceMetrics::scope_metrics);
    let mut points = Vec::new();
    let metrics = scopes.flat_map(|scope| scope.metrics().map(move |of| (scope, of)));
    for (scope, metric) in metrics {
        let name = (metric.name(), scope.scope().name(), starts);
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
    (name, scope, starts): (&str, &str, &Starts),
    data: &MetricData<T>,
    value: impl Fn(T) -> Value,
) {
    let mut push = |attributes: &mut dyn Iterator<Item = &KeyValue>, value| {
        let attributes: Vec<_> = attributes.collect();
        let instrument = starts.schema().find(scope, name, |_| true).unwrap();
        let key = starts.key(attributes.iter().copied());
        let start = starts.of(instrument, key);
        let texts: Vec<_> = attributes
            .iter()
            .map(|a| format!("{}={}", a.key, a.value))
            .collect();
        points.push(Point {
            name: name.to_owned(),
            attributes: texts.join(","),
            value,
            start: start.map(|(Start::Known(at) | Start::Unknown(at))| at),
        });
    };
    match data {
        MetricData::Gauge(gauge) => gauge
            .data_points()
            .for_each(|p| push(&mut p.attributes(), value(p.value()))),
        MetricData::Sum(sum) => sum
            .data_points()
            .for_each(|p| push(&mut p.attributes(), value(p.value()))),
        MetricData::Histogram(histogram) => histogram.data_points().for_each(|p| {
            let value = Value::Histogram(p.count(), p.sum().into().as_f64());
            push(&mut p.attributes(), value);
        }),
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

/// The only point of a metric.
pub(super) fn one(points: &[Point], name: &str) -> Point {
    match named(points, name).as_slice() {
        [point] => (*point).clone(),
        other => panic!("{name}: {other:?}"),
    }
}
