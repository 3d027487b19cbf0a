//! Recognizes a point from poll to poll without writing its labels.

use std::{
    hash::{BuildHasher, Hash as _, Hasher as _},
    sync::LazyLock,
};

use foldhash::quality::RandomState;
use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, HistogramDataPoint, Metric, MetricData};

use super::{histogram_rows, number::Number};

/// A hash of all that a point differs in from the other points of its target. Where a scope or a
/// Resource adds labels, it is not enough to know the row.
pub(super) type PointId = u64;

/// Nodes choose the attributes, so there is a secret seed.
static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// The common part of the ids of all points of a metric.
#[derive(Clone)]
pub(super) struct MetricId(<RandomState as BuildHasher>::Hasher);

impl MetricId {
    pub(super) fn of(scope: &str, metric: &Metric) -> Self {
        let mut hasher = SEED.build_hasher();
        scope.hash(&mut hasher);
        metric.name().hash(&mut hasher);
        metric.unit().hash(&mut hasher);
        metric.description().hash(&mut hasher);
        let (number, kind) = match metric.data() {
            AggregatedMetrics::U64(data) => (0, kind(data)),
            AggregatedMetrics::I64(data) => (1, kind(data)),
            AggregatedMetrics::F64(data) => (2, kind(data)),
        };
        hasher.write_u8(kind * 4 + number);
        Self(hasher)
    }

    /// The id of the point with these attributes.
    pub(super) fn point<'a>(&self, attributes: impl Iterator<Item = &'a KeyValue>) -> PointId {
        let mut hasher = self.0.clone();
        attributes.for_each(|attribute| attribute.hash(&mut hasher));
        hasher.finish()
    }

    /// The id of a histogram, whose buckets are in its labels.
    pub(super) fn histogram<T>(&self, point: &HistogramDataPoint<T>) -> PointId {
        let mut hasher = self.0.clone();
        for bound in point.bounds() {
            hasher.write_u64(bound.to_bits());
        }
        Self(hasher).point(point.attributes())
    }
}

fn kind<T>(data: &MetricData<T>) -> u8 {
    match data {
        MetricData::Gauge(_) => 0,
        MetricData::Sum(sum) if sum.is_monotonic() => 1,
        MetricData::Sum(_) => 2,
        MetricData::Histogram(_) => 3,
        MetricData::ExponentialHistogram(_) => 4,
    }
}

/// A number of a point: the id of the point, how many rows are before it, and the number. False if
/// the point has no such row.
type Each<'a> = dyn FnMut(PointId, u32, Number) -> bool + 'a;

/// The numbers of all points of a metric, in the order of their rows. False if `each` is, or if rows
/// cannot show the metric.
pub(super) fn numbers(scope: &str, metric: &Metric, each: &mut Each<'_>) -> bool {
    let id = MetricId::of(scope, metric);
    match metric.data() {
        AggregatedMetrics::U64(data) => numbers_of(&id, data, each),
        AggregatedMetrics::I64(data) => numbers_of(&id, data, each),
        AggregatedMetrics::F64(data) => numbers_of(&id, data, each),
    }
}

fn numbers_of<T: Copy + Into<Number>>(
    id: &MetricId,
    data: &MetricData<T>,
    each: &mut Each<'_>,
) -> bool {
    match data {
        MetricData::Gauge(gauge) => {
            let mut points = gauge.data_points();
            points.all(|point| each(id.point(point.attributes()), 0, point.value().into()))
        }
        MetricData::Sum(sum) => {
            let mut points = sum.data_points();
            points.all(|point| each(id.point(point.attributes()), 0, point.value().into()))
        }
        MetricData::Histogram(histogram) => {
            let mut points = histogram.data_points();
            points.all(|point| {
                let id = id.histogram(point);
                let rows = histogram_rows::of_point(point).rows();
                (0..)
                    .zip(rows)
                    .all(|(row, (_, number))| each(id, row, number))
            })
        }
        MetricData::ExponentialHistogram(_) => false,
    }
}
