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
mod message;
mod series;
mod stale;
#[cfg(test)]
mod tests;

pub use config::{Config, Switch};

use std::sync::Arc;

use async_trait::async_trait;
use prost::Message as _;
use tokio::time::Instant;

use self::{message::WriteRequest, series::Rules, stale::Memory};
use crate::{
    delivery::{Account, Delivery},
    exporters::{ending::Ending, points},
    pipeline::{Exporter, Snapshot, Target},
};

/// Encodes snapshots and hands them to delivery.
#[derive(Debug)]
pub struct RemoteWrite {
    rules: Rules,
    delivery: Delivery,
    /// Shared with the one whose place it takes.
    memory: Arc<Memory>,
    ending: Ending,
}

impl RemoteWrite {
    /// The account in which it is counted.
    pub(super) fn account(&self) -> &Account {
        self.delivery.account()
    }

    fn push(&self, request: &WriteRequest, points: u64) {
        if points > 0 {
            self.delivery.push(&request.encode_to_vec(), points);
        }
    }
}

#[async_trait]
impl Exporter for RemoteWrite {
    fn export(&self, snapshot: &Snapshot<'_>) {
        let points: u64 = snapshot.metrics.iter().map(points::count).sum();
        let now = series::millis(snapshot.time);
        let mut written = self.rules.request(snapshot.metrics, now);
        let is_whole = |scope: &str| snapshot.is_whole(scope);
        let name = &snapshot.target.name;
        let missing = self.memory.end_missing(name, &mut written, now, is_whole);
        self.push(&written.request, points + missing);
    }

    fn forget(&self, target: &Target) {
        let now = self.ending.time();
        let ended = self
            .memory
            .end_all(&target.name, now.map_or(0, series::millis));
        if now.is_some() {
            self.push(&ended, ended.timeseries.len() as u64);
        }
    }

    fn closing(&self) {
        self.ending.close();
    }

    async fn drain(&self, deadline: Instant) {
        // Also where only this exporter goes.
        self.closing();
        self.delivery.drain(deadline).await;
    }
}
