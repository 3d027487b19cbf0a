//! The data that an exporter gets after each poll.

use std::{cell::LazyCell, fmt, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry_sdk::{Resource, metrics::data::ResourceMetrics};
use tokio::time::Instant;

use super::{Exemplar, HistogramValue, OtlpMessage, Target};
use crate::definition::Instrument;

/// The metrics of one poll of one target.
#[derive(Debug)]
pub struct Snapshot<'a> {
    /// The polled target.
    pub target: &'a Arc<Target>,
    /// By endpoint of the definition: whether its body came with this poll. The metrics of an
    /// endpoint that is not fresh are not in this snapshot.
    pub fresh: &'a [bool],
    /// By endpoint: whether it was polled and gave no data. An endpoint that is neither fresh nor
    /// lost was not polled, and its earlier data is still valid.
    pub lost: &'a [bool],
    /// Whether the target was not polled because memory was short. Its endpoints count as lost, but
    /// they did not fail.
    pub is_refused: bool,
    /// The time of all observations. The times in `metrics` are those of the SDK.
    pub time: SystemTime,
    /// The start times of the totals.
    pub starts: &'a dyn Starts,
    /// The Resource of the target: another one if it changed.
    pub resource: &'a Arc<Resource>,
    /// The metrics, one part for each provider, without a Resource. Integers go up to 2^64 − 1.
    pub metrics: &'a [ResourceMetrics],
    /// Histograms that targets count themselves; the OTLP form has them in their place. Those of one
    /// instrument follow one another.
    pub histograms: &'a [CountedHistogram],
    /// The exemplars of report metrics. The OTLP form contains them.
    pub exemplars: &'a [Exemplar],
    /// The same metrics as OTLP messages.
    pub otlp: OtlpForm<'a>,
}

impl Snapshot<'_> {
    /// Whether it is complete for an instrumentation scope: a series of the scope that was in an
    /// earlier snapshot and is not in this one has ended. This is so if the endpoint answered, or
    /// was polled without an answer, like a scrape in Prometheus.
    pub fn is_whole(&self, scope: &str) -> bool {
        let mut endpoints = self.target.definition.endpoints.iter();
        let Some(endpoint) = endpoints.position(|endpoint| *endpoint.scope == *scope) else {
            return true;
        };
        let is = |of: &[bool]| of.get(endpoint).copied().unwrap_or_default();
        is(self.fresh) || is(self.lost)
    }
}

/// A histogram that a target counts itself. The SDK makes none but those that it recorded.
#[derive(Debug, Clone)]
pub struct CountedHistogram {
    /// What it is of.
    pub instrument: Arc<Instrument>,
    /// The index of the instrument in the schema.
    pub index: usize,
    /// Sorted by key; no key twice.
    pub attributes: Vec<KeyValue>,
    /// Its buckets.
    pub value: Arc<HistogramValue>,
}

/// The start times of totals, and the times of values that were measured before the poll.
pub trait Starts: fmt::Debug {
    /// The start time of a series, if it is known. Nobody knows when a node started to count what
    /// it had at its first poll. The attributes are sorted by key.
    fn known(
        &self,
        scope: &str,
        metric: &str,
        attributes: &mut dyn Iterator<Item = &KeyValue>,
    ) -> Option<SystemTime>;

    /// Whether values of a metric say when they were measured.
    fn has_measured(&self, _scope: &str, _metric: &str) -> bool {
        false
    }

    /// When the value of a series was measured, if it says so. The attributes are sorted by key.
    fn measured(
        &self,
        _scope: &str,
        _metric: &str,
        _attributes: &mut dyn Iterator<Item = &KeyValue>,
    ) -> Option<SystemTime> {
        None
    }
}

/// No start time is known.
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

/// The end of all series of a target in OTLP: a point of each with the flag `no recorded value`. It
/// is created when an exporter needs it.
pub struct EndOfSeries<'a>(&'a dyn Fn(SystemTime) -> Messages);

impl<'a> EndOfSeries<'a> {
    /// Creates the messages with `make`, which gets the time of the end.
    pub fn new(make: &'a dyn Fn(SystemTime) -> Messages) -> Self {
        Self(make)
    }

    /// The messages. The time of their points is `now`, or later for a series that was seen later.
    /// There is none for a series that was never in an OTLP message.
    pub fn messages(&self, now: SystemTime) -> Vec<OtlpMessage> {
        (self.0)(now)
    }
}

impl fmt::Debug for EndOfSeries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndOfSeries").finish_non_exhaustive()
    }
}

/// Metrics as OTLP messages. Integers are signed: a value above 2^63 − 1 is a double. Metrics that the
/// pipeline converts to deltas are deltas. They are created once, when an exporter first needs them.
pub struct OtlpForm<'a>(LazyCell<Messages, Box<dyn FnOnce() -> Messages + 'a>>);

type Messages = Vec<OtlpMessage>;

impl<'a> OtlpForm<'a> {
    /// Creates the messages with `make`.
    pub fn new(make: impl FnOnce() -> Messages + 'a) -> Self {
        Self(LazyCell::new(Box::new(make)))
    }

    /// The messages. Each of them has points.
    pub fn messages(&self) -> &[OtlpMessage] {
        &self.0
    }
}

impl fmt::Debug for OtlpForm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpForm").finish_non_exhaustive()
    }
}

/// Takes the snapshots of all targets.
#[async_trait]
pub trait Exporter: Send + Sync {
    /// Takes a snapshot. It encodes and stores, and never waits for the network.
    fn export(&self, snapshot: &Snapshot<'_>);

    /// A target is no longer polled, or no longer exported here: its series have ended. It is
    /// forgotten next.
    fn ended(&self, _target: &Target, _end: &EndOfSeries<'_>) {}

    /// There is too little memory: forgets the values that it still shows of endpoints that failed.
    /// Says how many series they were.
    fn shed(&self) -> u64 {
        0
    }

    /// Forgets a target that is no longer polled.
    fn forget(&self, target: &Target);

    /// Called before shutdown: targets that are forgotten after this have not ended.
    fn closing(&self) {}

    /// Waits until the exporter holds nothing.
    async fn emptied(&self) {}

    /// Sends what it holds, until `deadline`, and ends. What is left is counted and logged.
    async fn drain(&self, _deadline: Instant) {}
}
