//! The only reader of the collector's own metrics. A provider keeps its readers as long as it
//! lives, so this reader serves pushes that a reload adds and removes.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};

use opentelemetry_otlp::MetricExporter;
use opentelemetry_prometheus::PrometheusExporter;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{
        InstrumentKind, PeriodicReader, Pipeline, Temporality, data::ResourceMetrics,
        reader::MetricReader,
    },
};

/// Sends all metrics at an interval, on its own thread.
pub(super) type Push = PeriodicReader<MetricExporter>;

/// Reads metrics for scrapes and for pushes, which both need cumulative values. Clones share the
/// same reader.
#[derive(Debug, Clone)]
pub(super) struct OwnReader(Arc<ReaderInner>);

#[derive(Debug)]
struct ReaderInner {
    scrapes: PrometheusExporter,
    pipeline: OnceLock<Weak<Pipeline>>,
    pushes: Mutex<Vec<Push>>,
}

impl OwnReader {
    /// Creates a reader without pushes.
    pub(super) fn new(scrapes: PrometheusExporter) -> Self {
        Self(Arc::new(ReaderInner {
            scrapes,
            pipeline: OnceLock::new(),
            pushes: Mutex::default(),
        }))
    }

    /// Replaces the pushes. Returns the old ones, which continue until they are shut down.
    pub(super) fn push(&self, exporters: Vec<(Duration, MetricExporter)>) -> Vec<Push> {
        let begin = |(interval, exporter)| {
            let push = PeriodicReader::builder(exporter).with_interval(interval);
            let push = push.build();
            if let Some(pipeline) = self.0.pipeline.get() {
                push.register_pipeline(Weak::clone(pipeline));
            }
            push
        };
        let pushes = exporters.into_iter().map(begin).collect();
        self.replace(pushes)
    }

    fn replace(&self, pushes: Vec<Push>) -> Vec<Push> {
        // The list is replaced as a whole.
        let mut list = self.0.pushes.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *list, pushes)
    }
}

impl MetricReader for OwnReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.scrapes.register_pipeline(Weak::clone(&pipeline));
        // A reader has one provider.
        drop(self.0.pipeline.set(pipeline));
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.scrapes.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.scrapes.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let pushes = self.replace(Vec::new());
        let ends = pushes
            .iter()
            .map(|push| push.shutdown_with_timeout(timeout));
        // Each push sends its last metrics, even if another one fails.
        let ends: Vec<_> = ends.collect();
        self.0.scrapes.shutdown_with_timeout(timeout)?;
        ends.into_iter().collect()
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.scrapes.temporality(kind)
    }
}
