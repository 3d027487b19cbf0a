mod ends;

use std::{sync::Mutex, time::UNIX_EPOCH};

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_sdk::metrics::{
    SdkMeterProvider,
    data::{AggregatedMetrics, MetricData},
};

use super::*;
use crate::{
    definition::{self, Instrument},
    instruments::{self, ReportMetrics},
    pipeline::{
        Components, Downstream, EndOfSeries, Exporter, Number, OtlpMessage, Processor, Stream,
        Target,
    },
    runtime::{Clock, Tasks},
};

const DEFINITION: &str = "
endpoints: {a: {path: /a}}
metrics:
  - {name: gauge, instrument: gauge, endpoint: a, value: $.g}
  - {name: total, instrument: counter, endpoint: a, value: $.t}
";

/// Adds a prefix to each name, and makes a Resource of the attribute `split`.
struct Prefix;

impl Processor for Prefix {
    fn open(&self, stream: &mut Stream) -> Box<dyn Stage> {
        let renamed = |known: &Arc<Instrument>| {
            Arc::new(Instrument {
                name: format!("x.{}", known.name),
                ..known.as_ref().clone()
            })
        };
        stream.schema = Arc::new(stream.schema.instruments().iter().map(renamed).collect());
        Box::new(SplitOff)
    }
}

/// Gives the first metric the name of the second one, in upper case.
struct Shout;

impl Processor for Shout {
    fn open(&self, stream: &mut Stream) -> Box<dyn Stage> {
        let mut instruments = stream.schema.instruments().to_vec();
        let total = instruments[1].as_ref().clone();
        instruments[0] = Arc::new(Instrument {
            name: "TOTAL".to_owned(),
            ..total
        });
        stream.schema = Arc::new(instruments.into_iter().collect());
        Box::new(SplitOff)
    }
}

struct SplitOff;

impl Stage for SplitOff {
    fn process(&mut self, mut batch: Batch) -> Batch {
        let mut split = Vec::new();
        for part in &mut batch.parts {
            for mut reading in std::mem::take(&mut part.values) {
                let resource = match reading.attributes.pop() {
                    Some(attribute) => Arc::from([attribute]),
                    None => Arc::clone(&part.resource),
                };
                let values = vec![reading];
                split.push(Part { resource, values });
            }
        }
        batch.parts = split;
        batch
    }
}

/// `resource name value` of each point of each snapshot.
#[derive(Default)]
struct RecordedPoints(Mutex<Vec<String>>);

#[async_trait::async_trait]
impl Exporter for RecordedPoints {
    fn export(&self, snapshot: &Snapshot<'_>) {
        let mut seen = self.0.lock().unwrap();
        for part in snapshot.metrics {
            let split = snapshot.resource.get(&"split".into());
            let split = split.map(|value| value.to_string()).unwrap_or_default();
            for metric in part.scope_metrics().flat_map(|scope| scope.metrics()) {
                let values: Vec<u64> = match metric.data() {
                    AggregatedMetrics::U64(MetricData::Gauge(of)) => {
                        of.data_points().map(|point| point.value()).collect()
                    }
                    AggregatedMetrics::U64(MetricData::Sum(of)) => {
                        of.data_points().map(|point| point.value()).collect()
                    }
                    other => panic!("{other:?}"),
                };
                seen.extend(
                    values
                        .iter()
                        .map(|v| format!("{split} {} {v}", metric.name())),
                );
            }
        }
        seen.sort();
    }

    fn forget(&self, target: &Target) {
        self.0
            .lock()
            .unwrap()
            .push(format!("forget {}", target.name));
    }
}

impl RecordedPoints {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn reading(instrument: usize, value: u64, split: &[&str]) -> Reading {
    let attribute = |value: &&str| KeyValue::new("split", (*value).to_owned());
    Reading {
        instrument,
        attributes: split.iter().map(attribute).collect(),
        value: Number::Unsigned(value),
        time: None,
        histogram: None,
    }
}

fn exporters<const N: usize>(named: [(&str, &Arc<RecordedPoints>); N]) -> Exporters {
    let named =
        named.map(|(id, seen)| (id.parse().unwrap(), Arc::clone(seen) as Arc<dyn Exporter>));
    Arc::new(named)
}

fn target_pipeline(processors: Vec<Arc<ProcessorNode>>) -> (TargetPipeline, Arc<RecordedPoints>) {
    let definition = definition::from_text("test", "test.yaml", DEFINITION).unwrap();
    let target = Arc::new(Target::named("node", &definition));
    let (seen, meter) = (
        Arc::new(RecordedPoints::default()),
        SdkMeterProvider::default(),
    );
    let fan_out = Arc::new(ExporterFanOut::default());
    fan_out.set(exporters([("debug", &seen)]));
    let tail = PipelineTail::new(processors, &fan_out, &Meter::of(&meter));
    let stream = Stream {
        schema: Arc::new(ReportMetrics::schema(&target)),
        resource: instruments::resource(&target),
        target,
    };
    (TargetPipeline::new(tail.build(stream)), seen)
}

fn step(processor: Arc<dyn Processor>) -> Arc<ProcessorNode> {
    let meter = Meter::of(&SdkMeterProvider::default());
    let (tasks, _failures) = Tasks::new();
    ProcessorNode::new(&"filter".parse().unwrap(), processor, &meter, tasks)
}

/// Splits off as [`Prefix`] does; memory is short.
struct Short;

impl Processor for Short {
    fn open(&self, _: &mut Stream) -> Box<dyn Stage> {
        Box::new(ShortStage)
    }
}

struct ShortStage;

impl Stage for ShortStage {
    fn is_short_of_memory(&self) -> bool {
        true
    }

    fn process(&mut self, batch: Batch) -> Batch {
        SplitOff.process(batch)
    }
}

/// A poll without data.
fn nothing() -> ReadScopes {
    ReadScopes {
        time: UNIX_EPOCH + Duration::from_secs(1_000),
        starts: Vec::new(),
        scopes: Vec::new(),
        lost: Vec::new(),
    }
}

fn read() -> ReadScopes {
    ReadScopes {
        scopes: vec!["test/a".into()],
        ..nothing()
    }
}

fn prefixed() -> (TargetPipeline, Arc<RecordedPoints>) {
    target_pipeline(vec![step(Arc::new(Prefix))])
}

#[tokio::test(start_paused = true)]
async fn without_processors_readings_go_directly_to_the_exporters() {
    let (mut target_pipeline, seen) = target_pipeline(Vec::new());
    target_pipeline.put(read(), vec![reading(0, 1, &[]), reading(1, 2, &[])]);
    target_pipeline.export();
    assert_eq!(seen.take(), [" gauge 1", " total 2"]);
    drop(target_pipeline);
    assert_eq!(seen.take(), ["forget node"]);
}

#[tokio::test(start_paused = true)]
async fn a_stage_can_rename_and_split_and_idle_splits_end() {
    let (mut target_pipeline, seen) = prefixed();
    target_pipeline.put(read(), vec![reading(0, 1, &[]), reading(0, 2, &["b"])]);
    target_pipeline.export();
    assert_eq!(seen.take(), [" x.gauge 1", "b x.gauge 2"]);
    assert_eq!(target_pipeline.split.len(), 1);
    tokio::time::advance(IDLE_MAX).await;
    target_pipeline.put(read(), vec![reading(0, 3, &[])]);
    target_pipeline.export();
    assert_eq!(seen.take(), [" x.gauge 3", "forget node/1"]);
    assert_eq!(target_pipeline.split.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn where_memory_is_short_what_is_split_off_ends_with_the_answer_that_lacks_it() {
    let (mut target_pipeline, seen) = target_pipeline(vec![step(Arc::new(Short))]);
    let mut poll = |read: ReadScopes, values: Vec<Reading>| {
        target_pipeline.put(read, values);
        target_pipeline.export();
        seen.take()
    };
    let both = || vec![reading(0, 1, &[]), reading(0, 2, &["b"])];
    assert_eq!(poll(read(), both()), [" gauge 1", "b gauge 2"]);
    let lost = ReadScopes {
        scopes: vec![instruments::SCOPE.into()],
        lost: read().scopes,
        ..nothing()
    };
    assert!(poll(lost, Vec::new()).is_empty(), "who knows what is gone");
    let gone = poll(read(), vec![reading(0, 3, &[])]);
    assert_eq!(gone, [" gauge 3", "forget node/1"]);
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_is_split_off_is_a_separate_target() {
    let (mut target_pipeline, seen) = prefixed();
    target_pipeline.put_batch(Batch {
        scopes: read().scopes,
        parts: vec![
            part(&[("id", "1"), (INSTANCE_ID, "node/b")]),
            part(&[("id", "2"), (INSTANCE_ID, "node/b")]),
            part(&[("id", "3"), (INSTANCE_ID, "node")]),
        ],
        ..Batch::default()
    });
    target_pipeline.export();
    assert_eq!(seen.take(), [" x.gauge 1"; 3]);
    drop(target_pipeline);
    let mut forgotten = seen.take();
    forgotten.sort();
    assert_eq!(
        forgotten,
        [
            "forget node",
            "forget node/1",
            "forget node/2",
            "forget node/b"
        ]
    );
}

fn part(resource: &[(&'static str, &'static str)]) -> Part {
    let resource = resource
        .iter()
        .map(|(key, value)| KeyValue::new(*key, *value));
    Part {
        resource: resource.collect(),
        values: vec![reading(0, 1, &[])],
    }
}

#[tokio::test(start_paused = true)]
async fn a_renamed_total_that_falls_is_a_reset() {
    let (mut target_pipeline, _seen) = prefixed();
    for value in [5, 3] {
        let values = vec![reading(1, value, &[]), reading(1, value, &["b"])];
        target_pipeline.put(read(), values);
        target_pipeline.export();
    }
    assert_eq!(target_pipeline.resets().seen, 2);
}

#[tokio::test(start_paused = true)]
async fn of_two_readings_that_become_the_same_the_first_counts() {
    let (mut target_pipeline, seen) = prefixed();
    let values = [7, 8].map(|value| reading(0, value, &[]));
    target_pipeline.put(read(), values.into());
    target_pipeline.export();
    assert_eq!(seen.take(), [" x.gauge 7"]);
}

#[tokio::test(start_paused = true)]
async fn of_two_names_that_differ_only_in_case_the_first_counts() {
    let (mut target_pipeline, seen) = target_pipeline(vec![step(Arc::new(Shout))]);
    target_pipeline.put(read(), vec![reading(0, 7, &[]), reading(1, 8, &[])]);
    target_pipeline.export();
    assert_eq!(seen.take(), [" TOTAL 7"], "the sum would be 15");
}

#[tokio::test(start_paused = true)]
async fn the_number_of_resources_is_limited() {
    let (mut target_pipeline, _seen) = prefixed();
    let ids: Vec<String> = (0..RESOURCES_MAX + 5).map(|id| id.to_string()).collect();
    let values = ids.iter().map(|id| reading(0, 1, &[id])).collect();
    target_pipeline.put(read(), values);
    assert_eq!(target_pipeline.split.len(), RESOURCES_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_refused_poll_does_not_change_the_exported_values() {
    let (mut target_pipeline, seen) = prefixed();
    target_pipeline.put(nothing(), Vec::new());
    target_pipeline.export();
    assert_eq!(seen.take(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_replacement_continues_the_totals_and_the_target_stays() {
    let (mut pipeline, seen) = target_pipeline(Vec::new());
    pipeline.put(read(), vec![reading(1, 7, &[])]);
    pipeline.export();
    seen.take();
    let fan_out = Arc::clone(&pipeline.built.fan_out);
    let tail = PipelineTail::new(
        Vec::new(),
        &fan_out,
        &Meter::of(&SdkMeterProvider::default()),
    );
    let stream = Stream {
        target: Arc::clone(pipeline.shown.target()),
        schema: Arc::clone(&pipeline.built.schema),
        resource: instruments::resource(pipeline.shown.target()),
    };
    pipeline.apply(tail.build(stream));
    assert!(seen.take().is_empty(), "the target is not forgotten");
    pipeline.put(read(), vec![reading(1, 3, &[])]);
    assert_eq!(pipeline.resets().seen, 1, "it knows the earlier total 7");
    pipeline.export();
    seen.take();
    fan_out.set(exporters([]));
    pipeline.put(read(), vec![reading(1, 4, &[])]);
    pipeline.export();
    assert_eq!(seen.take(), ["forget node"], "this exporter was removed");
}

/// Stores its downstream.
#[derive(Default)]
struct MakesUp(Mutex<Option<Arc<dyn Downstream>>>);

impl Processor for MakesUp {
    fn open(&self, _: &mut Stream) -> Box<dyn Stage> {
        Box::new(SplitOff)
    }

    fn start(&self, downstream: Arc<dyn Downstream>, _: &Tasks) {
        *self.0.lock().unwrap() = Some(downstream);
    }
}

#[tokio::test(start_paused = true)]
async fn a_synthetic_target_switches_to_the_new_downstream() {
    let (target_pipeline, _) = target_pipeline(Vec::new());
    let meter = Meter::of(&SdkMeterProvider::default());
    let (old, new) = (
        Arc::new(RecordedPoints::default()),
        Arc::new(RecordedPoints::default()),
    );
    let tail = |steps, fan_out| {
        let shared = Arc::new(ExporterFanOut::default());
        shared.set(fan_out);
        PipelineTail::new(steps, &shared, &meter)
    };
    let makes_up = Arc::new(MakesUp::default());
    let maker = step(Arc::clone(&makes_up) as Arc<dyn Processor>);
    maker.set_downstream(tail(Vec::new(), exporters([("debug", &old)])));
    let (tasks, _failures) = Tasks::new();
    maker.start(&Components::new(&Clock::System, &tasks));
    let downstream = makes_up.0.lock().unwrap().clone().unwrap();
    let mut sink = downstream.open(Stream {
        target: Arc::clone(target_pipeline.shown.target()),
        schema: Arc::clone(&target_pipeline.built.schema),
        resource: instruments::resource(target_pipeline.shown.target()),
    });
    let batch = |value| Batch {
        scopes: read().scopes,
        parts: vec![Part {
            resource: instruments::resource(target_pipeline.shown.target()),
            values: vec![reading(1, value, &[])],
        }],
        ..Batch::default()
    };
    sink.accept(batch(5));
    assert_eq!(old.take(), [" total 5"]);
    maker.set_downstream(tail(Vec::new(), exporters([("debug/2", &new)])));
    sink.accept(batch(6));
    assert_eq!(
        (old.take(), new.take()),
        (vec!["forget node".to_owned()], vec![" total 6".to_owned()])
    );
    maker.set_downstream(tail(
        vec![step(Arc::new(Prefix))],
        exporters([("debug/2", &new)]),
    ));
    sink.accept(batch(7));
    assert_eq!(new.take(), [" x.total 7"]);
    drop(sink);
    assert_eq!(new.take(), ["forget node"]);
}
