//! The last value of each total of a node.

use std::collections::{BTreeMap, hash_map::Entry};

use super::{
    common_instruments::CommonInstruments,
    hashing::NumberMap,
    point_times::{Key, Nanos},
};
use crate::pipeline::Number;

/// One table for all instruments: a target has few series of each of many instruments, and the
/// smallest table has room for more than that.
#[derive(Debug, Default)]
pub(super) struct LastTotals {
    series: NumberMap<Series, Last>,
    /// Whether there are more series than when they were last counted.
    has_grown: bool,
}

/// A series: the index of its instrument, and its key in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Series {
    instrument: usize,
    key: Key,
}

/// The start time of a total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// This start time.
    Known(Nanos),
    /// Some time before the first observation, which was at this time.
    Unknown(Nanos),
}

/// What is known of a series.
#[derive(Debug)]
pub(super) struct Last {
    pub(super) value: Number,
    pub(super) start: Start,
    pub(super) seen: Nanos,
    /// The growth each second up to the last observation; not a number if it is unknown. Small,
    /// because there is one for each series.
    pub(super) per_second: f32,
}

impl Start {
    /// The start time in OTLP of a point at `now`: never later than that.
    pub(super) fn before(self, now: Nanos) -> Nanos {
        let (Self::Known(start) | Self::Unknown(start)) = self;
        start.min(now)
    }
}

impl LastTotals {
    pub(super) fn get(&self, instrument: usize, key: Key) -> Option<&Last> {
        self.series.get(&Series { instrument, key })
    }

    /// What is known of a series. A new one is added as `make` gives it, and nothing is known of it.
    pub(super) fn known_or_add(
        &mut self,
        instrument: usize,
        key: Key,
        make: impl FnOnce() -> Last,
    ) -> Option<&mut Last> {
        match self.series.entry(Series { instrument, key }) {
            Entry::Vacant(free) => {
                free.insert(make());
                self.has_grown = true;
                None
            }
            Entry::Occupied(known) => Some(known.into_mut()),
        }
    }

    /// Limits the memory for series that have disappeared to `most` of an instrument. A series that
    /// is missing for a while keeps its place.
    pub(super) fn forget_oldest(&mut self, most: impl Fn(usize) -> usize) {
        if !std::mem::take(&mut self.has_grown) {
            return;
        }
        let mut seen: BTreeMap<usize, Vec<Nanos>> = BTreeMap::new();
        for (series, last) in &self.series {
            seen.entry(series.instrument).or_default().push(last.seen);
        }
        for (instrument, mut times) in seen {
            let keep = most(instrument);
            if times.len() <= keep {
                continue;
            }
            times.sort_unstable_by(|one, other| other.cmp(one));
            let oldest_kept = times.get(keep.saturating_sub(1)).copied();
            let oldest_kept = oldest_kept.unwrap_or_default();
            let kept = times.iter().filter(|seen| **seen >= oldest_kept).count();
            // If the clock stands still, all of them have the same time.
            let none = kept > keep.saturating_mul(2);
            self.series.retain(|series, last| {
                series.instrument != instrument || (!none && last.seen >= oldest_kept)
            });
        }
    }

    /// Forgets the series that were not in the last answer that had any of their instrument, where
    /// `may_forget` an instrument. Says how many they are.
    pub(super) fn shed(&mut self, may_forget: impl Fn(usize) -> bool) -> usize {
        let mut newest: BTreeMap<usize, Nanos> = BTreeMap::new();
        for (series, last) in &self.series {
            let newest = newest.entry(series.instrument).or_default();
            *newest = (*newest).max(last.seen);
        }
        let before = self.series.len();
        self.series.retain(|series, last| {
            !may_forget(series.instrument) || newest.get(&series.instrument) == Some(&last.seen)
        });
        self.series.shrink_to_fit();
        before - self.series.len()
    }

    /// Knows only instruments that stay.
    pub(super) fn retain(&mut self, common: &CommonInstruments) {
        let series = std::mem::take(&mut self.series).into_iter();
        let series = series.filter_map(|(Series { instrument, key }, last)| {
            let instrument = common.index(instrument)?;
            Some((Series { instrument, key }, last))
        });
        self.series = series.collect();
        // The limits may be lower.
        self.has_grown = true;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }
}
