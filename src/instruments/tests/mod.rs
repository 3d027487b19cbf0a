mod delta;
mod exemplars;
mod other_schema;
mod otlp;
mod own_points;
mod points;
mod sent_series;
mod times;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest, metrics::v1::metric,
};

use self::points::{Point, Value, named, one, points};
use super::*;
use crate::{
    definition::{self, Definition},
    pipeline::{
        Body, EndpointPoll, ErrorType, Poll, PollFailure, PollOutcome, Problem, ProblemReason,
        Readings, Target,
    },
    telemetry::target_metrics::MetricsLevel,
};

/// Two endpoints. The instruments below have the numbers in this order.
const DEFINITION: &str = "
endpoints: {a: {path: /a}, b: {path: /b}}
metrics:
  - {name: total, instrument: counter, endpoint: a, value: $.total}
  - {name: other, instrument: counter, endpoint: a, value: $.other}
  - {name: gauge, instrument: gauge, endpoint: b, value: $.gauge}
  - {name: nodes, instrument: counter, endpoint: b, for_each: $.nodes, value: $.n, attributes: {id: $.id}, max_series: 20}
  - {name: seconds, instrument: histogram, endpoint: a, value: $.s, unit: s, buckets: [0.1, 1]}
";
const TOTAL: usize = 0;
const OTHER: usize = 1;
const GAUGE: usize = 2;
const NODES: usize = 3;
const SECONDS: usize = 4;

/// The instruments and the report metrics of one target.
struct Both {
    definition: Arc<Definition>,
    own: ReportMetrics,
    instruments: TargetInstruments,
    /// The number of refused readings of the last poll.
    refused: usize,
}

impl Both {
    /// Collects like a pipeline without processors.
    fn collect(&mut self, poll: &Poll, readings: &Readings) -> Collected {
        let began: Arc<str> = SCOPE.into();
        self.instruments
            .observe_at(poll.time(), &[(began, poll.counting_since)]);
        self.own.observe(poll, readings);
        self.refused = self.instruments.put(readings.values.clone());
        let own = self.own.readings(poll, self.instruments.resets());
        self.refused += self.instruments.put(own);
        let wide = self.instruments.has_wide();
        let [read, _] = self.scopes(poll);
        self.instruments.collect(&read, wide)
    }

    /// The polled scopes, and the scopes without an answer.
    fn scopes(&self, poll: &Poll) -> [Vec<Arc<str>>; 2] {
        let endpoints = || self.definition.endpoints.iter().zip(&poll.endpoints);
        let read = endpoints().filter(|(_, polled)| polled.body().is_some());
        let lost = endpoints().filter(|(_, polled)| polled.failure().is_some());
        let read = read.map(|(of, _)| Arc::clone(&of.scope));
        [
            read.chain([SCOPE.into()]).collect(),
            lost.map(|(of, _)| Arc::clone(&of.scope)).collect(),
        ]
    }

    /// The OTLP messages of a poll, which are encoded as prost does it.
    fn otlp(&mut self, poll: &Poll, readings: &Readings) -> Vec<ExportMetricsServiceRequest> {
        let collected = self.collect(poll, readings);
        let exemplars = self.own.exemplars();
        let [read, lost] = self.scopes(poll);
        let (encoding, _) = self.instruments.forms();
        let messages = encoding.messages(&collected, [&read, &lost], &exemplars);
        decoded(&messages)
    }

    /// The collected points, with the start time that each series shows.
    fn points(&self, parts: &[ResourceMetrics]) -> Vec<Point> {
        points(parts, &self.instruments.starts)
    }
}

/// The messages, which are encoded as prost does it.
fn decoded(messages: &[OtlpMessage]) -> Vec<ExportMetricsServiceRequest> {
    let decoded = messages.iter().map(|message| {
        let decoded = message.decode().unwrap();
        assert_eq!(OtlpMessage::from(&decoded), *message);
        decoded
    });
    decoded.collect()
}

fn instruments() -> Both {
    instruments_of(DEFINITION)
}

fn instruments_of(definition: &str) -> Both {
    let definition = definition::from_text("test", "test.yaml", definition).unwrap();
    let target = Arc::new(Target::polled_by("betanet", "node", &definition));
    let schema = Arc::new(ReportMetrics::schema(&target));
    Both {
        instruments: TargetInstruments::new(&schema, &resource(&target)),
        own: ReportMetrics::new(&target),
        definition,
        refused: 0,
    }
}

/// A poll that is later than all before it, in which the endpoints `a` and `b` were fresh or timed
/// out.
fn poll(fresh: [bool; 2]) -> Poll {
    let received = UNIX_EPOCH + Duration::from_secs(1_000);
    let endpoints = fresh.map(|fresh| {
        let outcome = if fresh {
            let raw = Bytes::from_static(b"null");
            PollOutcome::Fresh(Body::new(raw, received, |_| None))
        } else {
            PollOutcome::Failed(PollFailure {
                error_type: ErrorType::Timeout,
                message: "no answer".into(),
            })
        };
        EndpointPoll::new(outcome)
    });
    static POLLS: AtomicU64 = AtomicU64::new(1);
    let seconds = 15 * POLLS.fetch_add(1, Ordering::Relaxed);
    let now = received + Duration::from_secs(seconds);
    Poll {
        started: now,
        ended: now,
        counting_since: received,
        duration: Duration::from_millis(250),
        missed_ticks: 3,
        endpoints: endpoints.into(),
        level: MetricsLevel::Detailed,
        own: Vec::new(),
    }
}

fn reading(instrument: usize, value: Number) -> Reading {
    Reading {
        instrument,
        attributes: Vec::new(),
        value,
        time: None,
        histogram: None,
    }
}

fn node(id: &str, value: u64) -> Reading {
    Reading {
        attributes: vec![KeyValue::new("id", id.to_owned())],
        ..reading(NODES, Number::Unsigned(value))
    }
}

fn total(value: u64) -> Reading {
    reading(TOTAL, Number::Unsigned(value))
}

fn readings(values: impl Into<Vec<Reading>>) -> Readings {
    Readings {
        values: values.into(),
        ..Readings::default()
    }
}

/// A collection after a poll in which every endpoint was fresh.
fn collect(instruments: &mut Both, values: impl Into<Vec<Reading>>) -> Vec<Point> {
    let collected = instruments.collect(&poll([true, true]), &readings(values));
    instruments.points(&collected.metrics)
}

#[test]
fn a_total_is_the_last_reading_however_often_it_is_read() {
    let mut instruments = instruments();
    for _ in 0..10 {
        let points = collect(&mut instruments, [total(5_000)]);
        assert_eq!(one(&points, "total").value, Value::Unsigned(5_000));
    }
}

/// The counter over OTLP: value and start time of each point.
fn sent(instruments: &mut Both, value: Number) -> Vec<(String, u64)> {
    let values = readings([reading(TOTAL, value)]);
    let mut sent = Vec::new();
    for message in instruments.otlp(&poll([true, true]), &values) {
        let scopes = message.resource_metrics.into_iter();
        let metrics = scopes
            .flat_map(|of| of.scope_metrics)
            .flat_map(|of| of.metrics);
        for metric in metrics.filter(|metric| metric.name == "total") {
            let Some(metric::Data::Sum(sum)) = metric.data else {
                panic!("{metric:?}");
            };
            let points = sum.data_points.into_iter();
            sent.extend(
                points.map(|p| (format!("{:?}", p.value.unwrap()), p.start_time_unix_nano)),
            );
        }
    }
    sent
}

#[test]
fn a_total_that_gets_a_fraction_keeps_its_start_time() {
    let mut instruments = instruments();
    let before = sent(&mut instruments, Number::Unsigned(7));
    let start = before[0].1;
    assert_eq!(before, [("AsInt(7)".to_owned(), start)]);
    for (value, expected) in [
        (Number::Double(7.5), "AsDouble(7.5)"),
        (Number::Unsigned(8), "AsDouble(8.0)"),
    ] {
        let after = sent(&mut instruments, value);
        assert_eq!(after, [(expected.to_owned(), start)]);
    }
    let begun_again = sent(&mut instruments, Number::Double(0.5));
    assert!(begun_again[0].1 > start, "a reset has another one");
}

#[test]
fn a_total_beyond_the_signed_integers_keeps_its_start_time() {
    let mut instruments = instruments();
    let largest = i64::MAX.unsigned_abs();
    let before = sent(&mut instruments, Number::Unsigned(largest));
    let after = sent(&mut instruments, Number::Unsigned(largest + 1));
    assert_eq!(
        after,
        [("AsDouble(9.223372036854776e18)".to_owned(), before[0].1)]
    );
}

#[test]
fn only_the_total_that_falls_gets_a_new_start_time() {
    let mut instruments = instruments();
    let other = |value| reading(OTHER, Number::Unsigned(value));
    let before = collect(&mut instruments, [total(10), other(10)]);
    let after = collect(&mut instruments, [total(3), other(11)]);
    let later = collect(&mut instruments, [total(4), other(11)]);
    assert_eq!(one(&after, "total").value, Value::Unsigned(3));
    assert!(one(&before, "total").start < one(&after, "total").start);
    assert_eq!(one(&after, "total").start, one(&later, "total").start);
    for points in [&after, &later] {
        assert_eq!(one(&before, "other").start, one(points, "other").start);
    }
    let resets = one(&later, "betanet.counter.resets").value;
    assert_eq!(resets, Value::Unsigned(1));
}

#[test]
fn an_element_that_disappeared_is_not_in_the_next_collection() {
    let mut instruments = instruments();
    let attributes = |points: &[Point]| {
        let mut all: Vec<_> = named(points, "nodes")
            .iter()
            .map(|point| point.attributes.clone())
            .collect();
        all.sort();
        all
    };
    let points = collect(&mut instruments, [node("x", 1), node("y", 2)]);
    assert_eq!(attributes(&points), ["id=x", "id=y"]);
    let points = collect(&mut instruments, [node("y", 2), node("z", 3)]);
    assert_eq!(attributes(&points), ["id=y", "id=z"]);
    assert_eq!(attributes(&collect(&mut instruments, [])), [""; 0]);
}

#[test]
fn a_value_beyond_otlps_integers_is_a_double() {
    const LARGEST: u64 = i64::MAX.unsigned_abs();
    let mut instruments = instruments();
    let narrow = instruments.collect(&poll([true, true]), &readings([total(LARGEST)]));
    assert!(narrow.signed_metrics.is_none(), "everything fits");
    let values = [total(u64::MAX), reading(OTHER, Number::Unsigned(7))];
    for _ in 0..2 {
        let wide = instruments.collect(&poll([true, true]), &readings(values.clone()));
        let signed = wide.signed_metrics.as_deref().unwrap_or_default();
        let (unsigned, signed) = (
            instruments.points(&wide.metrics),
            instruments.points(signed),
        );
        assert_eq!(one(&unsigned, "total").value, Value::Unsigned(u64::MAX));
        assert_eq!(one(&signed, "total").value, Value::Double(2_f64.powi(64)));
        assert_eq!(one(&signed, "other").value, Value::Unsigned(7));
    }
    let narrow = collect(&mut instruments, [total(u64::MAX - 1)]);
    assert_eq!(one(&narrow, "total").value, Value::Unsigned(u64::MAX - 1));
}

#[test]
fn a_gauge_widens_and_stays_wide() {
    let mut instruments = instruments();
    for (value, expected) in [
        (Number::Unsigned(0), Value::Unsigned(0)),
        (Number::Negative(-1), Value::Signed(-1)),
        (Number::Unsigned(2), Value::Signed(2)),
        (Number::Double(0.5), Value::Double(0.5)),
        (Number::Unsigned(2), Value::Double(2.0)),
    ] {
        let points = collect(&mut instruments, [reading(GAUGE, value)]);
        assert_eq!(one(&points, "gauge").value, expected);
    }
}

#[test]
fn a_failed_endpoint_is_a_gap() {
    let mut instruments = instruments();
    let seconds = reading(SECONDS, Number::Double(0.5));
    let gauge = reading(GAUGE, Number::Unsigned(1));
    collect(&mut instruments, [total(1), seconds, gauge.clone()]);

    let half = instruments.collect(&poll([false, true]), &readings([gauge]));
    let half = instruments.points(&half.metrics);
    assert_eq!(one(&half, "gauge").value, Value::Unsigned(1));
    for name in ["total", "seconds"] {
        assert_eq!(named(&half, name), Vec::<&Point>::new(), "{name}");
    }

    let none = instruments.collect(&poll([false, false]), &readings([]));
    let foreign: Vec<_> = instruments
        .points(&none.metrics)
        .into_iter()
        .filter(|point| !point.name.starts_with("betanet."))
        .collect();
    assert_eq!(foreign, [], "only report metrics");
}

#[test]
fn a_histogram_has_one_observation_for_each_fresh_poll() {
    let mut instruments = instruments();
    let seconds = |value| [reading(SECONDS, Number::Double(value))];
    let first = collect(&mut instruments, seconds(0.5));
    assert_eq!(one(&first, "seconds").value, Value::Histogram(1, 0.5));
    instruments.collect(&poll([false, true]), &readings([]));
    let second = collect(&mut instruments, seconds(0.25));
    assert_eq!(one(&second, "seconds").value, Value::Histogram(2, 0.75));
    assert_eq!(one(&second, "seconds").start, one(&first, "seconds").start);
}

/// The attributes of the two endpoints.
const A: &str = "endpoint=a,url.template=/a";
const B: &str = "endpoint=b,url.template=/b";

#[test]
fn report_metrics_describe_the_target() {
    let mut instruments = instruments();
    collect(&mut instruments, [total(1), node("x", 1)]);
    let problems = Readings {
        values: vec![total(2)],
        problems: vec![Problem {
            rule: 0,
            instrument: OTHER,
            reason: ProblemReason::Missing,
            count: 2,
            detail: String::new(),
        }],
        ..Readings::default()
    };
    let collected = instruments.collect(&poll([true, false]), &problems);
    let own = |name: &str, attributes: &str| {
        let points = instruments.points(&collected.metrics);
        let mut found = points
            .into_iter()
            .filter(|p| p.name == name && p.attributes == attributes);
        let found = found
            .next()
            .unwrap_or_else(|| panic!("{name} {attributes}"));
        found.value
    };
    let unsigned = Value::Unsigned;
    for (name, attributes, expected) in [
        ("betanet.up", "", unsigned(1)),
        ("betanet.source.up", A, unsigned(1)),
        ("betanet.source.up", B, unsigned(0)),
        (
            "betanet.source.last_success.timestamp",
            B,
            Value::Double(1_000.0),
        ),
        ("betanet.scrape.duration", "", Value::Double(0.25)),
        ("betanet.scrape.body_size", "", unsigned(4)),
        ("betanet.scrape.samples_scraped", "", unsigned(1)),
        ("betanet.poll.missed_ticks", "", unsigned(3)),
        (
            "betanet.poll.results",
            "endpoint=a,outcome=fresh,url.template=/a",
            unsigned(2),
        ),
        (
            "betanet.poll.results",
            "endpoint=b,error.type=timeout,outcome=missing,url.template=/b",
            unsigned(1),
        ),
        (
            "betanet.mapping.problems",
            "metric=other,reason=missing",
            unsigned(2),
        ),
    ] {
        assert_eq!(own(name, attributes), expected, "{name} {attributes}");
    }
}

#[test]
fn at_the_basic_level_only_polls_without_an_answer_are_counted() {
    let mut instruments = instruments();
    let mut own = |level, answers| {
        let poll = Poll {
            level,
            ..poll(answers)
        };
        let collected = instruments.collect(&poll, &readings([]));
        let points = instruments.points(&collected.metrics);
        let own = points
            .into_iter()
            .filter(|p| p.name.starts_with("betanet."));
        own.map(|p| format!("{}{{{}}}", p.name, p.attributes))
            .collect::<Vec<_>>()
    };
    let healthy = own(MetricsLevel::Basic, [true, true]);
    assert!(!healthy.iter().any(|name| name.contains("poll.results")));
    assert!(!healthy.iter().any(|name| name.contains("scrape.samples")));
    let failed = own(MetricsLevel::Basic, [true, false]);
    let counted: Vec<_> = failed
        .iter()
        .filter(|name| name.contains("poll.results"))
        .collect();
    assert_eq!(
        counted,
        ["betanet.poll.results{endpoint=b,error.type=timeout,outcome=missing,url.template=/b}"]
    );
    let all = own(MetricsLevel::Normal, [true, true]);
    let results = all.iter().filter(|name| name.contains("poll.results"));
    assert_eq!(results.count(), 3, "{all:?}");
}

#[test]
fn a_target_that_never_answered_has_no_time_of_success() {
    let mut instruments = instruments();
    let collected = instruments.collect(&poll([false, false]), &readings([]));
    let points = instruments.points(&collected.metrics);
    assert_eq!(one(&points, "betanet.up").value, Value::Unsigned(0));
    let times = named(&points, "betanet.source.last_success.timestamp");
    assert_eq!(times, Vec::<&Point>::new());
    let fresh = named(&points, "betanet.poll.results");
    let zeros = fresh.iter().filter(|p| p.value == Value::Unsigned(0));
    assert_eq!(zeros.count(), 2, "counted from zero");
}

#[test]
fn where_memory_is_short_the_room_of_many_series_is_given_up_and_totals_go_on() {
    let mut both = instruments_of(&DEFINITION.replace("max_series: 20", "max_series: 2000"));
    let mut collect = |count: u64| {
        let values = (0..count).map(|n| Reading {
            attributes: vec![KeyValue::new("id", n.to_string())],
            ..reading(NODES, Number::Unsigned(7 + count))
        });
        let readings = Readings {
            values: values.collect(),
            ..Readings::default()
        };
        let collected = both.collect(&poll([true, true]), &readings);
        let points = both.points(&collected.metrics);
        let points = named(&points, "nodes");
        let starts = points.iter().map(|point| point.start);
        let starts: std::collections::BTreeSet<_> = starts.collect();
        drop(collected);
        let is_roomy = both.instruments.providers.is_roomy();
        let shed = both.instruments.shed();
        (points.len(), starts.len(), is_roomy, shed)
    };
    assert_eq!(collect(1500), (1500, 1, true, 0));
    assert_eq!(collect(3), (3, 1, false, 1497), "each began again");
    assert_eq!(collect(4), (4, 2, false, 0), "one of them is new");
}
