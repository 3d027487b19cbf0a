//! The collector's own metrics and spans. Providers live as long as the process, so that counters
//! never reset. A reload changes only their destinations.

use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::{
    metrics::{SdkMeterProvider, reader::MetricReader as _},
    trace::{BatchSpanProcessor, SdkTracerProvider, SpanProcessor as _},
};
use prometheus::{Registry, TextEncoder};

use super::{
    Meter,
    config::{LogsConfig, PeriodicConfig, ResourceConfig, SpanProcessorConfig, TelemetryConfig},
    error::TelemetryError,
    figures::OwnFigures,
    logs::Log,
    process, push,
    reader::{OwnReader, Push},
    spans::Spans,
};

/// The collector's own providers.
#[derive(Debug)]
pub struct InternalTelemetry {
    metrics: SdkMeterProvider,
    /// Creates the collector's own instruments.
    meter: Meter,
    registry: Registry,
    reader: OwnReader,
    traces: SdkTracerProvider,
    spans: Spans,
    log: OnceLock<Log>,
    ways: Mutex<Destinations>,
}

/// The destinations of metrics and spans.
#[derive(Debug, Clone, Default, PartialEq)]
struct Destinations {
    metrics: Vec<PeriodicConfig>,
    spans: Vec<SpanProcessorConfig>,
}

/// The changes of a new configuration: created, but not in use yet.
#[derive(Debug)]
pub struct NextTelemetry {
    config: TelemetryConfig,
    /// The new push destinations. `None` if they stay the same.
    pushes: Option<Vec<(Duration, MetricExporter)>>,
    /// The new destinations of spans. `None` if they stay the same.
    spans: Option<Vec<SpanExporter>>,
}

/// Removed destinations that still have something to send.
#[derive(Debug)]
pub struct DrainingTelemetry {
    pushes: Vec<Push>,
    spans: Vec<BatchSpanProcessor>,
}

impl InternalTelemetry {
    /// Creates the providers for the collector's own Resource. Nothing is sent before
    /// [`Self::follow`].
    ///
    /// # Errors
    /// If the Prometheus reader cannot be created.
    pub fn new(resource: &ResourceConfig) -> Result<Self, TelemetryError> {
        let resource = resource.resource();
        let registry = Registry::new();
        let reader = OwnReader::new(prometheus_reader(&registry)?);
        let metrics = SdkMeterProvider::builder()
            .with_resource(resource.clone())
            .with_reader(reader.clone())
            .build();
        let meter = Meter::of(&metrics);
        process::observe(&meter);
        let spans = Spans::new(resource);
        Ok(Self {
            metrics,
            meter,
            registry,
            reader,
            traces: spans.provider(),
            spans,
            log: OnceLock::new(),
            ways: Mutex::default(),
        })
    }

    /// Starts logging. There are spans only after a configuration has destinations for them.
    pub fn install_logs(&self, logs: &LogsConfig) {
        self.log.get_or_init(|| Log::install(logs, &self.traces));
    }

    /// Creates what `next` needs, and changes nothing yet.
    ///
    /// # Errors
    /// If a client cannot be set up.
    pub fn prepare(&self, next: &TelemetryConfig) -> Result<NextTelemetry, TelemetryError> {
        let (before, now) = (self.ways(|ways| ways.clone()), Destinations::of(next));
        let pushes = now.metrics.iter().map(|config| {
            let interval = Duration::from_millis(config.interval);
            Ok::<_, TelemetryError>((interval, push::metrics(config)?))
        });
        let pushes = (before.metrics != now.metrics).then(|| pushes.collect());
        let spans = now.spans.iter().map(push::spans);
        let spans = (before.spans != now.spans).then(|| spans.collect());
        Ok(NextTelemetry {
            config: next.clone(),
            pushes: pushes.transpose()?,
            spans: spans.transpose()?,
        })
    }

    /// Applies the new configuration of logs, traces and pushes. Returns the removed destinations.
    pub fn follow(&self, next: NextTelemetry) -> DrainingTelemetry {
        let NextTelemetry {
            config,
            pushes,
            spans,
        } = next;
        self.spans.sample(&config.traces.sampler);
        let left = DrainingTelemetry {
            pushes: pushes.map_or_else(Vec::new, |pushes| self.reader.push(pushes)),
            spans: spans.map_or_else(Vec::new, |spans| self.spans.send(spans)),
        };
        if let Some(log) = self.log.get() {
            log.follow(&config.logs, !config.traces.processors.is_empty());
        }
        self.ways(|ways| *ways = Destinations::of(&config));
        left
    }

    fn ways<T>(&self, act: impl FnOnce(&mut Destinations) -> T) -> T {
        // The destinations are replaced as a whole.
        act(&mut self.ways.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Creates the collector's own instruments.
    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// The metrics as Prometheus text 0.0.4.
    pub fn text(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_else(|error| {
                tracing::warn!(%error, "the collector's own metrics could not be written");
                String::new()
            })
    }

    /// The counters and gauges as they are now.
    pub fn figures(&self) -> OwnFigures {
        OwnFigures::of(&self.registry.gather())
    }

    /// Sends what is left. This call blocks.
    pub fn shutdown(&self) {
        if let Err(error) = self.metrics.shutdown() {
            tracing::debug!(%error, "the last push of the collector's own metrics failed");
        }
        if let Err(error) = self.traces.shutdown() {
            tracing::debug!(%error, "the last push of spans failed");
        }
    }
}

impl Destinations {
    fn of(config: &TelemetryConfig) -> Self {
        Self {
            metrics: config.pushes().cloned().collect(),
            spans: config.traces.processors.clone(),
        }
    }
}

impl DrainingTelemetry {
    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.pushes.is_empty() && self.spans.is_empty()
    }

    /// Sends what is left. This call blocks.
    pub fn end(self) {
        for push in &self.pushes {
            if let Err(error) = push.shutdown() {
                tracing::debug!(%error, "the last push of the collector's own metrics failed");
            }
        }
        for way in &self.spans {
            if let Err(error) = way.shutdown() {
                tracing::debug!(%error, "the last push of spans failed");
            }
        }
    }
}

/// Uses the metric names of the OpenTelemetry Collector: no suffixes, no scope labels.
fn prometheus_reader(
    registry: &Registry,
) -> Result<opentelemetry_prometheus::PrometheusExporter, TelemetryError> {
    opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .without_units()
        .without_counter_suffixes()
        .scope_info_enabled(false)
        .build()
        .map_err(TelemetryError::Prometheus)
}
