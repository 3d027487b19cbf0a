//! The OpenTelemetry SDK of each polled target.
//!
//! Gauges, totals and report metrics are observable, and the SDK keeps nothing of them between two
//! collections. So all targets with the same instruments use the same few providers in turns
//! (`provider_pool.rs`), and each adds its own Resource. Histograms have one provider for each
//! endpoint of a target, so that a poll in which the endpoint failed does not show their old state
//! with a new time. The SDK does not decide about the time of a point and the start time of its
//! total (`starts.rs`).
//!
//! There are two measured reasons for this design: the SDK allows one Resource for each provider,
//! and it cannot remove a series that was recorded synchronously.

mod common_instruments;
mod counted;
mod delta;
mod exemplars;
mod hashing;
mod last_totals;
mod otlp;
mod otlp_fields;
mod own_points;
mod point_times;
mod report_metrics;
mod provider;
mod protobuf;
mod provider_pool;
mod reader;
mod number_kind;
mod other_schema;
mod resource;
mod sent_series;
mod series_set;
mod starts;
mod interner;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use opentelemetry::KeyValue;
use opentelemetry_sdk::{Resource, metrics::data::ResourceMetrics};

pub use otlp::Encoding;
pub use reader::PullReader;
pub use report_metrics::{ReportMetrics, SCOPE};
pub use resource::resource;
pub use starts::ResetCounts;

use self::{
    number_kind::NumberKind,
    otlp::Encoder,
    provider::Provider,
    provider_pool::{ProviderLease, ProviderPool},
    starts::Starts,
};
use crate::{
    definition::InstrumentKind,
    pipeline::{self, CountedHistogram, Number, OtlpMessage, Reading, Schema, Total, TotalKey},
};

/// The attribute of the point into which the SDK folds everything above its limit. Such a point has
/// no meaning, whatever program made it.
const OVERFLOW: &str = "otel.metric.overflow";

/// The instruments of one target, or of the part of it with one Resource.
#[derive(Debug)]
pub struct TargetInstruments {
    schema: Arc<Schema>,
    reprs: Vec<NumberKind>,
    resource: Arc<Resource>,
    providers: Arc<ProviderPool>,
    /// The histograms by scope. There is one scope for each endpoint.
    histograms: BTreeMap<Arc<str>, Box<Provider>>,
    starts: Starts,
    encoder: Encoder,
    /// The time of the current observations.
    time: SystemTime,
    /// The time of the last collected observations, if there are any.
    collected: Option<SystemTime>,
    /// The readings since the last collection, without histograms.
    points: Vec<Reading>,
    /// Histograms that were put since then which the target counts itself.
    counted: Vec<Reading>,
    /// The number of these readings for each instrument.
    counts: Vec<usize>,
}

/// The collected metrics of one poll of one target.
#[derive(Debug)]
pub struct Collected {
    /// The Resource of all of them.
    pub resource: Arc<Resource>,
    /// One part for each provider, without a Resource. Integers go up to 2^64 − 1.
    pub metrics: Vec<ResourceMetrics>,
    /// Histograms that the target counts itself.
    pub histograms: Vec<CountedHistogram>,
    /// The same metrics with values above 2^63 − 1 as doubles. `None` if there is no such value.
    pub signed_metrics: Option<Vec<ResourceMetrics>>,
    /// The provider that collected the first part.
    lease: ProviderLease,
}

impl Drop for Collected {
    fn drop(&mut self) {
        // The provider goes back to its pool after this.
        if let Some(provider) = self.lease.provider()
            && !self.metrics.is_empty()
        {
            provider.reuse(self.metrics.swap_remove(0));
        }
    }
}

/// Whether other points were folded into the one with this attribute.
fn is_overflow(attribute: &KeyValue) -> bool {
    attribute.key.as_str() == OVERFLOW
}

fn resource_of(attributes: &[KeyValue]) -> Resource {
    let attributes = attributes.iter().cloned();
    Resource::builder_empty()
        .with_attributes(attributes)
        .build()
}

impl TargetInstruments {
    /// Creates the instruments of `schema`, for a target with the attributes `resource`.
    pub fn new(schema: &Arc<Schema>, resource: &[KeyValue]) -> Self {
        let resource = Arc::new(resource_of(resource));
        let providers = ProviderPool::of(schema);
        let schema = providers.schema();
        Self {
            schema: Arc::clone(schema),
            reprs: NumberKind::first_of(schema),
            histograms: BTreeMap::new(),
            starts: Starts::new(schema),
            encoder: Encoder::new(schema, &resource),
            providers,
            resource,
            time: UNIX_EPOCH,
            collected: None,
            points: Vec::new(),
            counted: Vec::new(),
            counts: Vec::new(),
        }
    }

    /// Whether these are the attributes of its Resource.
    pub fn has_resource(&self, attributes: &[KeyValue]) -> bool {
        *self.resource == resource_of(attributes)
    }

    /// How often totals fell.
    pub fn resets(&self) -> ResetCounts {
        self.starts.counts
    }

    /// Sets the time of the following readings, and the start times of totals of these scopes.
    pub fn observe_at(&mut self, time: SystemTime, starts: &[(Arc<str>, SystemTime)]) {
        self.time = time;
        for (scope, start) in starts {
            self.starts.begin(scope, *start);
        }
    }

    /// Takes readings for the next collection. Returns the number of refused ones: those above the
    /// `max_series` of their instrument, and those into which others were folded.
    pub fn put(&mut self, readings: Vec<Reading>) -> usize {
        let (mut refused, mut observed) = (0, Vec::new());
        let before = self.points.len();
        self.points.reserve_exact(readings.len());
        for reading in readings {
            let is_folded = reading.attributes.iter().any(is_overflow);
            let kind = self.schema.kind(reading.instrument);
            match (kind, &reading.histogram) {
                _ if is_folded => refused += 1,
                (Some(InstrumentKind::Histogram), None) => observed.push(reading),
                _ if !self.has_room(reading.instrument) => refused += 1,
                (_, Some(_)) => {
                    self.starts.observe(&reading, self.time);
                    self.counted.push(reading);
                }
                (_, None) => {
                    if self.may_be_reset(&reading) {
                        self.starts.observe(&reading, self.time);
                    }
                    self.points.push(reading);
                }
            }
        }
        self.starts.forget_oldest();
        self.starts
            .note_times(self.points.get(before..).unwrap_or_default());
        refused + self.record(&observed)
    }

    /// The totals of the node since the last collection, with their start times and rates.
    pub fn totals(&self) -> impl Iterator<Item = (TotalKey, Total)> {
        self.points.iter().filter_map(|reading| {
            let metric = &self.schema.get(reading.instrument)?.name;
            let key = self.starts.key(reading.attributes.iter());
            let total = self.starts.total(reading.instrument, key)?;
            let key = TotalKey {
                metric: metric.clone(),
                attributes: reading.attributes.clone(),
            };
            Some((key, total))
        })
    }

    /// Whether a reading does not fit into OTLP's signed integers.
    pub fn has_wide(&self) -> bool {
        self.points.iter().any(|point| is_wide(point.value))
    }

    /// Collects the readings. Series without a reading are not in the result: a series that was
    /// there before has disappeared, and a failed endpoint is a gap. Histograms are shown for the
    /// `scopes` that were polled. With `wide`, the result also has a form for outputs with signed
    /// integers.
    pub fn collect(&mut self, scopes: &[Arc<str>], wide: bool) -> Collected {
        let points = std::mem::take(&mut self.points);
        let histograms = self.collect_counted();
        self.counts = Vec::new();
        self.collected = Some(self.time);
        for reading in &points {
            if let Some(repr) = self.reprs.get_mut(reading.instrument) {
                *repr = repr.widened(reading.value);
            }
        }
        let again = wide.then(|| points.clone());
        let mut lease = self.providers.lease();
        let metrics = self.collect_points((&mut lease, points), scopes, NumberKind::Unsigned);
        let signed_metrics = again
            .map(|points| self.collect_points((&mut lease, points), scopes, NumberKind::Signed));
        Collected {
            resource: Arc::clone(&self.resource),
            metrics,
            histograms,
            signed_metrics,
            lease,
        }
    }

    /// There is too little memory: forgets what is remembered of series that are gone, and the room
    /// that many series took. Says how many are forgotten.
    pub fn shed(&mut self) -> u64 {
        self.providers.shed();
        (self.starts.shed() + self.encoder.shed()) as u64
    }

    fn collect_counted(&mut self) -> Vec<CountedHistogram> {
        let mut counted = std::mem::take(&mut self.counted);
        counted.sort_by_key(|reading| reading.instrument);
        let counted = counted.into_iter().filter_map(|reading| {
            Some(CountedHistogram {
                instrument: Arc::clone(self.schema.get(reading.instrument)?),
                index: reading.instrument,
                attributes: reading.attributes,
                value: reading.histogram?,
            })
        });
        counted.collect()
    }

    /// Encodes the collected metrics as OTLP messages, and knows the start times of their totals.
    pub fn forms(&mut self) -> (Encoding<'_>, &dyn pipeline::Starts) {
        let (starts, time) = (&self.starts, self.time);
        let encoding = Encoding::new(&mut self.encoder, starts, time);
        (encoding, starts)
    }

    /// The end of all series that were in OTLP messages, at `now` or at their last time.
    pub fn end_of_series(&self, now: SystemTime) -> Vec<OtlpMessage> {
        let ended = self.encoder.end_of_series(&self.starts, now);
        ended.iter().map(OtlpMessage::from).collect()
    }

    /// The collector's own metrics about a target never fall.
    fn may_be_reset(&self, reading: &Reading) -> bool {
        let instrument = self.schema.get(reading.instrument);
        instrument.is_some_and(|i| i.kind == InstrumentKind::Counter && *i.scope != *SCOPE)
    }

    /// Whether the SDK has room for one more point of an instrument. The point is counted.
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

    /// Records histogram values, and returns the number of those without room. If elements of an
    /// array come and go, the histograms of an endpoint are full after a while. Then they start
    /// again.
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
                // Nothing was recorded before, since the last poll or since the first one.
                let start = self.collected.or_else(|| self.starts.own());
                self.starts
                    .begin_histograms(scope, start.unwrap_or(self.time));
                Box::new(Provider::new(&self.schema))
            });
            let taken = readings.iter().filter(|reading| provider.record(reading));
            refused += readings.len() - taken.count();
            self.histograms.insert(Arc::clone(scope), provider);
        }
        refused
    }

    /// Gives the points to the instruments and collects. With `integers` signed, an integer that
    /// does not fit becomes a double.
    fn collect_points(
        &mut self,
        (lease, points): (&mut ProviderLease, Vec<Reading>),
        scopes: &[Arc<str>],
        integers: NumberKind,
    ) -> Vec<ResourceMetrics> {
        let reprs = &self.reprs;
        let points = points.into_iter().filter_map(|reading| {
            let repr = *reprs.get(reading.instrument)?;
            let too_wide = integers == NumberKind::Signed && is_wide(reading.value);
            let repr = if too_wide { NumberKind::Double } else { repr };
            Some((reading, repr))
        });
        let first = lease.provider().map(|provider| {
            provider.put(points);
            provider.collect()
        });
        let asked = |(scope, provider)| scopes.contains(scope).then_some(provider);
        let histograms = self.histograms.iter_mut().filter_map(asked);
        let histograms = histograms.map(|provider| provider.collect());
        first.into_iter().chain(histograms).collect()
    }
}

/// Whether OTLP's signed integer cannot hold the number. The SDK would write 0.
fn is_wide(number: Number) -> bool {
    matches!(number, Number::Unsigned(value) if i64::try_from(value).is_err())
}

#[cfg(test)]
mod tests;
