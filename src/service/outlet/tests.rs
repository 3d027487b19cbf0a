use std::sync::Mutex;

use opentelemetry_sdk::metrics::{
    SdkMeterProvider,
    data::{AggregatedMetrics, MetricData},
};

use super::*;
use crate::{
    definition::{self, Instrument},
    instruments::{self, OwnMetrics},
    pipeline::{Components, Downstream, Exporter, Number, Processor, Stream, Target},
    runtime::{Clock, Tasks},
};

const DEFINITION: &str = "
endpoints: {a: {path: /a}}
metrics:
  - {name: gauge, instrument: gauge, endpoint: a, value: $.g}
  - {name: total, instrument: counter, endpoint: a, value: $.t}
";

/// Prefixes each name, and makes a Resource of the attribute `split`.
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

/// Calls the first metric like the second one, but for its case.
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

/// `resource name value`, of each point of each snapshot.
#[derive(Default)]
struct Seen(Mutex<Vec<String>>);

#[async_trait::async_trait]
impl Exporter for Seen {
    fn export(&self, snapshot: &Snapshot<'_>) {
        let mut seen = self.0.lock().unwrap();
        for part in snapshot.metrics {
            let split = part.resource().get(&"split".into());
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

impl Seen {
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
    }
}

fn exporters<const N: usize>(named: [(&str, &Arc<Seen>); N]) -> Exporters {
    let named =
        named.map(|(id, seen)| (id.parse().unwrap(), Arc::clone(seen) as Arc<dyn Exporter>));
    Arc::new(named)
}

fn outlet(processors: Vec<Arc<Step>>) -> (Outlet, Arc<Seen>) {
    let definition = definition::from_text("test", "test.yaml", DEFINITION).unwrap();
    let target = Arc::new(Target::named("node", &definition));
    let (seen, meter) = (Arc::new(Seen::default()), SdkMeterProvider::default());
    let exits = Arc::new(Exits::default());
    exits.set(exporters([("debug", &seen)]));
    let tail = Tail::new(processors, &exits, &Meter::of(&meter));
    let stream = Stream {
        schema: Arc::new(OwnMetrics::schema(&definition, 1)),
        resource: instruments::resource(&target),
        target,
    };
    (tail.outlet(stream), seen)
}

fn step(processor: Arc<dyn Processor>) -> Arc<Step> {
    let meter = Meter::of(&SdkMeterProvider::default());
    let (tasks, _failures) = Tasks::new();
    Step::new(&"filter".parse().unwrap(), processor, &meter, tasks)
}

fn read() -> Read {
    Read {
        scopes: vec!["test/a".into()],
        lost: Vec::new(),
    }
}

fn prefixed() -> (Outlet, Arc<Seen>) {
    outlet(vec![step(Arc::new(Prefix))])
}

#[tokio::test(start_paused = true)]
async fn without_processors_readings_go_straight_to_the_exporters() {
    let (mut outlet, seen) = outlet(Vec::new());
    outlet.put(read(), vec![reading(0, 1, &[]), reading(1, 2, &[])]);
    outlet.export();
    assert_eq!(seen.take(), [" gauge 1", " total 2"]);
    drop(outlet);
    assert_eq!(seen.take(), ["forget node"]);
}

#[tokio::test(start_paused = true)]
async fn a_stage_renames_and_splits_and_what_is_split_off_ends_when_it_is_idle() {
    let (mut outlet, seen) = prefixed();
    outlet.put(read(), vec![reading(0, 1, &[]), reading(0, 2, &["b"])]);
    outlet.export();
    assert_eq!(seen.take(), [" x.gauge 1", "b x.gauge 2"]);
    assert_eq!(outlet.split.len(), 1);
    tokio::time::advance(IDLE_MAX).await;
    outlet.put(read(), vec![reading(0, 3, &[])]);
    outlet.export();
    assert_eq!(seen.take(), [" x.gauge 3", "forget node/1"]);
    assert_eq!(outlet.split.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_is_split_off_is_a_target_of_its_own() {
    let (mut outlet, seen) = prefixed();
    outlet.put_batch(Batch {
        scopes: read().scopes,
        lost: Vec::new(),
        parts: vec![
            part(&[("id", "1"), (INSTANCE_ID, "node/b")]),
            part(&[("id", "2"), (INSTANCE_ID, "node/b")]),
            part(&[("id", "3"), (INSTANCE_ID, "node")]),
        ],
    });
    outlet.export();
    assert_eq!(seen.take(), [" x.gauge 1"; 3]);
    drop(outlet);
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
async fn a_renamed_total_that_falls_is_a_reset_wherever_it_went() {
    let (mut outlet, _seen) = prefixed();
    for value in [5, 3] {
        let values = vec![reading(1, value, &[]), reading(1, value, &["b"])];
        outlet.put(read(), values);
        outlet.export();
    }
    assert_eq!(outlet.resets().seen, 2);
}

#[tokio::test(start_paused = true)]
async fn of_two_readings_that_became_one_the_first_counts() {
    let (mut outlet, seen) = prefixed();
    let values = [7, 8].map(|value| reading(0, value, &[]));
    outlet.put(read(), values.into());
    outlet.export();
    assert_eq!(seen.take(), [" x.gauge 7"]);
}

#[tokio::test(start_paused = true)]
async fn of_two_names_that_differ_in_case_the_first_counts() {
    let (mut outlet, seen) = outlet(vec![step(Arc::new(Shout))]);
    outlet.put(read(), vec![reading(0, 7, &[]), reading(1, 8, &[])]);
    outlet.export();
    assert_eq!(seen.take(), [" TOTAL 7"], "and not 15");
}

#[tokio::test(start_paused = true)]
async fn resources_are_bounded() {
    let (mut outlet, _seen) = prefixed();
    let ids: Vec<String> = (0..RESOURCES_MAX + 5).map(|id| id.to_string()).collect();
    let values = ids.iter().map(|id| reading(0, 1, &[id])).collect();
    outlet.put(read(), values);
    assert_eq!(outlet.split.len(), RESOURCES_MAX);
}

#[tokio::test(start_paused = true)]
async fn what_a_stage_refuses_changes_nothing_that_is_shown() {
    let (mut outlet, seen) = prefixed();
    outlet.put(Read::default(), Vec::new());
    outlet.export();
    assert_eq!(seen.take(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn who_takes_over_goes_on_with_the_totals_and_nobody_forgets_the_target() {
    let (mut old, seen) = outlet(Vec::new());
    old.put(read(), vec![reading(1, 7, &[])]);
    old.export();
    seen.take();
    let exits = Arc::clone(&old.exits);
    let tail = Tail::new(Vec::new(), &exits, &Meter::of(&SdkMeterProvider::default()));
    let stream = Stream {
        target: Arc::clone(old.shown.target()),
        schema: Arc::clone(&old.schema),
        resource: instruments::resource(old.shown.target()),
    };
    let mut new = tail.outlet(stream);
    new.take_over(&mut old);
    drop(old);
    assert!(seen.take().is_empty(), "not forgotten");
    new.put(read(), vec![reading(1, 3, &[])]);
    assert_eq!(new.resets().seen, 1, "it knows that 7 was before");
    new.export();
    seen.take();
    exits.set(exporters([]));
    new.put(read(), vec![reading(1, 4, &[])]);
    new.export();
    assert_eq!(seen.take(), ["forget node"], "it is no exit any more");
}

/// Keeps what stands behind it.
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
async fn a_target_that_is_made_up_goes_over_to_what_stands_behind_now() {
    let (outlet, _) = outlet(Vec::new());
    let meter = Meter::of(&SdkMeterProvider::default());
    let (old, new) = (Arc::new(Seen::default()), Arc::new(Seen::default()));
    let tail = |steps, exits| {
        let shared = Arc::new(Exits::default());
        shared.set(exits);
        Tail::new(steps, &shared, &meter)
    };
    let makes_up = Arc::new(MakesUp::default());
    let maker = step(Arc::clone(&makes_up) as Arc<dyn Processor>);
    maker.lead_to(tail(Vec::new(), exporters([("debug", &old)])));
    let (tasks, _failures) = Tasks::new();
    maker.start(&Components::new(&Clock::System, &tasks));
    let downstream = makes_up.0.lock().unwrap().clone().unwrap();
    let mut sink = downstream.open(Stream {
        target: Arc::clone(outlet.shown.target()),
        schema: Arc::clone(&outlet.schema),
        resource: instruments::resource(outlet.shown.target()),
    });
    let batch = |value| Batch {
        scopes: read().scopes,
        lost: Vec::new(),
        parts: vec![Part {
            resource: instruments::resource(outlet.shown.target()),
            values: vec![reading(1, value, &[])],
        }],
    };
    sink.accept(batch(5));
    assert_eq!(old.take(), [" total 5"]);
    maker.lead_to(tail(Vec::new(), exporters([("debug/2", &new)])));
    sink.accept(batch(6));
    assert_eq!(
        (old.take(), new.take()),
        (vec!["forget node".to_owned()], vec![" total 6".to_owned()])
    );
    maker.lead_to(tail(
        vec![step(Arc::new(Prefix))],
        exporters([("debug/2", &new)]),
    ));
    sink.accept(batch(7));
    assert_eq!(new.take(), [" x.total 7"]);
    drop(sink);
    assert_eq!(new.take(), ["forget node"]);
}
