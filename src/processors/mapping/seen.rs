//! Which series a poll gave already.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher as _, RandomState},
};

use crate::pipeline::Reading;

/// So many series are compared one by one: most documents have no more, and a table of hashes would
/// cost more than that.
const FEW: usize = 16;

/// The series of the readings so far, by name and attributes. It holds no copy of them.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The indices of the first few.
    few: Vec<usize>,
    /// All of them, if they are more.
    many: Option<Box<HashedSeries>>,
}

/// Hashes of series.
#[derive(Debug, Default)]
struct HashedSeries {
    hashing: RandomState,
    /// The index of the reading, by its hash or the next one that was free.
    readings: HashMap<u64, usize>,
}

impl Seen {
    /// Notes the series of a reading that may come next, or gives the index of the one in `readings`
    /// that is of the same series. `name_of` gives the name of an instrument.
    pub(super) fn known<'n>(
        &mut self,
        new: &Reading,
        readings: &[Reading],
        name_of: impl Fn(usize) -> Option<&'n str>,
    ) -> Option<usize> {
        let name = name_of(new.instrument);
        let is_it = |index: usize| {
            readings.get(index).is_some_and(|known| {
                let has_name =
                    known.instrument == new.instrument || name_of(known.instrument) == name;
                has_name && known.attributes == new.attributes
            })
        };
        if self.many.is_none() {
            let known = self.few.iter().copied().find(|index| is_it(*index));
            if known.is_some() {
                return known;
            }
            if self.few.len() < FEW {
                self.few.push(readings.len());
                return None;
            }
        }
        let few = std::mem::take(&mut self.few);
        let many = self.many.get_or_insert_default();
        for index in few {
            if let Some(known) = readings.get(index) {
                many.note((name_of(known.instrument), known), index, |_| false);
            }
        }
        many.note((name, new), readings.len(), is_it)
    }
}

impl HashedSeries {
    /// Notes the index of a series, or gives the one that `is_it` already.
    fn note(
        &mut self,
        (name, reading): (Option<&str>, &Reading),
        index: usize,
        is_it: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let mut hash = self.hashing.hash_one((name, &reading.attributes));
        loop {
            match self.readings.entry(hash) {
                Entry::Vacant(free) => {
                    free.insert(index);
                    return None;
                }
                Entry::Occupied(known) if is_it(*known.get()) => return Some(*known.get()),
                Entry::Occupied(_) => hash = hash.wrapping_add(1),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;

    use super::*;
    use crate::pipeline::Number;

    #[test]
    fn a_series_is_found_again_among_few_and_among_many() {
        let (mut seen, mut readings) = (Seen::default(), Vec::new());
        let names = ["a", "b", "a"];
        let name_of = |index: usize| names.get(index).copied();
        let reading = |instrument, id: usize| Reading {
            instrument,
            attributes: vec![KeyValue::new("id", id.to_string())],
            value: Number::Unsigned(1),
            time: None,
            histogram: None,
        };
        for id in 0..3 * FEW {
            for instrument in [0, 1] {
                let new = reading(instrument, id);
                assert_eq!(seen.known(&new, &readings, name_of), None);
                readings.push(new);
            }
            for earlier in 0..=id {
                // Another instrument with the same name.
                let same = reading(2, earlier);
                assert_eq!(seen.known(&same, &readings, name_of), Some(2 * earlier));
            }
        }
    }
}
