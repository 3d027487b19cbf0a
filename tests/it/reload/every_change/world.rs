//! The environment of the configurations, and the configuration after some changes.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::Response;
use serde_json::json;
use tempfile::TempDir;

use super::{Change, FOUND, LISTED, SENDING};
use crate::support::{
    backend::Backend, counting_node::CountingNode, free_port, remote_write, server::Server,
};

/// Retries of the exporters, without a limit.
const RETRY: &str =
    "retry_on_failure: {initial_interval: 50ms, max_interval: 100ms, max_elapsed_time: 0}";

/// Short batches.
const BATCH: &str = "batch: {flush_timeout: 2ms}";

/// The nodes, the destinations and the directories.
pub(super) struct World {
    pub(super) address: String,
    pub(super) own_port: u16,
    pub(super) nodes: BTreeMap<&'static str, CountingNode>,
    /// By exporter.
    pub(super) backends: BTreeMap<&'static str, Backend>,
    /// Where the collector's own metrics are pushed.
    own: Backend,
    /// Where the collector's own spans are pushed.
    tracing: Server,
    traces: Arc<AtomicUsize>,
    /// Lists the node that is discovered.
    listing: Server,
    folder: TempDir,
}

/// How the exporter with other names calls its series.
pub(super) struct Names {
    /// The beginning of each name.
    pub(super) prefix: String,
    /// The value of a label.
    pub(super) generation: String,
}

impl Names {
    /// After these changes. Names and labels change in turns.
    pub(super) fn after(changes: &[Change]) -> Self {
        let times = done(changes).times(Change::PrometheusNames);
        Self {
            prefix: format!("n{}_", times.div_ceil(2)),
            generation: (times / 2).to_string(),
        }
    }
}

impl World {
    pub(super) async fn new() -> Self {
        let (mut nodes, mut backends) = (BTreeMap::new(), BTreeMap::new());
        for name in ["a", "b", "c", "d", "e", FOUND] {
            nodes.insert(name, CountingNode::start().await);
        }
        for exporter in SENDING.into_iter().filter(|exporter| *exporter != "file") {
            backends.insert(exporter, Backend::start().await);
        }
        let traces = Arc::<AtomicUsize>::default();
        let arrived = Arc::clone(&traces);
        let tracing = Server::start(move |_| {
            arrived.fetch_add(1, Ordering::Relaxed);
            Response::default()
        });
        let folder = TempDir::new().unwrap();
        let found = found(&nodes[FOUND]);
        std::fs::write(folder.path().join("found.json"), &found).unwrap();
        let listing = Server::start(move |_| {
            let answer = Response::builder().header("content-type", "application/json");
            answer.body(found.clone().into()).unwrap()
        });
        Self {
            address: format!("127.0.0.1:{}", free_port()),
            own_port: free_port(),
            nodes,
            backends,
            own: Backend::start().await,
            tracing: tracing.await,
            traces,
            listing: listing.await,
            folder,
        }
    }

    /// How many requests with spans have arrived.
    pub(super) fn traces(&self) -> usize {
        self.traces.load(Ordering::Relaxed)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn targets(&self, names: &[&str]) -> String {
        let targets = names.iter().map(|name| {
            let url = self.nodes[name].url();
            format!("{{endpoint: \"{url}\", name: {name}}}")
        });
        targets.collect::<Vec<_>>().join(", ")
    }

    /// The configuration after these changes. The definition that it names is written to its file.
    pub(super) fn config(&self, changes: &[Change]) -> String {
        let done = done(changes);
        let parts = [
            self.receivers(done),
            processors(done),
            self.exporters(done),
            self.extensions(done),
            self.service(done),
        ];
        parts.concat()
    }

    /// The configuration after these changes and one that is refused.
    pub(super) fn refused(&self, done: &[Change], change: Change) -> String {
        let (config, address) = (self.config(done), &self.address);
        let port = address.rsplit(':').next().unwrap();
        let (from, to) = match change {
            Change::Resource => (
                "telemetry: {".to_owned(),
                "telemetry: {resource: {zone: a}, ".to_owned(),
            ),
            Change::SamePort => (
                format!("prometheus: {{endpoint: \"{address}\""),
                format!("prometheus: {{endpoint: \"[::ffff:127.0.0.1]:{port}\""),
            ),
            _ => (
                "exporters: [prometheus, ".to_owned(),
                "exporters: [nowhere, prometheus, ".to_owned(),
            ),
        };
        assert!(config.contains(&from), "{config}");
        config.replace(&from, &to)
    }

    fn receivers(&self, done: Done<'_>) -> String {
        let text = include_str!("../../../../pipelines/betanet.yaml");
        let more = "\nmetrics:\n  - {name: one.more, instrument: counter, endpoint: metrics, \
            value: $.packets_dropped}";
        let text = match done.is(Change::Definition) {
            true => text.replace("\nmetrics:", more),
            false => text.to_owned(),
        };
        let definition = self.path("betanet.yaml");
        std::fs::write(&definition, text).unwrap();
        let keys = "collection_interval: 100ms, deadline: 5s, retry: {max_retries: 0}, \
            circuit_breaker: {failure_threshold: 1000000}, target_metrics: detailed";
        let names: &[_] = match done.is(Change::Targets) {
            true => &["a", "b", "c", "d"],
            false => &LISTED,
        };
        format!(
            "receivers:\n  \
             betanet: {{{keys}, definition: \"{definition}\", timeout: {timeout}s, \
             targets: [{targets}]}}\n  \
             betanet/shared: {{{keys}, definition: betanet, \
             shard: {{index: {shard}, count: 2}}, targets: [{shared}]}}\n  \
             betanet/found: {{{keys}, definition: betanet, {found}}}\n",
            definition = definition.display(),
            timeout = 4 + done.times(Change::Receiver) % 2,
            targets = self.targets(names),
            shard = done.times(Change::Shard) % 2,
            shared = self.targets(&["e"]),
            found = self.discovery(done),
        )
    }

    fn discovery(&self, done: Done<'_>) -> String {
        match done.times(Change::Discovery) % 3 {
            0 => format!("static_configs: {}", found(&self.nodes[FOUND])),
            1 => {
                let path = self.path("found.json");
                format!("file_sd_configs: [{{files: ['{}']}}]", path.display())
            }
            _ => format!("http_sd_configs: [{{url: '{}'}}]", self.listing.url()),
        }
    }

    fn exporters(&self, done: Done<'_>) -> String {
        let timeout = |change| 10 + done.times(change);
        let url = |exporter| self.backends[exporter].url();
        format!(
            "exporters:\n  \
             prometheus: {{endpoint: \"{address}\", max_stale: {max_stale}m}}\n  \
             prometheus/named: {{endpoint: \"{address}\", path: /named, probe: {{enabled: false}}, \
             namespace: n{names}, \
             const_labels: {{generation: \"{labels}\"}}}}\n  \
             otlp_http: {{endpoint: \"{http}\", timeout: {http_timeout}s, {RETRY}, \
             sending_queue: {{{BATCH}}}}}\n  \
             otlp_grpc: {{endpoint: \"{grpc}\", timeout: {grpc_timeout}s, {RETRY}, \
             sending_queue: {{storage: file_storage, {BATCH}}}}}\n  \
             prometheusremotewrite: {{endpoint: \"{write}{path}\", \
             timeout: {write_timeout}s, {RETRY}, sending_queue: {{{BATCH}}}}}\n  \
             file: {{path: \"{file}\", flush_interval: {flush}ms}}\n  \
             debug: {{}}\n  \
             debug/2: {{}}\n  \
             {unused}\n",
            address = self.address,
            max_stale = 5 + done.times(Change::Prometheus),
            names = done.times(Change::PrometheusNames).div_ceil(2),
            labels = done.times(Change::PrometheusNames) / 2,
            http = url("otlp_http"),
            http_timeout = timeout(Change::OtlpHttp),
            grpc = url("otlp_grpc"),
            grpc_timeout = timeout(Change::OtlpGrpc),
            write = url("prometheusremotewrite"),
            path = remote_write::PATH,
            write_timeout = timeout(Change::RemoteWrite),
            file = self.path("metrics.json").display(),
            flush = 10 + done.times(Change::File),
            unused = done.on(Change::Unused, "debug/unused: {}"),
        )
    }

    fn extensions(&self, done: Done<'_>) -> String {
        let storage = format!("queue-{}", done.times(Change::StorageDirectory));
        let storage = self.path(&storage);
        std::fs::create_dir_all(&storage).unwrap();
        format!(
            "extensions:\n  \
             health_check: {{endpoint: \"{address}\", lifecycle: true{path}{auth}}}\n  \
             basicauth: {{client_auth: {{username: a, password: b}}}}\n  \
             file_storage: {{directory: \"{storage}\"{fsync}}}\n",
            address = self.address,
            path = done.on(Change::HealthPath, ", path: /state"),
            auth = done.on(
                Change::HealthAuth,
                ", auth: {basic: {username: a, password: b}}"
            ),
            storage = storage.display(),
            fsync = done.on(Change::Storage, ", fsync: false"),
        )
    }

    fn service(&self, done: Done<'_>) -> String {
        let push = format!(
            "{{periodic: {{interval: 100, exporter: {{otlp: {{endpoint: \"{}\"}}}}}}}}, ",
            self.own.url()
        );
        let traces = format!(
            "traces: {{processors: [{{batch: {{exporter: {{otlp: {{endpoint: \"{}\"}}}}}}}}]}}, ",
            self.tracing.url()
        );
        format!(
            "service:\n  \
             extensions: [health_check, file_storage{extension}]\n  \
             shutdown_timeout: {shutdown}s\n  \
             telemetry: {{{logs}{traces}metrics: {{readers: [{push}{{pull: {{exporter: {{prometheus: \
             {{host: 127.0.0.1, port: {port}}}}}}}}}]}}}}\n  \
             pipelines:\n    \
             metrics: {{receivers: [betanet, betanet/found], processors: [{processors}], \
             exporters: [prometheus, prometheus/named, otlp_http, otlp_grpc, prometheusremotewrite, \
             file{debug}]}}\n    \
             metrics/shared: {{receivers: [betanet/shared], exporters: [prometheus]}}\n    \
             {pipeline}\n",
            extension = done.on(Change::Extensions, ", basicauth"),
            shutdown = 20 + done.times(Change::ShutdownTimeout),
            logs = done.on(Change::Logs, "logs: {level: warn, encoding: json}, "),
            traces = done.on(Change::Traces, &traces),
            push = done.on(Change::OwnPush, &push),
            port = self.own_port,
            processors = match done.times(Change::Processors) % 3 {
                0 => "filter",
                1 => "filter, attributes",
                _ => "attributes, filter",
            },
            debug = done.on(Change::Exporters, ", debug"),
            pipeline = done.on(
                Change::Pipelines,
                "metrics/2: {receivers: [betanet, betanet/shared], exporters: [debug/2]}"
            ),
        )
    }
}

fn processors(done: Done<'_>) -> String {
    let filtered = done.on(Change::ProcessorSettings, ", nothing");
    format!(
        "processors:\n  \
         attributes: {{actions: [{{key: none, action: delete}}]}}\n  \
         filter: {{metrics: {{exclude: {{match_type: strict, metric_names: [none{filtered}]}}}}}}\n"
    )
}

/// The node that is discovered, as every way of discovery lists it.
fn found(node: &CountingNode) -> String {
    let url = node.url();
    let address = url.trim_start_matches("http://");
    json!([{"targets": [address], "labels": {"target": FOUND}}]).to_string()
}

/// What these changes come to.
pub(super) fn done(changes: &[Change]) -> Done<'_> {
    Done(changes)
}

/// The changes until now.
#[derive(Clone, Copy)]
pub(super) struct Done<'a>(&'a [Change]);

impl Done<'_> {
    fn times(self, change: Change) -> usize {
        self.0.iter().filter(|done| **done == change).count()
    }

    /// Whether a change that switches between two states is in the second one.
    pub(super) fn is(self, change: Change) -> bool {
        self.times(change) % 2 == 1
    }

    /// `keys` in the second state, and nothing in the first one.
    pub(super) fn on(self, change: Change, keys: &str) -> &str {
        if self.is(change) { keys } else { "" }
    }
}
