//! Tests of the aggregates and of when they are sent.

mod totals;

use std::time::Duration;

use tokio::time::advance;

use super::*;
use crate::{
    pipeline::{BatchSink, Part, Shed},
    processors::testing::{build, reading, stream, text},
};

/// What the rest of the pipeline received: one line for each opening, then the last readings.
#[derive(Default)]
struct RecordedOutput {
    opened: Mutex<Vec<String>>,
    last: Arc<Mutex<Vec<String>>>,
}

impl Downstream for RecordedOutput {
    fn shed(&self) -> Shed {
        Shed::default()
    }

    fn open(&self, stream: Stream) -> Box<dyn BatchSink> {
        let resource = stream
            .resource
            .iter()
            .map(|a| format!("{}={}", a.key, a.value));
        let resource: Vec<_> = resource.collect();
        let line = format!("{} {}", stream.target.name, resource.join(","));
        self.opened.lock().unwrap().push(line);
        let last = Arc::clone(&self.last);
        Box::new(RecordingSink { stream, last })
    }
}

struct RecordingSink {
    stream: Stream,
    last: Arc<Mutex<Vec<String>>>,
}

impl BatchSink for RecordingSink {
    fn follow(&mut self, stream: Stream) {
        self.stream = stream;
    }

    fn accept(&mut self, batch: Batch) {
        let values = batch.parts.iter().flat_map(|part| &part.values);
        let mut lines: Vec<_> = values.map(|value| text(&self.stream, value)).collect();
        lines.sort();
        *self.last.lock().unwrap() = lines;
    }
}

/// A fleet whose aggregates are sent every 10 s.
struct AggregateBench {
    processor: Arc<dyn Processor>,
    seen: Arc<RecordedOutput>,
    tasks: Tasks,
}

struct TestNode {
    stream: Stream,
    stage: Box<dyn Stage>,
}

impl AggregateBench {
    fn new(config: &str) -> Self {
        let processor = build("aggregate", &format!("interval: 10s\n{config}")).unwrap();
        let (tasks, _) = Tasks::new();
        let seen = Arc::new(RecordedOutput::default());
        processor.start(Arc::clone(&seen) as Arc<dyn Downstream>, &tasks);
        Self {
            processor,
            seen,
            tasks,
        }
    }

    fn join(&self, name: &str, resource: &str) -> TestNode {
        self.open(&stream(name, resource))
    }

    fn open(&self, stream: &Stream) -> TestNode {
        TestNode {
            stage: self.processor.open(&mut stream.clone()),
            stream: stream.clone(),
        }
    }

    /// The values at the next interval, without the coverage.
    async fn values(&self) -> Vec<String> {
        let mut lines = self.all().await;
        lines.retain(|line| !line.starts_with("betanet."));
        lines
    }

    async fn all(&self) -> Vec<String> {
        // The task waits for its tick before the time moves, and for the next one when it is done.
        tokio::task::yield_now().await;
        advance(Duration::from_secs(10)).await;
        tokio::task::yield_now().await;
        std::mem::take(&mut *self.seen.last.lock().unwrap())
    }
}

impl TestNode {
    /// A poll in which both endpoints gave a body.
    fn gives(&mut self, readings: &[&str]) {
        let values = readings.iter().map(|text| reading(&self.stream, text));
        let part = Part {
            resource: Arc::clone(&self.stream.resource),
            values: values.collect(),
        };
        self.stage.process(Batch {
            scopes: vec!["test/a".into(), "test/b".into()],
            parts: vec![part],
            ..Batch::default()
        });
    }

    /// A poll in which endpoint `a` gave none and `b` was not polled.
    fn fails(&mut self) {
        self.stage.process(Batch {
            lost: vec!["test/a".into()],
            ..Batch::default()
        });
    }
}

const TOTAL: &str = "metrics: [{include: total}]";

#[tokio::test(start_paused = true)]
async fn a_counter_is_the_sum_of_increases_whichever_target_disappears() {
    let lab = AggregateBench::new(TOTAL);
    let (mut a, mut b) = (lab.join("a", ""), lab.join("b", ""));
    a.gives(&["total 1000"]);
    b.gives(&["total 50"]);
    assert_eq!(
        lab.values().await,
        ["fleet.total 0"],
        "earlier values do not count"
    );
    a.gives(&["total 1010"]);
    b.gives(&["total 55"]);
    assert_eq!(lab.values().await, ["fleet.total 15"]);
    a.fails();
    b.gives(&["total 3"]);
    assert_eq!(lab.values().await, ["fleet.total 18"], "b started again");
    a.gives(&["total 1100"]);
    assert_eq!(lab.values().await, ["fleet.total 108"]);
    drop(a);
    assert_eq!(lab.values().await, ["fleet.total 108"]);
    let mut joined = lab.join("c", "");
    joined.gives(&["total 1000000"]);
    assert_eq!(lab.values().await, ["fleet.total 108"]);
}

#[tokio::test(start_paused = true)]
async fn a_reopened_target_continues_unless_it_is_another_node() {
    let lab =
        AggregateBench::new("metrics: [{include: total}, {include: gauge, functions: [sum]}]");
    let mut old = lab.join("a", "zone=eu");
    old.gives(&["total 1000", "gauge 5"]);
    let is = |total: u64| {
        [
            "betanet.aggregate.coverage{metric=gauge} 1".to_owned(),
            "betanet.aggregate.coverage{metric=total} 1".to_owned(),
            "fleet.gauge.sum 5".to_owned(),
            format!("fleet.total {total}"),
        ]
    };
    assert_eq!(lab.all().await, is(0));
    let mut new = lab.join("a", "zone=eu");
    assert_eq!(lab.all().await, is(0), "the target is expected only once");
    drop(old);
    new.gives(&["total 1010", "gauge 5"]);
    assert_eq!(lab.all().await, is(10), "the earlier value 1000 is known");
    let mut other = lab.join("a", "zone=us");
    drop(new);
    other.gives(&["total 5000", "gauge 5"]);
    assert_eq!(lab.all().await, is(10), "another node with the same name");
    let mut again = lab.join("a", "zone=us");
    drop(other);
    again.gives(&["total 5001", "gauge 5"]);
    assert_eq!(lab.all().await, is(11));
}

#[tokio::test(start_paused = true)]
async fn a_later_metric_does_not_restart_the_others() {
    let lab = AggregateBench::new("metrics: [{include: total}, {include: packets}]");
    let both = stream("a", "");
    let mut one = both.clone();
    let instruments = both.schema.instruments().iter();
    let but_one = instruments.filter(|known| known.name != "packets");
    one.schema = Arc::new(but_one.cloned().collect());
    let mut old = lab.open(&one);
    old.gives(&["total 1000"]);
    assert_eq!(lab.values().await, ["fleet.total 0"]);
    old.gives(&["total 1010"]);
    assert_eq!(lab.values().await, ["fleet.total 10"]);
    let mut new = lab.open(&both);
    drop(old);
    new.gives(&["total 1011", "packets 7"]);
    new.gives(&["total 1012", "packets 8"]);
    let expected = ["fleet.packets 0", "fleet.total 12"];
    assert_eq!(lab.values().await, expected, "a new total starts now, at 0");
    new.gives(&["total 1012", "packets 9"]);
    assert_eq!(lab.values().await, ["fleet.packets 1", "fleet.total 12"]);
    assert_eq!(lab.seen.opened.lock().unwrap().len(), 1, "one target");
}

#[tokio::test(start_paused = true)]
async fn gauges_use_fresh_targets_and_coverage_is_their_share() {
    let lab = AggregateBench::new("metrics: [{include: gauge, quantiles: [0.5]}]");
    let mut nodes = ["a", "b", "c", "d"].map(|name| lab.join(name, ""));
    for (node, value) in nodes.iter_mut().zip([1, 2, 3, 10]) {
        node.gives(&[&format!("gauge {value}")]);
    }
    let all = |avg, count, max, median, sum, coverage| {
        vec![
            format!("betanet.aggregate.coverage{{metric=gauge}} {coverage}"),
            format!("fleet.gauge.avg {avg}"),
            format!("fleet.gauge.count {count}"),
            format!("fleet.gauge.max {max}"),
            "fleet.gauge.min 1".to_owned(),
            format!("fleet.gauge.quantile{{quantile=0.5}} {median}"),
            format!("fleet.gauge.sum {sum}"),
        ]
    };
    assert_eq!(lab.all().await, all("4", "4", "10", "2.5", "16", "1"));
    nodes[3].fails();
    assert_eq!(lab.all().await, all("2", "3", "3", "2", "6", "0.75"));
    nodes[3].gives(&["gauge 10"]);
    assert_eq!(lab.all().await, all("4", "4", "10", "2.5", "16", "1"));
    let [.., last] = nodes;
    drop(last);
    let left = all("2", "3", "3", "2", "6", "1");
    assert_eq!(lab.all().await, left, "it is not expected");
}

#[tokio::test(start_paused = true)]
async fn below_min_coverage_only_the_coverage_is_sent() {
    let lab = AggregateBench::new(
        "min_coverage: 0.6\nmetrics: [{include: gauge, functions: [sum]}, {include: total}]",
    );
    let (mut a, silent) = (lab.join("a", ""), lab.join("b", ""));
    a.gives(&["gauge 5", "total 5"]);
    let half = ["gauge", "total"].map(|m| format!("betanet.aggregate.coverage{{metric={m}}} 0.5"));
    assert_eq!(lab.all().await, half);
    drop(silent);
    assert_eq!(lab.values().await, ["fleet.gauge.sum 5", "fleet.total 0"]);
}

#[tokio::test(start_paused = true)]
async fn groups_use_labels_of_the_target_or_of_the_point() {
    let lab = AggregateBench::new(
        "group_by: [region, id]\nmetrics: [{include: gauge, functions: [sum]}]",
    );
    let mut a = lab.join("a", "region=eu");
    let mut b = lab.join("b", "region=us");
    a.gives(&["gauge{id=x} 1", "gauge{id=y} 2"]);
    b.gives(&["gauge{id=x} 4"]);
    assert_eq!(
        lab.values().await,
        [
            "fleet.gauge.sum{id=x,region=eu} 1",
            "fleet.gauge.sum{id=x,region=us} 4",
            "fleet.gauge.sum{id=y,region=eu} 2"
        ]
    );
    advance(Duration::from_secs(1)).await;
    a.gives(&["gauge{id=y} 3"]);
    let left = [
        "fleet.gauge.sum{id=x,region=us} 4",
        "fleet.gauge.sum{id=y,region=eu} 3",
    ];
    assert_eq!(lab.values().await, left, "an element that disappeared");
}

#[tokio::test(start_paused = true)]
async fn the_number_of_groups_is_limited() {
    let lab = AggregateBench::new(
        "group_by: [id]\nmax_groups: 2\nmetrics: [{include: gauge, functions: [count]}]",
    );
    let mut a = lab.join("a", "");
    a.gives(&["gauge{id=1} 1", "gauge{id=2} 1", "gauge{id=3} 1"]);
    assert_eq!(lab.values().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_silent_target_does_not_count_after_max_age() {
    let lab = AggregateBench::new("max_age: 15s\nmetrics: [{include: gauge, functions: [sum]}]");
    let mut a = lab.join("a", "");
    a.gives(&["gauge 5"]);
    assert_eq!(lab.values().await, ["fleet.gauge.sum 5"]);
    assert_eq!(
        lab.all().await,
        ["betanet.aggregate.coverage{metric=gauge} 0"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_aggregate_is_a_separate_target_and_ends_with_its_processor() {
    let lab = AggregateBench::new(
        "target: all\nresource: {service.name: betanet}\nmetrics: [{include: gauge, functions: [sum]}]",
    );
    let mut a = lab.join("a", "");
    a.gives(&["gauge 5"]);
    lab.all().await;
    let opened = lab.seen.opened.lock().unwrap().clone();
    assert_eq!(opened, ["all service.instance.id=all,service.name=betanet"]);
    let AggregateBench {
        processor,
        seen,
        tasks,
    } = lab;
    drop((processor, a));
    advance(Duration::from_secs(10)).await;
    let deadline = Instant::now() + Duration::from_secs(1);
    assert!(tasks.stop(deadline).await);
    assert_eq!(Arc::strong_count(&seen), 1, "nothing holds the exporters");
}

#[tokio::test(start_paused = true)]
async fn the_last_aggregate_has_all_targets_and_the_last_values() {
    let lab =
        AggregateBench::new("metrics: [{include: total}, {include: gauge, functions: [sum]}]");
    let (mut a, mut b) = (lab.join("a", ""), lab.join("b", ""));
    a.gives(&["total 1000", "gauge 5"]);
    b.gives(&["total 10", "gauge 6"]);
    let values = ["fleet.gauge.sum 11", "fleet.total 0"];
    assert_eq!(lab.values().await, values);
    a.gives(&["total 1007", "gauge 5"]);
    lab.processor.closing();
    drop((a, b));
    let deadline = Instant::now() + Duration::from_secs(1);
    assert!(lab.tasks.stop(deadline).await);
    let last = lab.seen.last.lock().unwrap().clone();
    let values = ["fleet.gauge.sum 11", "fleet.total 7"];
    assert_eq!(last[2..], values, "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn where_memory_is_short_elements_that_left_are_forgotten_and_nothing_else() {
    let lab = AggregateBench::new(TOTAL);
    let (mut a, mut b) = (lab.join("a", ""), lab.join("b", ""));
    a.gives(&["total{id=1} 1000", "total{id=2} 1000"]);
    b.gives(&["total 50"]);
    assert_eq!(lab.values().await, ["fleet.total 0"]);
    a.gives(&["total{id=1} 1001"]);
    b.fails();
    assert_eq!(lab.processor.shed(), 1);
    assert_eq!(lab.processor.shed(), 0);
    advance(Duration::from_secs(1)).await;
    a.gives(&["total{id=1} 1003", "total{id=2} 9000"]);
    b.gives(&["total 54"]);
    assert_eq!(lab.values().await, ["fleet.total 7"], "3 + 4");
}
