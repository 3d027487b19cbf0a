//! `prometheusremotewrite`: pushes samples to a server that accepts Prometheus remote write 1.0.
//!
//! ```yaml
//! exporters:
//!   prometheusremotewrite:
//!     endpoint: https://prometheus.example.com/api/v1/write
//!     external_labels: { cluster: eu }
//!     resource_to_telemetry_conversion: { enabled: true }
//! ```
//! Totals stay totals, even if the pipeline makes deltas of them for OTLP. A series that a target
//! no longer gives ends with a stale marker, and so do all series of a removed target.

mod config;
mod foreign;
mod message;
mod metadata;
mod series;
mod split;
mod stale;
#[cfg(test)]
mod tests;

pub use config::{Config, Switch, TYPE};

use std::{sync::Arc, time::SystemTime};

use prost::Message as _;

use self::{
    config::ServerOrder, message::WriteRequest, metadata::Metadata, series::NamingRules,
    stale::LastSeries,
};
use crate::{
    delivery::Delivery,
    exporters::{points, sending::Encoder},
    pipeline::{Snapshot, Target},
};

/// Encodes snapshots as requests of remote write.
#[derive(Debug)]
struct RemoteWrite {
    rules: NamingRules,
    /// The metadata that was sent, if metadata is sent.
    metadata: Option<Metadata>,
    /// The series that were sent last. They outlive reloads.
    memory: Arc<LastSeries>,
    /// Exporters that a reload replaces and that send to the same server have the same order.
    _order: Arc<ServerOrder>,
}

fn push(request: &WriteRequest, points: u64, delivery: &Delivery) {
    if points > 0 {
        delivery.push(&request.encode_to_vec(), points);
    }
}

impl Encoder for RemoteWrite {
    fn encode(&self, snapshot: &Snapshot<'_>, delivery: &Delivery) {
        let points: u64 = snapshot.metrics.iter().map(points::count).sum();
        let points = points + snapshot.histograms.len() as u64;
        let now = series::millis(snapshot.time);
        let of = (&**snapshot.resource, snapshot.metrics);
        let mut written = self
            .rules
            .request(of, snapshot.histograms, snapshot.starts, now);
        if let Some(metadata) = &self.metadata {
            written.request.metadata = metadata.due(&self.rules, snapshot.metrics, snapshot.time);
        }
        let is_whole = |scope: &str| snapshot.is_whole(scope);
        let name = &snapshot.target.name;
        let missing = self.memory.end_missing(name, &mut written, now, is_whole);
        push(&written.request, points + missing, delivery);
    }

    fn forget(&self, target: &Target, now: Option<SystemTime>, delivery: &Delivery) {
        let ended = self
            .memory
            .end_all(&target.name, now.map_or(0, series::millis));
        if now.is_some() {
            push(&ended, ended.timeseries.len() as u64, delivery);
        }
    }
}
