//! What each target said last, so that the end of a series can be told: a sample that PromQL takes
//! for none, as Prometheus itself writes one.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use prost::Message as _;

use super::message::{Label, Sample, TimeSeries, WriteRequest};

/// Prometheus' `value.StaleNaN`, a NaN that no computation gives.
const STALE_NAN: u64 = 0x7ff0_0000_0000_0002;

/// The series of each target's last snapshot, by the target's name.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<String, Said>>);

#[derive(Debug)]
struct Said {
    /// Unix milliseconds of the newest sample.
    latest: i64,
    /// The labels of each series, encoded: that is smaller than as strings.
    series: BTreeSet<Box<[u8]>>,
}

impl Memory {
    /// Adds to a request the end of each series of the target that was in the request before and
    /// is not in this one, at the time of its newest sample. Gives how many that are.
    pub(super) fn end_missing(&self, target: &str, request: &mut WriteRequest) -> u64 {
        let Some(latest) = latest(request) else {
            return 0;
        };
        let series = request.timeseries.iter().map(encoded).collect();
        let said = Said { latest, series };
        let mut targets = self.lock();
        let before = targets.remove(target).into_iter();
        let missing = before.flat_map(|before| before.series);
        let missing = missing.filter(|series| !said.series.contains(series));
        let ended: Vec<_> = missing.filter_map(|series| end(&series, latest)).collect();
        targets.insert(target.to_owned(), said);
        let count = ended.len() as u64;
        request.timeseries.extend(ended);
        count
    }

    /// Forgets a target. Gives the end of each of its series, after its newest sample and not before
    /// `now`, in Unix milliseconds.
    pub(super) fn end_all(&self, target: &str, now: i64) -> WriteRequest {
        let said = self.lock().remove(target);
        let ended = said.into_iter().flat_map(|said| {
            let time = now.max(said.latest.saturating_add(1));
            let series = said.series.into_iter();
            series.filter_map(move |series| end(&series, time))
        });
        WriteRequest {
            timeseries: ended.collect(),
            ..WriteRequest::default()
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Said>> {
        // At most one target's series are missing after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The labels of a series and nothing else.
#[derive(Clone, PartialEq, prost::Message)]
struct Labels {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
}

fn encoded(series: &TimeSeries) -> Box<[u8]> {
    let labels = series.labels.clone();
    Labels { labels }.encode_to_vec().into_boxed_slice()
}

fn end(series: &[u8], timestamp: i64) -> Option<TimeSeries> {
    let labels = Labels::decode(series).ok()?.labels;
    let value = f64::from_bits(STALE_NAN);
    let samples = vec![Sample { value, timestamp }];
    Some(TimeSeries { labels, samples })
}

fn latest(request: &WriteRequest) -> Option<i64> {
    let samples = request.timeseries.iter().flat_map(|series| &series.samples);
    samples.map(|sample| sample.timestamp).max()
}
