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
mod series;
mod stale;
#[cfg(test)]
mod tests;

pub use config::{Config, Switch};
pub use foreign::FOREIGN;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use prost::Message as _;
use tokio::time::Instant;

use self::{message::WriteRequest, series::Rules, stale::Memory};
use crate::{
    delivery::{Account, Delivery},
    exporters::points,
    pipeline::{Exporter, Snapshot, Target},
    runtime::Clock,
};

/// Encodes snapshots and hands them to delivery.
#[derive(Debug)]
pub struct RemoteWrite {
    rules: Rules,
    delivery: Delivery,
    /// Shared with the one whose place it takes.
    memory: Arc<Memory>,
    clock: Clock,
    /// Targets go without an end: a series that has none goes on where another one, or this one
    /// started again, polls the target within the lookback of PromQL.
    is_closing: AtomicBool,
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
        let mut request = self.rules.request(snapshot.metrics);
        let missing = self.memory.end_missing(&snapshot.target.name, &mut request);
        self.push(&request, points + missing);
    }

    fn forget(&self, target: &Target) {
        let now = series::millis(self.clock.now());
        let ended = self.memory.end_all(&target.name, now);
        if !self.is_closing.load(Ordering::Relaxed) {
            self.push(&ended, ended.timeseries.len() as u64);
        }
    }

    fn closing(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }

    async fn drain(&self, deadline: Instant) {
        // Also where only this exporter goes.
        self.closing();
        self.delivery.drain(deadline).await;
    }
}
