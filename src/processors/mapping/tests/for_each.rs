//! One series for each element of a document.

use super::*;

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
