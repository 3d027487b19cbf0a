//! Which instruments the readings of a stream belong to.

use std::{collections::HashMap, sync::Arc};

use crate::definition::{Instrument, InstrumentKind};

/// The instruments that readings refer to by index. One is shared by all targets of a definition.
#[derive(Debug, Default, PartialEq)]
pub struct Schema(Vec<Arc<Instrument>>);

impl Schema {
    /// All instruments, in the order of their indices.
    pub fn instruments(&self) -> &[Arc<Instrument>] {
        &self.0
    }

    /// The instrument at `index`.
    pub fn get(&self, index: usize) -> Option<&Arc<Instrument>> {
        self.0.get(index)
    }

    /// What the instrument at `index` measures.
    pub fn kind(&self, index: usize) -> Option<InstrumentKind> {
        self.get(index).map(|instrument| instrument.kind)
    }

    /// Adds an instrument and gives its index. One that is there already, under the same name and
    /// scope and of the same type, takes up the other's series.
    pub fn add(&mut self, new: Arc<Instrument>) -> usize {
        let Some(index) = self.0.iter().position(|known| is_same(known, &new)) else {
            self.0.push(new);
            return self.0.len() - 1;
        };
        self.grow(index, new.max_series);
        index
    }

    /// Instruments of one scope whose names differ in case only, which OpenTelemetry takes for one:
    /// the index of each with that of the first of its kind.
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

    /// Makes room for more series in the instrument at `index`.
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
