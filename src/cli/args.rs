//! The command line arguments.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::settings::{ComponentId, Duration, Endpoint};

/// Polls JSON APIs and turns their answers into OpenTelemetry metrics.
#[derive(Debug, Parser)]
#[command(name = "betanet-collector", version, max_term_width = 100)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) sources: SourceArgs,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// The sources of the configuration.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SourceArgs {
    /// A configuration: a file, `file:PATH`, `env:VARIABLE` or `yaml:TEXT`. May be repeated: later
    /// ones are merged over earlier ones. Default: `otel-config.yaml` in the current directory.
    #[arg(long, global = true, value_name = "SOURCE")]
    pub(super) config: Vec<String>,
    /// Sets one value over all configurations, for example
    /// `receivers.betanet.collection_interval=5s`. For a key that contains a dot, write `::`
    /// between the keys: `exporters::prometheus::const_labels::a.b=c`. May be repeated.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

/// The command.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the collector (the default)
    #[command(after_help = "Example:\n  betanet-collector run --config otel-config.yaml --watch")]
    Run(RunArgs),
    /// Report everything that is wrong with the configuration
    #[command(after_help = "Example:\n  betanet-collector validate --config otel-config.yaml")]
    Validate,
    /// List the component types and the built-in definitions
    #[command(after_help = "Example:\n  betanet-collector components")]
    Components,
    /// Print the configuration as the collector understands it, with defaults and without secrets
    #[command(
        after_help = "Example:\n  betanet-collector print-config --set receivers.betanet.collection_interval=5s"
    )]
    PrintConfig(PrintConfigArgs),
    /// Print the JSON Schema of a configuration or a definition, for editors
    #[command(after_help = "Example:\n  betanet-collector schema > otel-config.schema.json")]
    Schema(SchemaArgs),
    /// Poll the configured targets once and show the result
    #[command(
        after_help = "Example:\n  betanet-collector check --endpoint http://mixnode-1:9000 --definition betanet-mixnode"
    )]
    Check(CheckArgs),
    /// Poll an API twice and print a first definition of it
    #[command(
        after_help = "Examples:\n  betanet-collector suggest --endpoint http://localhost:8222/varz --name nats > pipelines/nats.yaml\n  betanet-collector suggest --config otel-config.yaml --receiver http_json/secret --path /api/stats"
    )]
    Suggest(SuggestArgs),
    /// Run the tests of definitions: saved bodies and the points that they must give
    #[command(
        after_help = "Examples:\n  betanet-collector test pipelines\n  betanet-collector test --update pipelines/my-api.test.yaml"
    )]
    Test(TestArgs),
    /// Show what this configuration does in outages, in virtual time
    #[command(after_help = "Example:\n  betanet-collector simulate --outages 1000")]
    Simulate(SimulateArgs),
    /// Run the collector with a simulated Betanet fleet; needs nothing else
    #[command(
        after_help = "Examples:\n  betanet-collector demo --betanet 40 --seconds 60\n  betanet-collector demo --definition nginx"
    )]
    Demo(DemoArgs),
    /// Show the fleet of a running collector in the terminal
    #[command(
        after_help = "Examples:\n  betanet-collector top --url http://localhost:9200\n  betanet-collector top --once --state open,failing"
    )]
    Top(TopArgs),
    /// Ask a running collector whether it is alive; the exit status is 0 if it is
    #[command(
        after_help = "Example:\n  betanet-collector healthcheck http://localhost:9200/readyz"
    )]
    Healthcheck(HealthcheckArgs),
    /// Print the completion script of a shell
    #[command(
        after_help = "Example:\n  betanet-collector completions bash > /etc/bash_completion.d/betanet-collector"
    )]
    Completions(CompletionsArgs),
    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man(ManArgs),
}

/// Options of `run`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct RunArgs {
    /// Reload the configuration when one of its files or definitions changes, as on SIGHUP
    #[arg(long)]
    pub(super) watch: bool,
    /// Report a fatal error after this time, to test the supervisor that restarts the collector
    #[arg(long, hide = true, value_name = "DURATION")]
    pub(super) fail_after: Option<Duration>,
}

/// Options of `print-config`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct PrintConfigArgs {
    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    pub(super) format: Format,
}

/// An output format of `print-config`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

/// Options of `schema`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct SchemaArgs {
    /// Print the schema of a definition in `pipelines/` instead of a configuration
    #[arg(long)]
    pub(super) definition: bool,
    /// Print the schema of the tests of a definition, `NAME.test.yaml`
    #[arg(long, conflicts_with = "definition")]
    pub(super) test: bool,
}

/// Options of `check`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct CheckArgs {
    /// Check this URL instead of the configured targets
    #[arg(long, value_name = "URL", requires = "definition")]
    pub(super) endpoint: Option<String>,
    /// The definition of the URL: a name or a file
    #[arg(long, value_name = "NAME")]
    pub(super) definition: Option<String>,
    /// Map a saved body instead of polling: a file, or a directory that `--record` wrote
    #[arg(
        long,
        value_name = "FILE",
        requires = "definition",
        conflicts_with = "endpoint"
    )]
    pub(super) sample: Option<PathBuf>,
    /// Save the bodies below this directory, as `TARGET/ENDPOINT.json`
    #[arg(long, value_name = "DIR", conflicts_with = "sample")]
    pub(super) record: Option<PathBuf>,
    /// Print the document of each endpoint as values are read from it: what its format and its
    /// `transform` make of the body
    #[arg(long)]
    pub(super) show_document: bool,
}

/// Options of `suggest`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SuggestArgs {
    /// The URL of the API. May be repeated with other instances of it: what one of them does not
    /// have is optional
    #[arg(
        long = "endpoint",
        value_name = "URL",
        required_unless_present = "receiver"
    )]
    pub(super) endpoints: Vec<String>,
    /// Poll the targets of this receiver of the configuration, with its headers and credentials
    #[arg(long, value_name = "ID", conflicts_with = "endpoints")]
    pub(super) receiver: Option<String>,
    /// A path to poll. May be repeated. Default: that of the URL
    #[arg(long = "path", value_name = "PATH")]
    pub(super) paths: Vec<String>,
    /// The name of the definition, with which the names of metrics begin. Default: that of the host
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Suggest only these values: the names that lead to them, such as `queues.depth`, or only the
    /// last of these names. `*` stands for any letters. May be repeated, or a list with commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(super) only: Vec<String>,
    /// Suggest none of these values
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(super) without: Vec<String>,
    /// The time between both polls
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub(super) wait: Duration,
    /// The format of the bodies
    #[arg(long, value_name = "FORMAT", value_parser = ["json", "ndjson", "csv", "xml", "prometheus"])]
    pub(super) format: Option<String>,
}

/// Options of `test`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct TestArgs {
    /// Files `NAME.test.yaml`, definitions with such a file beside them, or directories of them.
    /// Default: `pipelines`
    #[arg(value_name = "DIR|FILE")]
    pub(super) paths: Vec<PathBuf>,
    /// Write the points that the bodies give into the files, instead of comparing them. All else is
    /// still compared
    #[arg(long)]
    pub(super) update: bool,
}

/// Options of `simulate`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SimulateArgs {
    /// Simulate only this receiver. Default: all receivers
    #[arg(long, value_name = "ID")]
    pub(super) receiver: Option<ComponentId>,
    /// Outages to simulate instead of the built-in ones, as a YAML list such as `[{fault: hang, at:
    /// 60s, for: 4m}, {fault: status, code: 500, path: /api/v1/metrics}]`; faults are hang, refuse,
    /// status, flap, slow (with `latency`) and restart
    #[arg(long, value_name = "FILE")]
    pub(super) script: Option<PathBuf>,
    /// The number of outages of each kind
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) outages: u32,
    /// The seed of the random numbers
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// The output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Table)]
    pub(super) format: ReportFormat,
}

/// An output format of `simulate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// Aligned columns.
    Table,
    /// JSON.
    Json,
}

/// Options of `demo`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct DemoArgs {
    /// Instead of the fleet, a server with the recorded bodies of this definition's tests, whose
    /// values move: a name or a file
    #[arg(long, value_name = "NAME")]
    pub(super) definition: Option<String>,
    /// The number of simulated nodes with the documented metrics API
    #[arg(long, default_value_t = 4)]
    pub(super) betanet: usize,
    /// The number of simulated nodes with the API of the public server, without its fault
    #[arg(long, default_value_t = 2)]
    pub(super) mixnode: usize,
    /// The number of simulated public servers: they hang forever after a request for `/status` or
    /// `/metrics`
    #[arg(long, default_value_t = 1)]
    pub(super) public: usize,
    /// Seconds between two polls
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(super) interval: u64,
    /// The seed of the random numbers
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// The address that serves the metrics of the nodes and the state of the fleet
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:9200")]
    pub(super) listen: Endpoint,
    /// The address that serves the collector's own metrics
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:8888")]
    pub(super) telemetry_listen: Endpoint,
    /// Stop after this number of seconds. Default: run until interrupted
    #[arg(long)]
    pub(super) seconds: Option<u64>,
}

/// What to show.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct TopArgs {
    /// Where the collector's `health_check` listens
    #[arg(long, value_name = "URL", default_value = "http://localhost:9200")]
    pub(super) url: String,
    /// Print a table once and end: for scripts
    #[arg(long)]
    pub(super) once: bool,
    /// The order of the targets
    #[arg(long, value_name = "ORDER", default_value = "worst", value_parser = ["worst", "name", "age", "duration"])]
    pub(super) sort: String,
    /// Only targets in this state: open, probing, failing, partial, late, pending or fresh. May be
    /// repeated, or several be separated by commas
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    pub(super) state: Vec<String>,
}

/// Options of `healthcheck`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct HealthcheckArgs {
    /// The URL to request. `/readyz` instead of `/livez` asks whether all targets were polled once
    #[arg(default_value = "http://localhost:9200/livez")]
    pub(super) url: String,
    /// The longest time to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "3s")]
    pub(super) timeout: Duration,
}

/// Options of `completions`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    pub(super) shell: clap_complete::Shell,
}

/// Options of `man`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ManArgs {
    /// The directory; it is created if it does not exist
    pub(super) directory: PathBuf,
}
