//! Remembers the last series of each target, to end series that disappear. The end is a stale
//! marker: a sample that PromQL treats as missing, as Prometheus itself writes one.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use prost::Message as _;

use super::{
    message::{Label, Sample, TimeSeries, WriteRequest},
    series::Written,
};

/// Prometheus' `value.StaleNaN`, a NaN that no computation gives.
const STALE_NAN: u64 = 0x7ff0_0000_0000_0002;

/// The series of each target's last snapshot, by the name of the target.
#[derive(Debug, Default)]
pub(super) struct LastSeries(Mutex<HashMap<String, TargetSeries>>);

#[derive(Debug, Default)]
struct TargetSeries {
    /// The time of the newest sample, in Unix milliseconds.
    latest: i64,
    /// The encoded labels of each series, by instrumentation scope. They need less memory than
    /// strings.
    scopes: BTreeMap<String, BTreeSet<Box<[u8]>>>,
}

impl LastSeries {
    /// Adds a stale marker for each series of the target that was in the last request and is not in
    /// this one, at `now` in Unix milliseconds. It considers only scopes whose series are complete
    /// in this request. Returns the number of markers.
    pub(super) fn end_missing(
        &self,
        target: &str,
        written: &mut Written,
        now: i64,
        is_whole: impl Fn(&str) -> bool,
    ) -> u64 {
        let mut new: BTreeMap<String, BTreeSet<_>> = BTreeMap::new();
        let mut all = written.request.timeseries.iter();
        for (scope, series) in &written.scopes {
            let series = all.by_ref().take(*series).map(encoded);
            new.entry(scope.clone()).or_default().extend(series);
        }
        let mut targets = self.lock();
        let said = targets.entry(target.to_owned()).or_default();
        said.latest = said.latest.max(now);
        let mut before = BTreeSet::new();
        said.scopes.retain(|scope, series| {
            let ends = is_whole(scope);
            if ends {
                before.append(series);
            }
            !ends
        });
        for (scope, series) in new {
            before.retain(|of| !series.contains(of));
            said.scopes.entry(scope).or_default().extend(series);
        }
        if said.scopes.is_empty() {
            targets.remove(target);
        }
        drop(targets);
        let ended = before.into_iter().filter_map(|series| end(&series, now));
        let count = written.request.timeseries.len();
        written.request.timeseries.extend(ended);
        (written.request.timeseries.len() - count) as u64
    }

    /// Removes a target. Returns a stale marker for each of its series, after its newest sample and
    /// not before `now`, in Unix milliseconds.
    pub(super) fn end_all(&self, target: &str, now: i64) -> WriteRequest {
        let said = self.lock().remove(target);
        let ended = said.into_iter().flat_map(|said| {
            let time = now.max(said.latest.saturating_add(1));
            let series = said.scopes.into_values().flatten();
            series.filter_map(move |series| end(&series, time))
        });
        WriteRequest {
            timeseries: ended.collect(),
            ..WriteRequest::default()
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, TargetSeries>> {
        // After a panic the series of at most one target are missing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Only the labels of a series.
#[derive(Clone, PartialEq, prost::Message)]
struct SeriesLabels {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
}

fn encoded(series: &TimeSeries) -> Box<[u8]> {
    let labels = series.labels.clone();
    SeriesLabels { labels }.encode_to_vec().into_boxed_slice()
}

fn end(series: &[u8], timestamp: i64) -> Option<TimeSeries> {
    let labels = SeriesLabels::decode(series).ok()?.labels;
    let value = f64::from_bits(STALE_NAN);
    let samples = vec![Sample { value, timestamp }];
    Some(TimeSeries { labels, samples })
}
