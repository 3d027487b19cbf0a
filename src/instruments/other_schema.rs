//! Instruments go on with another schema.
//!
//! What is known of an instrument stays as long as the schema has it: start times, deltas, sent
//! series, the state of histograms. Its entry moves to the new index of the instrument.

use std::sync::Arc;

use opentelemetry::KeyValue;

use super::{
    NumberKind, TargetInstruments, common_instruments::CommonInstruments,
    provider_pool::ProviderPool, resource_of, starts::Starts,
};
use crate::{
    definition::{Instrument, InstrumentKind},
    pipeline::Schema,
};

impl TargetInstruments {
    /// Goes on with another schema or Resource. Series of different Resources have nothing in
    /// common. Returns whether anything is different.
    pub fn apply(&mut self, schema: &Arc<Schema>, resource: &[KeyValue]) -> bool {
        let has_resource = self.has_resource(resource);
        if has_resource && self.schema == *schema {
            return false;
        }
        self.providers = ProviderPool::of(schema);
        let schema = Arc::clone(self.providers.schema());
        match has_resource {
            true => self.retain(&schema),
            false => {
                self.resource = Arc::new(resource_of(resource));
                self.reprs = NumberKind::first_of(&schema);
                self.histograms.clear();
                self.starts = Starts::new(&schema);
                self.encoder.begin_again(&schema, &self.resource);
                self.collected = None;
            }
        }
        self.schema = schema;
        self.points.clear();
        self.counted.clear();
        self.counts.clear();
        true
    }

    fn retain(&mut self, schema: &Arc<Schema>) {
        let common = CommonInstruments::of(&self.schema, schema);
        self.encoder.retain(schema, &common);
        self.starts.retain(schema, &common);
        let before = std::mem::replace(&mut self.reprs, NumberKind::first_of(schema));
        for (index, repr) in common.moved(before.into_iter().enumerate()) {
            if let Some(known) = self.reprs.get_mut(index) {
                *known = repr;
            }
        }
        // The histograms of a scope are one provider, which forgets nothing.
        let before = Arc::clone(&self.schema);
        self.histograms.retain(|scope, provider| {
            let stays = has_same_histograms(scope, &before, schema, &common);
            if stays {
                provider.retain(schema, &common);
            }
            stays
        });
    }
}

/// Whether two schemas have the same histograms of a scope.
fn has_same_histograms(
    scope: &str,
    before: &Schema,
    now: &Schema,
    common: &CommonInstruments,
) -> bool {
    let is_it = |of: &Instrument| of.kind == InstrumentKind::Histogram && *of.scope == *scope;
    let count = |schema: &Schema| schema.instruments().iter().filter(|of| is_it(of)).count();
    let stay = before.instruments().iter().enumerate();
    let stay = stay.filter(|(index, of)| is_it(of) && common.index(*index).is_some());
    let stay = stay.count();
    stay == count(before) && stay == count(now)
}
