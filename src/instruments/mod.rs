//! The OpenTelemetry SDK that each polled target never had.
//!
//! A target has one SDK provider with its own Resource, for its gauges, its running totals and what
//! the collector says of it. Histograms have a provider per endpoint, so that a poll in which the
//! endpoint failed does not show their old state under a new time. Which time each point has and
//! when its total began is not the SDK's to say (`starts.rs`).
//!
//! Measured reasons for this shape: the SDK allows one Resource a provider, and cannot take back a
//! series that was recorded synchronously.

mod common_instruments;
mod delta;
mod exemplars;
mod inherited_state;
mod otlp;
mod report_metrics;
mod provider;
mod reader;
mod number_kind;
mod resource;
mod said;
mod starts;
mod interner;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_sdk::{Resource, metrics::data::ResourceMetrics};

pub use otlp::Encoding;
pub use reader::PullReader;
pub use report_metrics::{ReportMetrics, SCOPE};
pub use resource::resource;
pub use starts::ResetCounts;

use self::{number_kind::NumberKind, otlp::Encoder, provider::Provider, starts::Starts};
use crate::{
    definition::InstrumentKind,
    pipeline::{self, Number, Reading, Schema},
};

/// What the SDK marks the point with into which it folds all that is over its limit. Such a point
/// says nothing, whoever made it.
const OVERFLOW: &str = "otel.metric.overflow";

/// The instruments of one target, or of the part of it that is of one Resource.
#[derive(Debug)]
pub struct TargetInstruments {
    schema: Arc<Schema>,
    reprs: Vec<NumberKind>,
    resource: Resource,
    provider: Box<Provider>,
    /// By scope, which is one an endpoint.
    histograms: BTreeMap<Arc<str>, Box<Provider>>,
    starts: Starts,
    encoder: Encoder,
    /// When what was put last was observed.
    time: SystemTime,
    /// The same of what was collected last, if anything was.
    collected: Option<SystemTime>,
    /// What was put since the last collect, but for histograms.
    points: Vec<Reading>,
    /// How many of them there are of each instrument.
    counts: Vec<usize>,
}

/// What one poll of one target collects to.
#[derive(Debug, Default)]
pub struct Collected {
    /// One part a provider; integers up to 2^64 − 1.
    pub metrics: Vec<ResourceMetrics>,
    /// The same with values above 2^63 − 1 as doubles; none where there is no such value.
    pub signed_metrics: Option<Vec<ResourceMetrics>>,
}

impl TargetInstruments {
    /// The instruments of `schema`, of someone with the attributes `resource`.
    pub fn new(schema: &Arc<Schema>, resource: &[opentelemetry::KeyValue]) -> Self {
        let reprs = schema
            .instruments()
            .iter()
            .map(|i| NumberKind::first(i.kind, i.value_type))
            .collect();
        let resource = Resource::builder_empty()
            .with_attributes(resource.iter().cloned())
            .build();
        Self {
            schema: Arc::clone(schema),
            reprs,
            provider: Box::new(Provider::new(resource.clone(), schema)),
            histograms: BTreeMap::new(),
            starts: Starts::new(schema),
            encoder: Encoder::new(schema, &resource),
            resource,
            time: UNIX_EPOCH,
            collected: None,
            points: Vec::new(),
            counts: Vec::new(),
        }
    }

    /// Whether the other's are those of the same schema and Resource.
    pub fn is_like(&self, other: &Self) -> bool {
        self.schema == other.schema && self.resource == other.resource
    }

    /// Whether the other's are of the same Resource.
    pub fn is_of_resource(&self, other: &Self) -> bool {
        self.resource == other.resource
    }

    /// How often running totals fell.
    pub fn resets(&self) -> ResetCounts {
        self.starts.counts
    }

    /// What is put from now on was observed at `time`, and totals of these scopes began when they
    /// say.
    pub fn observe_at(&mut self, time: SystemTime, starts: &[(Arc<str>, SystemTime)]) {
        self.time = time;
        for (scope, start) in starts {
            self.starts.begin(scope, *start);
        }
    }

    /// Takes readings for the next collect. Gives how many it refuses: those over the `max_series`
    /// of their instrument, and those that say that others were folded into them.
    pub fn put(&mut self, mut readings: Vec<Reading>) -> usize {
        let before = readings.len();
        readings.retain(|reading| {
            let mut keys = reading.attributes.iter().map(|of| of.key.as_str());
            keys.all(|key| key != OVERFLOW)
        });
        let mut refused = before - readings.len();
        let kind = |reading: &Reading| self.schema.kind(reading.instrument);
        let (histograms, mut points): (Vec<_>, Vec<_>) = readings
            .into_iter()
            .partition(|reading| kind(reading) == Some(InstrumentKind::Histogram));
        refused += self.record(&histograms);
        let before = points.len();
        points.retain(|reading| self.has_room(reading.instrument));
        refused += before - points.len();
        let (totals, others): (Vec<_>, Vec<_>) = points
            .into_iter()
            .partition(|reading| self.may_be_reset(reading));
        self.starts.observe(&totals, self.time);
        self.points.extend(totals);
        self.points.extend(others);
        refused
    }

    /// Whether some reading that was put does not fit OTLP's signed integers.
    pub fn has_wide(&self) -> bool {
        self.points.iter().any(|point| is_wide(point.value))
    }

    /// Collects what was put. What was not is in no part of the result: a series that was there
    /// before is gone, and an endpoint that failed is a gap. Histograms are shown for the `scopes`
    /// that were read. With `wide`, also for outputs whose integers are signed.
    pub fn collect(&mut self, scopes: &[Arc<str>], wide: bool) -> Collected {
        let points = std::mem::take(&mut self.points);
        self.counts = Vec::new();
        self.collected = Some(self.time);
        for reading in &points {
            if let Some(repr) = self.reprs.get_mut(reading.instrument) {
                *repr = repr.widened(reading.value);
            }
        }
        let again = wide.then(|| points.clone());
        let metrics = self.collect_points(points, scopes, NumberKind::Unsigned);
        let signed_metrics =
            again.map(|points| self.collect_points(points, scopes, NumberKind::Signed));
        Collected {
            metrics,
            signed_metrics,
        }
    }

    /// What makes OTLP messages of what was collected last, and when the totals in it began.
    pub fn forms(&mut self) -> (Encoding<'_>, &dyn pipeline::Starts) {
        let (starts, time) = (&self.starts, self.time);
        let encoding = Encoding::new(&mut self.encoder, starts, time);
        (encoding, starts)
    }

    /// The end of all series that were made OTLP messages of, at `now` or when they were seen.
    pub fn farewell(&self, now: SystemTime) -> Vec<ExportMetricsServiceRequest> {
        self.encoder.farewell(&self.starts, now)
    }

    /// What we say of a target ourselves never falls.
    fn may_be_reset(&self, reading: &Reading) -> bool {
        let instrument = self.schema.get(reading.instrument);
        instrument.is_some_and(|i| i.kind == InstrumentKind::Counter && *i.scope != *SCOPE)
    }

    /// Whether the SDK has room for one more point of an instrument, which is counted.
    fn has_room(&mut self, instrument: usize) -> bool {
        let Some(known) = self.schema.get(instrument) else {
            return false;
        };
        self.counts.resize(self.schema.instruments().len(), 0);
        let Some(count) = self.counts.get_mut(instrument) else {
            return false;
        };
        let is_room = *count < known.max_series;
        *count += usize::from(is_room);
        is_room
    }

    /// Records observations, and gives how many there is no room for. Where elements of an array
    /// come and go, the histograms of an endpoint are full after a while: they begin again then.
    fn record(&mut self, readings: &[Reading]) -> usize {
        let mut by_scope: BTreeMap<&Arc<str>, Vec<&Reading>> = BTreeMap::new();
        for reading in readings {
            if let Some(instrument) = self.schema.get(reading.instrument) {
                by_scope.entry(&instrument.scope).or_default().push(reading);
            }
        }
        let mut refused = 0;
        for (scope, readings) in by_scope {
            let known = self.histograms.remove(scope);
            let known = known.filter(|provider| provider.has_room(&readings));
            let mut provider = known.unwrap_or_else(|| {
                // Nothing was recorded until now, since the poll before or since there are polls.
                let start = self.collected.or_else(|| self.starts.own());
                self.starts
                    .begin_histograms(scope, start.unwrap_or(self.time));
                Box::new(Provider::new(self.resource.clone(), &self.schema))
            });
            let taken = readings.iter().filter(|reading| provider.record(reading));
            refused += readings.len() - taken.count();
            self.histograms.insert(Arc::clone(scope), provider);
        }
        refused
    }

    /// Puts the points before the instruments and collects. With `integers` signed, an integer
    /// that does not fit is put as a double.
    fn collect_points(
        &mut self,
        points: Vec<Reading>,
        scopes: &[Arc<str>],
        integers: NumberKind,
    ) -> Vec<ResourceMetrics> {
        for reading in points {
            let Some(repr) = self.reprs.get(reading.instrument) else {
                continue;
            };
            let too_wide = integers == NumberKind::Signed && is_wide(reading.value);
            let repr = if too_wide { NumberKind::Double } else { *repr };
            self.provider.put(reading, repr);
        }
        let asked = |(scope, provider)| scopes.contains(scope).then_some(provider);
        let histograms = self.histograms.iter_mut().filter_map(asked);
        let providers = std::iter::once(&mut self.provider).chain(histograms);
        providers.map(|provider| provider.collect()).collect()
    }
}

/// Whether OTLP's signed integer cannot hold it; the SDK would write 0.
fn is_wide(number: Number) -> bool {
    matches!(number, Number::Unsigned(value) if i64::try_from(value).is_err())
}

#[cfg(test)]
mod tests;
