//! When values were measured that say so themselves.

use std::time::SystemTime;

use super::{common_instruments::CommonInstruments, hashing::NumberMap};
use crate::{pipeline::Reading, runtime::clock::since_epoch};

/// Nanoseconds since 1970.
pub(super) type Nanos = u64;

/// What a series is within its instrument: the hash of its attributes, which are sorted by key.
pub(super) type Key = u64;

/// What is known of each series whose values say when they were measured, by the index of its
/// instrument.
#[derive(Debug, Default)]
pub(super) struct PointTimes(NumberMap<usize, NumberMap<Key, PointTime>>);

/// When the last value of a series was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PointTime {
    pub(super) time: Nanos,
    /// Whether the value before it was measured then already.
    pub(super) is_old: bool,
}

impl PointTimes {
    /// Notes the times of readings, which are all that there are of their instruments now.
    pub(super) fn note(&mut self, readings: &[Reading], key: impl Fn(&Reading) -> Key) {
        let mut new: NumberMap<usize, NumberMap<Key, PointTime>> = NumberMap::default();
        for reading in readings {
            let Some(time) = reading.time.map(nanos) else {
                continue;
            };
            let key = key(reading);
            let before = self.of(reading.instrument, key).map(|before| before.time);
            let of_instrument = new.entry(reading.instrument).or_default();
            of_instrument.insert(
                key,
                PointTime {
                    // One that was put back says nothing new either.
                    time: before.map_or(time, |before| before.max(time)),
                    is_old: before.is_some_and(|before| time <= before),
                },
            );
        }
        self.0.extend(new);
    }

    /// When the last value of a series was measured, if it says so.
    pub(super) fn of(&self, instrument: usize, key: Key) -> Option<PointTime> {
        self.0.get(&instrument)?.get(&key).copied()
    }

    /// Whether values of an instrument say when they were measured.
    pub(super) fn has(&self, instrument: usize) -> bool {
        self.0.contains_key(&instrument)
    }

    /// Knows only instruments that stay.
    pub(super) fn retain(&mut self, common: &CommonInstruments) {
        self.0 = common.moved(std::mem::take(&mut self.0)).collect();
    }
}

pub(super) fn nanos(time: SystemTime) -> Nanos {
    u64::try_from(since_epoch(time).as_nanos()).unwrap_or(u64::MAX)
}
