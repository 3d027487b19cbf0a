//! The processors of a pipeline, and what follows each of them.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use opentelemetry::{KeyValue, metrics::Counter};

use super::{BuiltStages, DroppedReadings, ExporterFanOut, TargetPipeline, shed::ShedState};
use crate::{
    pipeline::{Batch, BatchSink, ComponentKind, Components, Downstream, Processor, Shed, Stream},
    runtime::Tasks,
    settings::ComponentId,
    telemetry::{Meter, names},
};

/// A processor of a pipeline with its own resources. A new pipeline has the unchanged processors of
/// the one that it replaces.
pub(in crate::service) struct ProcessorNode {
    id: ComponentId,
    processor: Arc<dyn Processor>,
    items: ItemCounters,
    downstream: DownstreamHandle,
    tasks: Tasks,
}

/// Counts the readings that go into a processor and come out of it.
#[derive(Clone)]
pub(super) struct ItemCounters {
    pub(super) incoming: Counter<u64>,
    pub(super) outgoing: Counter<u64>,
    pub(super) attributes: [KeyValue; 2],
}

/// The processors of a pipeline from one position on, and its exporters.
#[derive(Clone)]
pub(in crate::service) struct PipelineTail {
    steps: Vec<Arc<ProcessorNode>>,
    fan_out: Arc<ExporterFanOut>,
    dropped: DroppedReadings,
    shed: ShedState,
}

/// What follows a processor, which may change while it runs. Clones share it.
#[derive(Clone)]
struct DownstreamHandle(Arc<RwLock<Arc<PipelineTail>>>);

/// Pipeline of a synthetic target that a processor creates, such as `aggregate`.
struct SyntheticTarget {
    downstream: DownstreamHandle,
    stream: Stream,
    tail: Arc<PipelineTail>,
    target_pipeline: TargetPipeline,
}

impl ProcessorNode {
    /// A processor without a downstream yet.
    pub(in crate::service) fn new(
        id: &ComponentId,
        processor: Arc<dyn Processor>,
        meter: &Meter,
        tasks: Tasks,
    ) -> Arc<Self> {
        let nowhere = PipelineTail::new(Vec::new(), &Arc::default(), meter);
        Arc::new(Self {
            id: id.clone(),
            processor,
            items: ItemCounters::new(id.to_string(), meter),
            downstream: DownstreamHandle(Arc::new(RwLock::new(Arc::new(nowhere)))),
            tasks,
        })
    }

    /// The id of the processor.
    pub(in crate::service) fn id(&self) -> &ComponentId {
        &self.id
    }

    /// Replaces what follows it. Each synthetic target switches with its next batch. When this
    /// returns, no batch is in the old tail.
    pub(in crate::service) fn set_downstream(&self, tail: PipelineTail) {
        let mut downstream = self
            .downstream
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *downstream = Arc::new(tail);
    }

    /// Starts its background work.
    pub(in crate::service) fn start(&self, components: &Components) {
        let (kind, id) = (ComponentKind::Processor, self.id.to_string());
        if let Some(status) = components.reporter(kind, &id) {
            self.processor.report_to(status);
        }
        let tasks = components.own(kind, &id, &self.tasks);
        self.processor
            .start(Arc::new(self.downstream.clone()), &tasks);
    }

    /// Called before shutdown.
    pub(in crate::service) fn closing(&self) {
        self.processor.closing();
    }

    /// The tasks of its background work.
    pub(in crate::service) fn tasks(&self) -> &Tasks {
        &self.tasks
    }
}

impl ItemCounters {
    fn new(processor: String, meter: &Meter) -> Self {
        let attributes = [
            KeyValue::new(names::SIGNAL, "metrics"),
            KeyValue::new(names::PROCESSOR, processor),
        ];
        let items = Self {
            incoming: names::INCOMING_ITEMS.counter(meter),
            outgoing: names::OUTGOING_ITEMS.counter(meter),
            attributes,
        };
        items.incoming.add(0, &items.attributes);
        items.outgoing.add(0, &items.attributes);
        items
    }
}

impl PipelineTail {
    pub(in crate::service) fn new(
        steps: Vec<Arc<ProcessorNode>>,
        fan_out: &Arc<ExporterFanOut>,
        meter: &Meter,
    ) -> Self {
        Self {
            steps,
            fan_out: Arc::clone(fan_out),
            dropped: DroppedReadings::new(meter),
            shed: ShedState::new(meter),
        }
    }

    /// Each processor with what follows it.
    pub(in crate::service) fn processors(
        &self,
    ) -> impl Iterator<Item = (&Arc<ProcessorNode>, Self)> {
        self.steps.iter().enumerate().map(|(position, step)| {
            let downstream = Self {
                steps: self.steps.iter().skip(position + 1).cloned().collect(),
                ..self.clone()
            };
            (step, downstream)
        })
    }

    /// Builds the stages of a target.
    pub(in crate::service) fn build(&self, mut stream: Stream) -> BuiltStages {
        let before = Arc::clone(&stream.resource);
        let stages = self.steps.iter().map(|step| {
            let stage = step.processor.open(&mut stream);
            (stage, step.items.clone())
        });
        let stages: Vec<_> = stages.collect();
        let homonyms = match stages.is_empty() {
            true => Default::default(),
            false => self.dropped.homonyms(&stream.schema),
        };
        BuiltStages {
            target: stream.target,
            schema: stream.schema,
            stages,
            homonyms,
            fan_out: Arc::clone(&self.fan_out),
            dropped: self.dropped.clone(),
            shed: self.shed.clone(),
            resources: [before, stream.resource],
        }
    }
}

impl DownstreamHandle {
    /// The rest of the pipeline, which does not change while this guard is held.
    fn tail(&self) -> RwLockReadGuard<'_, Arc<PipelineTail>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Downstream for DownstreamHandle {
    fn open(&self, stream: Stream) -> Box<dyn BatchSink> {
        let tail = Arc::clone(&self.tail());
        Box::new(SyntheticTarget {
            downstream: self.clone(),
            target_pipeline: TargetPipeline::new(tail.build(stream.clone())),
            stream,
            tail,
        })
    }

    fn shed(&self) -> Shed {
        let tail = Arc::clone(&self.tail());
        let processors = tail.steps.iter().map(|step| step.processor.shed());
        let gone_series = processors.sum();
        let exporters = tail.fan_out.open();
        let exporters = exporters.iter().map(|(_, exporter)| exporter.shed());
        let stale_series = exporters.sum();
        Shed {
            stale_series,
            gone_series,
        }
    }
}

impl SyntheticTarget {
    /// Goes on with the processors and exporters of `tail`.
    fn apply(&mut self, tail: &Arc<PipelineTail>) {
        self.target_pipeline.apply(tail.build(self.stream.clone()));
        self.tail = Arc::clone(tail);
    }
}

impl BatchSink for SyntheticTarget {
    fn follow(&mut self, stream: Stream) {
        let downstream = self.downstream.clone();
        let tail = downstream.tail();
        self.stream = stream;
        self.apply(&tail);
    }

    fn accept(&mut self, batch: Batch) {
        let downstream = self.downstream.clone();
        let tail = downstream.tail();
        if !Arc::ptr_eq(&self.tail, &tail) {
            self.apply(&tail);
        }
        self.target_pipeline.put_batch(batch);
        self.target_pipeline.export();
    }
}
