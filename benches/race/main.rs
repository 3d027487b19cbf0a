//! The collector beside Telegraf and beside a loop that does nothing but request:
//! `cargo bench --bench race -- --targets 1000`.
//!
//! All of them poll the same simulated nodes, in turns, so that a machine that is busy for a while
//! is so for each of them. The figures are processor time of the process for each document that the
//! nodes sent, resident memory, and bytes pushed. Compare only figures of one run.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its figures"
)]

mod contestants;
mod floor;
mod ground;
mod telegraf;

#[path = "../fleet/nodes.rs"]
mod nodes;
#[expect(dead_code, reason = "the fleet benchmark uses more of it")]
#[path = "../fleet/process.rs"]
mod process;
#[path = "../fleet/sink.rs"]
mod sink;

use std::{collections::BTreeMap, path::PathBuf, process::Stdio, time::Duration};

use clap::Parser;
use tokio::{
    task::LocalSet,
    time::{Instant, sleep},
};

use self::{contestants::Contestant, ground::Ground, process::Process, sink::Sink};

pub(crate) type Error = Box<dyn std::error::Error>;

/// Options of the benchmark. All times are in seconds.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// The number of simulated nodes, with three documents of four values each
    #[arg(long, default_value_t = 1000)]
    pub(crate) targets: u32,
    /// Time between two polls of a node
    #[arg(long, default_value_t = 10)]
    pub(crate) interval: u64,
    /// The duration of one measurement
    #[arg(long, default_value_t = 20)]
    window: u64,
    /// The number of turns
    #[arg(long, default_value_t = 3)]
    repeat: u32,
    /// Who takes part, separated by commas: floor, collector, telegraf. Telegraf needs Go
    #[arg(long, value_delimiter = ',', default_value = "floor,collector")]
    only: Vec<String>,
    /// Set a value of the collector's configuration, like its own `--set`
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Another binary of the collector, to compare
    #[arg(long, default_value = env!("CARGO_BIN_EXE_betanet-collector"))]
    pub(crate) collector: PathBuf,
    /// A binary of Telegraf. Without it, Go builds one
    #[arg(long)]
    pub(crate) telegraf: Option<PathBuf>,
    /// Serve the nodes; for the benchmark itself
    #[arg(long, hide = true)]
    serve_nodes: bool,
    /// Request from the nodes at this port; for the benchmark itself
    #[arg(long, hide = true)]
    floor: Option<u16>,
    /// The argument that `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Error> {
    let options = Options::parse();
    let mut runtime = match options.floor {
        Some(_) => tokio::runtime::Builder::new_multi_thread(),
        None => tokio::runtime::Builder::new_current_thread(),
    };
    // The floor has the one worker that the collector has.
    runtime.worker_threads(1);
    let runtime = runtime.enable_all().build()?;
    if let Some(port) = options.floor {
        return runtime.block_on(floor::run(&options, port));
    }
    runtime.block_on(LocalSet::new().run_until(async {
        match options.serve_nodes {
            true => nodes::serve(0).await,
            false => race(&options).await,
        }
    }))
}

/// The figures of one turn, by name.
type Figures = BTreeMap<&'static str, f64>;

async fn race(options: &Options) -> Result<(), Error> {
    let contestants: Result<Vec<_>, Error> = options
        .only
        .iter()
        .map(|name| Contestant::named(name, options))
        .collect();
    let contestants = contestants?;
    let mut turns: Vec<Vec<Figures>> = vec![Vec::new(); contestants.len()];
    for turn in 1..=options.repeat {
        for (contestant, turns) in contestants.iter().zip(&mut turns) {
            let figures = take_turn(options, contestant).await?;
            eprintln!("turn {turn}, {}: {}", contestant.name(), line(&figures));
            turns.push(figures);
        }
    }
    println!(
        "median of {} turns, with the least and the most:",
        options.repeat
    );
    for (contestant, turns) in contestants.iter().zip(&turns) {
        println!("{}:", contestant.name());
        for name in turns.first().into_iter().flat_map(BTreeMap::keys) {
            let (least, median, most) = spread(turns, name);
            println!("  {name:<32}{median:>10.2}  ({least:.2} to {most:.2})");
        }
    }
    ratios(&contestants, &turns);
    Ok(())
}

/// How many times the time of each other one the collector needs.
fn ratios(contestants: &[Contestant], turns: &[Vec<Figures>]) {
    let times = contestants.iter().zip(turns);
    let times: Vec<_> = times
        .map(|(one, turns)| (one.name(), spread(turns, TIME).1))
        .collect();
    let Some((_, own)) = times.iter().find(|(name, _)| *name == "collector") else {
        return;
    };
    for (name, time) in times.iter().filter(|(name, _)| *name != "collector") {
        println!("collector / {name} = {:.2}", own / time);
    }
}

/// The name of the figure of which ratios are printed.
const TIME: &str = "microseconds a document";

async fn take_turn(options: &Options, contestant: &Contestant) -> Result<Figures, Error> {
    let this = std::env::current_exe()?;
    let mut serving = Process::start(this.as_os_str(), &["--serve-nodes"], Stdio::piped())?;
    let port = serving.first_line()?.parse()?;
    let (sink, address) = Sink::start().await?;
    let ground = Ground::new(options, port, address).await?;
    let mut process = contestant.start(options, &ground)?;
    // Until all connections and series are there.
    sleep(Duration::from_secs(2 * options.interval + 2)).await;
    process.check()?;
    let began = Instant::now();
    let (documents, cpu) = (ground.documents().await?, process.cpu_seconds()?);
    let (points, bytes) = (sink.points(), sink.bytes());
    sleep(Duration::from_secs(options.window)).await;
    let took = began.elapsed().as_secs_f64();
    let cpu = process.cpu_seconds()? - cpu;
    let documents = count(ground.documents().await? - documents);
    let due = f64::from(3 * options.targets) * took / count(options.interval);
    let mut figures = Figures::from([
        (TIME, cpu * 1e6 / documents.max(1.0)),
        (
            "resident MiB",
            count(process.resident_bytes()?) / f64::from(1 << 20),
        ),
        ("part of the polls that happened", documents / due),
    ]);
    if contestant.has_outputs() {
        let (points, bytes) = (sink.points() - points, sink.bytes() - bytes);
        let scrape = ground.scrape().await?;
        let series = scrape.lines().filter(|line| !line.starts_with('#')).count();
        figures.extend([
            (
                "pushed points a document",
                count(points) / documents.max(1.0),
            ),
            ("pushed bytes a document", count(bytes) / documents.max(1.0)),
            (
                "series a target",
                count(series as u64) / f64::from(options.targets),
            ),
        ]);
    }
    Ok(figures)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn count(number: u64) -> f64 {
    number as f64
}

fn line(figures: &Figures) -> String {
    let figures = figures
        .iter()
        .map(|(name, value)| format!("{value:.2} {name}"));
    figures.collect::<Vec<_>>().join(", ")
}

/// The least, the median and the most of a figure.
fn spread(turns: &[Figures], name: &str) -> (f64, f64, f64) {
    let mut values: Vec<_> = turns
        .iter()
        .filter_map(|of| of.get(name).copied())
        .collect();
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or_default();
    (
        at(0),
        at(values.len() / 2),
        at(values.len().saturating_sub(1)),
    )
}
