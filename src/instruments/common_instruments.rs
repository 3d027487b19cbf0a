//! The instruments that two schemas have in common.

use std::collections::BTreeMap;

use crate::{
    definition::{Instrument, InstrumentKind},
    pipeline::Schema,
};

/// The common instruments of two schemas: the index in the new schema by the index in the old one.
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
            let (old, _) = old.find(|(_, old)| is_same(old, instrument))?;
            Some((*old, index))
        });
        Self(common.collect())
    }

    /// The index in the new schema of an instrument of the old one.
    pub(super) fn index(&self, old: usize) -> Option<usize> {
        self.0.get(&old).copied()
    }

    /// Converts a map with indexes of the old schema to indexes of the new one.
    pub(super) fn moved<T>(
        &self,
        known: impl IntoIterator<Item = (usize, T)>,
    ) -> impl Iterator<Item = (usize, T)> {
        let known = known.into_iter();
        known.filter_map(|(old, value)| Some((self.index(old)?, value)))
    }
}

/// Whether both are one instrument. Its limit does not matter: that of a report metric changes with
/// the number of endpoints and metrics of the definition. Only the SDK's state of a histogram
/// depends on it.
fn is_same(old: &Instrument, new: &Instrument) -> bool {
    let is_limit_free = old.kind != InstrumentKind::Histogram && old.max_series != new.max_series;
    match is_limit_free {
        true => {
            let max_series = new.max_series;
            *new == Instrument {
                max_series,
                ..old.clone()
            }
        }
        false => old == new,
    }
}
