//! The rows of a histogram.

use opentelemetry_sdk::metrics::data::HistogramDataPoint;

use super::number::Number;
use crate::pipeline::HistogramValue;

/// A histogram as a scrape shows it.
pub(super) struct HistogramRows<I> {
    /// The finite bounds, with the number of observations in each bucket.
    buckets: I,
    count: u64,
    sum: Option<Number>,
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub(super) enum HistogramRow {
    /// The observations up to this bound.
    Bucket(f64),
    Sum,
    Count,
}

/// The rows of a point of the SDK.
pub(super) fn of_point<T: Copy + Into<Number>>(
    point: &HistogramDataPoint<T>,
) -> HistogramRows<impl Iterator<Item = (f64, u64)>> {
    let buckets = point.bounds().zip(point.bucket_counts());
    HistogramRows {
        // The bucket without a bound follows with the total count.
        buckets: buckets.filter(|(bound, _)| *bound < f64::INFINITY),
        count: point.count(),
        sum: Some(point.sum().into()),
    }
}

/// The rows of a histogram that a target counts itself.
pub(super) fn of_value(value: &HistogramValue) -> HistogramRows<impl Iterator<Item = (f64, u64)>> {
    let bounds = value.bounds.iter().copied();
    HistogramRows {
        buckets: bounds.zip(value.counts.iter().copied()),
        count: value.count(),
        sum: value.sum.map(Number::from),
    }
}

impl<I: Iterator<Item = (f64, u64)>> HistogramRows<I> {
    /// All rows with their numbers, in their order.
    pub(super) fn rows(self) -> impl Iterator<Item = (HistogramRow, Number)> {
        let mut below = 0_u64;
        let buckets = self.buckets.map(move |(bound, count)| {
            below = below.saturating_add(count);
            (HistogramRow::Bucket(bound), below.into())
        });
        let count = Number::from(self.count);
        buckets
            .chain([(HistogramRow::Bucket(f64::INFINITY), count)])
            .chain(self.sum.map(|sum| (HistogramRow::Sum, sum)))
            .chain([(HistogramRow::Count, count)])
    }
}
