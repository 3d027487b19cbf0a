//! Instruments of a new schema continue those of the old one.
//!
//! Instruments that both schemas have keep their start times and the state of their histograms.

use std::sync::Arc;

use opentelemetry::KeyValue;

use super::{TargetInstruments, common_instruments::CommonInstruments};
use crate::{definition::InstrumentKind, pipeline::Schema};

impl TargetInstruments {
    /// Goes on with another schema or Resource. The instruments that both schemas have keep their
    /// state. Those of different Resources have nothing in common. Returns whether anything is
    /// different.
    pub fn apply(&mut self, schema: &Arc<Schema>, resource: &[KeyValue]) -> bool {
        let has_resource = self.has_resource(resource);
        if has_resource && self.schema == *schema {
            return false;
        }
        let mut old = std::mem::replace(self, Self::new(schema, resource));
        match has_resource {
            true => self.take_over(&mut old),
            false => self.encoder.end_all(&mut old.encoder),
        }
        true
    }

    fn take_over(&mut self, old: &mut Self) {
        let common = CommonInstruments::of(&old.schema, &self.schema);
        self.encoder.take_over(&mut old.encoder, &common);
        self.starts.take_over(&mut old.starts, &common);
        (self.time, self.collected) = (old.time, old.collected);
        for (index, repr) in common.moved(old.reprs.iter().enumerate()) {
            if let Some(known) = self.reprs.get_mut(index) {
                *known = *repr;
            }
        }
        self.take_over_histograms(old, &common);
    }

    /// The histograms of a scope are one provider, which forgets nothing. They are kept only if all
    /// of them are the same.
    fn take_over_histograms(&mut self, old: &mut Self, common: &CommonInstruments) {
        let count = |schema: &Schema, scope: &str| {
            let all = schema.instruments().iter();
            let of = all.filter(|i| i.kind == InstrumentKind::Histogram && *i.scope == *scope);
            of.count()
        };
        for (scope, mut provider) in std::mem::take(&mut old.histograms) {
            let kept = old.schema.instruments().iter().enumerate();
            let kept = kept.filter(|(index, instrument)| {
                let is_it = instrument.kind == InstrumentKind::Histogram;
                is_it && instrument.scope == scope && common.index(*index).is_some()
            });
            let kept = kept.count();
            if kept == count(&old.schema, &scope) && kept == count(&self.schema, &scope) {
                provider.follow(&self.schema, common);
                self.histograms.insert(Arc::clone(&scope), provider);
            }
        }
    }
}
