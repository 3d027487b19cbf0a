//! Checks what arrived at a backend: how often, in which order, with which times.

use std::collections::{BTreeMap, BTreeSet};

use super::sink::{Point, Value};

/// The points of these requests without repetitions, and the number of repeated ones. Checks that
/// each series arrived in the order of its times, and that a repeated point was in the previous
/// request: nothing else was in progress.
pub(crate) fn first_arrivals(requests: Vec<Vec<Point>>) -> (Vec<Point>, usize) {
    let (mut known, mut latest, mut first) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    let (mut before, mut repeated) = (BTreeSet::new(), 0);
    for request in requests {
        let mut this = BTreeSet::new();
        for point in request {
            // The most specific fields come first.
            let series = (
                point.name.clone(),
                point.attributes.clone(),
                point.resource.clone(),
            );
            let number = known.len();
            let series = *known.entry(series).or_insert(number);
            this.insert((series, point.time));
            if before.contains(&(series, point.time)) {
                repeated += 1;
                continue;
            }
            let previous = latest.insert(series, point.time);
            assert!(previous < Some(point.time), "late or again: {point:?}");
            first.push(point);
        }
        before = this;
    }
    (first, repeated)
}

/// The values of a counting node and their times, from the points of its counter.
pub(crate) fn counts(points: &[Point], node: &str) -> Vec<(usize, u64)> {
    let of_node = points.iter().filter(|point| {
        point.name == "betanet_messages_total" && point.resource["service.instance.id"] == node
    });
    let counts = of_node.map(|point| match point.value {
        Value::Int(value) => (usize::try_from(value).unwrap(), point.time),
        _ => panic!("{point:?}"),
    });
    counts.collect()
}

/// Checks that a value has the time at which the node gave it. `answered` are the times of its
/// answers.
pub(crate) fn assert_own_time((value, time): (usize, u64), answered: &[u64]) {
    let next = answered.get(value).copied().unwrap_or(u64::MAX);
    let given = answered[value - 1];
    assert!(given <= time && time <= next, "{given} {time} {next}");
}
