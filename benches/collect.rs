//! The cost of a poll after its bodies have arrived: `cargo bench --bench collect`.
//!
//! It has targets with the bodies of a Betanet node. It measures the allocations and the time to
//! map, collect, show and push one poll, the memory that a target keeps, and the compressed bytes of
//! a pushed document. With `cargo test` it is small, and fails if a poll allocates more than it
//! should, if a target keeps more, or if more is pushed.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{io::Write as _, sync::Arc, time::Duration};

use allocation_counter::measure;
use betanet_collector::{
    definition::{self, Definition},
    exporters::prometheus::{Config, NameFilter, Prometheus, TextFormat},
    instruments::{Collected, ReportMetrics, SCOPE, TargetInstruments, resource},
    pipeline::{
        Body, EndpointPoll, Exporter as _, OtlpForm, Poll, PollOutcome, Schema, Snapshot,
        StateStore, Target,
    },
    processors::mapping,
    resilience::{
        cache::CacheHeaders,
        config::{CacheConfig, CircuitBreakerConfig, RetryConfig, TimeoutConfig},
        executor::{AttemptResponse, Manner, NextStep, PollResult},
        outcome::Statuses,
        receiver_resilience::{ReceiverResilience, ResilienceSettings},
        target_keys::TargetKeys,
        target_resilience::TargetResilience,
    },
    runtime::Clock,
    telemetry::{Meter, target_metrics::MetricsLevel},
};
use bytes::Bytes;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use serde_json::Value;
use tokio::time::Instant;

type Error = Box<dyn std::error::Error>;

const TARGETS: usize = 500;
const ROUNDS: usize = 20;

/// The series of a fleet of some thousand targets.
const SERIES: f64 = 120_000.0;

/// The most allocations and bytes of one poll with `basic`, which do not depend on the machine.
const MOST_COLLECT: Limit = Limit {
    calls: 85,
    bytes: 18_000,
    kept: 6_800,
};
const MOST_SHOW: Limit = Limit {
    calls: 1,
    bytes: 100,
    kept: 2_500,
};
const MOST_PUSH: Limit = Limit {
    calls: 16,
    bytes: 5_000,
    kept: 200,
};
/// The most compressed bytes of a pushed document.
const MOST_WIRE: usize = 26;

struct Limit {
    calls: u64,
    bytes: u64,
    /// The memory that stays after the first poll.
    kept: i64,
}

/// Answers at once.
struct AtOnce(Body);

async fn poll(host: &TargetResilience, endpoint: usize, node: &AtOnce) -> PollResult {
    let manner = Manner {
        deadline: host.deadline(),
        alone: false,
    };
    let mut run = host.begin(endpoint, manner);
    loop {
        match run.next().await {
            NextStep::Attempt(_) => {
                let (body, headers) = (node.0.clone(), CacheHeaders::default());
                run.record(Ok(AttemptResponse::Body(body, headers)));
            }
            NextStep::Done(polled) => return polled,
        }
    }
}

/// One target, and its state after the receiver.
struct Node {
    target: Arc<Target>,
    host: TargetResilience,
    own: ReportMetrics,
    instruments: TargetInstruments,
    /// Those of its endpoints, and that of the report metrics.
    scopes: Vec<Arc<str>>,
    /// How many series it has.
    series: u64,
}

/// The cost of a step, over all polls.
#[derive(Default)]
struct Cost {
    calls: u64,
    bytes: u64,
    /// The bytes in memory after the first poll of each target.
    kept: i64,
    time: Duration,
}

impl Cost {
    fn add(&mut self, is_first: bool, step: impl FnOnce()) {
        let started = Instant::now();
        let spent = measure(step);
        // The first poll creates what later ones use.
        if is_first {
            self.kept += spent.bytes_current;
            return;
        }
        self.time += started.elapsed();
        self.calls += spent.count_total;
        self.bytes += spent.bytes_total;
    }

    /// The result of a step is not what stays.
    fn free<T>(&mut self, is_first: bool, result: T) {
        let freed = measure(|| drop(result));
        if is_first {
            self.kept += freed.bytes_current;
        }
    }

    fn print(&self, size: Size, detail: MetricsLevel, step: &str) {
        let polls = size.polls();
        println!(
            "| {detail:?} | {step} | {} | {} | {:.1} µs | {} |",
            self.calls / polls,
            self.bytes / polls,
            self.time.as_secs_f64() * 1e6 / polls as f64,
            self.kept / size.targets as i64,
        );
    }

    /// An error if it is over the limit.
    fn check(&self, size: Size, step: &str, most: &Limit) -> Result<(), Error> {
        let (calls, bytes) = (self.calls / size.polls(), self.bytes / size.polls());
        let kept = self.kept / size.targets as i64;
        match calls <= most.calls && bytes <= most.bytes && kept <= most.kept {
            true => Ok(()),
            false => {
                let Limit {
                    calls: c,
                    bytes: b,
                    kept: k,
                } = most;
                let text = format!(
                    "{step}: {calls} of {c} allocations, {bytes} of {b} bytes, keeps {kept} of {k}"
                );
                Err(text.into())
            }
        }
    }
}

/// How much is measured.
#[derive(Clone, Copy)]
struct Size {
    targets: usize,
    rounds: usize,
}

impl Size {
    fn polls(self) -> u64 {
        (self.targets * self.rounds) as u64
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let is_bench = arguments.iter().any(|argument| argument == "--bench");
    // `cargo test` passes the name of a test, if anything.
    let name = arguments.first().filter(|name| !name.starts_with("--"));
    if !is_bench && name.is_some_and(|name| !"collect".contains(name.as_str())) {
        return Ok(());
    }
    let size = match is_bench {
        true => Size {
            targets: TARGETS,
            rounds: ROUNDS,
        },
        false => Size {
            targets: 50,
            rounds: 10,
        },
    };
    let definition = definition::load("betanet")?;
    let bodies = bodies(&definition)?;
    println!(
        "| `target_metrics` | step | allocations a poll | bytes a poll | time a poll | bytes kept a target |"
    );
    println!("|---|---|---|---|---|---|");
    for detail in [MetricsLevel::Basic, MetricsLevel::Detailed] {
        let costs = run(&definition, &bodies, size, detail).await?;
        if !is_bench && detail == MetricsLevel::Basic {
            costs
                .collect
                .check(size, "read and collect", &MOST_COLLECT)?;
            costs.show.check(size, "show", &MOST_SHOW)?;
            costs.push.check(size, "push", &MOST_PUSH)?;
            if costs.wire > MOST_WIRE {
                return Err(format!("{} of {MOST_WIRE} bytes a document", costs.wire).into());
            }
        }
    }
    Ok(())
}

/// What all polls cost.
#[derive(Default)]
struct Costs {
    collect: Cost,
    show: Cost,
    push: Cost,
    /// The series of all polls, also those that did not change and are not sent.
    series: u64,
    /// The compressed bytes of a document.
    wire: usize,
}

impl Costs {
    /// The time to push so many series.
    fn print_push(&self, detail: MetricsLevel) {
        let millis = self.push.time.as_secs_f64() * 1e3 * SERIES / self.series as f64;
        println!("| {detail:?} | push of {SERIES} series | | | {millis:.1} ms | |");
    }
}

async fn run(
    definition: &Arc<Definition>,
    bodies: &[AtOnce],
    size: Size,
    detail: MetricsLevel,
) -> Result<Costs, Error> {
    let Size { targets, rounds } = size;
    let meter = Meter::of(&SdkMeterProvider::default());
    let exporter = Prometheus::new(
        "prometheus",
        &Config::default(),
        &meter,
        &StateStore::default(),
    );
    let fleet = ReceiverResilience::new(settings());
    let one = Target::polled_by("betanet", "node", definition);
    let schema = Arc::new(ReportMetrics::schema(&one));
    let nodes = (0..targets).map(|number| Node::new(number, definition, &fleet, &schema));
    let mut nodes = nodes.collect::<Result<Vec<_>, Error>>()?;
    let fresh = vec![true; definition.endpoints.len()];
    let (mut costs, mut pushed) = (Costs::default(), Vec::new());
    for round in 0..=rounds {
        pushed.clear();
        for node in &mut nodes {
            let (is_first, mut poll) = (round == 0, node.poll(bodies, detail).await);
            let mut collected = None;
            costs
                .collect
                .add(is_first, || collected = Some(node.collect(&mut poll)));
            let collected = collected.ok_or("not collected")?;
            costs
                .show
                .add(is_first, || show(&exporter, node, &fresh, &collected));
            let (mut message, mut points) = (Vec::new(), 0);
            costs
                .push
                .add(is_first, || (message, points) = node.message(&collected));
            pushed.extend_from_slice(&message);
            // The first message has all series.
            match is_first {
                true => node.series = points,
                false => costs.series += node.series,
            }
            costs.push.free(is_first, message);
            costs.collect.free(is_first, collected);
        }
    }
    costs.collect.print(size, detail, "read and collect");
    costs.show.print(size, detail, "show");
    costs.push.print(size, detail, "push");
    costs.print_push(detail);
    costs.wire = compressed(&pushed)? / (targets * definition.endpoints.len());
    println!(
        "| {detail:?} | pushed document, compressed | | {} | | |",
        costs.wire
    );
    print_scrape(&exporter, targets, detail);
    Ok(costs)
}

fn show(exporter: &Prometheus, node: &Node, fresh: &[bool], collected: &Collected) {
    exporter.export(&Snapshot {
        target: &node.target,
        fresh,
        lost: &[],
        is_refused: false,
        time: Clock::System.now(),
        starts: &(),
        resource: &collected.resource,
        metrics: &collected.metrics,
        histograms: &[],
        exemplars: &[],
        otlp: OtlpForm::new(Vec::new),
    });
}

fn print_scrape(exporter: &Prometheus, targets: usize, detail: MetricsLevel) {
    let (started, pieces) = (
        Instant::now(),
        exporter.scrape(NameFilter::all(TextFormat::Text)),
    );
    let bytes = pieces.map(|piece| piece.len()).sum::<usize>() / targets;
    let micros = started.elapsed().as_secs_f64() * 1e6 / targets as f64;
    println!("| {detail:?} | scrape | | {bytes} | {micros:.1} µs | |");
}

/// The size after the compression of a push.
fn compressed(bytes: &[u8]) -> Result<usize, Error> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(5));
    gzip.write_all(bytes)?;
    Ok(gzip.finish()?.len())
}

impl Node {
    fn new(
        number: usize,
        definition: &Arc<Definition>,
        fleet: &Arc<ReceiverResilience>,
        schema: &Arc<Schema>,
    ) -> Result<Self, Error> {
        let host = format!("node-{number}.example.com");
        let target = Arc::new(Target {
            url: format!("http://{host}:9000"),
            server_port: 9000,
            url_scheme: "http".to_owned(),
            server_address: host.clone(),
            ..Target::named(&format!("{host}:9000"), definition)
        });
        let keys = TargetKeys::new(definition, vec![target.url.parse()?], Vec::new());
        Ok(Self {
            own: ReportMetrics::new(&target),
            scopes: definition
                .endpoints
                .iter()
                .map(|of| Arc::clone(&of.scope))
                .chain([SCOPE.into()])
                .collect(),
            instruments: TargetInstruments::new(schema, &resource(&target)),
            host: TargetResilience::new(&fleet.join(), &target.name, keys, &Clock::System),
            target,
            series: 0,
        })
    }

    async fn poll(&self, bodies: &[AtOnce], detail: MetricsLevel) -> Poll {
        let mut endpoints = Vec::new();
        for (index, body) in bodies.iter().enumerate() {
            drop(poll(&self.host, index, body).await);
            endpoints.push(EndpointPoll::new(PollOutcome::Fresh(body.0.clone())));
        }
        let now = Clock::System.now();
        Poll {
            started: now,
            ended: now,
            counting_since: now,
            duration: Duration::from_millis(5),
            missed_ticks: 0,
            endpoints,
            level: detail,
            own: self.host.readings(detail),
        }
    }

    fn collect(&mut self, poll: &mut Poll) -> Collected {
        let definition = &self.target.definition;
        let readings = mapping::map(definition, poll);
        self.own.observe(poll, &readings);
        self.instruments.observe_at(poll.time(), &[]);
        self.instruments.put(readings.values);
        let own = self.own.readings(poll, self.instruments.resets());
        self.instruments.put(own);
        self.instruments.collect(&self.scopes, false)
    }

    /// The OTLP message of a poll, and the number of its points.
    fn message(&mut self, collected: &Collected) -> (Vec<u8>, u64) {
        let (encoding, _) = self.instruments.forms();
        let messages = encoding.messages(collected, [&self.scopes, &[]], &[]);
        let points = messages.iter().map(|message| message.points).sum();
        let bytes = messages.into_iter().map(|message| message.bytes);
        (bytes.collect::<Vec<_>>().concat(), points)
    }
}

/// The bodies of the definition's endpoints.
fn bodies(definition: &Definition) -> Result<Vec<AtOnce>, Error> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/bodies/betanet/"
    );
    let bodies = definition.endpoints.iter().map(|endpoint| {
        let raw = std::fs::read(format!("{folder}{}.json", endpoint.id))?;
        let document: Value = serde_json::from_slice(&raw)?;
        // Only the mapping is measured, not the parser.
        let read = move |_: &Bytes| Some(document.clone());
        let received = Clock::System.now();
        Ok(AtOnce(Body::new(raw.into(), received, read)))
    });
    bodies.collect()
}

fn settings() -> ResilienceSettings {
    ResilienceSettings {
        interval: Duration::from_secs(15),
        deadline: Duration::from_secs(13),
        statuses: Statuses::default(),
        retry: RetryConfig::default().policy(),
        timeout: TimeoutConfig::default(),
        circuit_breaker: CircuitBreakerConfig::default(),
        cache: CacheConfig::default().policy(),
        freshness_objective: None,
    }
}
