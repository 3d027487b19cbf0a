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
//! Totals stay totals, whatever the pipeline makes of them over OTLP.

mod config;
mod message;
mod series;
#[cfg(test)]
mod tests;

pub use config::{Config, Switch};

use async_trait::async_trait;
use prost::Message as _;
use tokio::time::Instant;

use self::series::Rules;
use crate::{
    delivery::{Account, Delivery},
    exporters::points,
    pipeline::{Exporter, Snapshot, Target},
};

/// Encodes snapshots and hands them to delivery.
#[derive(Debug)]
pub struct RemoteWrite {
    rules: Rules,
    delivery: Delivery,
}

impl RemoteWrite {
    /// The account in which it is counted.
    pub(super) fn account(&self) -> &Account {
        self.delivery.account()
    }
}

#[async_trait]
impl Exporter for RemoteWrite {
    fn export(&self, snapshot: &Snapshot<'_>) {
        let points = snapshot.metrics.iter().map(points::count).sum();
        if points > 0 {
            let request = self.rules.request(snapshot.metrics);
            self.delivery.push(&request.encode_to_vec(), points);
        }
    }

    fn forget(&self, _target: &Target) {
        // Nothing is kept of a target beyond what is on its way.
    }

    async fn drain(&self, deadline: Instant) {
        self.delivery.drain(deadline).await;
    }
}
