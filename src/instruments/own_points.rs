//! When the report metrics of a target are in its OTLP messages: when one of them changes, and each
//! minute.
//!
//! A healthy target says the same of itself at every poll, and these points would be half of all
//! bytes. They are sent together or not at all, so that a change is never beside older values: with
//! the first failed poll, the time of the last success is the true one.

use std::hash::{BuildHasher as _, Hash as _, Hasher as _};

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ScopeMetrics};

use super::{SCOPE, hashing, point_times::Nanos};
use crate::{pipeline::Schema, telemetry::target_metrics::TargetMetric};

/// They are sent at the first poll after this time. A poll may be a little early: the same number of
/// intervals is never quite the same time.
const EACH: Nanos = 59_000_000_000;

/// Report metrics that differ at every poll of a healthy target. Only their series count as a
/// change, and not their values.
const MOVING: [TargetMetric; 3] = [
    TargetMetric::LastSuccess,
    TargetMetric::ScrapeDuration,
    TargetMetric::FreshnessTime,
];

/// The report metrics in the last message that had them.
#[derive(Debug)]
pub(super) struct OwnPoints {
    /// A sum over their points, which is the same in any order.
    digest: u64,
    /// The time of the message; 0 if there was none.
    sent: Nanos,
    /// Whether each message has them, because one of them is sent as a delta.
    always: bool,
}

impl OwnPoints {
    pub(super) fn new(schema: &Schema) -> Self {
        let mut own = schema.instruments().iter().filter(|of| *of.scope == *SCOPE);
        Self {
            digest: 0,
            sent: 0,
            always: own.any(|of| of.delta.is_some()),
        }
    }

    /// Whether a message at `now` has them. Then they count as sent.
    pub(super) fn are_due(&mut self, metrics: &ScopeMetrics, now: Nanos) -> bool {
        let digest = digest(metrics);
        // The clock may have been set back.
        let is_old = now.abs_diff(self.sent) >= EACH;
        let are_due = self.always || self.sent == 0 || digest != self.digest || is_old;
        if are_due {
            (self.digest, self.sent) = (digest, now);
        }
        are_due
    }
}

fn digest(metrics: &ScopeMetrics) -> u64 {
    let mut sum = 0_u64;
    for metric in metrics.metrics() {
        let short_name = metric.name().split_once('.').map_or("", |(_, short)| short);
        let is_moving = MOVING.iter().any(|of| of.short_name() == short_name);
        let mut add = |attributes: &mut dyn Iterator<Item = &KeyValue>, value: u64| {
            let mut hasher = hashing::SERIES.build_hasher();
            metric.name().hash(&mut hasher);
            attributes.for_each(|of| of.hash(&mut hasher));
            if !is_moving {
                value.hash(&mut hasher);
            }
            sum = sum.wrapping_add(hasher.finish());
        };
        match metric.data() {
            AggregatedMetrics::U64(data) => points(data, |value| value, &mut add),
            AggregatedMetrics::I64(data) => points(data, i64::cast_unsigned, &mut add),
            AggregatedMetrics::F64(data) => points(data, f64::to_bits, &mut add),
        }
    }
    sum
}

/// Calls `add` with the attributes and the bits of each point.
fn points<T: Copy>(
    data: &MetricData<T>,
    bits: impl Fn(T) -> u64,
    add: &mut impl FnMut(&mut dyn Iterator<Item = &KeyValue>, u64),
) {
    match data {
        MetricData::Gauge(gauge) => {
            for point in gauge.data_points() {
                add(&mut point.attributes(), bits(point.value()));
            }
        }
        MetricData::Sum(sum) => {
            for point in sum.data_points() {
                add(&mut point.attributes(), bits(point.value()));
            }
        }
        MetricData::Histogram(histogram) => {
            for point in histogram.data_points() {
                add(&mut point.attributes(), point.count());
            }
        }
        // No instrument of this collector creates other kinds.
        MetricData::ExponentialHistogram(_) => {}
    }
}
