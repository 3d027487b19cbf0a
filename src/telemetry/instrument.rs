//! Creates an instrument from a row of the metrics table.

use opentelemetry::metrics::{AsyncInstrument, Counter, Histogram, UpDownCounter};

use super::{
    Meter,
    names::{Metric, MetricKind},
};

impl Metric {
    /// A counter that code adds to.
    pub fn counter(&self, meter: &Meter) -> Counter<u64> {
        meter
            .sdk()
            .u64_counter(self.name)
            .with_description(self.description)
            .with_unit(self.unit)
            .build()
    }

    /// A sum that code adds to and subtracts from.
    pub fn up_down_counter(&self, meter: &Meter) -> UpDownCounter<i64> {
        let builder = meter
            .sdk()
            .i64_up_down_counter(self.name)
            .with_description(self.description);
        builder.with_unit(self.unit).build()
    }

    /// A histogram that code records values in.
    pub fn histogram(&self, meter: &Meter) -> Histogram<f64> {
        let bounds = match self.kind {
            MetricKind::Histogram(bounds) => bounds.to_vec(),
            MetricKind::Counter | MetricKind::UpDownCounter | MetricKind::Gauge => Vec::new(),
        };
        let builder = meter
            .sdk()
            .f64_histogram(self.name)
            .with_description(self.description)
            .with_unit(self.unit);
        builder.with_boundaries(bounds).build()
    }

    /// A gauge with a callback that lives until the process ends.
    pub(super) fn always_gauge(
        &self,
        meter: &Meter,
        observe: impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + 'static,
    ) {
        let builder = meter
            .sdk()
            .u64_observable_gauge(self.name)
            .with_description(self.description);
        builder.with_unit(self.unit).with_callback(observe).build();
    }

    /// A counter with a callback that lives until the process ends.
    pub(super) fn always_counter(
        &self,
        meter: &Meter,
        observe: impl Fn(&dyn AsyncInstrument<f64>) + Send + Sync + 'static,
    ) {
        let builder = meter
            .sdk()
            .f64_observable_counter(self.name)
            .with_description(self.description);
        builder.with_unit(self.unit).with_callback(observe).build();
    }
}
