use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    definition::{self, BUILTIN},
    pipeline::{Body, EndpointPoll, ErrorType, Failure, Outcome},
};

use Number::{Double, Negative, Unsigned};

/// A definition of one endpoint whose only metric is called `m`, made of flow-YAML keys.
fn definition(metric: &str) -> Arc<Definition> {
    let text = format!("endpoints: {{e: {{path: /}}}}\nmetrics: [{{name: m, {metric}}}]\n");
    definition::from_text("test", "test.yaml", &text).unwrap_or_else(|error| panic!("{error}"))
}

/// A poll at which every endpoint answered with `document`.
fn poll(definition: &Definition, document: &Value) -> Poll {
    let endpoints = definition.endpoints.iter().map(|_| {
        let body = Body::new(Bytes::new(), UNIX_EPOCH, document.clone(), |_| None);
        EndpointPoll::new(Outcome::Fresh(body))
    });
    Poll {
        started: UNIX_EPOCH,
        ended: UNIX_EPOCH,
        counting_since: UNIX_EPOCH,
        duration: Duration::ZERO,
        missed_ticks: 0,
        endpoints: endpoints.collect(),
        own: Vec::new(),
    }
}

fn mapped(metric: &str, document: &Value) -> Readings {
    let definition = definition(metric);
    map(&definition, &poll(&definition, document))
}

/// What the one value `$.v` comes to.
fn value(metric: &str, v: &Value) -> Result<Number, Reason> {
    let readings = mapped(&format!("value: $.v, {metric}"), &json!({"v": v}));
    match (readings.values.as_slice(), readings.problems.as_slice()) {
        ([one], []) => Ok(one.value),
        ([], [one]) => Err(one.reason),
        other => panic!("{other:?}"),
    }
}

/// Each series as `key=value,…: number`.
fn series(readings: &Readings) -> Vec<String> {
    let text = |reading: &Reading| {
        let attributes = reading.attributes.iter();
        let attributes: Vec<_> = attributes
            .map(|a| format!("{}={}", a.key, a.value))
            .collect();
        format!("{}: {}", attributes.join(","), reading.value.as_f64())
    };
    readings.values.iter().map(text).collect()
}

fn reasons(readings: &Readings) -> Vec<(Reason, u64)> {
    let problems = readings.problems.iter();
    problems.map(|p| (p.reason, p.count)).collect()
}

#[test]
fn every_kind_of_number_is_read_exactly() {
    for (found, expected) in [
        (json!(0), Unsigned(0)),
        (json!(u64::MAX), Unsigned(u64::MAX)),
        (json!((1_u64 << 53) + 1), Unsigned((1 << 53) + 1)),
        (json!(i64::MIN), Negative(i64::MIN)),
        (json!(0.5), Double(0.5)),
        (json!(1e300), Double(1e300)),
        (json!(true), Unsigned(1)),
        (json!(false), Unsigned(0)),
        (json!("18446744073709551615"), Unsigned(u64::MAX)),
        (json!("-7"), Negative(-7)),
        (json!(" 2.5 "), Double(2.5)),
    ] {
        assert_eq!(value("instrument: gauge", &found), Ok(expected), "{found}");
    }
}

#[test]
fn what_is_no_number_is_refused() {
    for (found, expected) in [
        (json!(null), Reason::Missing),
        (json!("n/a"), Reason::Type),
        (json!(""), Reason::Type),
        (json!("NaN"), Reason::Type),
        (json!("inf"), Reason::Type),
        (json!("1e999"), Reason::Type),
        (json!("0x10"), Reason::Type),
        (json!([1]), Reason::Type),
        (json!({"a": 1}), Reason::Type),
    ] {
        assert_eq!(value("instrument: gauge", &found), Err(expected), "{found}");
    }
}

#[test]
fn a_counter_takes_what_a_running_total_can_be() {
    let counter = |found| value("instrument: counter", &found);
    assert_eq!(counter(json!(5)), Ok(Unsigned(5)));
    assert_eq!(
        counter(json!(5.0)),
        Ok(Unsigned(5)),
        "an integer all the same"
    );
    assert_eq!(counter(json!(1e6)), Ok(Unsigned(1_000_000)));
    assert_eq!(counter(json!(-1)), Err(Reason::Range));
    assert_eq!(counter(json!(-0.5)), Err(Reason::Range));
    assert_eq!(counter(json!(0.5)), Err(Reason::Range));
    let double = "instrument: counter, value_type: double";
    assert_eq!(value(double, &json!(0.5)), Ok(Double(0.5)));
}

#[test]
fn an_integer_instrument_refuses_a_fraction() {
    let int = "instrument: gauge, value_type: int";
    assert_eq!(value(int, &json!(-3.0)), Ok(Negative(-3)));
    assert_eq!(value(int, &json!(0.5)), Err(Reason::Range));
    assert_eq!(value(int, &json!(1e300)), Err(Reason::Range));
}

#[test]
fn a_scale_gives_the_number_that_a_person_expects() {
    for (scale, found, expected) in [
        ("0.001", json!(45.0), 0.045),
        ("0.001", json!(45), 0.045),
        ("0.001", json!("45"), 0.045),
        ("0.01", json!(7), 0.07),
        ("1000", json!(0.5), 500.0),
        ("-0.001", json!(45), -0.045),
        ("0.3", json!(2), 0.6),
    ] {
        let metric = format!("instrument: gauge, scale: {scale}");
        assert_eq!(
            value(&metric, &found),
            Ok(Double(expected)),
            "{scale} {found}"
        );
    }
}

#[test]
fn a_scale_that_overflows_is_refused() {
    let metric = "instrument: gauge, scale: 1e10";
    assert_eq!(value(metric, &json!(1e300)), Err(Reason::Range));
}

#[test]
fn a_moment_is_unix_seconds() {
    for (found, expected) in [
        (json!("1795437295"), Ok(Unsigned(1_795_437_295))),
        (json!(1_795_437_295), Ok(Unsigned(1_795_437_295))),
        (json!(1.5), Ok(Double(1.5))),
        (json!("1970-01-01T00:01:40Z"), Ok(Unsigned(100))),
        (json!("1970-01-01T01:01:40+01:00"), Ok(Unsigned(100))),
        (json!("1970-01-01T00:00:00.25Z"), Ok(Double(0.25))),
        (json!("1969-12-31T23:59:50Z"), Ok(Negative(-10))),
        (json!("yesterday"), Err(Reason::Type)),
        (json!("1970-01-01"), Err(Reason::Type)),
        (json!({}), Err(Reason::Type)),
    ] {
        let metric = "instrument: gauge, parse: timestamp";
        assert_eq!(value(metric, &found), expected, "{found}");
    }
}

#[test]
fn texts_become_the_numbers_that_the_definition_gives_them() {
    let metric = "instrument: gauge, values: {green: 0, yellow: 1, red: 2.5}";
    assert_eq!(value(metric, &json!("yellow")), Ok(Unsigned(1)));
    assert_eq!(value(metric, &json!("red")), Ok(Double(2.5)));
    assert_eq!(value(metric, &json!("blue")), Err(Reason::Range));
    assert_eq!(value(metric, &json!(7)), Ok(Unsigned(7)), "a number is one");
}

#[test]
fn a_missing_value_is_a_missing_series() {
    let readings = mapped("instrument: gauge, value: $.v", &json!({}));
    assert_eq!(series(&readings), [""; 0]);
    assert_eq!(reasons(&readings), [(Reason::Missing, 1)]);
    let optional = "instrument: gauge, value: $.v, optional: true";
    assert_eq!(reasons(&mapped(optional, &json!({}))), []);
    assert_eq!(reasons(&mapped(optional, &json!({"v": null}))), []);
    let wrong = mapped(optional, &json!({"v": []}));
    assert_eq!(reasons(&wrong), [(Reason::Type, 1)], "there, but wrong");
}

#[test]
fn an_array_gives_a_series_an_element() {
    let metric = "instrument: gauge, for_each: $.list, value: $.n, \
                  attributes: {id: $.id, at: \"@key\", kind: fixed}";
    let document =
        json!({"list": [{"id": "x", "n": 1}, {"id": 7, "n": 2}, {"n": 3}, {"id": [], "n": 4}, 5]});
    let readings = mapped(metric, &document);
    let expected = ["at=0,id=x,kind=fixed: 1", "at=1,id=7,kind=fixed: 2"];
    assert_eq!(series(&readings), expected);
    let missing = (Reason::Missing, 1);
    assert_eq!(reasons(&readings), [missing, (Reason::Type, 1), missing]);
    assert_eq!(reasons(&mapped(metric, &json!({"list": []}))), []);
}

#[test]
fn an_object_gives_a_series_a_member() {
    let metric = "instrument: gauge, for_each: $.nodes, value: $.n, attributes: {id: \"@key\"}";
    let document = json!({"nodes": {"x": {"n": 1}, "it's": {"n": 2}}});
    let mut found = series(&mapped(metric, &document));
    found.sort();
    assert_eq!(found, ["id=it's: 2", "id=x: 1"]);
    let scalars = "instrument: gauge, for_each: $, value: $, attributes: {id: \"@key\"}";
    assert_eq!(series(&mapped(scalars, &json!({"a": 1}))), ["id=a: 1"]);
}

#[test]
fn elements_can_be_chosen() {
    let metric = "instrument: gauge, for_each: '$[?@.status == \"active\"]', value: $.n, \
                  attributes: {id: $.id}";
    let document = json!([
        {"id": "x", "status": "active", "n": 1},
        {"id": "y", "status": "stopped", "n": 2},
    ]);
    assert_eq!(series(&mapped(metric, &document)), ["id=x: 1"]);
}

#[test]
fn what_is_over_the_limit_is_dropped_and_counted() {
    let metric =
        "instrument: gauge, for_each: $, value: $, attributes: {id: \"@key\"}, max_series: 2";
    let readings = mapped(metric, &json!([10, 11, 12, 13, 14]));
    assert_eq!(series(&readings), ["id=0: 10", "id=1: 11"]);
    assert_eq!(reasons(&readings), [(Reason::MaxSeries, 3)]);
}

#[test]
fn of_two_elements_with_the_same_attributes_the_first_counts() {
    let metric = "instrument: gauge, for_each: $, value: $.n, attributes: {id: $.id}";
    let document = json!([{"id": "x", "n": 1}, {"id": "x", "n": 2}, {"id": "y", "n": 3}]);
    let readings = mapped(metric, &document);
    assert_eq!(series(&readings), ["id=x: 1", "id=y: 3"]);
    assert_eq!(reasons(&readings), [(Reason::Duplicate, 1)]);
    assert!(readings.problems[0].detail.contains("id=x"));
}

#[test]
fn an_attribute_without_end_is_refused() {
    let metric = "instrument: gauge, for_each: $, value: $.n, attributes: {id: $.id}";
    let readings = mapped(metric, &json!([{"id": "x".repeat(1025), "n": 1}]));
    assert_eq!(reasons(&readings), [(Reason::Range, 1)]);
}

#[test]
fn a_state_set_has_a_series_a_state() {
    let metric = "instrument: stateset, value: $.v, states: [idle, busy]";
    let readings = mapped(metric, &json!({"v": "busy"}));
    assert_eq!(series(&readings), ["state=idle: 0", "state=busy: 1"]);
    for unknown in [json!("gone"), json!(7), json!([])] {
        let readings = mapped(metric, &json!({"v": unknown}));
        assert_eq!(series(&readings), [""; 0], "no state at all");
        assert_eq!(reasons(&readings), [(Reason::Range, 1)]);
    }
    let numbers = "instrument: stateset, value: $.v, states: ['0', 'true'], state_attribute: s";
    let readings = mapped(numbers, &json!({"v": true}));
    assert_eq!(series(&readings), ["s=0: 0", "s=true: 1"]);
}

#[test]
fn an_endpoint_without_a_body_gives_nothing_and_no_problem() {
    let definition = definition("instrument: gauge, value: $.v");
    let mut poll = poll(&definition, &json!({}));
    poll.endpoints[0].outcome = Outcome::Failed(Failure {
        error_type: ErrorType::Connect,
        message: "".into(),
    });
    let readings = map(&definition, &poll);
    assert_eq!(series(&readings), [""; 0]);
    assert_eq!(reasons(&readings), []);
}

/// Any JSON, with many of the names that definitions look for.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(active|operational|[0-9]{1,20}|-?[0-9]\\.[0-9]e[0-9]{1,3}|\\PC{0,12})"
            .prop_map(Value::from),
    ];
    let name = "(id|status|packets_processed|avg_latency_ms|timestamp|nodes|value|\\PC{0,5})";
    leaf.prop_recursive(4, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((name, inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_is_too_odd(document in any_json()) {
        for builtin in BUILTIN {
            let definition = definition::load_builtin(builtin).unwrap();
            let readings = map(&definition, &poll(&definition, &document));
            let mut seen = HashSet::new();
            for reading in &readings.values {
                let value = reading.value.as_f64();
                prop_assert!(value.is_finite());
                let kind = definition.instruments[reading.instrument].kind;
                prop_assert!(kind != InstrumentKind::Counter || value >= 0.0);
                prop_assert!(seen.insert((reading.instrument, reading.attributes.clone())));
            }
        }
    }
}
