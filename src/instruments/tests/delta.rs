//! Tests from readings to deltas in OTLP messages, over several polls.

use opentelemetry_proto::tonic::metrics::v1::{
    NumberDataPoint, Sum, metric::Data, number_data_point,
};
use proptest::prelude::*;

use super::*;
use crate::definition::{Delta, Instrument};

/// A target whose metrics are all deltas if possible.
pub(super) fn deltas(keeps_first: bool) -> Both {
    let mut both = instruments();
    let schema = both.instruments.schema.instruments().iter();
    let schema = schema.map(|instrument| {
        let mut instrument = instrument.as_ref().clone();
        let max_staleness = None;
        instrument.delta = Some(Delta {
            keeps_first,
            max_staleness,
        });
        Arc::new(instrument)
    });
    both.instruments = TargetInstruments::new(&Arc::new(schema.collect()), &[]);
    both
}

/// The sums of a poll: those of one metric.
fn sums(both: &mut Both, name: &str, values: impl Into<Vec<Reading>>) -> Vec<NumberDataPoint> {
    let messages = both.otlp(&poll([true, true]), &readings(values));
    let resources = messages
        .iter()
        .flat_map(|message| &message.resource_metrics);
    let metrics = resources
        .flat_map(|of| &of.scope_metrics)
        .flat_map(|of| &of.metrics);
    let data = metrics
        .filter(|metric| metric.name == name)
        .map(|metric| &metric.data);
    let points = data.flat_map(|data| match data {
        Some(Data::Sum(Sum {
            data_points,
            aggregation_temporality: 1,
            ..
        })) => data_points.clone(),
        other => panic!("no deltas: {other:?}"),
    });
    points.collect()
}

fn integer(point: &NumberDataPoint) -> i64 {
    match point.value {
        Some(number_data_point::Value::AsInt(value)) => value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_delta_is_the_increase_since_the_previous_point() {
    let mut both = deltas(false);
    assert_eq!(
        sums(&mut both, "total", [total(1_000)]),
        [],
        "counted before the first poll"
    );
    let first = sums(&mut both, "total", [total(1_005)]);
    let second = sums(&mut both, "total", [total(1_005)]);
    assert_eq!([&first, &second].map(|points| integer(&points[0])), [5, 0]);
    assert_eq!(second[0].start_time_unix_nano, first[0].time_unix_nano);
    assert!(first[0].start_time_unix_nano < first[0].time_unix_nano);

    assert_eq!(sums(&mut both, "total", []), [], "a gap");
    let after = sums(&mut both, "total", [total(1_009)]);
    assert_eq!(integer(&after[0]), 4);
    assert_eq!(after[0].start_time_unix_nano, second[0].time_unix_nano);
}

#[test]
fn a_total_that_fell_is_itself_the_delta() {
    let mut both = deltas(true);
    let mut grown = |values: [u64; 2]| -> i64 {
        let [a, b] = values;
        let points = sums(&mut both, "nodes", [node("a", a), node("b", b)]);
        assert_eq!(points.len(), 2);
        points.iter().map(integer).sum()
    };
    assert_eq!(grown([10, 1]), 11, "the first points are kept");
    assert_eq!(grown([3, 2]), 4, "a starts again");
    assert_eq!(grown([5, 2]), 2, "and continues");
}

#[test]
fn a_total_beyond_otlps_integers_is_a_double() {
    let mut both = deltas(false);
    let start = 1_u64 << 63;
    sums(&mut both, "total", [total(start - 4096)]);
    let points = sums(&mut both, "total", [total(start + 4096)]);
    let value = points[0].value;
    assert_eq!(value, Some(number_data_point::Value::AsDouble(8192.0)));
}

#[test]
fn a_histogram_delta_is_what_was_recorded_since_the_previous_point() {
    let mut both = deltas(true);
    let mut recorded = |values: &[f64]| {
        let values = values
            .iter()
            .map(|value| reading(SECONDS, Number::Double(*value)));
        let readings = readings(values.collect::<Vec<_>>());
        let messages = both.otlp(&poll([true, true]), &readings);
        let resources = messages
            .iter()
            .flat_map(|message| &message.resource_metrics);
        let mut metrics = resources
            .flat_map(|of| &of.scope_metrics)
            .flat_map(|of| &of.metrics);
        let metric = metrics.find(|metric| metric.name == "seconds").unwrap();
        let Some(Data::Histogram(histogram)) = &metric.data else {
            panic!("{metric:?}")
        };
        assert_eq!(histogram.aggregation_temporality, 1, "deltas");
        histogram.data_points[0].clone()
    };
    let first = recorded(&[0.5]);
    assert_eq!(
        (first.count, first.sum, first.max),
        (1, Some(0.5), Some(0.5))
    );
    assert!(first.start_time_unix_nano < first.time_unix_nano);
    let second = recorded(&[0.25, 2.0]);
    assert_eq!(
        (second.count, second.sum, second.max),
        (2, Some(2.25), None),
        "the maximum of this interval is not known"
    );
    assert_eq!(second.bucket_counts, [0, 1, 1]);
    assert_eq!(second.start_time_unix_nano, first.time_unix_nano);
}

proptest! {
    // The deltas of a total add up to its increase, whatever it does.
    #[test]
    fn deltas_add_up(values in proptest::collection::vec(0_u64..50, 1..20)) {
        let mut both = deltas(true);
        let mut last = 0;
        for value in values {
            let points = sums(&mut both, "total", [total(value)]);
            let grown = if value >= last { value - last } else { value };
            prop_assert_eq!(u64::try_from(integer(&points[0])).unwrap(), grown);
            last = value;
        }
    }
}

#[test]
fn after_a_change_of_the_definition_the_next_delta_has_no_gap() {
    let mut both = deltas(false);
    sums(&mut both, "total", [total(10)]);
    let mut schema = both.instruments.schema.instruments().to_vec();
    let more = Instrument {
        name: "more".to_owned(),
        ..schema[TOTAL].as_ref().clone()
    };
    schema.push(Arc::new(more));
    let is_other = both
        .instruments
        .apply(&Arc::new(schema.into_iter().collect()), &[]);
    assert!(is_other);
    let after = sums(&mut both, "total", [total(17)]);
    assert_eq!(after.iter().map(integer).collect::<Vec<_>>(), [7]);
}
