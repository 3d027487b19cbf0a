mod elements;
mod histograms;
mod join;
mod parse;
mod times;

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    definition::{self, BUILTIN, InstrumentKind, Number},
    pipeline::{Body, EndpointPoll, ErrorType, PollFailure, PollOutcome, Problem, ProcessStart},
    telemetry::target_metrics::MetricsLevel,
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
        let document = document.clone();
        let body = Body::new(Bytes::new(), UNIX_EPOCH, move |_| Some(document.clone()));
        EndpointPoll::new(PollOutcome::Fresh(body))
    });
    Poll {
        started: UNIX_EPOCH,
        ended: UNIX_EPOCH,
        counting_since: UNIX_EPOCH,
        duration: Duration::ZERO,
        missed_ticks: 0,
        endpoints: endpoints.collect(),
        level: MetricsLevel::default(),
        own: Vec::new(),
    }
}

fn mapped(metric: &str, document: &Value) -> Readings {
    let definition = definition(metric);
    map(&definition, &mut poll(&definition, document))
}

/// What the one value `$.v` comes to.
fn value(metric: &str, v: &Value) -> Result<Number, ProblemReason> {
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

fn reasons(readings: &Readings) -> Vec<(ProblemReason, u64)> {
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
        (json!(null), ProblemReason::Missing),
        (json!("n/a"), ProblemReason::Type),
        (json!(""), ProblemReason::Type),
        (json!("NaN"), ProblemReason::Type),
        (json!("inf"), ProblemReason::Type),
        (json!("1e999"), ProblemReason::Range),
        (json!("-1e400"), ProblemReason::Range),
        (json!("0x10"), ProblemReason::Type),
        (json!([1]), ProblemReason::Type),
        (json!({"a": 1}), ProblemReason::Type),
    ] {
        assert_eq!(value("instrument: gauge", &found), Err(expected), "{found}");
    }
}

#[test]
fn a_counter_takes_what_a_running_total_can_be() {
    let counter = |found| value("instrument: counter", &found);
    assert_eq!(counter(json!(5)), Ok(Unsigned(5)));
    assert_eq!(counter(json!(u64::MAX)), Ok(Unsigned(u64::MAX)));
    assert_eq!(counter(json!(8635.9)), Ok(Double(8635.9)));
    assert_eq!(counter(json!("0.5")), Ok(Double(0.5)));
    assert_eq!(counter(json!(-1)), Err(ProblemReason::Range));
    assert_eq!(counter(json!(-0.5)), Err(ProblemReason::Range));
    let int = "instrument: counter, value_type: int";
    assert_eq!(value(int, &json!(5.0)), Ok(Unsigned(5)));
    assert_eq!(value(int, &json!(1e6)), Ok(Unsigned(1_000_000)));
    assert_eq!(value(int, &json!(0.5)), Err(ProblemReason::Range));
    let kilowatt_hours = "instrument: counter, scale: 3600000";
    let joules = Double(31_089_240_000.0);
    assert_eq!(value(kilowatt_hours, &json!(8635.9)), Ok(joules));
}

#[test]
fn what_is_29_on_paper_is_29() {
    for (value_type, expected) in [("auto", Double(29.0)), ("int", Unsigned(29))] {
        for kind in ["gauge", "counter", "updowncounter"] {
            let metric = format!("instrument: {kind}, value_type: {value_type}, scale: 100");
            assert_eq!(value(&metric, &json!(0.29)), Ok(expected), "{metric}");
        }
    }
}

#[test]
fn an_integer_instrument_refuses_a_fraction() {
    let int = "instrument: gauge, value_type: int";
    assert_eq!(value(int, &json!(-3.0)), Ok(Negative(-3)));
    assert_eq!(value(int, &json!(0.5)), Err(ProblemReason::Range));
    assert_eq!(value(int, &json!(1e300)), Err(ProblemReason::Range));
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
    assert_eq!(value(metric, &json!(1e300)), Err(ProblemReason::Range));
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
        (json!("yesterday"), Err(ProblemReason::Type)),
        (json!("1970-01-01"), Err(ProblemReason::Type)),
        (json!({}), Err(ProblemReason::Type)),
    ] {
        let metric = "instrument: gauge, parse: timestamp";
        assert_eq!(value(metric, &found), expected, "{found}");
    }
}

#[test]
fn a_moment_in_other_parts_of_a_second_is_a_problem() {
    for (found, scale, unit) in [
        (json!(1_795_437_295_000_u64), "0.001", "ms"),
        (json!("1795437295000000"), "0.000001", "us"),
        (json!(1_795_437_295_000_000_000_u64), "0.000000001", "ns"),
    ] {
        let metric = "instrument: gauge, parse: timestamp, value: $.v";
        let readings = mapped(metric, &json!({ "v": found }));
        assert_eq!(reasons(&readings), [(ProblemReason::Range, 1)], "{found}");
        let detail = &readings.problems[0].detail;
        let hint = format!("; `parse: {{as: timestamp, unit: {unit}}}` reads it right");
        assert!(detail.contains("is the year 5"), "{detail}");
        assert!(detail.ends_with(&hint), "{detail}");
        let right = format!("instrument: gauge, parse: timestamp, scale: {scale}");
        assert_eq!(
            value(&right, &found),
            Ok(Double(1_795_437_295.0)),
            "{found}"
        );
        let right = format!("instrument: gauge, parse: {{as: timestamp, unit: {unit}}}");
        assert_eq!(
            value(&right, &found),
            Ok(Unsigned(1_795_437_295)),
            "{found}"
        );
    }
    let metric = "instrument: gauge, parse: timestamp";
    assert_eq!(
        value(metric, &json!(253_402_300_799_u64)),
        Ok(Unsigned(253_402_300_799))
    );
    assert_eq!(
        value(metric, &json!(253_402_300_800_u64)),
        Err(ProblemReason::Range)
    );
    assert_eq!(value(metric, &json!(1e300)), Err(ProblemReason::Range));
    assert_eq!(value(metric, &json!(-1e15)), Err(ProblemReason::Range));
}

#[test]
fn texts_become_the_numbers_that_the_definition_gives_them() {
    let metric = "instrument: gauge, values: {green: 0, yellow: 1, red: 2.5}";
    assert_eq!(value(metric, &json!("yellow")), Ok(Unsigned(1)));
    assert_eq!(value(metric, &json!("red")), Ok(Double(2.5)));
    assert_eq!(value(metric, &json!("blue")), Err(ProblemReason::Range));
    assert_eq!(value(metric, &json!(7)), Ok(Unsigned(7)), "a number is one");
    assert_eq!(value(metric, &json!(true)), Ok(Unsigned(1)));
    assert_eq!(value(metric, &json!(null)), Err(ProblemReason::Missing));
    assert_eq!(value(metric, &json!([])), Err(ProblemReason::Type));
}

#[test]
fn numbers_and_booleans_become_other_numbers_too() {
    let metric = r#"instrument: gauge, values: {"3": 0, "2.50": 1, "18446744073709551615": 2, "true": 10, "on": 5}"#;
    for (found, expected) in [
        (json!(3), Ok(Unsigned(0))),
        (json!(3.0), Ok(Unsigned(0))),
        (json!("3"), Ok(Unsigned(0))),
        (json!(2.5), Ok(Unsigned(1))),
        (json!(u64::MAX), Ok(Unsigned(2))),
        (json!(u64::MAX - 1), Err(ProblemReason::Range)),
        (json!(true), Ok(Unsigned(10))),
        (json!("on"), Ok(Unsigned(5))),
        (json!(4), Err(ProblemReason::Range)),
        (json!(false), Err(ProblemReason::Range)),
        (json!("off"), Err(ProblemReason::Range)),
    ] {
        assert_eq!(value(metric, &found), expected, "{found}");
    }
    let unlimited = "instrument: gauge, values: {unlimited: -1}";
    assert_eq!(value(unlimited, &json!("unlimited")), Ok(Negative(-1)));
    assert_eq!(value(unlimited, &json!(500)), Ok(Unsigned(500)));
    let other = r#"instrument: gauge, values: {"0": 1, "*": 0}"#;
    for (found, expected) in [
        (json!(0), 1),
        (json!(7), 0),
        (json!("x"), 0),
        (json!(true), 0),
    ] {
        assert_eq!(value(other, &found), Ok(Unsigned(expected)), "{found}");
    }
}

#[test]
fn a_missing_value_is_a_missing_series() {
    let readings = mapped("instrument: gauge, value: $.v", &json!({}));
    assert_eq!(series(&readings), [""; 0]);
    assert_eq!(reasons(&readings), [(ProblemReason::Missing, 1)]);
    let optional = "instrument: gauge, value: $.v, optional: true";
    assert_eq!(reasons(&mapped(optional, &json!({}))), []);
    assert_eq!(reasons(&mapped(optional, &json!({"v": null}))), []);
    let wrong = mapped(optional, &json!({"v": []}));
    assert_eq!(
        reasons(&wrong),
        [(ProblemReason::Type, 1)],
        "there, but wrong"
    );
}

#[test]
fn of_several_values_none_is_taken() {
    let document = json!({"loads": [1, 2, 3], "one": [null, 7], "tags": ["x", "y"]});
    let readings = mapped("instrument: gauge, value: '$.loads[*]'", &document);
    assert_eq!(series(&readings), [""; 0]);
    assert_eq!(reasons(&readings), [(ProblemReason::Several, 1)]);
    assert_eq!(
        readings.problems[0].detail,
        "$.loads[*]: 3 values, one wanted"
    );
    let one = mapped("instrument: gauge, value: '$.one[*]'", &document);
    assert_eq!(series(&one), [": 7"], "null is no value");
    let optional = "instrument: gauge, optional: true, value: '$.one[1]', \
                    attributes: {tag: '$.tags[*]'}";
    let readings = mapped(optional, &document);
    assert_eq!(series(&readings), [""; 0]);
    assert_eq!(
        reasons(&readings),
        [(ProblemReason::Several, 1)],
        "not missing"
    );
}

#[test]
fn a_for_each_that_finds_nothing_is_counted() {
    for (path, expected) in [
        ("$.node", 1),
        ("$.node[*]", 1),
        ("$.nil", 1),
        ("$.nodes[?@.up == false]", 1),
        ("$.none", 0),
        ("$.none[*]", 0),
    ] {
        let document = json!({"nodes": [{"up": true, "n": 1}], "none": [], "nil": null});
        let metric = |more: &str| format!("instrument: gauge, value: $.n, {more}");
        let plain = mapped(&metric(&format!("for_each: '{path}'")), &document);
        let missing: u64 = plain.problems.iter().map(|problem| problem.count).sum();
        assert_eq!(missing, expected, "{path}");
        assert!(
            plain
                .problems
                .iter()
                .all(|it| it.detail == path && it.reason == ProblemReason::Missing)
        );
        for optional in [
            format!("for_each: {{path: '{path}', optional: true}}"),
            format!("for_each: '{path}', optional: true"),
        ] {
            assert_eq!(
                reasons(&mapped(&metric(&optional), &document)),
                [],
                "{path}"
            );
        }
    }
}

#[test]
fn an_optional_attribute_is_left_out_where_it_is_missing() {
    let document = json!([{"id": "a", "site": "x", "n": 1}, {"id": "b", "n": 2}, {"n": 3}]);
    let metric = "instrument: gauge, for_each: $, value: $.n, \
                  attributes: {id: $.id, site: {path: $.site, optional: true}}";
    let readings = mapped(metric, &document);
    assert_eq!(series(&readings), ["id=a,site=x: 1", "id=b: 2"]);
    assert_eq!(reasons(&readings), [(ProblemReason::Missing, 1)]);
    assert_eq!(readings.problems[0].detail, "$.id");
}

#[test]
fn an_element_that_is_an_array_says_what_to_add() {
    let document = json!({"values": [{"x": [{"n": 1}, {"n": 2}]}, {"x": []}]});
    let metric = "instrument: gauge, value: $.n, attributes: {at: '@key'}, for_each: ";
    let readings = mapped(&format!("{metric}'$.values[*].x'"), &document);
    assert_eq!(series(&readings), [""; 0]);
    assert_eq!(
        readings.problems[0].detail,
        "$.n: the element is an array of 2; to go through it, add `[*]`: \
         `for_each: $.values[*].x[*]`"
    );
    let readings = mapped(&format!("{metric}'$.values[0].x[*]'"), &document);
    assert_eq!(series(&readings), ["at=0: 1", "at=1: 2"]);
    let pairs = json!([["2026-01-01", 1], ["2026-01-02", 2]]);
    let metric = "instrument: gauge, for_each: '$[*]', value: '$[1]', attributes: {day: '$[0]'}";
    let expected = ["day=2026-01-01: 1", "day=2026-01-02: 2"];
    assert_eq!(series(&mapped(metric, &pairs)), expected);
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
    let missing = (ProblemReason::Missing, 1);
    assert_eq!(
        reasons(&readings),
        [missing, (ProblemReason::Type, 1), missing]
    );
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
    assert_eq!(reasons(&readings), [(ProblemReason::MaxSeries, 3)]);
}

#[test]
fn of_two_elements_with_the_same_attributes_the_first_counts() {
    let metric = "instrument: gauge, for_each: $, value: $.n, attributes: {id: $.id}";
    let document = json!([{"id": "x", "n": 1}, {"id": "x", "n": 2}, {"id": "y", "n": 3}]);
    let readings = mapped(metric, &document);
    assert_eq!(series(&readings), ["id=x: 1", "id=y: 3"]);
    assert_eq!(reasons(&readings), [(ProblemReason::Duplicate, 1)]);
    assert!(readings.problems[0].detail.contains("id=x"));
}

#[test]
fn an_attribute_without_end_is_refused() {
    let metric = "instrument: gauge, for_each: $, value: $.n, attributes: {id: $.id}";
    let readings = mapped(metric, &json!([{"id": "x".repeat(1025), "n": 1}]));
    assert_eq!(reasons(&readings), [(ProblemReason::Range, 1)]);
}

#[test]
fn a_state_set_has_a_series_a_state() {
    let metric = "instrument: stateset, value: $.v, states: [idle, busy]";
    let readings = mapped(metric, &json!({"v": "busy"}));
    assert_eq!(series(&readings), ["state=idle: 0", "state=busy: 1"]);
    for unknown in [json!("gone"), json!(7), json!([])] {
        let readings = mapped(metric, &json!({"v": unknown}));
        assert_eq!(series(&readings), [""; 0], "no state at all");
        assert_eq!(reasons(&readings), [(ProblemReason::Range, 1)]);
    }
    let whole = "instrument: stateset, value: $.v, states: ['0', '1']";
    let readings = mapped(whole, &json!({"v": 1.0}));
    assert_eq!(series(&readings), ["state=0: 0", "state=1: 1"]);
    let numbers = "instrument: stateset, value: $.v, states: ['0', 'true'], state_attribute: s";
    let readings = mapped(numbers, &json!({"v": true}));
    assert_eq!(series(&readings), ["s=0: 0", "s=true: 1"]);
}

#[test]
fn an_endpoint_without_a_body_gives_nothing_and_no_problem() {
    let definition = definition("instrument: gauge, value: $.v");
    let mut poll = poll(&definition, &json!({}));
    poll.endpoints[0].outcome = PollOutcome::Failed(PollFailure {
        error_type: ErrorType::Connect,
        message: "".into(),
    });
    let readings = map(&definition, &mut poll);
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
            let readings = map(&definition, &mut poll(&definition, &document));
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
