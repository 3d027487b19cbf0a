//! `prometheusremotewrite`: pushes samples to whatever takes Prometheus' remote write 1.0.
//!
//! ```yaml
//! exporters:
//!   prometheusremotewrite:
//!     endpoint: https://prometheus.example.com/api/v1/write
//!     external_labels: { cluster: eu }
//!     resource_to_telemetry_conversion: { enabled: true }
//! ```
//!
//! Totals stay totals, whatever the pipeline makes of them over OTLP. A series that a target no
//! longer gives ends with a stale marker, as do all of a target that is gone.

mod config;
mod foreign;
mod message;
mod metadata;
mod series;
mod split;
mod stale;
#[cfg(test)]
mod tests;

pub use config::{Config, Switch};
pub use foreign::FOREIGN;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use prost::Message as _;

use self::{
    config::Speaks, message::WriteRequest, metadata::Metadata, series::Rules, stale::Memory,
};
use crate::{
    delivery::Delivery,
    exporters::{points, sending::Encoder},
    pipeline::{Snapshot, Target},
    runtime::Clock,
};

/// Encodes snapshots as requests of remote write.
#[derive(Debug)]
struct RemoteWrite {
    rules: Rules,
    /// Who is spoken to and how: whoever does the same speaks after it.
    speaks: Speaks,
    /// What was said of metrics, if anything is.
    metadata: Option<Metadata>,
    /// Shared with the one whose place it takes.
    memory: Arc<Memory>,
    clock: Clock,
    /// Targets go without an end: a series that has none goes on where another one, or this one
    /// started again, polls the target within the lookback of PromQL.
    is_closing: AtomicBool,
}

fn push(request: &WriteRequest, points: u64, delivery: &Delivery) {
    if points > 0 {
        delivery.push(&request.encode_to_vec(), points);
    }
}

impl Encoder for RemoteWrite {
    fn encode(&self, snapshot: &Snapshot<'_>, delivery: &Delivery) {
        let points: u64 = snapshot.metrics.iter().map(points::count).sum();
        let mut request = self.rules.request(snapshot.metrics);
        if let Some(metadata) = &self.metadata {
            request.metadata = metadata.due(&self.rules, snapshot.metrics, self.clock.now());
        }
        let missing = self.memory.end_missing(&snapshot.target.name, &mut request);
        push(&request, points + missing, delivery);
    }

    fn forget(&self, target: &Target, delivery: &Delivery) {
        let now = series::millis(self.clock.now());
        let ended = self.memory.end_all(&target.name, now);
        if !self.is_closing.load(Ordering::Relaxed) {
            push(&ended, ended.timeseries.len() as u64, delivery);
        }
    }

    fn closing(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }
}
