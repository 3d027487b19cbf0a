//! The cost of a poll after its bodies have arrived: `cargo bench --bench collect`.
//!
//! It has targets with the bodies of a Betanet node. It measures the allocations and the time to
//! map, collect and show one poll, and the memory that a target keeps. With `cargo test` it is
//! small, and fails if a poll allocates more than it should.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{sync::Arc, time::Duration};

use allocation_counter::measure;
use betanet_collector::{
    definition::{self, Definition, Endpoint},
    exporters::prometheus::{Config, NameFilter, Prometheus, TextFormat},
    instruments::{ReportMetrics, TargetInstruments, resource},
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
        target_resilience::{ReceiverResilience, ResilienceSettings, TargetResilience},
    },
    runtime::Clock,
    telemetry::{Meter, target_metrics::MetricsLevel},
};
use bytes::Bytes;
use opentelemetry_sdk::metrics::{SdkMeterProvider, data::ResourceMetrics};
use serde_json::Value;
use tokio::time::Instant;

type Error = Box<dyn std::error::Error>;

const TARGETS: usize = 500;
const ROUNDS: usize = 20;

/// The most allocations and bytes of one poll with `basic`, which do not depend on the machine.
const MOST_COLLECT: Limit = Limit {
    calls: 300,
    bytes: 80_000,
};
const MOST_SHOW: Limit = Limit {
    calls: 50,
    bytes: 25_000,
};

struct Limit {
    calls: u64,
    bytes: u64,
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
        match calls <= most.calls && bytes <= most.bytes {
            true => Ok(()),
            false => {
                let Limit { calls: c, bytes: b } = most;
                Err(format!("{step}: {calls} of {c} allocations, {bytes} of {b} bytes").into())
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
            targets: 3,
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
        let (collect, show) = run(&definition, &bodies, size, detail).await;
        if !is_bench && detail == MetricsLevel::Basic {
            collect.check(size, "read and collect", &MOST_COLLECT)?;
            show.check(size, "show", &MOST_SHOW)?;
        }
    }
    Ok(())
}

async fn run(
    definition: &Arc<Definition>,
    bodies: &[AtOnce],
    size: Size,
    detail: MetricsLevel,
) -> (Cost, Cost) {
    let Size { targets, rounds } = size;
    let meter = Meter::of(&SdkMeterProvider::default());
    let exporter = Prometheus::new(
        "prometheus",
        &Config::default(),
        &meter,
        &StateStore::default(),
    );
    let (fleet, schema) = (
        ReceiverResilience::new(settings()),
        Arc::new(ReportMetrics::schema(definition, 1)),
    );
    let nodes = (0..targets).map(|number| Node::new(number, definition, &fleet, &schema));
    let mut nodes: Vec<_> = nodes.collect();
    let fresh = vec![true; definition.endpoints.len()];
    let (mut collect, mut show) = (Cost::default(), Cost::default());
    for round in 0..=rounds {
        for node in &mut nodes {
            let mut poll = node.poll(bodies, detail).await;
            let mut metrics = Vec::new();
            collect.add(round == 0, || metrics = node.collect(&mut poll));
            let snapshot = Snapshot {
                target: &node.target,
                fresh: &fresh,
                lost: &[],
                is_refused: false,
                time: Clock::System.now(),
                starts: &(),
                metrics: &metrics,
                histograms: &[],
                exemplars: &[],
                otlp: OtlpForm::new(Vec::new),
            };
            show.add(round == 0, || exporter.export(&snapshot));
        }
    }
    collect.print(size, detail, "read and collect");
    show.print(size, detail, "show");
    let (started, pieces) = (
        Instant::now(),
        exporter.scrape(NameFilter::all(TextFormat::Text)),
    );
    let bytes = pieces.map(|piece| piece.len()).sum::<usize>() / targets;
    let micros = started.elapsed().as_secs_f64() * 1e6 / targets as f64;
    println!("| {detail:?} | scrape | | {bytes} | {micros:.1} µs | |");
    (collect, show)
}

impl Node {
    fn new(
        number: usize,
        definition: &Arc<Definition>,
        fleet: &Arc<ReceiverResilience>,
        schema: &Arc<Schema>,
    ) -> Self {
        let host = format!("node-{number}.example.com");
        let target = Arc::new(Target {
            url: format!("http://{host}:9000"),
            server_port: 9000,
            url_scheme: "http".to_owned(),
            server_address: host.clone(),
            ..Target::named(&format!("{host}:9000"), definition)
        });
        let labels = definition.endpoints.iter().map(Endpoint::labels);
        Self {
            own: ReportMetrics::new(&target),
            instruments: TargetInstruments::new(schema, &resource(&target)),
            host: TargetResilience::new(
                &fleet.join(),
                &target.name,
                labels.collect(),
                &Clock::System,
            ),
            target,
        }
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

    fn collect(&mut self, poll: &mut Poll) -> Vec<ResourceMetrics> {
        let definition = &self.target.definition;
        let readings = mapping::map(definition, poll);
        self.own.observe(poll, &readings);
        self.instruments.observe_at(poll.time(), &[]);
        self.instruments.put(readings.values);
        let own = self.own.readings(poll, self.instruments.resets());
        self.instruments.put(own);
        let scopes: Vec<_> = definition
            .endpoints
            .iter()
            .map(|of| Arc::clone(&of.scope))
            .collect();
        self.instruments.collect(&scopes, false).metrics
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
