//! Tests of the whole delivery with a paused clock and a scripted destination.

mod breaker;
mod conservation;
mod disk;
mod drain;
mod panics;
mod scripted;
mod sending;
mod size;

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::{
    SdkMeterProvider,
    data::{AggregatedMetrics, MetricData, ResourceMetrics},
    reader::MetricReader as _,
};
use tokio::time::{advance, sleep};

use self::scripted::{DestinationStep, Scripted};
use super::{
    testing::{Reader, logged},
    *,
};

/// What a delivery needs in addition to its settings.
struct Setup {
    tasks: Tasks,
    metrics: Reader,
    meter: Meter,
    status: Reporter,
    storages: Storages,
    authenticators: Authenticators,
    states: StateStore,
    _provider: SdkMeterProvider,
}

impl Setup {
    fn new() -> Self {
        let metrics = Reader::default();
        let provider = SdkMeterProvider::builder().with_reader(metrics.clone());
        let provider = provider.build();
        Self {
            tasks: Tasks::new().0,
            metrics,
            meter: Meter::of(&provider),
            status: Reporter::unheard(),
            storages: Storages::new(),
            authenticators: Authenticators::default(),
            states: StateStore::default(),
            _provider: provider,
        }
    }

    fn context(&self) -> DeliveryContext<'_> {
        DeliveryContext {
            id: "otlp_http/test",
            tasks: &self.tasks,
            meter: &self.meter,
            seed: 1,
            status: &self.status,
            clock: &Clock::System,
            storages: &self.storages,
            authenticators: &self.authenticators,
            states: &self.states,
        }
    }

    fn start(&self, settings: DeliverySettings, destination: &Scripted) -> Delivery {
        Delivery::start(self.context(), settings, destination.clone()).unwrap()
    }
}

/// A delivery, its destination, and its own metrics.
struct Bench {
    delivery: Delivery,
    destination: Scripted,
    pushed: u64,
    metrics: Reader,
    setup: Setup,
}

const TIMEOUT: Duration = Duration::from_secs(30);

/// Each second that passes in a test sends the open batch.
const FLUSH: crate::settings::Duration = crate::settings::Duration::from_millis(200);

fn settings(retry: RetryOnFailure, mut queue: SendingQueue) -> DeliverySettings {
    queue.batch.flush_timeout = FLUSH;
    DeliverySettings {
        timeout: TIMEOUT,
        retry,
        queue,
        split: None,
        order: None,
    }
}

/// Batches of one message of 8 bytes each, without jitter.
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
    bench_of(settings(retry, queue), disk)
}

fn bench_of(settings: DeliverySettings, disk: Option<(Directory, Log)>) -> Bench {
    let (setup, destination) = (Setup::new(), Scripted::default());
    Bench {
        delivery: Delivery::start_on(setup.context(), settings, destination.clone(), disk),
        destination,
        pushed: 0,
        metrics: setup.metrics.clone(),
        setup,
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
