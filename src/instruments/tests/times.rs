//! Tests of the time of each point and the start time of its total over OTLP, and of limits.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;

use super::*;

/// A point of a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sent {
    pub(super) name: String,
    pub(super) attributes: String,
    /// 0 without a start time.
    pub(super) start: u64,
    pub(super) time: u64,
    /// Whether the point is the end of its series.
    pub(super) is_end: bool,
}

/// All points of the messages.
pub(super) fn sent(messages: &[ExportMetricsServiceRequest]) -> Vec<Sent> {
    let parts = messages.iter().flat_map(|of| &of.resource_metrics);
    let scopes = parts.flat_map(|of| &of.scope_metrics);
    let mut all = Vec::new();
    for metric in scopes.flat_map(|of| &of.metrics) {
        let numbers = match &metric.data {
            Some(Data::Gauge(of)) => of.data_points.as_slice(),
            Some(Data::Sum(of)) => of.data_points.as_slice(),
            _ => &[],
        };
        let histograms = match &metric.data {
            Some(Data::Histogram(of)) => of.data_points.as_slice(),
            _ => &[],
        };
        let times = |start, time| (start, time);
        let numbers = numbers.iter().map(|of| {
            let times = times(of.start_time_unix_nano, of.time_unix_nano);
            assert_eq!(of.value.is_none(), of.flags == 1, "{of:?}");
            (&of.attributes, times, of.flags)
        });
        let histograms = histograms.iter().map(|of| {
            let times = times(of.start_time_unix_nano, of.time_unix_nano);
            (&of.attributes, times, of.flags)
        });
        all.extend(
            numbers
                .chain(histograms)
                .map(|(attributes, times, flags)| Sent {
                    name: metric.name.clone(),
                    attributes: format!(
                        "{:?}",
                        attributes
                            .iter()
                            .map(|a| (&a.key, &a.value))
                            .collect::<Vec<_>>()
                    ),
                    start: times.0,
                    time: times.1,
                    is_end: flags == 1,
                }),
        );
    }
    all
}

fn send(both: &mut Both, values: impl Into<Vec<Reading>>) -> Vec<Sent> {
    sent(&both.otlp(&poll([true, true]), &readings(values)))
}

fn of(all: &[Sent], name: &str) -> Sent {
    let mut found = all.iter().filter(|point| point.name == name);
    let one = found
        .next()
        .unwrap_or_else(|| panic!("no {name} in {all:?}"));
    assert_eq!(found.next(), None);
    one.clone()
}

#[test]
fn all_points_of_a_poll_have_one_time() {
    let mut both = instruments();
    let values = [
        total(1),
        reading(GAUGE, Number::Unsigned(3)),
        reading(SECONDS, Number::Double(0.5)),
        node("x", 1),
    ];
    let poll = poll([true, true]);
    let all = sent(&both.otlp(&poll, &readings(values)));
    let times: BTreeSet<_> = all.iter().map(|point| point.time).collect();
    let nanos = poll.time().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    assert_eq!(times, BTreeSet::from([u64::try_from(nanos).unwrap()]));
    assert!(all.len() > 10, "{all:?}");
}

#[test]
fn a_total_from_before_the_first_poll_starts_with_its_first_point() {
    let mut both = instruments();
    let first = of(&send(&mut both, [total(1 << 52)]), "total");
    assert_eq!(first.start, first.time, "to the nanosecond");
    let second = send(&mut both, [total((1 << 52) + 1), node("late", 1 << 40)]);
    assert_eq!(of(&second, "total").start, first.start);
    assert!(of(&second, "total").time > first.time);
    let late = of(&second, "nodes");
    assert_eq!(late.start, late.time, "an element that comes later");
    let fell = of(&send(&mut both, [total(3)]), "total");
    assert!(fell.start > of(&second, "total").time, "after it was seen");
    assert!(fell.start < fell.time);
}

#[test]
fn totals_of_the_collector_start_with_its_first_poll() {
    let mut both = instruments();
    let since = 1_000_000_000_000;
    let seconds = reading(SECONDS, Number::Double(0.5));
    let first = send(&mut both, [seconds.clone()]);
    for name in ["betanet.counter.resets", "seconds"] {
        assert_eq!(of(&first, name).start, since, "{name}");
        assert!(of(&first, name).time > since);
    }
    let second = send(&mut both, [seconds]);
    assert_eq!(of(&second, "seconds").start, since);
}

#[test]
fn a_gauge_has_no_start_time() {
    let mut both = instruments();
    for _ in 0..2 {
        let all = send(&mut both, [reading(GAUGE, Number::Unsigned(3))]);
        assert_eq!(of(&all, "gauge").start, 0);
        assert_eq!(of(&all, "betanet.up").start, 0);
    }
}

/// A gauge and a histogram of an array.
fn arrays() -> Both {
    let text = "
endpoints: {a: {path: /a}, b: {path: /b}}
metrics:
  - {name: gauge, instrument: gauge, endpoint: a, for_each: $, value: $.g, attributes: {id: $.id}, max_series: 200}
  - {name: seconds, instrument: histogram, endpoint: b, value: $.s}
";
    let definition = definition::from_text("test", "test.yaml", text).unwrap();
    let target = Arc::new(Target::polled_by("betanet", "node", &definition));
    let schema = ReportMetrics::schema(&target);
    let schema = schema.instruments().iter().map(|known| {
        let mut instrument = known.as_ref().clone();
        if instrument.name == "seconds" {
            // A definition cannot set this, but processors can.
            instrument.max_series = 200;
        }
        Arc::new(instrument)
    });
    let schema = Arc::new(schema.collect());
    Both {
        instruments: TargetInstruments::new(&schema, &resource(&target)),
        own: ReportMetrics::new(&target),
        definition,
        refused: 0,
    }
}

fn elements(instrument: usize, ids: std::ops::Range<u64>) -> Vec<Reading> {
    let element = |id: u64| Reading {
        attributes: vec![KeyValue::new("id", id.to_string())],
        ..reading(instrument, Number::Unsigned(1))
    };
    ids.map(element).collect()
}

/// The number of points of the metric with this name. None of them is the SDK's own.
fn count(both: &mut Both, name: &str, values: Vec<Reading>) -> usize {
    let points = collect(both, values);
    let overflow = points.iter().find(|p| p.attributes.contains("overflow"));
    assert_eq!(overflow, None);
    named(&points, name).len()
}

#[test]
fn new_elements_are_shown_whatever_disappeared() {
    for kept in [0, 1, 149, 199] {
        let mut both = arrays();
        for round in 0..6 {
            let from = round * (200 - kept);
            let ids = from..from + 200;
            assert_eq!(count(&mut both, "gauge", elements(0, ids)), 200);
            assert_eq!(both.refused, 0);
        }
        for round in 100..106 {
            let ids = round * 150..(round + 1) * 150;
            assert_eq!(count(&mut both, "gauge", elements(0, ids)), 150);
        }
    }
}

#[test]
fn a_gauge_in_two_forms_has_room_in_both() {
    let mut both = arrays();
    for round in 0..4 {
        let mut values = elements(0, round * 200..(round + 1) * 200);
        values[0].value = Number::Unsigned(u64::MAX);
        let collected = both.collect(&poll([true, true]), &readings(values));
        for parts in [Some(&collected.metrics), collected.signed_metrics.as_ref()] {
            let points = both.points(parts.unwrap());
            assert_eq!(named(&points, "gauge").len(), 200);
        }
    }
}

#[test]
fn full_histograms_of_changing_elements_start_again() {
    let mut both = arrays();
    for round in 0..6 {
        let ids = round * 150..(round + 1) * 150;
        assert_eq!(count(&mut both, "seconds", elements(1, ids)), 150);
        assert_eq!(both.refused, 0);
    }
    // Elements that stay are still counted.
    let ids = 5 * 150..6 * 150;
    let points = collect(&mut both, elements(1, ids));
    assert!(points.iter().any(|p| p.value == Value::Histogram(2, 2.0)));
}

#[test]
fn points_above_the_limit_and_folded_points_are_dropped_and_counted() {
    for (instrument, name) in [(0, "gauge"), (1, "seconds")] {
        let mut both = arrays();
        let mut values = elements(instrument, 0..203);
        assert_eq!(count(&mut both, name, values.clone()), 200);
        assert_eq!(both.refused, 3);
        values.truncate(10);
        values[0].attributes = vec![KeyValue::new("otel.metric.overflow", true)];
        let mut both = arrays();
        assert_eq!(count(&mut both, name, values), 9);
        assert_eq!(both.refused, 1);
    }
}
