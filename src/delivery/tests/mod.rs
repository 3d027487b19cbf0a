//! Tests of the whole delivery with a paused clock and a scripted destination.

mod breaker;
mod conservation;
mod disk;
mod drain;
mod panics;
mod size;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::{
    SdkMeterProvider,
    data::{AggregatedMetrics, MetricData, ResourceMetrics},
    reader::MetricReader as _,
};
use tokio::time::{advance, sleep};

use super::{
    testing::{Reader, logged},
    *,
};

/// The reaction of the destination to an attempt. After the end of the script it accepts.
#[derive(Debug, Clone)]
enum DestinationStep {
    Accept,
    Reject(u64),
    /// Rejects one point, with this message.
    Say(String),
    Fail,
    After(u64),
    Refuse,
    Hang,
    /// Like `Hang`, and panics when it is told about the timeout.
    HangAndPanic,
    Panic,
}

/// Follows a script and records what it accepted.
#[derive(Debug, Clone, Default)]
struct Scripted {
    script: Arc<Mutex<VecDeque<DestinationStep>>>,
    /// Fails until this time, whatever the script says.
    away_until: Arc<Mutex<Option<Instant>>>,
    /// Refuses larger requests, whatever the script says.
    max_bytes: Arc<Mutex<Option<usize>>>,
    accepted: Arc<Mutex<Vec<Bytes>>>,
    attempts: Arc<Mutex<Vec<(Instant, Bytes)>>>,
    panics_when_late: Arc<AtomicBool>,
}

impl Scripted {
    fn script(&self, steps: impl IntoIterator<Item = DestinationStep>) {
        self.script.lock().unwrap().extend(steps);
    }

    fn accepted(&self) -> Vec<u8> {
        self.accepted.lock().unwrap().concat()
    }

    fn attempts(&self) -> Vec<(Instant, Bytes)> {
        self.attempts.lock().unwrap().clone()
    }
}

#[async_trait]
impl Destination for Scripted {
    async fn send(&self, payload: Bytes) -> SendOutcome {
        let now = Instant::now();
        self.attempts.lock().unwrap().push((now, payload.clone()));
        if self
            .away_until
            .lock()
            .unwrap()
            .is_some_and(|until| now < until)
        {
            return SendOutcome::retry("away");
        }
        if self
            .max_bytes
            .lock()
            .unwrap()
            .is_some_and(|max| payload.len() > max)
        {
            return SendOutcome::too_large("too large");
        }
        let step = self.script.lock().unwrap().pop_front();
        let rejected = match step.unwrap_or(DestinationStep::Accept) {
            DestinationStep::Accept => 0,
            DestinationStep::Reject(points) => points,
            DestinationStep::Say(message) => {
                self.accepted.lock().unwrap().push(payload);
                return SendOutcome::Sent(ExportAnswer {
                    rejected: 1,
                    message,
                });
            }
            DestinationStep::Fail => return SendOutcome::retry("busy"),
            DestinationStep::After(seconds) => {
                return SendOutcome::Retry {
                    error: "throttled".into(),
                    after: Some(Duration::from_secs(seconds)),
                };
            }
            DestinationStep::Refuse => return SendOutcome::permanent("no"),
            DestinationStep::Hang => std::future::pending().await,
            DestinationStep::HangAndPanic => {
                self.panics_when_late.store(true, Ordering::Relaxed);
                std::future::pending().await
            }
            DestinationStep::Panic => panic!("out of luck"),
        };
        self.accepted.lock().unwrap().push(payload);
        SendOutcome::Sent(ExportAnswer {
            rejected,
            message: String::new(),
        })
    }

    fn timed_out(&self) {
        let panics = self.panics_when_late.swap(false, Ordering::Relaxed);
        assert!(!panics, "too late");
    }
}

/// A delivery, its destination, and its own metrics.
struct Bench {
    delivery: Delivery,
    destination: Scripted,
    metrics: Reader,
    pushed: u64,
    status: Reporter,
    _provider: SdkMeterProvider,
    tasks: Tasks,
}

const TIMEOUT: Duration = Duration::from_secs(30);

/// Batches of one message of 8 bytes each, without jitter.
/// Each second that passes in a test sends the open batch.
const FLUSH: crate::settings::Duration = crate::settings::Duration::from_millis(200);

fn bench(retry: RetryOnFailure, queue_size: u64) -> Bench {
    let queue = SendingQueue {
        queue_size,
        batch: BatchSettings {
            max_size: Some(15),
            ..BatchSettings::default()
        },
        ..SendingQueue::default()
    };
    bench_with(retry, queue)
}

fn bench_with(retry: RetryOnFailure, queue: SendingQueue) -> Bench {
    bench_on(retry, queue, None)
}

fn bench_on(retry: RetryOnFailure, queue: SendingQueue, disk: Option<(Directory, Log)>) -> Bench {
    let settings = DeliverySettings {
        timeout: TIMEOUT,
        retry,
        queue,
        split: None,
        order: None,
    };
    bench_of(settings, disk)
}

fn bench_of(mut settings: DeliverySettings, disk: Option<(Directory, Log)>) -> Bench {
    settings.queue.batch.flush_timeout = FLUSH;
    let (tasks, _failures) = Tasks::new();
    let metrics = Reader::default();
    let provider = SdkMeterProvider::builder()
        .with_reader(metrics.clone())
        .build();
    let (destination, status) = (Scripted::default(), Reporter::unheard());
    let context = DeliveryContext {
        id: "otlp_http/test",
        tasks: &tasks,
        meter: &Meter::of(&provider),
        seed: 1,
        status: &status,
        clock: &Clock::System,
        storages: &Storages::new(),
        authenticators: &Authenticators::default(),
        states: &StateStore::default(),
    };
    Bench {
        delivery: Delivery::start_on(context, settings, destination.clone(), disk),
        destination,
        metrics,
        pushed: 0,
        status,
        _provider: provider,
        tasks,
    }
}

fn steady() -> RetryOnFailure {
    RetryOnFailure {
        randomization_factor: 0.0,
        ..RetryOnFailure::default()
    }
}

fn for_ever() -> RetryOnFailure {
    RetryOnFailure {
        max_elapsed_time: Some(crate::settings::Duration::from_secs(0)),
        ..steady()
    }
}

impl Bench {
    /// A message of one batch, with two points.
    fn push(&mut self, mark: u8) {
        self.pushed += 2;
        self.delivery.push(&[mark; 8], 2);
        self.check();
    }

    /// Advances the time, and checks the sums again and again.
    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            sleep(Duration::from_secs(1)).await;
            self.check();
        }
    }

    fn check(&self) {
        let [received, sent, rejected, dropped, held] =
            ["received", "sent", "rejected", "dropped", "held"].map(|what| self.metrics.sum(what));
        assert_eq!(received, self.pushed);
        assert_eq!(
            sent + rejected + dropped + held,
            received,
            "{sent} sent, {rejected} rejected, {dropped} dropped, {held} held"
        );
    }

    fn accepted(&self) -> Vec<u8> {
        let mut marks = self.destination.accepted();
        marks.dedup();
        marks
    }

    async fn drain(&self, seconds: u64) {
        self.delivery
            .drain(Instant::now() + Duration::from_secs(seconds))
            .await;
        self.check();
    }
}

impl Reader {
    /// The sum over all series whose metric name or attributes contain `part`.
    fn sum(&self, part: &str) -> u64 {
        let mut metrics = ResourceMetrics::default();
        self.collect(&mut metrics).unwrap();
        let mut sum = 0;
        for metric in metrics.scope_metrics().flat_map(|scope| scope.metrics()) {
            let AggregatedMetrics::U64(data) = metric.data() else {
                continue;
            };
            let mut add = |attributes: Vec<KeyValue>, value| {
                if metric.name().contains(part)
                    || attributes.iter().any(|a| a.value.as_str() == part)
                {
                    sum += value;
                }
            };
            match data {
                MetricData::Sum(data) => data
                    .data_points()
                    .for_each(|p| add(p.attributes().cloned().collect(), p.value())),
                MetricData::Gauge(data) => data
                    .data_points()
                    .for_each(|p| add(p.attributes().cloned().collect(), p.value())),
                _ => {}
            }
        }
        sum
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_not_full_is_sent_after_the_flush_timeout() {
    let mut bench = bench(steady(), 10);
    bench.push(1);
    sleep(Duration::from_millis(199)).await;
    assert!(bench.accepted().is_empty());
    sleep(Duration::from_millis(2)).await;
    assert_eq!(bench.accepted(), [1]);
    assert_eq!(bench.metrics.sum("sent"), 2);
}

#[tokio::test(start_paused = true)]
async fn retries_keep_the_order() {
    let mut bench = bench(steady(), 10);
    bench.destination.script([
        DestinationStep::Accept,
        DestinationStep::Fail,
        DestinationStep::Hang,
        DestinationStep::After(60),
    ]);
    for mark in 1..=5 {
        bench.push(mark);
    }
    bench.pass(120).await;
    assert_eq!(bench.accepted(), [1, 2, 3, 4, 5]);

    let attempts = bench.destination.attempts();
    let waits: Vec<u128> = attempts
        .windows(2)
        .map(|pair| (pair[1].0 - pair[0].0).as_millis() / 100)
        .collect();
    assert_eq!(
        waits[1..4],
        [50, 375, 600],
        "5 s, then 30 s hanging and 7.5 s, then the requested wait"
    );
    assert_eq!(bench.metrics.sum("send_failed"), 6);
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_of_ten_minutes_everything_arrives_once() {
    let mut bench = bench(for_ever(), 1000);
    let until = Instant::now() + Duration::from_secs(600);
    *bench.destination.away_until.lock().unwrap() = Some(until);
    for mark in 0..=200 {
        bench.push(mark);
        bench.pass(3).await;
    }
    bench.pass(60).await;
    assert_eq!(bench.accepted(), (0..=200).collect::<Vec<u8>>());
    assert_eq!(bench.destination.accepted().len(), 201 * 8);
    assert_eq!(bench.metrics.sum("dropped"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_dropped_after_max_elapsed_time() {
    let mut bench = bench(steady(), 10);
    bench
        .destination
        .script(std::iter::repeat_with(|| DestinationStep::Fail).take(100));
    bench.push(1);
    bench.pass(299).await;
    assert_eq!(bench.metrics.sum("retries_exhausted"), 0);
    bench.pass(2).await;
    assert_eq!(bench.metrics.sum("retries_exhausted"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_the_new_batch() {
    let mut bench = bench(for_ever(), 2);
    bench
        .destination
        .script([DestinationStep::Fail, DestinationStep::Fail]);
    bench.push(1);
    bench.pass(1).await;
    for mark in 2..=5 {
        bench.push(mark); // 2 waits, 3 and 4 are dropped, 5 is in the open batch
    }
    assert_eq!(bench.metrics.sum("queue_full"), 4);
    assert_eq!(bench.metrics.sum("queue_size"), 2);
    assert_eq!(bench.metrics.sum("queue_capacity"), 2);
    bench.pass(60).await;
    assert_eq!(bench.accepted(), [1, 2, 5]);
    assert_eq!(bench.metrics.sum("queue_size"), 0);
}

#[tokio::test(start_paused = true)]
async fn rejected_points_count_neither_as_sent_nor_as_dropped() {
    let mut bench = bench(steady(), 10);
    bench.destination.script([
        DestinationStep::Reject(1),
        DestinationStep::Refuse,
        DestinationStep::Reject(99),
    ]);
    for mark in 1..=3 {
        bench.push(mark);
    }
    bench.pass(1).await;
    assert_eq!(bench.metrics.sum("sent"), 1);
    assert_eq!(bench.metrics.sum("rejected"), 1 + 2 + 2);
    assert_eq!(bench.metrics.sum("dropped"), 0);
    assert_eq!(bench.destination.attempts().len(), 3, "none is sent again");
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_limit_of_otlp_is_dropped() {
    let mut bench = bench(steady(), 10);
    bench.delivery.push(&vec![0; (64 << 20) + 1], 7);
    bench.pushed += 7;
    bench.check();
    assert_eq!(bench.metrics.sum("too_large"), 7);
}

#[tokio::test(start_paused = true)]
async fn several_consumers_send_at_the_same_time() {
    let (tasks, _failures) = Tasks::new();
    let destination = Scripted::default();
    destination.script([DestinationStep::Hang]);
    let mut settings = DeliverySettings {
        timeout: TIMEOUT,
        retry: steady(),
        queue: SendingQueue::default(),
        split: None,
        order: None,
    };
    settings.queue.num_consumers = 2;
    settings.queue.batch.flush_timeout = FLUSH;
    let meter = Meter::of(&SdkMeterProvider::default());
    let context = DeliveryContext {
        id: "x",
        tasks: &tasks,
        meter: &meter,
        seed: 1,
        status: &Reporter::unheard(),
        clock: &Clock::System,
        storages: &Storages::new(),
        authenticators: &Authenticators::default(),
        states: &StateStore::default(),
    };
    let delivery = Delivery::start(context, settings, destination.clone()).unwrap();
    for mark in [1, 2, 3] {
        delivery.push(&[mark], 1);
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(destination.accepted(), [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_two_log_lines_and_drops_are_one_line_per_ten_seconds() {
    let (lines, _guard) = logged();
    let mut bench = bench(for_ever(), 1);
    let until = Instant::now() + Duration::from_secs(60);
    *bench.destination.away_until.lock().unwrap() = Some(until);
    for mark in 0..20 {
        bench.push(mark);
        bench.pass(1).await;
    }
    bench.pass(60).await;
    let text = lines.text();
    let count = |part| text.lines().filter(|line| line.contains(part)).count();
    assert_eq!(count("WARN") - count("data points dropped"), 1, "{text}");
    assert_eq!(
        count("sending fails exporter=otlp_http/test error=\"away\""),
        1,
        "{text}"
    );
    assert_eq!(count("sending works again"), 1, "{text}");
    assert_eq!(count("data points dropped"), 2, "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_message_of_the_destination_is_logged_once() {
    let (lines, _guard) = logged();
    let mut bench = bench(steady(), 1000);
    for poll in 0..100 {
        let said = match poll {
            0..50 => format!("{poll} points are too old"),
            50..99 => format!("tenant {poll} is over its limit"),
            _ => String::new(),
        };
        bench.destination.script([
            DestinationStep::Say(said),
            DestinationStep::Accept,
            DestinationStep::Accept,
        ]);
        bench.push(1);
        bench.push(2);
        bench.push(3);
        bench.pass(15).await;
    }
    bench.pass(300).await;
    bench.push(4);
    bench.pass(1).await;
    let text = lines.text();
    let count = |part| text.lines().filter(|line| line.contains(part)).count();
    assert_eq!(count("only in part, or with a warning"), 3, "{text}");
    assert_eq!(count("said=\"0 points are too old\""), 1, "{text}");
    assert_eq!(count("said=\"tenant 50 is over its limit\""), 1, "{text}");
    assert_eq!(count("accepts everything again"), 1, "{text}");
}

/// A configuration that drops an exporter and one that has it again follow each other while the
/// first one still sends.
#[tokio::test(start_paused = true)]
async fn an_exporter_that_comes_back_continues_its_counters() {
    let (tasks, _failures) = Tasks::new();
    let metrics = Reader::default();
    let provider = SdkMeterProvider::builder()
        .with_reader(metrics.clone())
        .build();
    let (meter, states) = (Meter::of(&provider), StateStore::default());
    let start = |destination: &Scripted| {
        let context = DeliveryContext {
            id: "otlp_http/test",
            tasks: &tasks,
            meter: &meter,
            seed: 1,
            status: &Reporter::unheard(),
            clock: &Clock::System,
            storages: &Storages::new(),
            authenticators: &Authenticators::default(),
            states: &states,
        };
        let settings = DeliverySettings {
            timeout: TIMEOUT,
            retry: steady(),
            queue: SendingQueue::default(),
            split: None,
            order: None,
        };
        Delivery::start(context, settings, destination.clone()).unwrap()
    };
    let destination = Scripted::default();
    destination.script([DestinationStep::Accept, DestinationStep::Hang]);
    let removed = start(&destination);
    for mark in [1, 2] {
        removed.push(&[mark], 1);
        sleep(Duration::from_secs(2)).await;
    }
    let again = start(&destination);
    again.push(&[3], 1);
    sleep(Duration::from_secs(2)).await;
    let sums = || ["received", "sent", "held"].map(|what| metrics.sum(what));
    assert_eq!(sums(), [3, 2, 1]);
    drop(removed);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(sums(), [3, 2, 0]);
    assert_eq!(metrics.sum("dropped"), 1, "it was not drained");
}
