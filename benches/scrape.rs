//! The cost of showing values to Prometheus: `cargo bench --bench scrape -- --targets 5000`.
//!
//! It has targets with 28 series each. It measures what a poll costs the exporter, the memory that
//! a target keeps, and the processor time and size of a scrape, over a socket, as it is and
//! compressed. Its clients are another process, so that their time is not counted.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::Arc,
    time::Duration,
};

use allocation_counter::measure;
use betanet_collector::{
    definition::{self, Definition},
    exporters::prometheus::{Config, Prometheus},
    http::{ClientLimits, Listeners, ServerConfig},
    instruments::PullReader,
    pipeline::{Components, Exporter as _, OtlpForm, Snapshot, StateStore, Target},
    runtime::{Clock, Tasks},
    telemetry::Meter,
};
use clap::Parser;
use opentelemetry::{
    KeyValue,
    metrics::{Counter, Gauge, MeterProvider as _},
};
use opentelemetry_sdk::{
    Resource,
    metrics::{SdkMeterProvider, data::ResourceMetrics, reader::MetricReader as _},
};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

type Error = Box<dyn std::error::Error>;

/// Options of the benchmark.
#[derive(Debug, Parser)]
struct Options {
    /// The number of targets, with 28 series each
    #[arg(long, default_value_t = 5000)]
    targets: u32,
    /// The number of scrapes of each kind; the figures are medians
    #[arg(long, default_value_t = 15)]
    scrapes: u32,
    /// The number of simultaneous scrapers at the end
    #[arg(long, default_value_t = 50)]
    scrapers: u32,
    /// Scrape this address once with this encoding; for the benchmark itself
    #[arg(long, hide = true, num_args = 2)]
    read: Vec<String>,
    /// The argument that `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Error> {
    let options = Options::parse();
    match options.read.as_slice() {
        [address, encoding] => {
            let (took, bytes) = read(address.parse()?, encoding)?;
            println!("{} {bytes}", took.as_secs_f64());
            Ok(())
        }
        _ => bench(&options),
    }
}

fn bench(options: &Options) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let meter = Meter::of(&SdkMeterProvider::default());
        let exporter = Arc::new(Prometheus::new(
            "prometheus",
            &Config::default(),
            &meter,
            &StateStore::default(),
        ));
        polls(options, &exporter)?;
        let limits = ClientLimits {
            connections: 1024,
            ..ClientLimits::default()
        };
        let mut listeners = Listeners::new(limits, &meter);
        let server = ServerConfig::plain("127.0.0.1:0");
        listeners.route(&server, exporter.route("/metrics"))?;
        let (tasks, _failures) = Tasks::new();
        let bound = listeners.bind().await?;
        let address = bound.local_addr("127.0.0.1:0").ok_or("no address")?;
        bound.serve(&tasks, &Components::new(&Clock::System, &tasks));
        for encoding in ["identity", "gzip", "zstd"] {
            scrapes(options, &exporter, (address, encoding))?;
        }
        crowd(options, address)
    })
}

/// What a poll costs and a target keeps.
fn polls(options: &Options, exporter: &Prometheus) -> Result<(), Error> {
    let definition = definition::load("betanet")?;
    let node = Node::new(&definition);
    let fresh = vec![true; definition.endpoints.len()];
    let targets: Vec<_> = (0..options.targets)
        .map(|n| target(n, &definition))
        .collect();
    for round in 0..6_u32 {
        let (mut spent, mut calls, mut kept) = (Duration::ZERO, 0, 0);
        for (number, target) in (0..).zip(&targets) {
            let metrics = [node.poll(number, round)?];
            let snapshot = Snapshot {
                target,
                fresh: &fresh,
                lost: &[],
                is_refused: false,
                time: Clock::System.now(),
                starts: &(),
                resource: &node.resource,
                metrics: &metrics,
                histograms: &[],
                exemplars: &[],
                otlp: OtlpForm::new(Vec::new),
            };
            let allocated = measure(|| {
                let before = processor_time();
                exporter.export(&snapshot);
                spent += processor_time() - before;
            });
            calls += allocated.count_total;
            kept += allocated.bytes_current;
        }
        let targets = f64::from(options.targets);
        println!(
            "poll {round}: {:.2} µs, {:.1} allocations, {:.0} bytes more kept, each target",
            spent.as_secs_f64() * 1e6 / targets,
            calls as f64 / targets,
            kept as f64 / targets,
        );
    }
    Ok(())
}

/// The median processor time and the size of a scrape.
fn scrapes(
    options: &Options,
    exporter: &Prometheus,
    (address, encoding): (SocketAddr, &str),
) -> Result<(), Error> {
    let (mut times, mut size) = (Vec::new(), 0);
    for _ in 0..options.scrapes {
        // There was a poll since the last scrape, so none is shared.
        exporter.shed();
        let before = processor_time();
        let (_, bytes) = child(address, encoding)?.wait_for()?;
        times.push(processor_time() - before);
        size = bytes;
    }
    times.sort_unstable();
    let at = |index: usize| times.get(index).copied().unwrap_or_default().as_secs_f64() * 1e3;
    println!(
        "scrape {encoding}: {:.1} ms (least {:.1}) of processor time, {size} bytes",
        at(times.len() / 2),
        at(0),
    );
    Ok(())
}

/// Many scrapes at the same time.
fn crowd(options: &Options, address: SocketAddr) -> Result<(), Error> {
    let (before, started) = (processor_time(), Instant::now());
    let children = (0..options.scrapers).map(|_| child(address, "gzip"));
    let children: Vec<_> = children.collect::<Result<_, _>>()?;
    let mut took = Vec::new();
    for child in children {
        took.push(child.wait_for()?.0);
    }
    took.sort_by(f64::total_cmp);
    println!(
        "{} at once, gzip: p50 {:.3} s, all {:.3} s, {:.1} ms of processor time for each",
        options.scrapers,
        took.get(took.len() / 2).copied().unwrap_or_default(),
        started.elapsed().as_secs_f64(),
        (processor_time() - before).as_secs_f64() * 1e3 / f64::from(options.scrapers),
    );
    Ok(())
}

struct Child(std::process::Child);

fn child(address: SocketAddr, encoding: &str) -> Result<Child, Error> {
    let child = Command::new(std::env::current_exe()?)
        .args(["--read", &address.to_string(), encoding])
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    Ok(Child(child))
}

impl Child {
    fn wait_for(self) -> Result<(f64, usize), Error> {
        let out = String::from_utf8(self.0.wait_with_output()?.stdout)?;
        let (seconds, bytes) = out.trim().split_once(' ').ok_or("the scrape failed")?;
        Ok((seconds.parse()?, bytes.parse()?))
    }
}

/// Scrapes, and gives the time and the number of bytes.
fn read(address: SocketAddr, encoding: &str) -> Result<(Duration, usize), Error> {
    let started = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nhost: localhost\r\naccept-encoding: {encoding}\r\nconnection: close\r\n\r\n"
    )?;
    let (mut bytes, mut buffer) = (0, vec![0; 1 << 18]);
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok((started.elapsed(), bytes)),
            read => bytes += read,
        }
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.try_into().unwrap_or_default(),
    )
}

fn target(number: u32, definition: &Arc<Definition>) -> Arc<Target> {
    let name = format!("node-{number:05}.example.com:9000");
    Arc::new(Target::named(&name, definition))
}

/// The instruments of a node: four metrics of three endpoints, and twelve series of the collector.
struct Node {
    /// Its instruments end with it.
    _provider: SdkMeterProvider,
    resource: Arc<Resource>,
    pull: PullReader,
    totals: Vec<Counter<u64>>,
    levels: Vec<Gauge<f64>>,
    own: Vec<Gauge<f64>>,
}

impl Node {
    fn new(definition: &Definition) -> Self {
        let pull = PullReader::default();
        let resource = Resource::builder_empty()
            .with_attributes([
                KeyValue::new("service.name", "betanet"),
                KeyValue::new("server.port", 9000),
            ])
            .build();
        let provider = SdkMeterProvider::builder()
            .with_resource(resource.clone())
            .with_reader(pull.clone())
            .build();
        let (mut totals, mut levels) = (Vec::new(), Vec::new());
        for endpoint in definition.endpoints.iter().take(3) {
            let meter = provider.meter(endpoint.scope.to_string().leak());
            for kind in ["packets", "bytes"] {
                let name = format!("fleet_{}_{kind}_total", endpoint.id);
                totals.push(
                    meter
                        .u64_counter(name)
                        .with_description("Of a node.")
                        .build(),
                );
                let name = format!("fleet_{}_{kind}_seconds", endpoint.id);
                levels.push(meter.f64_gauge(name).with_unit("s").build());
            }
        }
        let meter = provider.meter("betanet-collector");
        let own = [
            "betanet.up",
            "betanet.scrape.duration",
            "betanet.source.up",
            "betanet.source.last_success.timestamp",
        ];
        let own = own.map(|name| {
            meter
                .f64_gauge(name)
                .with_unit("s")
                .with_description("What the collector says of a target.")
                .build()
        });
        Self {
            _provider: provider,
            resource: Arc::new(resource),
            pull,
            totals,
            levels,
            own: own.into(),
        }
    }

    fn poll(&self, number: u32, round: u32) -> Result<ResourceMetrics, Error> {
        for (index, total) in (0_u32..).zip(&self.totals) {
            total.add(u64::from(number % 97 + index + round), &[]);
        }
        for (index, level) in (0_u32..).zip(&self.levels) {
            level.record(f64::from(number % 1000 + index) / 1000.0, &[]);
        }
        for (index, own) in self.own.iter().enumerate() {
            let value = f64::from(number % 61 + round) / 8192.0;
            match index {
                0 => own.record(1.0, &[]),
                1 => own.record(value, &[]),
                _ => {
                    for path in ["/e0", "/e1", "/e2", "/e3", "/e4", "/e5"] {
                        own.record(1.0, &[KeyValue::new("url.template", path)]);
                    }
                }
            }
        }
        let mut metrics = ResourceMetrics::default();
        self.pull.collect(&mut metrics)?;
        Ok(metrics)
    }
}
