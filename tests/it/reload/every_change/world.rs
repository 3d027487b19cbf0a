//! The environment of the configurations, and the configuration after some changes.

use std::{collections::BTreeMap, path::PathBuf};

use tempfile::TempDir;

use super::{Change, SENDING, STAYING};
use crate::support::{backend::Backend, counting_node::CountingNode, free_port, remote_write};

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
    folder: TempDir,
}

impl World {
    pub(super) async fn new() -> Self {
        let (mut nodes, mut backends) = (BTreeMap::new(), BTreeMap::new());
        for name in ["a", "b", "c", "d", "e"] {
            nodes.insert(name, CountingNode::start().await);
        }
        for exporter in SENDING.into_iter().filter(|exporter| *exporter != "file") {
            backends.insert(exporter, Backend::start().await);
        }
        Self {
            address: format!("127.0.0.1:{}", free_port()),
            own_port: free_port(),
            nodes,
            backends,
            own: Backend::start().await,
            folder: TempDir::new().unwrap(),
        }
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
    pub(super) fn config(&self, done: &[Change]) -> String {
        let done = Done(done);
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
            false => &STAYING,
        };
        format!(
            "receivers:\n  \
             betanet: {{{keys}, definition: \"{definition}\", timeout: {timeout}s, \
             targets: [{targets}]}}\n  \
             betanet/shared: {{{keys}, definition: betanet, \
             shard: {{index: {shard}, count: 2}}, targets: [{shared}]}}\n",
            definition = definition.display(),
            timeout = 4 + done.times(Change::Receiver) % 2,
            targets = self.targets(names),
            shard = done.times(Change::Shard) % 2,
            shared = self.targets(&["e"]),
        )
    }

    fn exporters(&self, done: Done<'_>) -> String {
        let timeout = |change| 10 + done.times(change);
        let url = |exporter| self.backends[exporter].url();
        format!(
            "exporters:\n  \
             prometheus: {{endpoint: \"{address}\", max_stale: {max_stale}m}}\n  \
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
             health_check: {{endpoint: \"{address}\", lifecycle: true{path}}}\n  \
             basicauth: {{client_auth: {{username: a, password: b}}}}\n  \
             file_storage: {{directory: \"{storage}\"{fsync}}}\n",
            address = self.address,
            path = done.on(Change::HealthPath, ", path: /state"),
            storage = storage.display(),
            fsync = done.on(Change::Storage, ", fsync: false"),
        )
    }

    fn service(&self, done: Done<'_>) -> String {
        let push = format!(
            "{{periodic: {{interval: 100, exporter: {{otlp: {{endpoint: \"{}\"}}}}}}}}, ",
            self.own.url()
        );
        format!(
            "service:\n  \
             extensions: [health_check, file_storage{extension}]\n  \
             shutdown_timeout: {shutdown}s\n  \
             telemetry: {{{logs}metrics: {{readers: [{push}{{pull: {{exporter: {{prometheus: \
             {{host: 127.0.0.1, port: {port}}}}}}}}}]}}}}\n  \
             pipelines:\n    \
             metrics: {{receivers: [betanet], processors: [{processors}], \
             exporters: [prometheus, otlp_http, otlp_grpc, prometheusremotewrite, \
             file{debug}]}}\n    \
             metrics/shared: {{receivers: [betanet/shared], exporters: [prometheus]}}\n    \
             {pipeline}\n",
            extension = done.on(Change::Extensions, ", basicauth"),
            shutdown = 20 + done.times(Change::ShutdownTimeout),
            logs = done.on(Change::Logs, "logs: {level: warn, encoding: json}, "),
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

/// The changes until now.
#[derive(Clone, Copy)]
struct Done<'a>(&'a [Change]);

impl Done<'_> {
    fn times(self, change: Change) -> usize {
        self.0.iter().filter(|done| **done == change).count()
    }

    /// Whether a change that switches between two states is in the second one.
    fn is(self, change: Change) -> bool {
        self.times(change) % 2 == 1
    }

    /// `keys` in the second state, and nothing in the first one.
    fn on(self, change: Change, keys: &str) -> &str {
        if self.is(change) { keys } else { "" }
    }
}
