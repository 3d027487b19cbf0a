//! `aggregate`: metrics of a whole fleet, or of groups of it.
//!
//! ```yaml
//! processors:
//!   aggregate:
//!     interval: 15s
//!     target: fleet
//!     group_by: [region]
//!     min_coverage: 0.5
//!     metrics:
//!       - include: betanet_bytes_transmitted_total
//!       - include: betanet_connected_peers
//!         functions: [sum, avg]
//!         quantiles: [0.5, 0.95]
//! ```
//!
//! All readings pass unchanged. The aggregates are a separate target with its own Resource. Once
//! per interval it goes through the later processors to the same exporters.
//!
//! A gauge is aggregated over the targets whose last poll gave a value. A counter is the sum of the
//! visible increases: a target that disappears or restarts neither lowers it nor looks like a
//! reset, and a new target does not raise it by what it counted before. It starts at 0.

mod config;
mod emit;
mod fleet;

#[cfg(test)]
mod tests;

pub use config::{Config, Function, MetricConfig, TYPE};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::{KeyValue, metrics::Counter};
use tokio::time::Instant;

use self::{
    config::AggregateSettings,
    emit::Emitter,
    fleet::{Fleet, MemberId, Tracked},
};
use super::{contract::ProcessorContext, schema_cache::SchemaCache};
use crate::{
    pipeline::{Batch, Downstream, Processor, Stage, Stream},
    runtime::{Clock, Tasks},
    telemetry::names,
};

/// The processor.
#[derive(Debug)]
struct Aggregate {
    shared: Arc<AggregateShared>,
    plans: SchemaCache<Vec<Option<Tracked>>>,
}

/// Shared by the stages of all members, which write it, and the emitter, which reads it.
#[derive(Debug)]
struct AggregateShared {
    id: String,
    settings: AggregateSettings,
    clock: Clock,
    fleet: Mutex<Fleet>,
    dropped: Counter<u64>,
}

impl Aggregate {
    fn new(settings: AggregateSettings, context: &ProcessorContext<'_>) -> Self {
        let shared = AggregateShared {
            id: context.id.to_owned(),
            fleet: Mutex::new(Fleet::new(settings.rules.clone())),
            settings,
            clock: context.clock.clone(),
            dropped: names::AGGREGATE_DROPPED.counter(context.meter),
        };
        Self {
            shared: Arc::new(shared),
            plans: SchemaCache::default(),
        }
    }
}

impl AggregateShared {
    fn fleet(&self) -> MutexGuard<'_, Fleet> {
        // A panic elsewhere loses at most the values of one poll.
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Observes the readings of one member.
struct Observer {
    shared: Arc<AggregateShared>,
    member: MemberId,
    /// The aggregated metric of each instrument.
    tracked: Arc<Vec<Option<Tracked>>>,
}

impl Processor for Aggregate {
    fn open(&self, stream: &mut Stream) -> Box<dyn Stage> {
        let mut fleet = self.shared.fleet();
        let tracked = self.plans.of(&stream.schema, |schema| {
            let instruments = schema.instruments().iter();
            instruments
                .map(|instrument| fleet.track(instrument))
                .collect()
        });
        let member = fleet.join(&tracked, stream);
        drop(fleet);
        Box::new(Observer {
            shared: Arc::clone(&self.shared),
            member,
            tracked,
        })
    }

    fn start(&self, downstream: Arc<dyn Downstream>, tasks: &Tasks) {
        let (shared, stop) = (Arc::clone(&self.shared), tasks.stopping());
        tasks.spawn_supervised(format!("emitter of {}", shared.id), move || {
            let emitter = Emitter::new(&shared, Arc::clone(&downstream));
            emitter.run(stop.clone())
        });
    }

    fn shed(&self) -> u64 {
        self.shared.fleet().shed() as u64
    }

    fn closing(&self) {
        self.shared.fleet().close();
    }
}

impl Stage for Observer {
    fn process(&mut self, batch: Batch) -> Batch {
        let mut fleet = self.shared.fleet();
        let refused = fleet.observe(self.member, &self.tracked, &batch, Instant::now());
        drop(fleet);
        if refused > 0 {
            let attributes = [
                KeyValue::new(names::PROCESSOR, self.shared.id.clone()),
                KeyValue::new(names::REASON, "max_groups"),
            ];
            self.shared.dropped.add(refused, &attributes);
        }
        batch
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.shared.fleet().leave(self.member);
    }
}
