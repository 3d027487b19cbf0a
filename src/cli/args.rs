//! What can be written on the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::settings::{ComponentId, Duration, Endpoint};

/// Polls JSON APIs and turns what they say into OpenTelemetry metrics.
#[derive(Debug, Parser)]
#[command(name = "betanet-collector", version, max_term_width = 100)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) sources: SourceArgs,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// Where the configuration comes from.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SourceArgs {
    /// A configuration: a file, `file:PATH`, `env:VARIABLE` or `yaml:TEXT`. May be repeated: later
    /// ones are merged over earlier ones. `otel-config.yaml` in this folder if not given.
    #[arg(long, global = true, value_name = "SOURCE")]
    pub(super) config: Vec<String>,
    /// Sets one value over all configurations, for example
    /// `receivers.betanet.collection_interval=5s`. A key that holds a dot is set with `::` between
    /// the keys: `exporters::prometheus::const_labels::a.b=c`. May be repeated.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the collector (the default)
    Run(RunArgs),
    /// Say all that is wrong with the configuration
    Validate,
    /// List the kinds of components and the built-in definitions
    Components,
    /// Print the configuration as it is understood, defaults included and secrets hidden
    PrintConfig(PrintConfigArgs),
    /// Print the JSON Schema of a configuration or a definition, for editors
    Schema(SchemaArgs),
    /// Poll the configured targets once and show what came of it
    Check(CheckArgs),
    /// Show what outages come to with this configuration, in virtual time
    Simulate(SimulateArgs),
    /// Run against a simulated Betanet fleet; needs nothing else
    Demo(DemoArgs),
    /// Ask a running collector whether it is alive; the exit status is 0 if it is
    Healthcheck(HealthcheckArgs),
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man(ManArgs),
}

/// How to run.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct RunArgs {
    /// Load the configuration anew when one of its files or of its definitions changes, as SIGHUP
    /// does
    #[arg(long)]
    pub(super) watch: bool,
    /// A component dies after this time: to try what restarts the collector then.
    #[arg(long, hide = true, value_name = "DURATION")]
    pub(super) fail_after: Option<Duration>,
}

/// How to print the configuration.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct PrintConfigArgs {
    /// The format
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    pub(super) format: Format,
}

/// A format of a printed configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

/// Which schema to print.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct SchemaArgs {
    /// The schema of a definition in `pipelines/` instead of that of a configuration
    #[arg(long)]
    pub(super) definition: bool,
}

/// What to check.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct CheckArgs {
    /// Check this URL instead of the configured targets
    #[arg(long, value_name = "URL", requires = "definition")]
    pub(super) endpoint: Option<String>,
    /// The definition to read it with: a name or a file
    #[arg(long, value_name = "NAME")]
    pub(super) definition: Option<String>,
    /// Map a saved body instead of polling: a file, or a folder that `--record` wrote
    #[arg(
        long,
        value_name = "FILE",
        requires = "definition",
        conflicts_with = "endpoint"
    )]
    pub(super) sample: Option<PathBuf>,
    /// Save the bodies below this folder, as `TARGET/ENDPOINT.json`
    #[arg(long, value_name = "DIR", conflicts_with = "sample")]
    pub(super) record: Option<PathBuf>,
}

/// What to simulate.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SimulateArgs {
    /// Only this receiver; all of them if not given
    #[arg(long, value_name = "ID")]
    pub(super) receiver: Option<ComponentId>,
    /// Outages to simulate instead of the built-in ones, as YAML: a list such as
    /// `[{fault: hang, at: 60s, for: 4m}, {fault: status, code: 500, path: /api/v1/metrics}]`;
    /// faults are hang, refuse, status, flap, slow (with `latency`) and restart
    #[arg(long, value_name = "FILE")]
    pub(super) script: Option<PathBuf>,
    /// How many outages of each kind
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) outages: u32,
    /// The seed of all that is random
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// The format
    #[arg(long, value_enum, default_value_t = ReportFormat::Table)]
    pub(super) format: ReportFormat,
}

/// A format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// Aligned columns.
    Table,
    /// JSON.
    Json,
}

/// How to demonstrate.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct DemoArgs {
    /// Simulated nodes that speak the documented metrics API
    #[arg(long, default_value_t = 4)]
    pub(super) betanet: usize,
    /// Simulated nodes that speak what the public server really serves, mended
    #[arg(long, default_value_t = 2)]
    pub(super) mixnode: usize,
    /// Simulated public servers: they hang for ever once `/status` or `/metrics` is asked
    #[arg(long, default_value_t = 1)]
    pub(super) public: usize,
    /// Seconds between two polls
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(super) interval: u64,
    /// The seed of all that is random
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Where the metrics of the nodes and the state of the fleet are served
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:9200")]
    pub(super) listen: Endpoint,
    /// Where the collector's own metrics are served
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:8888")]
    pub(super) telemetry_listen: Endpoint,
    /// Stop after so many seconds; runs until interrupted if not given
    #[arg(long)]
    pub(super) seconds: Option<u64>,
}

/// What to ask.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct HealthcheckArgs {
    /// The URL to ask; `/readyz` instead of `/livez` asks whether all targets were polled once
    #[arg(default_value = "http://localhost:9200/livez")]
    pub(super) url: String,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "3s")]
    pub(super) timeout: Duration,
}

/// Which script to print.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    pub(super) shell: clap_complete::Shell,
}

/// Where to write the pages.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ManArgs {
    /// The directory; it is created if it does not exist
    pub(super) directory: PathBuf,
}
