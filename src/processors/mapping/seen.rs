//! Which series a poll gave already.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher as _, RandomState},
};

use crate::pipeline::Reading;

/// The series of the readings so far, by name and attributes. It holds their hashes and no copy.
#[derive(Debug, Default)]
pub(super) struct Seen {
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
        let mut hash = self.hashing.hash_one((name, &new.attributes));
        loop {
            match self.readings.entry(hash) {
                Entry::Vacant(free) => {
                    free.insert(readings.len());
                    return None;
                }
                Entry::Occupied(known) => {
                    let index = *known.get();
                    let is_it = readings.get(index).is_some_and(|known| {
                        name_of(known.instrument) == name && known.attributes == new.attributes
                    });
                    if is_it {
                        return Some(index);
                    }
                    hash = hash.wrapping_add(1);
                }
            }
        }
    }
}
