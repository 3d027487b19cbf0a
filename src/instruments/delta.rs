//! Computes deltas of totals, in OTLP messages.
//!
//! The SDK's delta temporality is broken for observable counters. So this file takes the difference
//! of successive totals of a series from the cumulative messages.

use std::collections::{BTreeMap, HashMap, hash_map::Entry};

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality, HistogramDataPoint, Metric, NumberDataPoint, metric::Data,
        number_data_point::Value,
    },
};
use prost::Message as _;

use super::common_instruments::CommonInstruments;
use crate::{
    definition::{Delta, Instrument},
    pipeline::Schema,
};

/// The last totals of the metrics that are sent as deltas, by the index of the instrument.
#[derive(Debug, Default)]
pub(super) struct Deltas(BTreeMap<usize, SeriesTotals>);

/// The last total of each series of a metric, by encoded attributes.
type SeriesTotals = HashMap<Vec<u8>, LastTotal>;

/// How the totals of a metric become deltas.
#[derive(Debug)]
struct Totals<'a> {
    delta: Delta,
    max_series: usize,
    series: &'a mut SeriesTotals,
}

/// The last total of a series.
#[derive(Debug)]
struct LastTotal {
    start_time_unix_nano: u64,
    time_unix_nano: u64,
    total: SeriesTotal,
}

#[derive(Debug, Clone, PartialEq)]
enum SeriesTotal {
    Number(Value),
    Histogram {
        count: u64,
        sum: Option<f64>,
        bucket_counts: Vec<u64>,
    },
}

/// A data point with a total.
trait TotalPoint {
    fn attributes(&self) -> &[KeyValue];
    fn time_unix_nano(&self) -> u64;
    fn start_time_unix_nano(&mut self) -> &mut u64;
    fn total(&self) -> Option<SeriesTotal>;
    /// Subtracts the `last` total. A total that fell has started again at 0, so it is itself the
    /// delta.
    fn subtract(&mut self, last: &LastTotal);
}

impl Deltas {
    /// Knows only instruments that stay.
    pub(super) fn retain(&mut self, common: &CommonInstruments) {
        self.0 = common.moved(std::mem::take(&mut self.0)).collect();
    }

    /// Forgets the series that the last message of their metric did not have. Says how many they
    /// are. Where the first value counts in full none may be forgotten: it would do so twice.
    pub(super) fn shed(&mut self, schema: &Schema) -> usize {
        let mut forgotten = 0;
        for (index, series) in &mut self.0 {
            let delta = schema.get(*index).and_then(|of| of.delta);
            if delta.is_some_and(|delta| delta.keeps_first) {
                continue;
            }
            let newest = series.values().map(|last| last.time_unix_nano).max();
            let before = series.len();
            series.retain(|_, last| Some(last.time_unix_nano) == newest);
            series.shrink_to_fit();
            forgotten += before - series.len();
        }
        forgotten
    }

    /// Converts the totals of the instrument at an index to deltas, if it is selected.
    pub(super) fn apply(&mut self, index: usize, instrument: &Instrument, metric: &mut Metric) {
        let Some(delta) = instrument.delta else {
            return;
        };
        let mut totals = Totals {
            delta,
            max_series: instrument.max_series,
            series: self.0.entry(index).or_default(),
        };
        totals.apply(metric);
    }
}

impl Totals<'_> {
    fn apply(&mut self, metric: &mut Metric) {
        let delta = AggregationTemporality::Delta.into();
        match &mut metric.data {
            Some(Data::Sum(sum)) if sum.is_monotonic => {
                sum.aggregation_temporality = delta;
                self.retain_deltas(&mut sum.data_points);
            }
            Some(Data::Histogram(histogram)) => {
                histogram.aggregation_temporality = delta;
                self.retain_deltas(&mut histogram.data_points);
            }
            _ => {}
        }
    }

    fn retain_deltas<P: TotalPoint>(&mut self, points: &mut Vec<P>) {
        let now = points.iter().map(P::time_unix_nano).max();
        points.retain_mut(|point| self.is_delta(point));
        self.forget(now.unwrap_or_default());
    }

    /// Stores a total and converts the point to a delta. Returns false if there is no delta.
    fn is_delta(&mut self, point: &mut impl TotalPoint) -> bool {
        let Some(total) = point.total() else {
            return false;
        };
        let last = LastTotal {
            start_time_unix_nano: *point.start_time_unix_nano(),
            time_unix_nano: point.time_unix_nano(),
            total,
        };
        match self.series.entry(key(point.attributes())) {
            Entry::Vacant(free) => {
                free.insert(last);
                self.delta.keeps_first
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                let is_first = is_stale(self.delta, known, last.time_unix_nano);
                if !is_first && last.began_after(known) {
                    // The new total is the delta, even if it is larger than the last one.
                    *point.start_time_unix_nano() = known.time_unix_nano;
                } else if !is_first {
                    point.subtract(known);
                }
                *known = last;
                !is_first || self.delta.keeps_first
            }
        }
    }

    /// Limits the memory for series that have disappeared.
    fn forget(&mut self, now: u64) {
        let delta = self.delta;
        self.series.retain(|_, last| !is_stale(delta, last, now));
        if self.series.len() > self.max_series.saturating_mul(2) {
            self.series.retain(|_, last| last.time_unix_nano == now);
        }
    }
}

impl LastTotal {
    /// Whether the total started again after `before` was seen.
    fn began_after(&self, before: &Self) -> bool {
        let start = self.start_time_unix_nano;
        start != before.start_time_unix_nano && start >= before.time_unix_nano
    }
}

fn is_stale(delta: Delta, last: &LastTotal, now: u64) -> bool {
    let age = std::time::Duration::from_nanos(now.saturating_sub(last.time_unix_nano));
    delta.max_staleness.is_some_and(|max| age > max)
}

fn key(attributes: &[KeyValue]) -> Vec<u8> {
    let mut key = Vec::new();
    for attribute in attributes {
        key.extend(attribute.encode_length_delimited_to_vec());
    }
    key
}

impl TotalPoint for NumberDataPoint {
    fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    fn time_unix_nano(&self) -> u64 {
        self.time_unix_nano
    }

    fn start_time_unix_nano(&mut self) -> &mut u64 {
        &mut self.start_time_unix_nano
    }

    fn total(&self) -> Option<SeriesTotal> {
        self.value.map(SeriesTotal::Number)
    }

    fn subtract(&mut self, last: &LastTotal) {
        self.start_time_unix_nano = last.time_unix_nano;
        if let (Some(value), SeriesTotal::Number(last)) = (&mut self.value, &last.total) {
            *value = difference(*value, *last);
        }
    }
}

impl TotalPoint for HistogramDataPoint {
    fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    fn time_unix_nano(&self) -> u64 {
        self.time_unix_nano
    }

    fn start_time_unix_nano(&mut self) -> &mut u64 {
        &mut self.start_time_unix_nano
    }

    fn total(&self) -> Option<SeriesTotal> {
        Some(SeriesTotal::Histogram {
            count: self.count,
            sum: self.sum,
            bucket_counts: self.bucket_counts.clone(),
        })
    }

    fn subtract(&mut self, last: &LastTotal) {
        self.start_time_unix_nano = last.time_unix_nano;
        // The minimum and maximum of the time in between are not known.
        (self.min, self.max) = (None, None);
        let SeriesTotal::Histogram {
            count,
            sum,
            bucket_counts,
        } = &last.total
        else {
            return;
        };
        if self.count < *count {
            return;
        }
        self.count -= count;
        self.sum = self.sum.zip(*sum).map(|(sum, last)| sum - last);
        for (count, last) in self.bucket_counts.iter_mut().zip(bucket_counts) {
            *count = count.saturating_sub(*last);
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "one of the two is a double already"
)]
fn difference(total: Value, last: Value) -> Value {
    let double = |value| match value {
        Value::AsInt(value) => value as f64,
        Value::AsDouble(value) => value,
    };
    match (total, last) {
        (Value::AsInt(total), Value::AsInt(last)) if total >= last => Value::AsInt(total - last),
        (Value::AsInt(_), Value::AsInt(_)) => total,
        _ if double(total) >= double(last) => Value::AsDouble(double(total) - double(last)),
        _ => total,
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use opentelemetry_proto::tonic::metrics::v1::Sum;

    use super::*;
    use crate::definition;

    fn totals(series: &mut SeriesTotals, max_staleness: Option<Duration>) -> Totals<'_> {
        Totals {
            delta: Delta {
                keeps_first: false,
                max_staleness,
            },
            max_series: 2,
            series,
        }
    }

    fn counter(keeps_first: bool) -> Instrument {
        let text = "endpoints: {a: {path: /a}}\n\
            metrics: [{name: n, instrument: counter, endpoint: a, value: $.n}]";
        let definition = definition::from_text("test", "test.yaml", text).unwrap();
        Instrument {
            delta: Some(Delta {
                keeps_first,
                max_staleness: None,
            }),
            ..definition.instruments[0].as_ref().clone()
        }
    }

    /// A total of the series `id`, `seconds` after the start.
    fn point(id: &str, seconds: u64, value: i64) -> NumberDataPoint {
        let attribute = opentelemetry::KeyValue::new("id", id.to_owned());
        NumberDataPoint {
            attributes: vec![(&attribute).into()],
            time_unix_nano: seconds * 1_000_000_000,
            value: Some(Value::AsInt(value)),
            ..NumberDataPoint::default()
        }
    }

    fn deltas(totals: &mut Totals<'_>, mut points: Vec<NumberDataPoint>) -> Vec<Value> {
        totals.retain_deltas(&mut points);
        points.iter().filter_map(|point| point.value).collect()
    }

    #[test]
    fn a_series_that_was_missing_for_too_long_starts_again() {
        for (max_staleness, expected) in [(Some(60), None), (Some(100), Some(5)), (None, Some(5))] {
            let mut series = SeriesTotals::new();
            let mut totals = totals(&mut series, max_staleness.map(Duration::from_secs));
            assert_eq!(deltas(&mut totals, vec![point("a", 0, 10)]), []);
            let out = deltas(&mut totals, vec![point("a", 100, 15)]);
            assert_eq!(out.first().copied(), expected.map(Value::AsInt));
        }
    }

    #[test]
    fn a_total_that_started_again_is_itself_the_delta_even_if_larger() {
        let mut series = SeriesTotals::new();
        let mut totals = totals(&mut series, None);
        let began = |mut point: NumberDataPoint, seconds: u64| {
            point.start_time_unix_nano = seconds * 1_000_000_000;
            vec![point]
        };
        deltas(&mut totals, began(point("a", 10, 5), 0));
        let mut points = began(point("a", 20, 7), 15);
        totals.retain_deltas(&mut points);
        assert_eq!(points[0].value, Some(Value::AsInt(7)));
        assert_eq!(points[0].start_time_unix_nano, 10_000_000_000, "no gap");
        let out = deltas(&mut totals, began(point("a", 30, 9), 15));
        assert_eq!(out, [Value::AsInt(2)]);
    }

    #[test]
    fn where_memory_is_short_series_that_are_gone_are_forgotten_unless_that_would_count_twice() {
        for (keeps_first, expected) in [(false, 1), (true, 0)] {
            let instrument = counter(keeps_first);
            let mut all = Deltas::default();
            let sent = |all: &mut Deltas, points| {
                let mut metric = Metric {
                    data: Some(Data::Sum(Sum {
                        data_points: points,
                        is_monotonic: true,
                        ..Sum::default()
                    })),
                    ..Metric::default()
                };
                all.apply(0, &instrument, &mut metric);
                let Some(Data::Sum(sum)) = metric.data else {
                    panic!("a sum");
                };
                let values = sum.data_points.into_iter().filter_map(|point| point.value);
                values.collect::<Vec<_>>()
            };
            sent(&mut all, vec![point("a", 0, 5), point("b", 0, 9)]);
            sent(&mut all, vec![point("b", 10, 9)]);
            let schema = [Arc::new(instrument.clone())].into_iter().collect();
            assert_eq!(all.shed(&schema), expected);
            let out = sent(&mut all, vec![point("a", 20, 7), point("b", 20, 10)]);
            let expected: &[i64] = if keeps_first { &[2, 1] } else { &[1] };
            let expected: Vec<_> = expected.iter().copied().map(Value::AsInt).collect();
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn memory_for_series_that_disappeared_is_limited() {
        let mut series = SeriesTotals::new();
        let mut totals = totals(&mut series, None);
        for second in 0..100 {
            deltas(&mut totals, vec![point(&second.to_string(), second, 1)]);
            assert!(totals.series.len() <= 4, "{}", totals.series.len());
        }
    }
}
