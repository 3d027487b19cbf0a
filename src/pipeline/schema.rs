//! The instruments of the readings of a stream.

use std::{collections::HashMap, sync::Arc};

use crate::definition::{Instrument, InstrumentKind};

/// The instruments that readings refer to by index. All targets of a definition share one schema.
#[derive(Debug, Default, PartialEq)]
pub struct Schema(Vec<Arc<Instrument>>);

impl Schema {
    /// All instruments, in the order of their indexes.
    pub fn instruments(&self) -> &[Arc<Instrument>] {
        &self.0
    }

    /// The instrument at `index`.
    pub fn get(&self, index: usize) -> Option<&Arc<Instrument>> {
        self.0.get(index)
    }

    /// The kind of the instrument at `index`.
    pub fn kind(&self, index: usize) -> Option<InstrumentKind> {
        self.get(index).map(|instrument| instrument.kind)
    }

    /// The index of the first instrument with this name and scope that `is` accepts.
    pub fn find(
        &self,
        scope: &str,
        name: &str,
        is_one: impl Fn(&Instrument) -> bool,
    ) -> Option<usize> {
        let mut all = self.0.iter();
        all.position(|of| of.name == name && *of.scope == *scope && is_one(of))
    }

    /// Adds an instrument and returns its index. An existing instrument with the same name, scope
    /// and type takes the series of the new one.
    pub fn add(&mut self, new: Arc<Instrument>) -> usize {
        let Some(index) = self.0.iter().position(|known| is_same(known, &new)) else {
            self.0.push(new);
            return self.0.len() - 1;
        };
        self.grow(index, new.max_series);
        index
    }

    /// Instruments of one scope whose names differ only in case, which are the same name for
    /// OpenTelemetry: the index of each with that of the first one.
    pub fn homonyms(&self) -> impl Iterator<Item = (usize, usize)> {
        let mut first: HashMap<_, usize> = HashMap::new();
        let instruments = self.0.iter().enumerate();
        instruments.filter_map(move |(index, instrument)| {
            let key = (&instrument.scope, instrument.name.to_ascii_lowercase());
            let first = *first.entry(key).or_insert(index);
            let is_other = self.get(first)?.name != instrument.name;
            is_other.then_some((index, first))
        })
    }

    /// Adds room for more series to the instrument at `index`.
    pub fn grow(&mut self, index: usize, more_series: usize) {
        if let Some(known) = self.0.get_mut(index) {
            *known = Arc::new(Instrument {
                max_series: known.max_series.saturating_add(more_series),
                ..known.as_ref().clone()
            });
        }
    }
}

impl FromIterator<Arc<Instrument>> for Schema {
    fn from_iter<T: IntoIterator<Item = Arc<Instrument>>>(instruments: T) -> Self {
        Self(instruments.into_iter().collect())
    }
}

fn is_same(one: &Instrument, other: &Instrument) -> bool {
    let kind = |of: &Instrument| (of.kind, of.value_type);
    one.name == other.name
        && one.scope == other.scope
        && one.unit == other.unit
        && one.buckets == other.buckets
        && one.delta == other.delta
        && kind(one) == kind(other)
}
