//! What a target's way forgets while there is too little memory.

use opentelemetry::{KeyValue, metrics::Counter};

use super::TargetPipeline;
use crate::{
    instruments::TargetInstruments,
    telemetry::{Meter, names},
};

/// Counts it.
#[derive(Clone)]
pub(super) struct ShedState(Counter<u64>);

impl ShedState {
    pub(super) fn new(meter: &Meter) -> Self {
        Self(names::LIMITER_SHED.counter(meter))
    }

    fn count(&self, items: u64, reason: &'static str) {
        if items > 0 {
            self.0.add(items, &[KeyValue::new(names::REASON, reason)]);
        }
    }
}

impl TargetPipeline {
    /// Forgets what is gone if a stage says that memory is short. By endpoint, `fresh` and `lost`
    /// are those of the poll that was exported: only where all answered is it known what is gone.
    pub(super) fn shed(&mut self, [fresh, lost]: &[Vec<bool>; 2]) {
        let mut stages = self.built.stages.iter();
        if stages.any(|(stage, _)| stage.is_short_of_memory()) {
            let is_whole = fresh.contains(&true) && !lost.contains(&true);
            let before = self.split.len();
            self.split.retain(|_, split| split.is_put || !is_whole);
            let gone = before - self.split.len();
            self.built.shed.count(gone as u64, "gone_resource");
            let split = self.split.values_mut().map(|split| &mut split.instruments);
            let all = split.chain([&mut self.instruments]);
            let gone = all.map(TargetInstruments::shed).sum();
            self.built.shed.count(gone, "gone_series");
        }
        for split in self.split.values_mut() {
            split.is_put = false;
        }
    }
}
