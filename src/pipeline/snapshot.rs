//! What an exporter is shown after each poll.

use std::sync::Arc;

use async_trait::async_trait;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use tokio::time::Instant;

use super::Target;

/// What one poll of one target came to.
#[derive(Debug)]
pub struct Snapshot<'a> {
    /// The target.
    pub target: &'a Arc<Target>,
    /// By endpoint of the definition: whether its body came with this poll. The metrics of an
    /// endpoint that is not fresh are not in this snapshot.
    pub fresh: &'a [bool],
    /// The metrics, one part an epoch, oldest first; integers up to 2^64 − 1.
    pub metrics: &'a [ResourceMetrics],
    /// The same for outputs whose integers are signed (OTLP): a value above 2^63 − 1 is a double.
    pub signed_metrics: &'a [ResourceMetrics],
}

/// What takes the snapshots of all targets.
#[async_trait]
pub trait Exporter: Send + Sync {
    /// Takes a snapshot. Encodes and stores; never waits for the network.
    fn export(&self, snapshot: &Snapshot<'_>);

    /// Forgets a target that is no longer polled.
    fn forget(&self, target: &Target);

    /// Hands over what it holds, until `deadline`, and ends. What is left is counted and logged.
    async fn drain(&self, _deadline: Instant) {}
}
