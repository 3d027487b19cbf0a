//! What an exporter is shown after each poll.

use std::{any::Any, cell::LazyCell, fmt, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use opentelemetry::KeyValue;
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
    /// By endpoint: whether it was asked for this poll and gave nothing. One that is neither fresh
    /// nor lost was not asked, and what it said before holds.
    pub lost: &'a [bool],
    /// When all of this was observed. The times in `metrics` are those of the SDK: when it was told.
    pub time: SystemTime,
    /// When the totals in it began.
    pub starts: &'a dyn Starts,
    /// The metrics, one part a provider; integers up to 2^64 − 1.
    pub metrics: &'a [ResourceMetrics],
    /// What was traced of what series of ours count; the OTLP form has it in its place.
    pub exemplars: &'a [Exemplar],
    /// The same as OTLP says it.
    pub otlp: OtlpForm<'a>,
}

impl Snapshot<'_> {
    /// Whether it says all there is to say of an instrumentation scope now: a series of the scope
    /// that was in a snapshot before and is not in this one has ended. That is so where the
    /// endpoint answered and where it was asked in vain, as Prometheus has it with a scrape.
    pub fn is_whole(&self, scope: &str) -> bool {
        let mut endpoints = self.target.definition.endpoints.iter();
        let Some(endpoint) = endpoints.position(|endpoint| *endpoint.scope == *scope) else {
            return true;
        };
        let is = |of: &[bool]| of.get(endpoint).copied().unwrap_or_default();
        is(self.fresh) || is(self.lost)
    }
}

/// Since when totals count.
pub trait Starts: fmt::Debug {
    /// When the total of a series began, if that is known: what a node had counted before it was
    /// polled for the first time began nobody knows when. The attributes are sorted by key.
    fn known(
        &self,
        scope: &str,
        metric: &str,
        attributes: &mut dyn Iterator<Item = &KeyValue>,
    ) -> Option<SystemTime>;
}

/// Nothing is known of any total.
impl Starts for () {
    fn known(
        &self,
        _scope: &str,
        _metric: &str,
        _attributes: &mut dyn Iterator<Item = &KeyValue>,
    ) -> Option<SystemTime> {
        None
    }
}

/// The end of all series of a target, as OTLP says it: a point of each with the flag `no recorded
/// value`. Made when an exporter asks.
pub struct Farewell<'a>(&'a dyn Fn(SystemTime) -> Messages);

impl<'a> Farewell<'a> {
    /// What `make` gives for the time of the end.
    pub fn new(make: &'a dyn Fn(SystemTime) -> Messages) -> Self {
        Self(make)
    }

    /// The messages, with `now` as the time of their points, or a later one where a series was seen
    /// later. None of what was never said as OTLP.
    pub fn messages(&self, now: SystemTime) -> Vec<ExportMetricsServiceRequest> {
        (self.0)(now)
    }
}

impl fmt::Debug for Farewell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Farewell").finish_non_exhaustive()
    }
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

    /// A target is no longer polled, or no longer shown here: its series have ended. It is
    /// forgotten next.
    fn ended(&self, _target: &Target, _farewell: &Farewell<'_>) {}

    /// Forgets a target that is no longer polled.
    fn forget(&self, target: &Target);

    /// The collector is about to stop: targets that it forgets from now on have not ended.
    fn closing(&self) {}

    /// Waits until it holds nothing any more.
    async fn emptied(&self) {}

    /// Hands over what it holds, until `deadline`, and ends. What is left is counted and logged.
    async fn drain(&self, _deadline: Instant) {}
}
