//! The OpenTelemetry SDK that each polled target never had.
//!
//! A target has one SDK provider per *epoch*, all with its own Resource: the first holds its
//! gauges, what the collector says of it, and every running total that never fell; a total that
//! falls moves to a younger one. Histograms have a provider per endpoint, so that a poll in which
//! the endpoint failed does not show their old state under a new time.
//!
//! Measured reasons for this shape: the SDK allows one Resource and one start time a provider,
//! and cannot take back a series that was recorded synchronously.

mod common;
mod delta;
mod epoch;
mod exemplars;
mod heritage;
mod own;
mod reader;
mod repr;
mod resets;
mod resource;
mod texts;

use std::{collections::BTreeMap, sync::Arc};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_sdk::{Resource, metrics::data::ResourceMetrics};

pub use own::{OwnMetrics, SCOPE};
pub use reader::PullReader;
pub use resets::ResetCounts;
pub use resource::resource;

use self::{
    delta::Deltas,
    epoch::Epoch,
    repr::Repr,
    resets::{EpochId, FIRST, Resets},
};
use crate::{
    definition::InstrumentKind,
    pipeline::{Exemplar, Number, Reading, Schema},
};

/// The instruments of one target, or of the part of it that is of one Resource.
#[derive(Debug)]
pub struct TargetInstruments {
    schema: Arc<Schema>,
    reprs: Vec<Repr>,
    resource: Resource,
    /// Boxed, as all maps of epochs: nearly every target has one of them, a node of a map has room
    /// for eleven.
    epochs: BTreeMap<EpochId, Box<Epoch>>,
    /// By scope, which is one an endpoint.
    histograms: BTreeMap<Arc<str>, Box<Epoch>>,
    resets: Resets,
    deltas: Deltas,
    /// What was put since the last collect, but for histograms.
    points: Vec<(EpochId, Reading)>,
}

/// What one poll of one target collects to.
#[derive(Debug, Default)]
pub struct Collected {
    /// One part an epoch; integers up to 2^64 − 1.
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
            .map(|i| Repr::first(i.kind, i.value_type))
            .collect();
        let resource = Resource::builder_empty()
            .with_attributes(resource.iter().cloned())
            .build();
        let first = Epoch::new(resource.clone(), schema);
        Self {
            schema: Arc::clone(schema),
            reprs,
            resource,
            epochs: BTreeMap::from([(FIRST, Box::new(first))]),
            histograms: BTreeMap::new(),
            resets: Resets::new(),
            deltas: Deltas::new(schema),
            points: Vec::new(),
        }
    }

    /// Whether the other's are those of the same schema and Resource.
    pub fn is_like(&self, other: &Self) -> bool {
        self.schema == other.schema && self.resource == other.resource
    }

    /// How often running totals fell.
    pub fn resets(&self) -> ResetCounts {
        self.resets.counts
    }

    /// Takes readings for the next collect.
    pub fn put(&mut self, readings: Vec<Reading>) {
        let kind = |reading: &Reading| self.schema.kind(reading.instrument);
        let (histograms, points): (Vec<_>, Vec<_>) = readings
            .into_iter()
            .partition(|reading| kind(reading) == Some(InstrumentKind::Histogram));
        let (totals, others): (Vec<_>, Vec<_>) = points
            .into_iter()
            .partition(|reading| self.may_be_reset(reading));
        self.record(&histograms);
        if !totals.is_empty() {
            self.put_totals(totals);
        }
        let at_home = |reading: Reading| (self.resets.home(reading.instrument), reading);
        self.points.extend(others.into_iter().map(at_home));
    }

    /// Whether some reading that was put does not fit OTLP's signed integers.
    pub fn has_wide(&self) -> bool {
        self.points.iter().any(|(_, point)| is_wide(point.value))
    }

    /// Collects what was put. What was not is in no part of the result: a series that was there
    /// before is gone, and an endpoint that failed is a gap. Histograms are shown for the `scopes`
    /// that were read. With `wide`, also for outputs whose integers are signed.
    pub fn collect(&mut self, scopes: &[Arc<str>], wide: bool) -> Collected {
        let points = std::mem::take(&mut self.points);
        for (_, reading) in &points {
            if let Some(repr) = self.reprs.get_mut(reading.instrument) {
                *repr = repr.widened(reading.value);
            }
        }
        let again = wide.then(|| points.clone());
        let metrics = self.collect_points(points, scopes, Repr::Unsigned);
        let signed_metrics = again.map(|points| self.collect_points(points, scopes, Repr::Signed));
        Collected {
            metrics,
            signed_metrics,
        }
    }

    /// What was collected as OTLP messages, one a part; with deltas of what is asked for, and with
    /// the `exemplars` of what we say ourselves.
    pub fn otlp(
        &mut self,
        collected: &Collected,
        exemplars: &[Exemplar],
    ) -> Vec<ExportMetricsServiceRequest> {
        let signed = collected.signed_metrics.as_ref();
        let parts = signed.unwrap_or(&collected.metrics).iter();
        // In the order of the parts; those behind are of histograms.
        let mut epochs = self.epochs.values_mut();
        let messages = parts.map(|part| {
            let mut message = part.into();
            if let Some(epoch) = epochs.next() {
                epoch.keep_starts(&mut message);
            }
            self.deltas.apply(&mut message);
            exemplars::add(&mut message, exemplars);
            message
        });
        messages.collect()
    }

    /// What we say of a target ourselves never falls.
    fn may_be_reset(&self, reading: &Reading) -> bool {
        let instrument = self.schema.get(reading.instrument);
        instrument.is_some_and(|i| i.kind == InstrumentKind::Counter && *i.scope != *SCOPE)
    }

    /// Gives each running total its epoch.
    fn put_totals(&mut self, totals: Vec<Reading>) {
        let schema = &self.schema;
        let max_series = |index: usize| schema.get(index).map_or(1, |known| known.max_series);
        let epochs = self.resets.observe(totals.iter(), max_series);
        self.drop_epochs();
        self.points.extend(epochs.into_iter().zip(totals));
    }

    fn record(&mut self, readings: &[Reading]) {
        for reading in readings {
            if let Some(instrument) = self.schema.get(reading.instrument) {
                let new = || Box::new(Epoch::new(self.resource.clone(), &self.schema));
                let scope = Arc::clone(&instrument.scope);
                self.histograms
                    .entry(scope)
                    .or_insert_with(new)
                    .record(reading);
            }
        }
    }

    /// Puts the points before the instruments and collects. With `integers` signed, an integer
    /// that does not fit is put as a double; the SDK gives that instrument a start time of its own.
    fn collect_points(
        &mut self,
        points: Vec<(EpochId, Reading)>,
        scopes: &[Arc<str>],
        integers: Repr,
    ) -> Vec<ResourceMetrics> {
        for (epoch, reading) in points {
            let Some(repr) = self.reprs.get(reading.instrument) else {
                continue;
            };
            let too_wide = integers == Repr::Signed && is_wide(reading.value);
            let repr = if too_wide { Repr::Double } else { *repr };
            if let Some(epoch) = self.epochs.get_mut(&epoch) {
                epoch.put(reading, repr);
            }
        }
        let asked = |(scope, epoch)| scopes.contains(scope).then_some(epoch);
        let histograms = self.histograms.iter_mut().filter_map(asked);
        let epochs = self.epochs.values_mut().chain(histograms);
        epochs.map(|epoch| epoch.collect()).collect()
    }
}

/// Whether OTLP's signed integer cannot hold it; the SDK would write 0.
fn is_wide(number: Number) -> bool {
    matches!(number, Number::Unsigned(value) if i64::try_from(value).is_err())
}

#[cfg(test)]
mod tests;
