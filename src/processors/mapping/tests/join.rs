//! Several documents of one endpoint.

use super::*;
use crate::pipeline::BodyPart;

/// What several documents give, each with the group that it belongs to.
fn joined(definition: &Definition, documents: &[(usize, Value)]) -> Readings {
    let parts = documents.iter().map(|(group, document)| BodyPart {
        raw: document.to_string().into(),
        group: *group,
        element: None,
    });
    let body = Body::new(Bytes::new(), UNIX_EPOCH, |raw| {
        serde_json::from_slice(raw).ok()
    });
    let body = body.in_parts(parts.collect(), 100);
    let mut poll = poll(definition, &Value::Null);
    poll.endpoints[0] = EndpointPoll::new(PollOutcome::Fresh(body));
    map(definition, &mut poll)
}

fn pages(metric: &str, documents: &[Value]) -> Readings {
    let documents: Vec<_> = documents.iter().map(|of| (0, of.clone())).collect();
    joined(&definition(metric), &documents)
}

fn problems(readings: &Readings) -> Vec<(ProblemReason, u64, &str)> {
    let problems = readings.problems.iter();
    problems
        .map(|of| (of.reason, of.count, of.detail.as_str()))
        .collect()
}

fn values(readings: &Readings) -> Vec<Number> {
    readings.values.iter().map(|of| of.value).collect()
}

#[test]
fn elements_of_all_pages_are_series() {
    let metric = "instrument: gauge, for_each: $.hosts, value: $.n, attributes: {id: $.id}";
    let page = |ids: &[u64]| {
        let hosts: Vec<_> = ids.iter().map(|id| json!({"id": id, "n": id})).collect();
        json!({"hosts": hosts})
    };
    let readings = pages(metric, &[page(&[1, 2]), page(&[3]), page(&[])]);
    assert_eq!(values(&readings), [1, 2, 3].map(Unsigned));
    assert_eq!(problems(&readings), []);
    let readings = pages(metric, &[page(&[1, 2]), page(&[2])]);
    assert_eq!(values(&readings), [1, 2].map(Unsigned));
    let twice = (
        ProblemReason::Duplicate,
        1,
        "the attributes id=2 came twice",
    );
    assert_eq!(problems(&readings), [twice]);
    let readings = pages(
        &format!("{metric}, max_series: 2"),
        &[page(&[1, 2]), page(&[3, 4])],
    );
    assert_eq!(values(&readings).len(), 2);
    let over = (
        ProblemReason::MaxSeries,
        2,
        "4 elements in all, 2 series allowed",
    );
    assert_eq!(problems(&readings), [over]);
}

#[test]
fn counts_add_up() {
    let metric = "instrument: gauge, count: '$.jobs[?@.s == 1]'";
    let page = |states: &[u64]| {
        let jobs: Vec<_> = states.iter().map(|s| json!({"s": s})).collect();
        json!({"jobs": jobs})
    };
    let readings = pages(metric, &[page(&[1, 1]), page(&[1, 2]), page(&[])]);
    assert_eq!(values(&readings), [Unsigned(3)]);
    let metric = "instrument: gauge, for_each: $.zones, count: $.jobs, attributes: {zone: '@key'}";
    let metric = metric.replace("$.jobs", "'$.jobs[*]'");
    let zones = |a: &[u64], b: &[u64]| json!({"zones": {"a": {"jobs": a}, "b": {"jobs": b}}});
    let readings = pages(&metric, &[zones(&[1], &[]), zones(&[1, 1], &[1])]);
    assert_eq!(values(&readings), [3, 1].map(Unsigned));
    assert_eq!(problems(&readings), []);
}

#[test]
fn what_stands_on_each_page_is_one_value() {
    let metric = "instrument: gauge, value: $.total";
    let readings = pages(
        metric,
        &[json!({"total": 5}), json!({"total": 5}), json!({})],
    );
    assert_eq!(
        (values(&readings), problems(&readings)),
        (vec![Unsigned(5)], vec![])
    );
    let readings = pages(metric, &[json!({}), json!({"total": 5})]);
    assert_eq!(
        (values(&readings), problems(&readings)),
        (vec![Unsigned(5)], vec![])
    );
    let readings = pages(metric, &[json!({"total": 5}), json!({"total": 6})]);
    assert_eq!(values(&readings), [Unsigned(5)]);
    let detail = "$.total: a page says 6, and one before it 5";
    assert_eq!(problems(&readings), [(ProblemReason::Duplicate, 1, detail)]);
    let metric = "instrument: stateset, states: [a, b], value: $.s";
    let readings = pages(metric, &[json!({"s": "b"}), json!({"s": "b"})]);
    assert_eq!((values(&readings).len(), problems(&readings)), (2, vec![]));
    let metric = "instrument: histogram, buckets: [1], value: $.s";
    let readings = pages(metric, &[json!({"s": 1}), json!({"s": 2})]);
    assert_eq!(
        (values(&readings), problems(&readings)),
        (vec![Unsigned(1)], vec![])
    );
}

#[test]
fn all_samples_are_observed() {
    let metric = "instrument: histogram, buckets: [1], value: '$.s[*]', observe: all";
    let readings = pages(metric, &[json!({"s": [1, 2]}), json!({"s": [2]})]);
    assert_eq!(values(&readings), [1, 2, 2].map(Unsigned));
}

#[test]
fn what_no_page_has_is_one_problem_of_each_answer() {
    let metric = "instrument: gauge, for_each: '$.items[?@.a == 1]', value: $.v";
    let found = json!({"items": [{"a": 1, "v": 7}]});
    let other = json!({"items": [{"a": 2}]});
    let readings = pages(metric, &[found.clone(), other.clone()]);
    assert_eq!(problems(&readings), []);
    let readings = pages(metric, &[other.clone(), other.clone()]);
    let missing = (ProblemReason::Missing, 1, "$.items[?@.a == 1]");
    assert_eq!(problems(&readings), [missing]);
    let answers = [(0, found), (1, other.clone()), (1, other)];
    let readings = joined(&definition(metric), &answers);
    assert_eq!(problems(&readings), [missing], "the second answer lacks it");
}

#[test]
fn the_start_of_the_process_stands_on_one_of_the_pages() {
    let text = "endpoints: {e: {path: /}}\nstart_time: {path: $.since}\n\
                metrics: [{name: m, instrument: counter, value: $.v}]\n";
    let definition = definition::from_text("test", "test.yaml", text).unwrap();
    let pages = [(0, json!({"v": 1})), (0, json!({"since": 60}))];
    let readings = joined(&definition, &pages);
    assert!(readings.problems.is_empty() && readings.start.is_some());
    let readings = joined(&definition, &pages[..1]);
    assert_eq!(
        definition.subject(readings.problems[0].instrument),
        Some("start_time")
    );
}
