//! One pipeline: mapping, instruments, exporters, for each target of its receivers.

use std::sync::Arc;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Meter},
};

use crate::{
    instruments::TargetInstruments,
    pipeline::{Consumer, Exporter, Poll, Readings, Sink, Snapshot, Target},
    processors::mapping,
    telemetry::names,
};

/// Takes the polls of its receivers to its exporters.
pub(super) struct MetricsPipeline {
    exporters: Vec<Arc<dyn Exporter>>,
    telemetry: Telemetry,
}

#[derive(Clone)]
struct Telemetry {
    scraped: Counter<u64>,
    errored: Counter<u64>,
}

/// One target's way through a pipeline.
struct TargetSink {
    target: Arc<Target>,
    instruments: TargetInstruments,
    exporters: Vec<Arc<dyn Exporter>>,
    telemetry: Telemetry,
    receiver: [KeyValue; 1],
}

impl MetricsPipeline {
    pub(super) fn new(exporters: Vec<Arc<dyn Exporter>>, meter: &Meter) -> Self {
        let telemetry = Telemetry {
            scraped: names::SCRAPED_POINTS.counter(meter),
            errored: names::ERRORED_POINTS.counter(meter),
        };
        Self {
            exporters,
            telemetry,
        }
    }
}

impl Consumer for MetricsPipeline {
    fn open(&self, target: &Arc<Target>) -> Box<dyn Sink> {
        let receiver = [KeyValue::new(names::RECEIVER, target.receiver.clone())];
        self.telemetry.scraped.add(0, &receiver);
        self.telemetry.errored.add(0, &receiver);
        Box::new(TargetSink {
            target: Arc::clone(target),
            instruments: TargetInstruments::new(target),
            exporters: self.exporters.clone(),
            telemetry: self.telemetry.clone(),
            receiver,
        })
    }
}

impl Sink for TargetSink {
    fn accept(&mut self, poll: &Poll) {
        let readings = mapping::map(&self.target.definition, poll);
        self.count(&readings);
        let collected = self.instruments.collect(poll, &readings);
        let fresh: Vec<_> = poll.endpoints.iter().map(|e| e.body().is_some()).collect();
        let snapshot = Snapshot {
            target: &self.target,
            fresh: &fresh,
            metrics: &collected.metrics,
            signed_metrics: collected.signed(),
        };
        for exporter in &self.exporters {
            exporter.export(&snapshot);
        }
    }
}

impl TargetSink {
    fn count(&self, readings: &Readings) {
        let errored = readings.problems.iter().map(|problem| problem.count).sum();
        self.telemetry
            .scraped
            .add(readings.values.len() as u64, &self.receiver);
        self.telemetry.errored.add(errored, &self.receiver);
        for problem in &readings.problems {
            let metric = self.target.definition.instruments.get(problem.instrument);
            tracing::debug!(
                target = self.target.name,
                metric = metric.map(|metric| metric.name.as_str()),
                reason = problem.reason.name(),
                detail = problem.detail,
                "a value could not be read"
            );
        }
    }
}

impl Drop for TargetSink {
    fn drop(&mut self) {
        for exporter in &self.exporters {
            exporter.forget(&self.target);
        }
    }
}
