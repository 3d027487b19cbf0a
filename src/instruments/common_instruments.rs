//! What two schemas have in common.

use std::collections::BTreeMap;

use crate::pipeline::Schema;

/// The instruments that two schemas have in common: the index in the new one by that in the old.
#[derive(Debug)]
pub(super) struct CommonInstruments(BTreeMap<usize, usize>);

impl CommonInstruments {
    pub(super) fn of(old: &Schema, new: &Schema) -> Self {
        let mut by_name: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (index, instrument) in old.instruments().iter().enumerate() {
            let of_name = by_name.entry(&instrument.name).or_default();
            of_name.push((index, instrument));
        }
        let common = new.instruments().iter().enumerate();
        let common = common.filter_map(|(index, instrument)| {
            let mut old = by_name.get(&instrument.name)?.iter();
            let (old, _) = old.find(|(_, old)| *old == instrument)?;
            Some((*old, index))
        });
        Self(common.collect())
    }

    /// Where the instrument of the old schema stands in the new one.
    pub(super) fn index(&self, old: usize) -> Option<usize> {
        self.0.get(&old).copied()
    }

    /// What is known by the index in the old schema, by that in the new one.
    pub(super) fn moved<T>(
        &self,
        known: impl IntoIterator<Item = (usize, T)>,
    ) -> impl Iterator<Item = (usize, T)> {
        let known = known.into_iter();
        known.filter_map(|(old, value)| Some((self.index(old)?, value)))
    }
}
