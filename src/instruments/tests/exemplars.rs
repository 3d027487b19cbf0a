//! Tests of the exemplars of report metrics over OTLP.

use opentelemetry_proto::tonic::metrics::v1::{Exemplar, exemplar, metric::Data};

use super::*;
use crate::{
    runtime::Clock,
    telemetry::{Trace, target_metrics::TargetMetric},
};

/// A poll that was traced.
fn traced(fresh: [bool; 2], number: u64) -> Poll {
    let mut poll = poll(fresh);
    poll.ended = Clock::System.now();
    for endpoint in &mut poll.endpoints {
        endpoint.trace = Some(Trace {
            trace_id: u128::from(number).into(),
            span_id: number.into(),
        });
    }
    poll
}

/// The exemplars of the poll results after a poll, by number of attributes, then by series.
fn exemplars(both: &mut Both, poll: &Poll) -> Vec<Vec<Exemplar>> {
    let messages = both.otlp(poll, &Readings::default());
    let parts = messages
        .into_iter()
        .flat_map(|message| message.resource_metrics);
    let scopes = parts.flat_map(|part| part.scope_metrics);
    let mut metrics = scopes.flat_map(|scope| scope.metrics);
    let results = metrics.find(|metric| metric.name == TargetMetric::PollResults.name("betanet"));
    let Some(Data::Sum(mut sum)) = results.unwrap().data else {
        panic!("no total")
    };
    sum.data_points
        .sort_by_key(|point| (point.attributes.len(), format!("{:?}", point.attributes)));
    sum.data_points
        .into_iter()
        .map(|point| point.exemplars)
        .collect()
}

#[test]
fn a_series_has_the_last_trace_of_its_events() {
    let mut both = instruments();
    // Nothing was traced.
    assert_eq!(exemplars(&mut both, &poll([true, true])), [vec![], vec![]]);
    let first = traced([true, false], 1);
    let shown = exemplars(&mut both, &first);
    let [a, b, failed] = &shown[..] else {
        panic!("{shown:?}")
    };
    assert_eq!((a, a.len(), b.len()), (failed, 1, 0));
    assert_eq!(a[0].value, Some(exemplar::Value::AsInt(1)));
    assert_eq!((a[0].trace_id.len(), a[0].span_id.len()), (16, 8));
    let nanos = first.ended.duration_since(UNIX_EPOCH).unwrap().as_nanos();
    assert_eq!(u128::from(a[0].time_unix_nano), nanos);

    let shown = exemplars(&mut both, &traced([true, true], 2));
    let spans = shown.iter().map(|of| of[0].span_id[7]);
    assert_eq!(spans.collect::<Vec<_>>(), [2, 2, 1]);
}

#[test]
fn an_event_before_the_interval_is_not_an_exemplar() {
    let mut both = delta::deltas(true);
    let first = exemplars(&mut both, &traced([true, true], 1));
    assert_eq!(first.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
    let mut second = poll([true, true]);
    second.ended = Clock::System.now();
    assert_eq!(exemplars(&mut both, &second), [vec![], vec![]]);
}
