//! What an exporter is shown after each poll.

use std::{any::Any, cell::LazyCell, fmt, sync::Arc};

use async_trait::async_trait;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use tokio::time::Instant;

use super::{Exemplar, Target};

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
    /// What was traced of what series of ours count; the OTLP form has it in its place.
    pub exemplars: &'a [Exemplar],
    /// The same as OTLP says it.
    pub otlp: OtlpForm<'a>,
}

/// Metrics as OTLP messages, one a part. Integers are signed: a value above 2^63 − 1 is a double.
/// What the pipeline makes deltas of is a delta. Made once, when an exporter first asks.
pub struct OtlpForm<'a>(LazyCell<Messages, Box<dyn FnOnce() -> Messages + 'a>>);

type Messages = Vec<ExportMetricsServiceRequest>;

impl<'a> OtlpForm<'a> {
    /// What `make` gives.
    pub fn new(make: impl FnOnce() -> Messages + 'a) -> Self {
        Self(LazyCell::new(Box::new(make)))
    }

    /// The messages; one may hold no points.
    pub fn messages(&self) -> &[ExportMetricsServiceRequest] {
        &self.0
    }
}

impl fmt::Debug for OtlpForm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpForm").finish_non_exhaustive()
    }
}

/// What takes the snapshots of all targets. One that takes the place of another is shown that one
/// when it is built, as [`Any`].
#[async_trait]
pub trait Exporter: Any + Send + Sync {
    /// Takes a snapshot. Encodes and stores; never waits for the network.
    fn export(&self, snapshot: &Snapshot<'_>);

    /// Forgets a target that is no longer polled.
    fn forget(&self, target: &Target);

    /// The collector is about to stop: targets that it forgets from now on have not ended.
    fn closing(&self) {}

    /// Waits until it holds nothing any more.
    async fn emptied(&self) {}

    /// Hands over what it holds, until `deadline`, and ends. What is left is counted and logged.
    async fn drain(&self, _deadline: Instant) {}
}
