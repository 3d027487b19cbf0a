//! Sets of series, which targets with the same series share.
//!
//! The series of a scope are the same for all targets with a definition, unless elements of their
//! documents differ. A list for each target was a tenth of what a target keeps.

use std::{
    collections::HashMap,
    hash::BuildHasher as _,
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::common::v1 as common;
use prost::Message as _;

use super::{hashing::SeriesHashing, point_times::Key, protobuf::Protobuf};

/// The number of the field `attributes` of a data point.
const ATTRIBUTES: u8 = 7;

/// So many unused sets may be known.
const UNUSED_MAX: usize = 256;

/// All sets that are in use.
static SETS: LazyLock<Mutex<KnownSets>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct KnownSets {
    hashing: SeriesHashing,
    by_hash: HashMap<u64, Weak<SeriesSet>>,
    /// How many there were after the last search for unused ones.
    used: usize,
}

/// The series of one scope.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct SeriesSet {
    /// Sorted by instrument and key.
    series: Box<[SetSeries]>,
    /// The encoded attributes of all series, one after the other.
    attributes: Box<[u8]>,
}

/// One series of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SetSeries {
    pub(super) instrument: u32,
    pub(super) key: Key,
    /// Where its attributes start and end.
    attributes: (u32, u32),
}

/// Series of which a set is made.
#[derive(Debug, Default)]
pub(super) struct NewSeries {
    series: Vec<SetSeries>,
    attributes: Protobuf,
}

/// A data point without anything but attributes.
#[derive(Clone, PartialEq, prost::Message)]
struct Attributes {
    #[prost(message, repeated, tag = "7")]
    attributes: Vec<common::KeyValue>,
}

impl SetSeries {
    fn place(&self) -> (u32, Key) {
        (self.instrument, self.key)
    }
}

impl SeriesSet {
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    pub(super) fn series(&self) -> &[SetSeries] {
        &self.series
    }

    /// The position of a series.
    pub(super) fn position(&self, instrument: u32, key: Key) -> Option<usize> {
        let found = self
            .series
            .binary_search_by_key(&(instrument, key), SetSeries::place);
        found.ok()
    }

    /// The attributes of the series at a position, as a data point has them.
    pub(super) fn attributes(&self, at: usize) -> &[u8] {
        let series = self.series.get(at);
        let (from, to) = series.map_or((0, 0), |series| series.attributes);
        let attributes = self.attributes.get(from as usize..to as usize);
        attributes.unwrap_or_default()
    }

    /// The same, decoded.
    pub(super) fn decoded_attributes(&self, at: usize) -> Vec<common::KeyValue> {
        let decoded = Attributes::decode(self.attributes(at));
        decoded.unwrap_or_default().attributes
    }
}

impl NewSeries {
    /// Adds a series, and gives its attributes as a data point has them.
    pub(super) fn push<'a>(
        &mut self,
        (instrument, key): (u32, Key),
        attributes: impl Iterator<Item = &'a KeyValue>,
    ) -> &[u8] {
        let from = self.attributes.len();
        for attribute in attributes {
            self.attributes
                .attribute(ATTRIBUTES, &attribute.key, &attribute.value);
        }
        self.end((instrument, key), from);
        self.attributes.bytes().get(from..).unwrap_or_default()
    }

    /// Adds the series of a set that is at a position, as one of this instrument.
    pub(super) fn add(&mut self, instrument: u32, set: &SeriesSet, at: usize) {
        if let Some(series) = set.series.get(at) {
            let from = self.attributes.len();
            self.attributes.raw(set.attributes(at));
            self.end((instrument, series.key), from);
        }
    }

    fn end(&mut self, (instrument, key): (u32, Key), from: usize) {
        self.series.push(SetSeries {
            instrument,
            key,
            attributes: (position(from), position(self.attributes.len())),
        });
    }

    /// The set, shared with other targets that have the same.
    pub(super) fn into_set(mut self) -> Arc<SeriesSet> {
        self.series.sort_unstable_by_key(SetSeries::place);
        let unsorted = self.attributes.bytes();
        let mut attributes = Vec::with_capacity(unsorted.len());
        for series in &mut self.series {
            let (from, to) = series.attributes;
            let own = unsorted.get(from as usize..to as usize);
            let from = position(attributes.len());
            attributes.extend_from_slice(own.unwrap_or_default());
            series.attributes = (from, position(attributes.len()));
        }
        let set = SeriesSet {
            series: self.series.into(),
            attributes: attributes.into(),
        };
        // What is in it is consistent at every moment, so a panic elsewhere does no damage.
        let mut known = SETS.lock().unwrap_or_else(PoisonError::into_inner);
        known.share(set)
    }
}

impl KnownSets {
    fn share(&mut self, set: SeriesSet) -> Arc<SeriesSet> {
        let hash = self.hashing.hash_one(&set);
        let same = self.by_hash.get(&hash).and_then(Weak::upgrade);
        if let Some(same) = same.filter(|same| **same == set) {
            return same;
        }
        if self.by_hash.len() >= 2 * self.used + UNUSED_MAX {
            self.by_hash.retain(|_, set| set.strong_count() > 0);
            self.used = self.by_hash.len();
        }
        let set = Arc::new(set);
        self.by_hash.insert(hash, Arc::downgrade(&set));
        set
    }
}

/// Nothing that a target has is as large.
pub(super) fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ids: &[&str]) -> Arc<SeriesSet> {
        let mut new = NewSeries::default();
        for (key, id) in (0..).zip(ids) {
            let attribute = KeyValue::new("series_set.id", (*id).to_owned());
            new.push((7, key), [&attribute].into_iter());
        }
        new.into_set()
    }

    #[test]
    fn targets_with_the_same_series_share_them() {
        let (one, same) = (set(&["a", "b"]), set(&["a", "b"]));
        assert!(Arc::ptr_eq(&one, &same));
        assert!(!Arc::ptr_eq(&one, &set(&["a", "c"])));
        assert_eq!(one.position(7, 1), Some(1));
        assert_eq!(one.position(8, 1), None);
        let attributes = one.decoded_attributes(1);
        assert_eq!(attributes, [(&KeyValue::new("series_set.id", "b")).into()]);
    }

    #[test]
    fn sets_that_nobody_uses_are_forgotten() {
        let mut known = KnownSets::default();
        let numbered = |number: u64| {
            let mut new = NewSeries::default();
            new.push((0, number), std::iter::empty());
            SeriesSet {
                series: new.series.into(),
                attributes: Box::default(),
            }
        };
        let kept = known.share(numbered(u64::MAX));
        for number in 0..10_000 {
            drop(known.share(numbered(number)));
        }
        assert!(known.by_hash.len() <= 2 * UNUSED_MAX);
        assert!(Arc::ptr_eq(&kept, &known.share(numbered(u64::MAX))));
    }
}
