//! Selects the spans that are recorded, and sends them. A provider keeps its sampler and processors
//! as long as it lives, so these look up the current configuration.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceId},
};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchSpanProcessor, Sampler, SamplingResult, SdkTracerProvider, ShouldSample, Span,
        SpanData, SpanProcessor,
    },
};

use super::config::SamplerConfig;

/// The sampler of traces and the destinations of spans. Clones share both.
#[derive(Debug, Clone)]
pub(super) struct Spans(Arc<SpansInner>);

#[derive(Debug)]
struct SpansInner {
    resource: Resource,
    sampler: RwLock<Sampler>,
    ways: RwLock<Vec<BatchSpanProcessor>>,
}

impl Spans {
    /// Records no spans yet.
    pub(super) fn new(resource: Resource) -> Self {
        Self(Arc::new(SpansInner {
            resource,
            sampler: RwLock::new(Sampler::AlwaysOff),
            ways: RwLock::default(),
        }))
    }

    /// A provider that uses this sampler and these destinations.
    pub(super) fn provider(&self) -> SdkTracerProvider {
        SdkTracerProvider::builder()
            .with_resource(self.0.resource.clone())
            .with_sampler(Sampler::ParentBased(Box::new(self.clone())))
            .with_span_processor(self.clone())
            .build()
    }

    /// Applies the sampler to traces that start after this call.
    pub(super) fn sample(&self, config: &SamplerConfig) {
        let sampler = match &config.trace_id_ratio_based {
            Some(share) => Sampler::TraceIdRatioBased(share.ratio),
            None => Sampler::AlwaysOn,
        };
        // Replaced as a whole, like the destinations.
        *self
            .0
            .sampler
            .write()
            .unwrap_or_else(PoisonError::into_inner) = sampler;
    }

    /// Sends spans that end after this call to these destinations. Returns the old destinations,
    /// which may still hold spans.
    pub(super) fn send(&self, exporters: Vec<SpanExporter>) -> Vec<BatchSpanProcessor> {
        let ways = exporters.into_iter().map(|exporter| {
            let mut way = BatchSpanProcessor::builder(exporter).build();
            way.set_resource(&self.0.resource);
            way
        });
        self.replace(ways.collect())
    }

    fn replace(&self, ways: Vec<BatchSpanProcessor>) -> Vec<BatchSpanProcessor> {
        let mut list = self.0.ways.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *list, ways)
    }

    fn each(&self, act: impl Fn(&BatchSpanProcessor) -> OTelSdkResult) -> OTelSdkResult {
        let ways = self.0.ways.read().unwrap_or_else(PoisonError::into_inner);
        ways.iter().try_for_each(act)
    }
}

impl ShouldSample for Spans {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let sampler = self.0.sampler.read();
        let sampler = sampler.unwrap_or_else(PoisonError::into_inner);
        sampler.should_sample(parent, trace_id, name, kind, attributes, links)
    }
}

impl SpanProcessor for Spans {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let ways = self.0.ways.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((last, others)) = ways.split_last() {
            others.iter().for_each(|way| way.on_end(span.clone()));
            last.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.each(SpanProcessor::force_flush)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let ways = self.replace(Vec::new());
        let ends = ways.iter().map(|way| way.shutdown_with_timeout(timeout));
        // Each processor sends what it holds, even if another one fails.
        let ends: Vec<_> = ends.collect();
        ends.into_iter().collect()
    }
}
