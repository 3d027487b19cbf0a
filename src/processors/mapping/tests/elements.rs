//! Levels, keys, attributes of outer levels, constants and counts.

use super::*;

fn stations() -> Value {
    json!({
        "version": "7",
        "stations": {
            "a": {"name": "Alpha", "mounts": [
                {"format": "mp3", "listeners": {"current": 7}},
                {"format": "aac", "listeners": {"current": 3}},
            ]},
            "b": {"name": "Beta", "mounts": [{"format": "mp3", "listeners": {"current": 1}}]},
        },
    })
}

const LEVELS: &str = "instrument: gauge, \
    for_each: [{path: $.stations, as: station}, {path: '$.mounts[*]', as: mount}], \
    value: $.listeners.current";

#[test]
fn attributes_come_from_every_level() {
    let metric = format!(
        "{LEVELS}, attributes: {{version: 'document:$.version', key: 'station:@key', \
         name: 'station:$.name', format: $.format, at: '@key', mount: 'mount:@key', \
         url: 'http://x:$y'}}"
    );
    assert_eq!(
        series(&mapped(&metric, &stations())),
        [
            "at=0,format=mp3,key=a,mount=0,name=Alpha,url=http://x:$y,version=7: 7",
            "at=1,format=aac,key=a,mount=1,name=Alpha,url=http://x:$y,version=7: 3",
            "at=0,format=mp3,key=b,mount=0,name=Beta,url=http://x:$y,version=7: 1",
        ]
    );
}

#[test]
fn a_limit_holds_over_all_levels() {
    let metric = format!("{LEVELS}, max_series: 2, attributes: {{s: 'station:@key', m: '@key'}}");
    let readings = mapped(&metric, &stations());
    assert_eq!(series(&readings), ["m=0,s=a: 7", "m=1,s=a: 3"]);
    assert_eq!(reasons(&readings), [(ProblemReason::MaxSeries, 1)]);
    assert_eq!(readings.problems[0].detail, "3 elements, 2 series allowed");
}

#[test]
fn each_level_may_miss_its_elements() {
    let document = json!({"stations": {"a": {"mounts": [{"listeners": {"current": 1}}]}, "b": {}, "c": {"mounts": []}}});
    let metric = |optional: &str| {
        format!(
            "instrument: gauge, value: $.listeners.current, attributes: {{s: 'station:@key'}}, \
             for_each: [{{path: $.stations, as: station}}, {{path: $.mounts{optional}}}]"
        )
    };
    let readings = mapped(&metric(""), &document);
    assert_eq!(series(&readings), ["s=a: 1"]);
    assert_eq!(reasons(&readings), [(ProblemReason::Missing, 1)], "b alone");
    assert_eq!(reasons(&mapped(&metric(", optional: true"), &document)), []);
}

#[test]
fn members_are_chosen_by_their_names() {
    let document = json!({"meters": {
        "http.eu-west.requests": {"count": 12},
        "http.us-east.requests": {"count": 5},
        "http.eu-west.errors": {"count": 1},
    }});
    let metric = |keys: &str| {
        format!(
            "instrument: counter, value: $.count, attributes: {{region: '@key.region'}}, \
             for_each: {{path: $.meters, keys: '{keys}'}}"
        )
    };
    let found = mapped(&metric(r"^http\.(?P<region>[a-z-]+)\.requests$"), &document);
    assert_eq!(series(&found), ["region=eu-west: 12", "region=us-east: 5"]);
    assert_eq!(reasons(&found), []);
    let none = mapped(&metric("^(?P<region>x)"), &document);
    assert_eq!(reasons(&none), [(ProblemReason::Missing, 1)]);
    assert_eq!(
        none.problems[0].detail,
        "$.meters: no key matches `^(?P<region>x)`"
    );
    assert_eq!(
        reasons(&mapped(&metric("^(?P<region>x)"), &json!({"meters": {}}))),
        []
    );
    let outer = "instrument: gauge, value: $, attributes: {zone: 'zone:@key.name', at: '@key'}, \
        for_each: [{path: $, as: zone, keys: '^zone-(?P<name>.+)$'}, $]";
    let found = mapped(outer, &json!({"zone-a": [1, 2], "other": [3]}));
    assert_eq!(series(&found), ["at=0,zone=a: 1", "at=1,zone=a: 2"]);
}

#[test]
fn attributes_have_patterns_and_values() {
    let document = json!({"0": {"device": "https://host-1:9000/x"}, "1": {"device": "none"}});
    let metric = |host: &str, phase: &str| {
        format!(
            "instrument: gauge, value: 1, for_each: $, attributes: {{ \
             host: {{path: $.device, pattern: '^https?://([^/:]+)'{host}}}, \
             phase: {{path: '@key', values: {phase}}}}}"
        )
    };
    let readings = mapped(&metric("", "{'0': L1, '1': L2}"), &document);
    assert_eq!(series(&readings), ["host=host-1,phase=L1: 1"]);
    assert_eq!(reasons(&readings), [(ProblemReason::Missing, 1)]);
    let readings = mapped(
        &metric(", optional: true", "{'0': L1, '*': other}"),
        &document,
    );
    assert_eq!(
        series(&readings),
        ["host=host-1,phase=L1: 1", "phase=other: 1"]
    );
    let readings = mapped(&metric(", optional: true", "{'1': L2}"), &document);
    assert_eq!(reasons(&readings), [(ProblemReason::Range, 1)]);
    let literal = "instrument: gauge, value: 1, attributes: {x: {text: '.x'}}";
    assert_eq!(series(&mapped(literal, &document)), ["x=.x: 1"]);
}

#[test]
fn a_constant_stands_on_every_series_that_has_its_attributes() {
    let metric = "instrument: gauge, value: 1, attributes: {version: $.version}";
    assert_eq!(
        series(&mapped(metric, &json!({"version": "7"}))),
        ["version=7: 1"]
    );
    let readings = mapped(metric, &json!({}));
    assert_eq!(series(&readings), [""; 0]);
    assert_eq!(reasons(&readings), [(ProblemReason::Missing, 1)]);
    let fraction = "instrument: gauge, value: 0.5";
    assert_eq!(series(&mapped(fraction, &json!({}))), [": 0.5"]);
}

#[test]
fn a_count_of_nothing_is_0_and_of_what_is_not_there_is_a_problem() {
    let document = json!({"jobs": [{"state": "active"}, {"state": "done"}, {"state": "done"}]});
    for (path, expected) in [
        ("$.jobs[?@.state == 'done']", Ok(2)),
        ("$.jobs[?@.state == 'dead']", Ok(0)),
        ("$.jobs[*]", Ok(3)),
        ("$.jobs[0]", Ok(1)),
        ("$..state", Ok(3)),
        ("$.job[*]", Err(ProblemReason::Missing)),
        ("$.jobs[7]", Err(ProblemReason::Missing)),
    ] {
        let metric = format!("instrument: gauge, count: \"{path}\"");
        let readings = mapped(&metric, &document);
        match expected {
            Ok(count) => assert_eq!(series(&readings), [format!(": {count}")], "{path}"),
            Err(reason) => assert_eq!(reasons(&readings), [(reason, 1)], "{path}"),
        }
        let optional = mapped(&format!("{metric}, optional: true"), &document);
        let count = expected.unwrap_or(0);
        assert_eq!(series(&optional), [format!(": {count}")], "{path}");
    }
    let nested =
        "instrument: gauge, for_each: $.queues, count: '$.jobs[*]', attributes: {q: '@key'}";
    let document = json!({"queues": {"a": {"jobs": [1]}, "b": {"jobs": []}}});
    assert_eq!(series(&mapped(nested, &document)), ["q=a: 1", "q=b: 0"]);
}

#[test]
fn one_name_from_two_endpoints_is_one_metric() {
    let text = "
endpoints: {a: {path: /a}, b: {path: /b}}
metrics:
  - {name: n, instrument: gauge, endpoint: a, value: $.n, attributes: {of: a}}
  - {name: n, instrument: gauge, endpoint: b, value: $.n, attributes: {of: b}}
  - {name: n, instrument: gauge, endpoint: b, value: $.n, attributes: {of: a}}
";
    let definition = definition::from_text("test", "test.yaml", text).unwrap();
    assert_eq!(definition.instruments.len(), 2, "one a scope");
    let readings = map(&definition, &mut poll(&definition, &json!({"n": 1})));
    assert_eq!(series(&readings), ["of=a: 1", "of=b: 1"]);
    assert_eq!(reasons(&readings), [(ProblemReason::Duplicate, 1)]);
}

#[test]
fn the_nearest_key_is_named_for_paths_of_every_kind() {
    let hint = |metric: &str, document: Value| {
        let definition = definition(&format!("instrument: gauge, {metric}"));
        let mut poll = poll(&definition, &document);
        let readings = map(&definition, &mut poll);
        let problem: &Problem = readings.problems.first().unwrap();
        explain(&definition, &poll, problem)
    };
    let levels = "for_each: [{path: $.stations, as: station}, $.mounts], value: $.n";
    for (metric, document, expected) in [
        (
            "count: '$.jbos[*]'",
            json!({"jobs": []}),
            "no `jbos`; did you mean `jobs`?",
        ),
        (
            "for_each: $.node, value: $.n",
            json!({"nodes": []}),
            "no `node`; did you mean `nodes`?",
        ),
        (
            levels,
            json!({"stations": [{"mount": []}]}),
            "no `mounts`; did you mean `mount`?",
        ),
        (
            &format!("{levels}, attributes: {{name: 'station:$.name'}}"),
            json!({"stations": [{"nam": 1, "mounts": [{"n": 1}]}]}),
            "no `name`; did you mean `nam`?",
        ),
        (
            "value: 1, attributes: {v: 'document:$.version'}",
            json!({"versoin": 1}),
            "no `version`; did you mean `versoin`?",
        ),
        (
            "value: $, for_each: {path: $.m, keys: '^a'}",
            json!({"m": {"b": 1, "c": 2}}),
            "there are b, c",
        ),
    ] {
        assert_eq!(
            hint(metric, document).as_deref(),
            Some(expected),
            "{metric}"
        );
    }
}
