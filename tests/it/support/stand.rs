//! The real program with simulated nodes, which it polls ten times a second.

use std::{fmt::Write as _, path::Path};

use betanet_collector::simulator::{Dialect, Node, NodeOptions};

use super::{PATIENCE, collector::Collector, eventually, free_port, get, scrape::Scrape};

/// The options of the program. [`Options::start`] gets the nodes.
pub(crate) struct Options {
    /// `receivers::…::collection_interval`.
    pub(crate) interval: &'static str,
    /// `receivers::…::timeout`.
    pub(crate) timeout: &'static str,
    /// `receivers::…::retry` and other keys, as flow YAML. By default there are single attempts
    /// that no breaker refuses.
    pub(crate) resilience: &'static str,
    /// `receivers::…::target_metrics`, unless it is the default.
    pub(crate) target_metrics: Option<&'static str>,
    /// The definition or definitions of nodes with the first API.
    pub(crate) definition: &'static str,
    /// More keys of every target, as flow YAML.
    pub(crate) target: &'static str,
    /// The processors of the pipeline: id and settings as flow YAML.
    pub(crate) processors: Vec<(&'static str, &'static str)>,
    /// More keys of the exporter `prometheus`, as flow YAML.
    pub(crate) prometheus: &'static str,
    /// More exporters: id and settings as flow YAML.
    pub(crate) exporters: Vec<(String, String)>,
    /// More keys of `service::telemetry`, as flow YAML.
    pub(crate) telemetry: &'static str,
    /// More extensions: id and settings as flow YAML.
    pub(crate) extensions: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interval: "100ms",
            timeout: "5s",
            resilience: "retry: {max_retries: 0}, circuit_breaker: {failure_threshold: 1000000}",
            target_metrics: Some("detailed"),
            definition: "betanet",
            target: "",
            prometheus: "",
            processors: Vec::new(),
            exporters: Vec::new(),
            telemetry: "",
            extensions: Vec::new(),
        }
    }
}

/// A running collector and its addresses.
pub(crate) struct Stand {
    pub(crate) collector: Collector,
    /// `127.0.0.1:12345`: `/metrics` and `/health`.
    pub(crate) address: String,
    /// The port of its own metrics.
    own_port: u16,
}

/// A node with this API, on any free port.
pub(crate) fn node(dialect: Dialect) -> Node {
    Node::start(NodeOptions::new(dialect)).unwrap()
}

impl Options {
    /// Polls fifty times a second and pushes to `url` with `otlp_http`, from a queue in `folder`.
    pub(crate) fn pushing_from_disk(url: &str, folder: &Path) -> Self {
        Self::pushing_with("otlp_http", url, folder)
    }

    /// The same with another exporter.
    pub(crate) fn pushing_with(exporter: &str, url: &str, folder: &Path) -> Self {
        let id = exporter.to_owned();
        let storage = format!("{{directory: \"{}\"}}", folder.display());
        let exporter = format!(
            "{{endpoint: \"{url}\", timeout: 10s, \
             sending_queue: {{storage: file_storage, batch: {{flush_timeout: 2ms}}}}, \
             retry_on_failure: {{initial_interval: 20ms, max_interval: 100ms}}}}"
        );
        Self {
            interval: "20ms",
            exporters: vec![(id, exporter)],
            extensions: vec![("file_storage".to_owned(), storage)],
            ..Self::default()
        }
    }

    /// Starts the collector with targets: name, URL, and API.
    pub(crate) async fn start_at(&self, targets: &[(&str, &str, Dialect)]) -> Stand {
        self.start_receivers(self.receivers(targets)).await
    }

    /// Starts the collector with these keys of its receiver, as flow YAML, in place of targets.
    pub(crate) async fn start_with(&self, keys: &str) -> Stand {
        let receiver = self.receiver("betanet", self.definition, keys);
        self.start_receivers((receiver, "betanet".to_owned())).await
    }

    /// Gives a running collector these options and keys, and makes it reload.
    pub(crate) fn reload_with(&self, stand: &Stand, keys: &str) {
        let receiver = self.receiver("betanet", self.definition, keys);
        let receivers = (receiver, "betanet".to_owned());
        let config = self.config(&receivers, &stand.address, stand.own_port);
        stand.collector.configure(&config);
        stand.collector.signal("HUP");
    }

    async fn start_receivers(&self, receivers: (String, String)) -> Stand {
        let address = format!("127.0.0.1:{}", free_port());
        let own_port = free_port();
        let config = self.config(&receivers, &address, own_port);
        let ready = format!("http://{address}/livez");
        let collector = Collector::start(&config, &[], &ready).await;
        Stand {
            collector,
            address,
            own_port,
        }
    }

    /// Starts the collector with nodes.
    pub(crate) async fn start(&self, nodes: &[(&str, &Node)]) -> Stand {
        let urls: Vec<_> = nodes.iter().map(|(_, node)| node.url()).collect();
        let targets: Vec<_> = nodes
            .iter()
            .zip(&urls)
            .map(|((name, node), url)| (*name, url.as_str(), node.dialect()))
            .collect();
        self.start_at(&targets).await
    }

    fn receiver(&self, id: &str, definition: &str, keys: &str) -> String {
        let (interval, timeout, resilience) = (self.interval, self.timeout, self.resilience);
        let level = self.target_metrics;
        let level = level.map_or(String::new(), |level| format!("target_metrics: {level}, "));
        format!(
            "  {id}: {{definition: \"{definition}\", collection_interval: {interval}, timeout: {timeout}, deadline: {timeout}, {resilience}, {level}{keys}}}\n"
        )
    }

    /// The receivers of targets, and their ids.
    fn receivers(&self, targets: &[(&str, &str, Dialect)]) -> (String, String) {
        let mut receivers = String::new();
        let mut used = Vec::new();
        for (dialect, id, definition) in [
            (Dialect::Betanet, "betanet", self.definition),
            // Simulated nodes do not have the fault of the public server.
            (Dialect::Mixnode, "betanet/mixnode", "betanet-mixnode-full"),
        ] {
            let listed = targets.iter().filter(|(_, _, speaks)| *speaks == dialect);
            let listed: Vec<_> = listed
                .map(|(name, url, _)| {
                    format!("{{endpoint: \"{url}\", name: {name}, {}}}", self.target)
                })
                .collect();
            if !listed.is_empty() {
                let keys = format!("targets: [{}]", listed.join(", "));
                receivers += &self.receiver(id, definition, &keys);
                used.push(id);
            }
        }
        (receivers, used.join(", "))
    }

    fn config(&self, receivers: &(String, String), address: &str, own_port: u16) -> String {
        let (receivers, used) = receivers;
        let keys = self.prometheus;
        let mut exporters = format!("  prometheus: {{endpoint: \"{address}\", {keys}}}\n");
        let mut exporting = vec!["prometheus"];
        for (id, settings) in &self.exporters {
            writeln!(exporters, "  {id}: {settings}").unwrap();
            exporting.push(id);
        }
        let ids: Vec<_> = self.processors.iter().map(|(id, _)| *id).collect();
        let (processing, mut processors) = (ids.join(", "), String::from("processors:\n"));
        for (id, settings) in &self.processors {
            writeln!(processors, "  {id}: {settings}").unwrap();
        }
        let keys = self.telemetry;
        let telemetry = format!(
            "telemetry: {{metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {own_port}}}}}}}}}]}}, {keys}}}\n"
        );
        let exporting = exporting.join(", ");
        let mut extensions = format!("  health_check: {{endpoint: \"{address}\"}}\n");
        let mut serving = vec!["health_check"];
        for (id, settings) in &self.extensions {
            writeln!(extensions, "  {id}: {settings}").unwrap();
            serving.push(id);
        }
        let serving = serving.join(", ");
        format!(
            "receivers:\n{receivers}{processors}exporters:\n{exporters}\
             extensions:\n{extensions}\
             service:\n  extensions: [{serving}]\n  {telemetry}  \
             pipelines: {{metrics: {{receivers: [{used}], processors: [{processing}], exporters: [{exporting}]}}}}\n"
        )
    }
}

impl Stand {
    /// A scrape.
    pub(crate) async fn scrape(&self) -> Scrape {
        Scrape::parse(self.get("/metrics").await)
    }

    /// A scrape of the collector's own metrics.
    pub(crate) async fn own(&self) -> Scrape {
        let url = format!("http://127.0.0.1:{}/metrics", self.own_port);
        Scrape::parse(text(&url).await)
    }

    /// The address of its own metrics, `127.0.0.1:12345`.
    pub(crate) fn own_address(&self) -> String {
        format!("127.0.0.1:{}", self.own_port)
    }

    /// The contents of `/health`.
    pub(crate) async fn health(&self) -> serde_json::Value {
        serde_json::from_str(&self.get("/health").await).unwrap()
    }

    /// A scrape after `more` further polls of `target`. Two are enough for one that started after
    /// the call, and whose result is there.
    pub(crate) async fn after_polls(&self, target: &str, more: u32) -> Scrape {
        let before = polls(&self.scrape().await, target);
        self.until_polls(target, before + f64::from(more)).await
    }

    /// A scrape after `target` has been polled this many times since the start.
    pub(crate) async fn until_polls(&self, target: &str, count: f64) -> Scrape {
        let what = format!("{count} polls of {target}");
        self.until(&what, |scrape| polls(scrape, target) >= count)
            .await
    }

    /// The first scrape that `enough` accepts.
    pub(crate) async fn until(&self, what: &str, enough: impl Fn(&Scrape) -> bool) -> Scrape {
        eventually(what, PATIENCE, async || {
            Some(self.scrape().await).filter(|scrape| enough(scrape))
        })
        .await
    }

    async fn get(&self, path: &str) -> String {
        text(&format!("http://{}{path}", self.address)).await
    }
}

async fn text(url: &str) -> String {
    let answer = get(url).await.unwrap();
    answer.text().await.unwrap()
}

/// The number of finished polls of a target, whatever the result. Every endpoint counts each of
/// them.
pub(crate) fn polls(scrape: &Scrape, target: &str) -> f64 {
    let selector = format!("betanet_poll_results_total{{target=\"{target}\"}}");
    let endpoints = scrape.select(&format!("betanet_source_up{{target=\"{target}\"}}"));
    // Without an endpoint there was no poll yet.
    scrape.sum(&selector) / (endpoints.len().max(1) as f64)
}

/// A node with the values of the documentation of the metrics API.
pub(crate) fn documented_node() -> Node {
    let node = node(Dialect::Betanet);
    node.update(|state| {
        state.packets_processed = 5_000;
        state.packets_dropped = 10;
        state.active_nodes = 5;
        state.inactive_nodes = 2;
        state.total_nodes = 7;
        state.bytes_transmitted = 1_000_000;
        state.bytes_received = 500_000;
        state.avg_latency_ms = 45.0;
        state.peak_throughput = 10_000;
    });
    node
}
