//! Between a receiver and the pipelines that take its polls, which may change while it runs.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::pipeline::{MetricsPipeline, TargetSink};
use crate::pipeline::{Consumer, Poll, Sink, Target};

/// The pipelines that take the polls of a receiver.
pub(super) type Pipelines = Arc<[Arc<MetricsPipeline>]>;

/// Takes the polls of a receiver to its pipelines. Clones are handles to the same one.
#[derive(Clone)]
pub(super) struct FanOutConsumer(Arc<RwLock<Pipelines>>);

/// One target's way into each of them.
struct FanOutSink {
    fan_out: FanOutConsumer,
    target: Arc<Target>,
    pipelines: Pipelines,
    sinks: Vec<(Arc<MetricsPipeline>, TargetSink)>,
}

impl FanOutConsumer {
    pub(super) fn new(pipelines: Pipelines) -> Self {
        Self(Arc::new(RwLock::new(pipelines)))
    }

    /// From now on these take the polls: each target goes over at its next one. When this returns,
    /// none is on its way through any other.
    pub(super) fn set(&self, pipelines: Pipelines) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = pipelines;
    }

    /// The pipelines, which stay the same as long as this is held.
    fn pipelines(&self) -> RwLockReadGuard<'_, Pipelines> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Consumer for FanOutConsumer {
    fn open(&self, target: &Arc<Target>) -> Box<dyn Sink> {
        let mut branches = FanOutSink {
            fan_out: self.clone(),
            target: Arc::clone(target),
            pipelines: Arc::default(),
            sinks: Vec::new(),
        };
        branches.lead_to(&self.pipelines());
        Box::new(branches)
    }
}

impl FanOutSink {
    fn lead_to(&mut self, pipelines: &Pipelines) {
        if Arc::ptr_eq(&self.pipelines, pipelines) {
            return;
        }
        self.pipelines = Arc::clone(pipelines);
        let mut before = std::mem::take(&mut self.sinks);
        // Room for just these: one takes 800 bytes, and each target has its own.
        self.sinks.reserve_exact(pipelines.len());
        for pipeline in pipelines.iter() {
            let same = before.iter().position(|(old, _)| old.id() == pipeline.id());
            let sink = match same.map(|at| before.swap_remove(at)) {
                Some((old, sink)) if Arc::ptr_eq(&old, pipeline) => sink,
                Some((_, old)) => pipeline.open_after(old, &self.target),
                None => pipeline.open(&self.target),
            };
            self.sinks.push((Arc::clone(pipeline), sink));
        }
    }
}

impl Sink for FanOutSink {
    fn admits(&mut self) -> bool {
        // Those of other pipelines are opened with the next poll, so that has to come.
        let is_old = !Arc::ptr_eq(&self.pipelines, &self.fan_out.pipelines());
        // All are asked: each has a turn to give.
        let sinks = self.sinks.iter_mut();
        let admitting = sinks.filter_map(|(_, sink)| sink.admits().then_some(()));
        admitting.count() > 0 || is_old
    }

    fn follow(&mut self, target: &Arc<Target>) {
        // First of all: a pipeline that has ended ends nowhere, and nothing could be taken over.
        let fan_out = self.fan_out.clone();
        let pipelines = fan_out.pipelines();
        self.lead_to(&pipelines);
        self.target = Arc::clone(target);
        let before = std::mem::take(&mut self.sinks).into_iter();
        let after = before.map(|(pipeline, old)| {
            let sink = pipeline.open_after(old, target);
            (pipeline, sink)
        });
        self.sinks = after.collect();
    }

    fn accept(&mut self, poll: &Poll) {
        let fan_out = self.fan_out.clone();
        let pipelines = fan_out.pipelines();
        self.lead_to(&pipelines);
        for (_, sink) in &mut self.sinks {
            sink.accept(poll);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use opentelemetry_sdk::metrics::SdkMeterProvider;

    use super::*;
    use crate::{
        definition,
        pipeline::{Exporter, Snapshot},
        receivers::http_json,
        runtime::Clock,
        service::target_pipeline::Exporters,
        telemetry::Meter,
    };

    /// What is shown and forgotten.
    #[derive(Default)]
    struct RecordingExporter(Mutex<Vec<String>>);

    #[async_trait::async_trait]
    impl Exporter for RecordingExporter {
        fn export(&self, snapshot: &Snapshot<'_>) {
            let instruments = snapshot.target.definition.instruments.len();
            self.0.lock().unwrap().push(format!("{instruments} shown"));
        }

        fn forget(&self, target: &Target) {
            let instruments = target.definition.instruments.len();
            self.0.lock().unwrap().push(format!("{instruments} gone"));
        }
    }

    impl RecordingExporter {
        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    fn target(metrics: usize) -> Arc<Target> {
        let metrics = (0..metrics)
            .map(|n| format!("{{name: m{n}, instrument: gauge, endpoint: a, value: $.v}}"));
        let metrics = metrics.collect::<Vec<_>>().join(", ");
        let text = format!("endpoints: {{a: {{path: /a}}}}\nmetrics: [{metrics}]\n");
        let definition = definition::from_text("test", "test.yaml", &text).unwrap();
        Arc::new(Target::named("node", &definition))
    }

    fn pipeline(seen: &Arc<RecordingExporter>) -> Arc<MetricsPipeline> {
        let meter = Meter::of(&SdkMeterProvider::default());
        let id = "metrics".parse().unwrap();
        let pipeline = Arc::new(MetricsPipeline::new(&id, Vec::new(), &meter));
        let exporter = Arc::clone(seen) as Arc<dyn Exporter>;
        pipeline.end_in(Arc::new([("debug".parse().unwrap(), exporter)]));
        pipeline
    }

    fn poll(sink: &mut dyn Sink, target: &Target) {
        let body = Some(br#"{"v": 1}"#.to_vec());
        let poll = http_json::sample(&target.definition, vec![body], &Clock::System);
        sink.accept(&poll);
    }

    #[test]
    fn what_is_shown_stays_until_the_target_is_shown_as_it_is_now() {
        let (seen, one, two) = (Arc::new(RecordingExporter::default()), target(1), target(2));
        let first = pipeline(&seen);
        let fan_out = FanOutConsumer::new([Arc::clone(&first)].into());
        let mut sink = fan_out.open(&one);
        poll(&mut *sink, &one);
        // Another pipeline takes the place of the first, then another definition comes.
        fan_out.set([pipeline(&seen)].into());
        first.end_in(Exporters::default());
        sink.follow(&two);
        sink.follow(&target(3));
        assert_eq!(seen.take(), ["1 shown"]);
        sink.follow(&two);
        poll(&mut *sink, &two);
        assert_eq!(seen.take(), ["2 shown"]);
        drop(sink);
        assert_eq!(seen.take(), ["2 gone"]);
    }

    #[test]
    fn what_goes_before_it_was_shown_takes_with_it_what_was() {
        let (seen, one) = (Arc::new(RecordingExporter::default()), target(1));
        let fan_out = FanOutConsumer::new([pipeline(&seen)].into());
        let mut sink = fan_out.open(&one);
        poll(&mut *sink, &one);
        sink.follow(&target(2));
        drop(sink);
        assert_eq!(seen.take(), ["1 shown", "1 gone", "2 gone"]);
    }
}
