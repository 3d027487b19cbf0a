//! Hashes of series. SipHash, which the tables of std use, took as long as all else that is done for
//! a point.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::LazyLock,
};

/// Makes the keys of series. Nodes choose the attributes, so there is a secret seed.
pub(super) use foldhash::quality::RandomState as SeriesHashing;

/// The seed of the keys of all series: targets with the same series have the same keys.
pub(super) static SERIES: LazyLock<SeriesHashing> = LazyLock::new(SeriesHashing::default);

/// A table whose keys are the index of an instrument, or a hash already.
pub(super) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// Hashes a number.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct NumberHasher(u64);

/// An odd number whose bits look random (2^64 divided by the golden ratio).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(SPREAD);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
