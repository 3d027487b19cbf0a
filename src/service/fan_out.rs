//! Hands the polls of a receiver to several pipelines, which may change while it runs.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::pipeline::{MetricsPipeline, TargetSink};
use crate::pipeline::{Consumer, Poll, Sink, Target};

/// The pipelines that take the polls of a receiver.
pub(super) type Pipelines = Arc<[Arc<MetricsPipeline>]>;

/// Hands the polls of a receiver to its pipelines. Clones share the same pipelines.
#[derive(Clone)]
pub(super) struct FanOutConsumer(Arc<RwLock<Pipelines>>);

/// One target's sink in each of the pipelines.
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

    /// Replaces the pipelines. Each target switches at its next poll. When this returns, no poll is
    /// in an old pipeline.
    pub(super) fn set(&self, pipelines: Pipelines) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = pipelines;
    }

    /// The pipelines, which do not change while this guard is held.
    fn pipelines(&self) -> RwLockReadGuard<'_, Pipelines> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Consumer for FanOutConsumer {
    fn open(&self, target: &Arc<Target>) -> Box<dyn Sink> {
        let mut sinks_of_target = FanOutSink {
            fan_out: self.clone(),
            target: Arc::clone(target),
            pipelines: Arc::default(),
            sinks: Vec::new(),
        };
        sinks_of_target.set_downstream(&self.pipelines());
        Box::new(sinks_of_target)
    }
}

impl FanOutSink {
    fn set_downstream(&mut self, pipelines: &Pipelines) {
        if Arc::ptr_eq(&self.pipelines, pipelines) {
            return;
        }
        self.pipelines = Arc::clone(pipelines);
        let mut before = std::mem::take(&mut self.sinks);
        // Allocates exactly this number: one sink takes 800 bytes, and each target has its own.
        self.sinks.reserve_exact(pipelines.len());
        for pipeline in pipelines.iter() {
            let same = before.iter().position(|(old, _)| old.id() == pipeline.id());
            let sink = match same.map(|at| before.swap_remove(at)) {
                Some((old, sink)) if Arc::ptr_eq(&old, pipeline) => sink,
                Some((_, mut sink)) => {
                    pipeline.apply(&mut sink, &self.target);
                    sink
                }
                None => pipeline.open(&self.target),
            };
            self.sinks.push((Arc::clone(pipeline), sink));
        }
    }
}

impl Sink for FanOutSink {
    fn admits(&mut self) -> bool {
        // Sinks of new pipelines are opened with the next poll, so that poll has to come.
        let is_old = !Arc::ptr_eq(&self.pipelines, &self.fan_out.pipelines());
        // All are called, because each may have a turn to give up.
        let sinks = self.sinks.iter_mut();
        let admitting = sinks.filter_map(|(_, sink)| sink.admits().then_some(()));
        admitting.count() > 0 || is_old
    }

    fn follow(&mut self, target: &Arc<Target>) {
        let fan_out = self.fan_out.clone();
        let pipelines = fan_out.pipelines();
        self.set_downstream(&pipelines);
        self.target = Arc::clone(target);
        for (pipeline, sink) in &mut self.sinks {
            pipeline.apply(sink, target);
        }
    }

    fn accept(&mut self, poll: Poll) {
        let fan_out = self.fan_out.clone();
        let pipelines = fan_out.pipelines();
        self.set_downstream(&pipelines);
        // The last one takes the poll itself: most receivers have one pipeline, which copies nothing.
        let Some((last, others)) = self.sinks.split_last_mut() else {
            return;
        };
        for (_, sink) in others {
            sink.accept(poll.clone());
        }
        last.1.accept(poll);
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
        receivers,
        runtime::Clock,
        service::target_pipeline::Exporters,
        telemetry::Meter,
    };

    /// What was exported and forgotten.
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
        let pipeline = Arc::new(MetricsPipeline::new(
            &id,
            Vec::new(),
            &meter,
            &Arc::default(),
        ));
        let exporter = Arc::clone(seen) as Arc<dyn Exporter>;
        pipeline.set_exporters(Arc::new([("debug".parse().unwrap(), exporter)]));
        pipeline
    }

    fn poll(sink: &mut dyn Sink, target: &Target) {
        let body = Some(receivers::SavedAnswer::Whole(br#"{"v": 1}"#.to_vec()));
        let poll = receivers::sample(&target.definition, vec![body], &Clock::System);
        sink.accept(poll);
    }

    #[test]
    fn an_exported_target_stays_until_its_new_description_is_exported() {
        let (seen, one, two) = (Arc::new(RecordingExporter::default()), target(1), target(2));
        let first = pipeline(&seen);
        let fan_out = FanOutConsumer::new([Arc::clone(&first)].into());
        let mut sink = fan_out.open(&one);
        poll(&mut *sink, &one);
        // Another pipeline replaces the first one, then another definition follows.
        fan_out.set([pipeline(&seen)].into());
        first.set_exporters(Exporters::default());
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
    fn removing_a_target_before_its_first_export_removes_its_predecessor() {
        let (seen, one) = (Arc::new(RecordingExporter::default()), target(1));
        let fan_out = FanOutConsumer::new([pipeline(&seen)].into());
        let mut sink = fan_out.open(&one);
        poll(&mut *sink, &one);
        sink.follow(&target(2));
        drop(sink);
        assert_eq!(seen.take(), ["1 shown", "1 gone", "2 gone"]);
    }
}
