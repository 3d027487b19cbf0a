//! Tests of the end of series over OTLP.

use super::{
    times::{Sent, sent},
    *,
};

/// The ends in the messages of a poll, without those of report metrics.
fn ends(both: &mut Both, fresh: [bool; 2], values: impl Into<Vec<Reading>>) -> Vec<String> {
    let poll = poll(fresh);
    let messages = both.otlp(&poll, &readings(values));
    ends_of(&sent(&messages))
}

fn ends_of(all: &[Sent]) -> Vec<String> {
    let ends = all.iter().filter(|point| point.is_end);
    let ends = ends.filter(|point| !point.name.starts_with("betanet."));
    let text = |point: &Sent| match point.attributes.split_once("StringValue(\"") {
        Some((_, id)) => format!("{} {}", point.name, id.split('"').next().unwrap()),
        None => point.name.clone(),
    };
    let mut ends: Vec<_> = ends.map(text).collect();
    ends.sort();
    ends
}

fn all() -> Vec<Reading> {
    vec![
        total(1),
        reading(GAUGE, Number::Unsigned(1)),
        reading(SECONDS, Number::Double(0.5)),
        node("x", 1),
        node("y", 1),
    ]
}

const NONE: [&str; 0] = [];

#[test]
fn an_element_that_disappeared_ends_once() {
    let mut both = instruments();
    assert_eq!(ends(&mut both, [true, true], all()), NONE);
    let mut values = all();
    values.pop();
    assert_eq!(ends(&mut both, [true, true], values.clone()), ["nodes y"]);
    assert_eq!(ends(&mut both, [true, true], values), NONE);
    assert_eq!(ends(&mut both, [true, true], all()), NONE, "it is back");
    let only = [reading(SECONDS, Number::Double(0.5))];
    let gone = ["gauge", "nodes x", "nodes y", "total"];
    assert_eq!(ends(&mut both, [true, true], only), gone);
}

#[test]
fn all_series_of_an_endpoint_end_without_an_answer_and_continue_later() {
    let mut both = instruments();
    assert_eq!(ends(&mut both, [true, true], all()), NONE);
    let b: Vec<_> = all()
        .into_iter()
        .filter(|of| [GAUGE, NODES].contains(&of.instrument))
        .collect();
    assert_eq!(
        ends(&mut both, [false, true], b.clone()),
        ["seconds", "total"]
    );
    assert_eq!(ends(&mut both, [false, true], b), NONE, "once");
    let back = both.otlp(&poll([true, true]), &readings(all()));
    let back = sent(&back);
    assert_eq!(ends_of(&back), NONE);
    let total = back.iter().find(|point| point.name == "total").unwrap();
    assert!(total.start < total.time, "the same total");
}

#[test]
fn series_of_an_endpoint_that_was_not_polled_do_not_end() {
    let mut both = instruments();
    assert_eq!(ends(&mut both, [true, true], all()), NONE);
    let mut news = poll([false, false]);
    for endpoint in &mut news.endpoints {
        endpoint.outcome = PollOutcome::Skipped;
    }
    let messages = both.otlp(&news, &readings([]));
    assert_eq!(ends_of(&sent(&messages)), NONE);
}

#[test]
fn all_series_of_a_removed_target_end_after_their_last_point() {
    let mut both = instruments();
    let last = sent(&both.otlp(&poll([true, true]), &readings(all())));
    let end_of_series = sent(&decoded(&both.instruments.end_of_series(UNIX_EPOCH)));
    assert_eq!(end_of_series.len(), last.len(), "each once");
    assert_eq!(
        ends_of(&end_of_series),
        ["gauge", "nodes x", "nodes y", "seconds", "total"]
    );
    assert!(
        end_of_series
            .iter()
            .all(|end| end.is_end && end.time == last[0].time + 1)
    );
    let starts = |all: &[Sent]| {
        let mut all: Vec<_> = all.iter().map(|of| (of.name.clone(), of.start)).collect();
        all.sort();
        all
    };
    assert_eq!(starts(&end_of_series), starts(&last));
    let silent = instruments();
    assert_eq!(
        silent.instruments.end_of_series(UNIX_EPOCH),
        [],
        "nobody asked for OTLP"
    );
}

#[test]
fn a_delta_needs_no_end() {
    let mut both = delta::deltas(true);
    assert_eq!(ends(&mut both, [true, true], all()), NONE);
    assert_eq!(ends(&mut both, [true, true], []), ["gauge"]);
}

#[test]
fn after_a_change_of_the_definition_removed_instruments_end() {
    let mut both = instruments();
    assert_eq!(ends(&mut both, [true, true], all()), NONE);
    other_schema::reload(
        &mut both,
        &DEFINITION.replace("name: gauge", "name: other.gauge"),
    );
    assert_eq!(ends(&mut both, [true, true], all()), ["gauge"]);
    assert_eq!(ends(&mut both, [true, true], all()), NONE);
}

/// The limits of report metrics depend on the number of endpoints and metrics.
#[test]
fn a_definition_with_one_more_metric_ends_no_report_metric() {
    let mut both = instruments();
    let failed = || poll([true, false]);
    let problem = Problem {
        rule: 0,
        instrument: TOTAL,
        reason: ProblemReason::Missing,
        count: 1,
        detail: String::new(),
    };
    let missing = |instrument| Readings {
        problems: vec![Problem {
            instrument,
            ..problem.clone()
        }],
        ..readings([])
    };
    let before = sent(&both.otlp(&failed(), &missing(TOTAL)));
    let named = |all: &[Sent]| all.iter().any(|of| of.name == "betanet.mapping.problems");
    assert!(named(&before));
    other_schema::reload(&mut both, &other_schema::with_one_more());
    let after = sent(&both.otlp(&failed(), &missing(TOTAL + 1)));
    assert!(named(&after));
    let ends: Vec<_> = after.iter().filter(|point| point.is_end).collect();
    assert!(ends.is_empty(), "{ends:?}");
}

#[test]
fn a_change_of_the_resource_ends_all_old_series() {
    let mut both = instruments();
    ends(&mut both, [true, true], all());
    let named = format!("resource: {{service.name: other}}\n{DEFINITION}");
    other_schema::reload(&mut both, &named);
    let poll = poll([true, true]);
    let messages = both.otlp(&poll, &readings(all()));
    assert_eq!(ends_of(&sent(&messages)).len(), all().len());
    let old = messages
        .iter()
        .filter(|of| sent(std::slice::from_ref(of)).iter().any(|p| p.is_end));
    let resources: Vec<_> = old
        .map(|of| format!("{:?}", of.resource_metrics[0].resource))
        .collect();
    assert!(
        resources.iter().all(|of| !of.contains("other")),
        "{resources:?}"
    );
    assert_eq!(ends(&mut both, [true, true], all()), NONE);
}
