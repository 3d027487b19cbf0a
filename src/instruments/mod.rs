//! The OpenTelemetry SDK that each polled target never had.
//!
//! A target has one SDK provider per *epoch*, all with its own Resource: the first holds its
//! gauges, what the collector says of it, and every running total that never fell; a total that
//! falls moves to a younger one. Histograms have a provider per endpoint, so that a poll in which
//! the endpoint failed does not show their old state under a new time.
//!
//! Measured reasons for this shape: the SDK allows one Resource and one start time a provider,
//! and cannot take back a series that was recorded synchronously.

mod epoch;
mod own;
mod reader;
mod repr;
mod resets;
mod resource;

use std::{collections::BTreeMap, sync::Arc};

use opentelemetry_sdk::{Resource, metrics::data::ResourceMetrics};

pub use own::SCOPE;
pub use reader::PullReader;

use self::{
    epoch::Epoch,
    own::OwnMetrics,
    repr::Repr,
    resets::{EpochId, FIRST, Resets},
};
use crate::{
    definition::{Instrument, InstrumentKind},
    pipeline::{Number, Poll, Reading, Readings, Target},
};

/// The instruments of one target.
#[derive(Debug)]
pub struct TargetInstruments {
    target: Arc<Target>,
    /// The definition's, then our own.
    instruments: Vec<Arc<Instrument>>,
    reprs: Vec<Repr>,
    resource: Resource,
    epochs: BTreeMap<EpochId, Epoch>,
    /// By scope, which is one an endpoint.
    histograms: BTreeMap<Arc<str>, Epoch>,
    resets: Resets,
    own: OwnMetrics,
}

/// What one poll of one target collects to.
#[derive(Debug)]
pub struct Collected {
    /// One part an epoch; integers up to 2^64 − 1.
    pub metrics: Vec<ResourceMetrics>,
    /// The same with values above 2^63 − 1 as doubles; none where there is no such value.
    pub signed_metrics: Option<Vec<ResourceMetrics>>,
}

impl Collected {
    /// For outputs whose integers are signed.
    pub fn signed(&self) -> &[ResourceMetrics] {
        self.signed_metrics.as_deref().unwrap_or(&self.metrics)
    }
}

impl TargetInstruments {
    /// The instruments of `target`, as its definition has them, and our own.
    pub fn new(target: &Arc<Target>) -> Self {
        let mut instruments = target.definition.instruments.clone();
        instruments.extend(OwnMetrics::instruments(target));
        let reprs = instruments
            .iter()
            .map(|i| Repr::first(i.kind, i.value_type))
            .collect();
        let resource = resource::resource(target);
        let first = Epoch::new(resource.clone(), &instruments);
        Self {
            target: Arc::clone(target),
            instruments,
            reprs,
            resource,
            epochs: BTreeMap::from([(FIRST, first)]),
            histograms: BTreeMap::new(),
            resets: Resets::new(),
            own: OwnMetrics::new(target),
        }
    }

    /// Collects what a poll gave. What is not in `readings` is in no part of the result: a series
    /// that was there before is gone, and an endpoint that failed is a gap.
    pub fn collect(&mut self, poll: &Poll, readings: &Readings) -> Collected {
        self.own.observe(poll, readings);
        let epochs = self.assign_epochs(readings);
        self.record_histograms(readings);
        let resets = (self.resets.resets, self.resets.exhausted);
        let own = self.own.readings(poll, resets);
        let points: Vec<(EpochId, &Reading)> = epochs
            .into_iter()
            .chain(own.iter().map(|reading| (FIRST, reading)))
            .collect();
        for (_, reading) in &points {
            if let Some(repr) = self.reprs.get_mut(reading.instrument) {
                *repr = repr.widened(reading.value);
            }
        }
        let fresh = self.fresh_scopes(poll);
        let metrics = self.collect_points(&points, &fresh, Repr::Unsigned);
        let wide = points.iter().any(|(_, reading)| is_wide(reading.value));
        let signed_metrics = wide.then(|| self.collect_points(&points, &fresh, Repr::Signed));
        Collected {
            metrics,
            signed_metrics,
        }
    }

    /// Gives each running total its epoch and drops the epochs that nothing needs any more.
    fn assign_epochs<'a>(&mut self, readings: &'a Readings) -> Vec<(EpochId, &'a Reading)> {
        let (totals, others): (Vec<_>, Vec<_>) = readings
            .values
            .iter()
            .filter(|reading| self.kind(reading) != Some(InstrumentKind::Histogram))
            .partition(|reading| self.kind(reading) == Some(InstrumentKind::Counter));
        let instruments = &self.instruments;
        let max_series = |instrument: usize| {
            instruments
                .get(instrument)
                .map_or(1, |known| known.max_series)
        };
        let epochs = self.resets.observe(totals.iter().copied(), max_series);
        let in_use = self.resets.in_use();
        self.epochs.retain(|id, _| in_use.contains(id));
        for id in in_use {
            let instruments = &self.instruments;
            let resource = &self.resource;
            self.epochs
                .entry(id)
                .or_insert_with(|| Epoch::new(resource.clone(), instruments));
        }
        epochs
            .into_iter()
            .zip(totals)
            .chain(others.into_iter().map(|r| (FIRST, r)))
            .collect()
    }

    fn record_histograms(&mut self, readings: &Readings) {
        for reading in &readings.values {
            let Some(instrument) = self.instruments.get(reading.instrument) else {
                continue;
            };
            if instrument.kind == InstrumentKind::Histogram {
                let scope = Arc::clone(&instrument.scope);
                let (resource, instruments) = (&self.resource, &self.instruments);
                self.histograms
                    .entry(scope)
                    .or_insert_with(|| Epoch::new(resource.clone(), instruments))
                    .record(reading);
            }
        }
    }

    /// Puts the points before the instruments and collects. With `integers` signed, an integer
    /// that does not fit is put as a double; the SDK gives that instrument a start time of its own.
    fn collect_points(
        &mut self,
        points: &[(EpochId, &Reading)],
        fresh: &[Arc<str>],
        integers: Repr,
    ) -> Vec<ResourceMetrics> {
        for (epoch, reading) in points {
            let Some(repr) = self.reprs.get(reading.instrument) else {
                continue;
            };
            let too_wide = integers == Repr::Signed && is_wide(reading.value);
            let repr = if too_wide { Repr::Double } else { *repr };
            if let Some(epoch) = self.epochs.get_mut(epoch) {
                epoch.put(reading, repr);
            }
        }
        let histograms = self
            .histograms
            .iter()
            .filter(|(scope, _)| fresh.contains(scope))
            .map(|(_, e)| e);
        let parts = self
            .epochs
            .values()
            .chain(histograms)
            .map(Epoch::collect)
            .collect();
        for epoch in self.epochs.values_mut() {
            epoch.clear();
        }
        parts
    }

    fn fresh_scopes(&self, poll: &Poll) -> Vec<Arc<str>> {
        let endpoints = self.target.definition.endpoints.iter().zip(&poll.endpoints);
        let fresh = endpoints.filter(|(_, polled)| polled.body().is_some());
        fresh
            .map(|(endpoint, _)| Arc::clone(&endpoint.scope))
            .collect()
    }

    fn kind(&self, reading: &Reading) -> Option<InstrumentKind> {
        self.instruments
            .get(reading.instrument)
            .map(|instrument| instrument.kind)
    }
}

/// Whether OTLP's signed integer cannot hold it; the SDK would write 0.
fn is_wide(number: Number) -> bool {
    matches!(number, Number::Unsigned(value) if i64::try_from(value).is_err())
}

#[cfg(test)]
mod tests;
