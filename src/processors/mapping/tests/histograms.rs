//! Histograms that bodies hold.

use super::*;

/// Bounds, counts and sum.
type Read = (Vec<f64>, Vec<u64>, Option<f64>);

/// The one histogram.
fn histogram(keys: &str, document: &Value) -> Result<Read, ProblemReason> {
    let readings = mapped(&format!("instrument: histogram, {keys}"), document);
    match (readings.values.as_slice(), readings.problems.as_slice()) {
        ([one], []) => {
            let histogram = one.histogram.clone().unwrap();
            assert_eq!(one.value, Unsigned(histogram.count()));
            Ok((
                histogram.bounds.clone(),
                histogram.counts.clone(),
                histogram.sum,
            ))
        }
        ([], [one]) => Err(one.reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn buckets_are_read_in_every_form() {
    let list = json!({"sum": 4.5, "b": [{"le": 0.5, "n": 15}, {"le": "+Inf", "n": 17}, {"le": 0.1, "n": 10}]});
    let keys =
        "histogram: {buckets: $.b, upper_bound: $.le, count: $.n, cumulative: true, sum: $.sum}";
    let expected = (vec![0.1, 0.5], vec![10, 5, 2], Some(4.5));
    assert_eq!(histogram(keys, &list), Ok(expected));
    let members = json!({"b": {"10": 3, "2": 1}});
    let keys = "histogram: {buckets: $.b, upper_bound: '@key'}, scale: 0.1";
    let expected = (vec![0.2, 1.0], vec![1, 3, 0], None);
    assert_eq!(histogram(keys, &members), Ok(expected));
}

#[test]
fn what_is_no_histogram_is_a_problem() {
    let keys = "histogram: {buckets: $.b, upper_bound: '@key', cumulative: true, sum: $.sum}";
    for (document, reason) in [
        (
            json!({"sum": 1, "b": {"1": 5, "2": 3}}),
            ProblemReason::Range,
        ),
        (
            json!({"sum": 1, "b": {"1": 5, "1.0": 5}}),
            ProblemReason::Range,
        ),
        (json!({"sum": 1, "b": {"1": 0.5}}), ProblemReason::Range),
        (json!({"sum": 1, "b": {"1": -1}}), ProblemReason::Range),
        (json!({"sum": 1, "b": {"x": 1}}), ProblemReason::Type),
        (json!({"sum": 1, "b": {}}), ProblemReason::Missing),
        (json!({"sum": 1}), ProblemReason::Missing),
        (json!({"b": {"1": 1}}), ProblemReason::Missing),
    ] {
        assert_eq!(histogram(keys, &document), Err(reason), "{document}");
    }
}
