mod elements;
mod for_each;
mod histograms;
mod join;
mod numbers;
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
