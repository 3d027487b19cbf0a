//! When processes began and values were measured, and samples.

use super::*;

fn mapped_whole(text: &str, document: &Value) -> Readings {
    let definition = definition::from_text("test", "test.yaml", text);
    let definition = definition.unwrap_or_else(|error| panic!("{error}"));
    map(&definition, &mut poll(&definition, document))
}

#[test]
fn a_body_says_when_its_process_began() {
    for (start, document, expected) in [
        (
            "start_time: {path: $.t}",
            json!({"t": "1970-01-01T00:01:40Z"}),
            Some(100),
        ),
        (
            "start_time: {path: $.t, parse: timestamp, unit: ms}",
            json!({"t": 100_000}),
            Some(100),
        ),
        (
            "start_time: {path: $.t, parse: {timestamp: {unit: ms}}}",
            json!({"t": "100000"}),
            Some(100),
        ),
        (
            "start_time: {path: $.t, missing: [0]}",
            json!({"t": 0}),
            None,
        ),
        ("start_time: {path: $.t, optional: true}", json!({}), None),
    ] {
        let text = format!(
            "endpoints: {{e: {{path: /}}}}\n{start}\nmetrics: [{{name: m, instrument: gauge, value: 1}}]\n"
        );
        let readings = mapped_whole(&text, &document);
        let expected = expected.map(|second| UNIX_EPOCH + Duration::from_secs(second));
        let expected = expected.map(ProcessStart::At);
        assert_eq!(
            (readings.start, reasons(&readings)),
            (expected, vec![]),
            "{start}"
        );
    }
    let text = "endpoints: {e: {path: /}}\nstart_time: {path: $.boot}\n\
                metrics: [{name: m, instrument: gauge, value: 1}]\n";
    let definition = definition::from_text("test", "test.yaml", text).unwrap();
    let mut poll = poll(&definition, &json!({"boots": 1}));
    let readings = map(&definition, &mut poll);
    assert_eq!(reasons(&readings), [(ProblemReason::Missing, 1)]);
    let problem = &readings.problems[0];
    assert_eq!(definition.subject(problem.instrument), Some("start_time"));
    let hint = explain(&definition, &poll, problem);
    assert_eq!(hint.as_deref(), Some("no `boot`; did you mean `boots`?"));
}

#[test]
fn an_uptime_reaches_back_from_the_answer() {
    let text = "endpoints: {e: {path: /}}\nuptime: {path: $.up}\n\
                metrics: [{name: m, instrument: gauge, value: 1}]\n";
    let definition = definition::from_text("test", "test.yaml", text).unwrap();
    let mut poll = poll(&definition, &json!({}));
    let received = UNIX_EPOCH + Duration::from_secs(1000);
    let body = Body::new(Bytes::new(), received, |_| Some(json!({"up": "1m"})));
    poll.endpoints[0].outcome = PollOutcome::Fresh(body);
    let start = map(&definition, &mut poll)
        .start
        .and_then(ProcessStart::time);
    assert_eq!(start, Some(UNIX_EPOCH + Duration::from_secs(940)));
}

#[test]
fn a_value_says_when_it_was_measured() {
    let metric = "instrument: gauge, value: $.v, for_each: $.all, time: ";
    let document = json!({"t": 7, "all": [{"v": 1, "at": 100}, {"v": 2}]});
    let times = |time: &str| {
        let readings = mapped(
            &format!("{metric}{time}, attributes: {{k: '@key'}}"),
            &document,
        );
        let times = readings.values.iter().map(|reading| {
            let since = reading
                .time
                .map(|time| time.duration_since(UNIX_EPOCH).unwrap());
            since.map(|since| since.as_secs())
        });
        (times.collect::<Vec<_>>(), reasons(&readings))
    };
    assert_eq!(
        times("{path: 'document:$.t'}"),
        (vec![Some(7), Some(7)], vec![])
    );
    let missing = vec![(ProblemReason::Missing, 1)];
    assert_eq!(times("{path: $.at}"), (vec![Some(100)], missing));
    assert_eq!(
        times("{path: $.at, optional: true}"),
        (vec![Some(100), None], vec![])
    );
}

#[test]
fn each_sample_is_observed() {
    let metric = "instrument: histogram, buckets: [1, 5], value: '$.s[*]', observe: all, \
                  for_each: $, attributes: {k: '@key'}, scale: 0.001, missing: [-1]";
    let document = json!({"a": {"s": [500, 2000, -1, "x"]}, "b": {"s": []}, "c": {}});
    let readings = mapped(metric, &document);
    assert_eq!(series(&readings), ["k=a: 0.5", "k=a: 2"]);
    let expected = [(ProblemReason::Type, 1), (ProblemReason::Missing, 1)];
    assert_eq!(reasons(&readings), expected);
}
