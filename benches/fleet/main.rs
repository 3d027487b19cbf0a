//! A fleet under load: `cargo bench --bench fleet -- --targets 10000`.
//!
//! The simulated nodes are one process, the collector is another one, and this one has a scraper
//! and an OTLP receiver. The counters are read after two intervals, and at the end. With `cargo
//! test` it is small, and fails if anything is wrong.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its figures"
)]

mod collector;
mod crowd;
mod memory;
mod nodes;
mod pages;
mod process;
mod report;
mod roster;
mod scrape;
mod sink;

use std::{path::PathBuf, process::Stdio, time::Duration};

use clap::Parser;
use tokio::{
    task::LocalSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use self::{
    collector::Collector,
    crowd::Crowd,
    memory::Memory,
    pages::Pages,
    process::Process,
    report::{Moment, Report},
    scrape::Scrape,
    sink::Sink,
};

pub(crate) type Error = Box<dyn std::error::Error>;

/// Options of the benchmark. All times are in seconds.
#[derive(Debug, Parser)]
struct Options {
    /// The number of simulated nodes
    #[arg(long, default_value_t = 1000)]
    targets: u32,
    /// Endpoints of each node, with four series each
    #[arg(long, default_value_t = 3)]
    endpoints: u32,
    /// Time between two polls of a node, and between two scrapes
    #[arg(long, default_value_t = 15)]
    interval: u64,
    /// The duration of the measurement
    #[arg(long, default_value_t = 30)]
    duration: u64,
    /// How many of a hundred nodes fail: they hang, close, answer 500, or answer no JSON
    #[arg(long, default_value_t = 0)]
    failing: u32,
    /// The number of additional scrapers, which all scrape at the same time
    #[arg(long, default_value_t = 0)]
    scrapers: u32,
    /// The number of open status pages, each of which asks once a second
    #[arg(long, default_value_t = 0)]
    pages: u32,
    /// Which status page is open
    #[arg(long, default_value = "/")]
    page: String,
    /// How many nodes are replaced each second; the memory is printed each minute
    #[arg(long, default_value_t = 0)]
    churn: u32,
    /// Set a value of the collector's configuration, like its own `--set`
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Another binary of the collector, to compare
    #[arg(long, default_value = env!("CARGO_BIN_EXE_betanet-collector"))]
    collector: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Serve the nodes; for the benchmark itself
    #[arg(long, hide = true)]
    serve_nodes: bool,
    /// The argument that `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().collect();
    let given = |name: &str| arguments.iter().any(|argument| argument == name);
    let rig = LocalSet::new();
    if given("--serve-nodes") {
        return rig.run_until(nodes::serve(Options::parse().failing)).await;
    }
    if given("--bench") || given("--help") {
        return rig.run_until(bench(&Options::parse())).await;
    }
    // `cargo test` passes the name of a test, if anything.
    match arguments.get(1) {
        Some(name) if !"fleet".contains(name.as_str()) && !name.starts_with("--") => Ok(()),
        _ => rig.run_until(smoke()).await,
    }
}

async fn bench(options: &Options) -> Result<(), Error> {
    let report = run(options).await?;
    match options.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{}", report.table()?),
    }
    Ok(())
}

/// Two small fleets for a few seconds, one that stays and one that changes, so that this benchmark
/// keeps working.
async fn smoke() -> Result<(), Error> {
    let small = ["fleet", "--targets=50", "--interval=2", "--duration=4"];
    let with = |more| Options::parse_from(small.into_iter().chain([more]));
    let (stays, changes) = (with("--scrapers=3"), with("--churn=2"));
    let stays = Options { pages: 2, ..stays };
    let (stays, changes) = tokio::try_join!(run(&stays), run(&changes))?;
    for report in [&stays, &changes] {
        let is_right = report.targets_wrong == 0
            && report.scrapes_failed == 0
            && report.missed_ticks == 0.0
            && report.polls_per_second > 12.0
            && report.push_points_per_second > 25.0
            && report.dropped_points == 0.0
            && report.resident_mib > 1.0;
        if !is_right {
            let table = report.table()?;
            return Err(format!("not every target was polled, shown and pushed:\n{table}").into());
        }
    }
    // The newest nodes of a changing fleet have not been polled yet.
    let is_complete = stays.targets_right == 50 && changes.targets_right >= 35;
    let crowd = stays.crowd.as_ref();
    let all_scraped = crowd.is_some_and(|crowd| crowd.crowd_scrapes_failed == 0);
    let pages = stays.pages.as_ref();
    let all_shown = pages.is_some_and(|pages| pages.page_failures == 0);
    match is_complete && all_scraped && all_shown && changes.targets_gone >= 4 {
        true => Ok(()),
        false => Err(format!("{}\n{}", stays.table()?, changes.table()?).into()),
    }
}

async fn run(options: &Options) -> Result<Report, Error> {
    let failing = format!("--failing={}", options.failing);
    let this = std::env::current_exe()?;
    let mut nodes = Process::start(
        this.as_os_str(),
        &["--serve-nodes", &failing],
        Stdio::piped(),
    )?;
    let port = nodes.first_line()?.parse()?;
    let (sink, sink_address) = Sink::start().await?;
    let mut collector = Collector::start(options, port, sink_address).await?;
    wait_until_polled(options, &mut collector).await?;
    if options.churn > 0 {
        collector.roster.churn(options.churn);
    }
    let before = Moment::now(&collector, &sink).await?;
    let interval = Duration::from_secs(options.interval);
    let crowd = Crowd::start(options.scrapers, interval, &collector)?;
    let pages = Pages::open(options.pages, &options.page, &collector);
    let measured = measure(options, &mut collector).await?;
    let pages = pages.close();
    let crowd = crowd.end(&collector.process)?;
    let after = Moment::now(&collector, &sink).await?;
    warn_of_limits([("the collector", &collector.process), ("the nodes", &nodes)])?;
    let report = Report::new(options, &collector, (&before, &after), &measured)?;
    Ok(Report {
        crowd,
        pages,
        ..report
    })
}

/// Waits until the collector is ready and has polled each target twice.
async fn wait_until_polled(options: &Options, collector: &mut Collector) -> Result<(), Error> {
    let ready = Instant::now() + Duration::from_secs(60);
    while reqwest::get(&collector.own_url).await.is_err() {
        collector.process.check()?;
        if Instant::now() > ready {
            return Err("the collector is not ready after a minute".into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    sleep(Duration::from_secs(options.interval * 2)).await;
    Ok(())
}

/// The measurements at each interval.
struct Measured {
    scrapes: Vec<Scrape>,
    failed_scrapes: u32,
    memory: Memory,
}

/// Reads counters and scrapes at each interval, first at once and last at the end.
async fn measure(options: &Options, collector: &mut Collector) -> Result<Measured, Error> {
    let mut ticks = interval(Duration::from_secs(options.interval));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = Instant::now() + Duration::from_secs(options.duration);
    let mut measured = Measured {
        scrapes: Vec::new(),
        failed_scrapes: 0,
        memory: Memory::new(),
    };
    loop {
        ticks.tick().await;
        collector.process.check()?;
        let speaks = options.churn > 0;
        measured.memory.sample(&collector.process, speaks)?;
        // One failed scrape on a busy machine must not waste an hour.
        match Scrape::of(&collector.targets_url).await {
            Ok(scrape) => measured.scrapes.push(scrape),
            Err(error) => {
                eprintln!("a scrape failed: {error}");
                measured.failed_scrapes += 1;
            }
        }
        if Instant::now() >= end {
            return Ok(measured);
        }
    }
}

/// With too few file descriptors, targets look down.
fn warn_of_limits(processes: [(&str, &Process); 2]) -> Result<(), Error> {
    for (name, process) in processes {
        let (open, limit) = process.descriptors()?;
        if open > limit / 10 * 9 {
            eprintln!("{open} of {limit} file descriptors of {name} are open; raise `ulimit -Hn`");
        }
    }
    Ok(())
}
