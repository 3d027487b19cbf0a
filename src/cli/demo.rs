//! `demo`: runs a simulated Betanet fleet, the collector, and a receiver of its OTLP data.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    CommandError, Output,
    args::{DemoArgs, RunArgs},
    demo_definition::{self, Attempts},
    demo_story,
    load::Warnings,
    run,
};
use crate::{
    config::{self, Config},
    http::{ClientLimits, Listeners, Response, Route, ServerConfig},
    pipeline::Components,
    runtime::{Clock, Tasks},
    simulator::{Dialect, Fleet, FleetOptions},
    telemetry::Meter,
    yaml::Diagnostics,
};

/// The configuration at the root of the repository.
pub(super) const DEFAULT_CONFIG: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/otel-config.yaml"));

/// How often the values of the nodes change.
const TICK: Duration = Duration::from_secs(1);

/// Counts what arrives over OTLP.
#[derive(Debug, Default)]
struct DemoSink {
    requests: AtomicU64,
    points: AtomicU64,
}

/// Runs until interrupted or for the given time. `set` are the values of `--set`.
pub(super) async fn demo(
    options: DemoArgs,
    set: &[String],
    out: &mut Output,
) -> Result<ExitCode, CommandError> {
    if let Some(name) = &options.definition {
        return demo_definition::demo(name, &options, set, out).await;
    }
    let (tasks, _failures) = Tasks::new();
    let fleet = Arc::new(Fleet::start(FleetOptions {
        betanet: options.betanet,
        mixnode: options.mixnode,
        public: options.public,
        seed: options.seed,
        ..FleetOptions::default()
    })?);
    let running = Arc::clone(&fleet);
    let stop = tasks.stopping();
    tasks.spawn("fleet", async move { running.run(TICK, stop).await });
    let sink = Arc::new(DemoSink::default());
    let sink_address = serve_sink(&sink, &tasks).await?;
    let config = configuration(&fleet, &sink_address, &options, set)?;
    introduce(&fleet, &sink_address, &options, out);
    let watched = Arc::clone(&sink);
    tasks.spawn("demo", async move { watch(&watched).await });
    let listen = options.listen.clone();
    tasks.spawn("story", async move { demo_story::tell(&listen).await });
    let interrupted = run::interrupted();
    let shutdown = async move {
        match options.seconds {
            Some(seconds) => tokio::select! {
                () = interrupted => {}
                () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            },
            None => interrupted.await,
        }
    };
    let code = run::serve(
        &config,
        &RunArgs::default(),
        run::Loading {
            again: async || Ok(config.clone()),
            watched: None,
            warnings: Warnings::default(),
        },
        shutdown,
    )
    .await?;
    out.line(format_args!("{}", sink.summary()));
    Ok(code)
}

/// The default configuration with the addresses of the fleet and of the OTLP receiver.
fn configuration(
    fleet: &Fleet,
    sink: &str,
    options: &DemoArgs,
    set: &[String],
) -> Result<Config, CommandError> {
    // One receiver polls both APIs: it finds out which one a node has.
    let targets: Vec<_> = fleet
        .nodes()
        .iter()
        .enumerate()
        .map(|(index, node)| format!("{{endpoint: \"{}\", name: node-{}}}", node.url(), index + 1))
        .collect();
    let targets = targets.join(", ");
    let DemoArgs {
        interval,
        listen,
        telemetry_listen,
        ..
    } = options;
    let (host, port) = (telemetry_listen.host(), telemetry_listen.port());
    let Attempts {
        retries,
        timeout,
        pause,
    } = Attempts::within(*interval);
    let overlay = format!(
        "receivers:\n  betanet: {{collection_interval: {interval}s, timeout: {timeout}, \
         retry: {{max_retries: {retries}, initial_interval: {pause}}}, \
         circuit_breaker: {{open_duration: 10s}}, targets: [{targets}]}}\n\
         exporters:\n  otlp_http: {{endpoint: \"http://{sink}\"}}\n  \
         prometheus: {{endpoint: \"{listen}\"}}\n\
         extensions:\n  health_check: {{endpoint: \"{listen}\"}}\n  \
         status_page: {{endpoint: \"{listen}\"}}\n\
         service:\n  telemetry: {{metrics: {{readers: [pull: {{exporter: {{prometheus: {{host: \"{host}\", port: {port}}}}}}}]}}}}\n",
    );
    let sources = config::sources(
        &[format!("yaml:{DEFAULT_CONFIG}"), format!("yaml:{overlay}")],
        set,
    )?;
    let mut diagnostics = Diagnostics::new();
    // The demo does not depend on the environment.
    let config = Config::load(&sources, &|_: &str| None, &mut diagnostics);
    config.ok_or_else(|| diagnostics.into())
}

fn introduce(fleet: &Fleet, sink: &str, options: &DemoArgs, out: &mut Output) {
    let DemoArgs {
        listen,
        telemetry_listen,
        ..
    } = options;
    out.line(format_args!(
        "A simulated Betanet fleet of {} nodes. Some of them fail.",
        fleet.nodes().len()
    ));
    out.line(format_args!("  look at the fleet      http://{listen}/"));
    out.line(format_args!(
        "  metrics of all nodes   http://{listen}/metrics"
    ));
    out.line(format_args!(
        "  the same in a terminal betanet-collector top --url http://{listen}"
    ));
    out.line(format_args!(
        "  the collector itself   http://{telemetry_listen}/metrics"
    ));
    out.line(format_args!(
        "  OTLP is pushed to      http://{sink}/v1/metrics (in this process)"
    ));
    for (index, node) in fleet.nodes().iter().enumerate() {
        let dialect = match node.dialect() {
            Dialect::Betanet => "betanet",
            Dialect::Mixnode => "betanet-mixnode",
        };
        out.line(format_args!(
            "  node-{:<17} {} ({dialect})",
            index + 1,
            node.url()
        ));
    }
    out.line(format_args!(
        "After 20 s node-1 goes down for 25 s. Stop with Ctrl-C.\n"
    ));
}

/// Prints what arrived over OTLP, whenever it changes.
async fn watch(sink: &DemoSink) {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    let mut last = 0;
    loop {
        every.tick().await;
        let points = sink.points.load(Ordering::Relaxed);
        if points != last {
            tracing::info!("{}", sink.summary());
            last = points;
        }
    }
}

impl DemoSink {
    fn take(&self, body: &[u8]) -> Response {
        match decode_points(body) {
            Some(points) => {
                self.requests.fetch_add(1, Ordering::Relaxed);
                self.points.fetch_add(points, Ordering::Relaxed);
                Response::new("application/x-protobuf", "")
            }
            None => Response::text("not OTLP\n").with_status(http::StatusCode::BAD_REQUEST),
        }
    }

    fn summary(&self) -> String {
        let (points, requests) = (
            self.points.load(Ordering::Relaxed),
            self.requests.load(Ordering::Relaxed),
        );
        format!("OTLP receiver: {points} data points accepted in {requests} requests")
    }
}

/// The number of data points in a gzipped export request. `None` if it is not one.
fn decode_points(body: &[u8]) -> Option<u64> {
    use opentelemetry_proto::tonic::{
        collector::metrics::v1::ExportMetricsServiceRequest, metrics::v1::metric::Data,
    };
    use prost::Message as _;
    use std::io::Read as _;

    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(body)
        .take(64 << 20)
        .read_to_end(&mut plain)
        .ok()?;
    let request = ExportMetricsServiceRequest::decode(plain.as_slice()).ok()?;
    let scopes = request
        .resource_metrics
        .iter()
        .flat_map(|resource| &resource.scope_metrics);
    let points = scopes
        .flat_map(|scope| &scope.metrics)
        .map(|metric| match &metric.data {
            Some(Data::Gauge(gauge)) => gauge.data_points.len(),
            Some(Data::Sum(sum)) => sum.data_points.len(),
            Some(Data::Histogram(histogram)) => histogram.data_points.len(),
            _ => 0,
        });
    Some(points.sum::<usize>() as u64)
}

async fn serve_sink(sink: &Arc<DemoSink>, tasks: &Tasks) -> Result<String, CommandError> {
    const ENDPOINT: &str = "127.0.0.1:0";
    let meter = Meter::of(&opentelemetry_sdk::metrics::SdkMeterProvider::default());
    let mut listeners = Listeners::new(ClientLimits::default(), &meter);
    let sink = Arc::clone(sink);
    let route = Route::post("demo", "/v1/metrics", move |request| {
        std::future::ready(sink.take(&request.body))
    });
    listeners.route(&ServerConfig::plain(ENDPOINT), route.max_body(8 << 20))?;
    let bound = listeners.bind().await?;
    let address = bound
        .local_addr(ENDPOINT)
        .map(|address| address.to_string());
    bound.serve(tasks, &Components::new(&Clock::System, tasks));
    Ok(address.unwrap_or_default())
}
