//! Instruments of another schema go on where those before them end.
//!
//! What both have keeps its provider, and so its start time. The others get a provider of their
//! own, which begins now.

use std::{collections::btree_map::Entry, sync::Arc};

use super::{
    TargetInstruments,
    common::Common,
    epoch::Epoch,
    resets::{EPOCHS_MAX, FIRST},
};
use crate::{definition::InstrumentKind, pipeline::Schema};

impl TargetInstruments {
    /// Goes on where `old` ends, for all instruments that both have. Those of another Resource
    /// have nothing in common.
    pub fn take_over(&mut self, old: &mut Self) {
        if self.resource != old.resource || old.epochs.len() >= EPOCHS_MAX {
            return;
        }
        let schema = Arc::clone(&self.schema);
        let common = Common::of(&old.schema, &schema);
        let new = (0..schema.instruments().len()).filter(|index| !common.has(*index));
        let new: Vec<_> = new.collect();
        let first = self.epochs.remove(&FIRST);
        self.resets.take_over(&mut old.resets, &common, &new);
        self.epochs = std::mem::take(&mut old.epochs);
        for epoch in self.epochs.values_mut() {
            epoch.follow(&schema, &common);
        }
        if let (Some(index), Some(first)) = (new.first(), first) {
            self.epochs.insert(self.resets.home(*index), first);
        }
        self.drop_epochs();
        for (index, repr) in common.moved(old.reprs.iter().enumerate()) {
            if let Some(known) = self.reprs.get_mut(index) {
                *known = *repr;
            }
        }
        self.take_over_histograms(old, &common);
        self.deltas.take_over(&mut old.deltas);
    }

    /// The histograms of a scope are one provider, which forgets nothing: they are kept if they
    /// are the same, all of them.
    fn take_over_histograms(&mut self, old: &mut Self, common: &Common) {
        let count = |schema: &Schema, scope: &str| {
            let all = schema.instruments().iter();
            let of = all.filter(|i| i.kind == InstrumentKind::Histogram && *i.scope == *scope);
            of.count()
        };
        for (scope, mut epoch) in std::mem::take(&mut old.histograms) {
            let kept = old.schema.instruments().iter().enumerate();
            let kept = kept.filter(|(index, instrument)| {
                let is_it = instrument.kind == InstrumentKind::Histogram;
                is_it && instrument.scope == scope && common.index(*index).is_some()
            });
            let kept = kept.count();
            if kept == count(&old.schema, &scope) && kept == count(&self.schema, &scope) {
                epoch.follow(&self.schema, common);
                self.histograms.insert(scope, epoch);
            }
        }
    }

    /// Drops the providers that no instrument and no series needs any more.
    pub(super) fn drop_epochs(&mut self) {
        let in_use = self.resets.in_use();
        self.epochs.retain(|id, _| in_use.contains(id));
        for id in in_use {
            if let Entry::Vacant(free) = self.epochs.entry(id) {
                let epoch = Epoch::new(self.resource.clone(), &self.schema);
                free.insert(Box::new(epoch));
            }
        }
    }
}
