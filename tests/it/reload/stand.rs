//! A program whose configuration changes, and its environment.

use std::collections::BTreeSet;

use betanet_collector::simulator::{Dialect, Node};
use tempfile::TempDir;

use crate::support::{
    PATIENCE,
    collector::Collector,
    eventually, free_port, get,
    scrape::Scrape,
    sink::{OtlpSink, Point},
    stand::{node, polls},
};

/// The nodes that are in every configuration.
pub(super) const STAYING: [&str; 3] = ["n0", "n1", "n2"];

/// The parts of a configuration. The first variant is the default.
#[derive(Clone, Copy)]
pub(super) struct Variant {
    /// Keys of the receiver, as flow YAML.
    pub(super) receiver: &'static str,
    /// An additional metric of the definition; may be empty.
    pub(super) metric: &'static str,
    /// More keys of `otlp_http`, as flow YAML.
    pub(super) otlp: &'static str,
    /// More keys of `prometheus`.
    pub(super) prometheus: &'static str,
    /// The processors and exporters of the pipeline.
    pub(super) processors: &'static str,
    pub(super) exporters: &'static str,
    /// More keys of `service::pipelines`.
    pub(super) pipelines: &'static str,
    /// More keys of `health_check`.
    pub(super) health: &'static str,
    /// More keys of `service::telemetry`, each with a comma.
    pub(super) telemetry: &'static str,
    /// The number of polled nodes.
    pub(super) nodes: usize,
}

pub(super) const FIRST: Variant = Variant {
    receiver: "collection_interval: 500ms, timeout: 5s",
    metric: "",
    otlp: "",
    prometheus: "",
    processors: "aggregate",
    exporters: "prometheus, otlp_http",
    pipelines: "",
    health: "",
    telemetry: "",
    nodes: 3,
};

/// The environment of the configurations.
pub(super) struct World {
    pub(super) address: String,
    pub(super) own_port: u16,
    pub(super) sink: OtlpSink,
    pub(super) nodes: Vec<Node>,
    pub(super) storage: TempDir,
    pub(super) definitions: TempDir,
}

impl World {
    pub(super) async fn new() -> Self {
        Self {
            address: format!("127.0.0.1:{}", free_port()),
            own_port: free_port(),
            sink: OtlpSink::start().await,
            nodes: (0..4).map(|_| node(Dialect::Betanet)).collect(),
            storage: TempDir::new().unwrap(),
            definitions: TempDir::new().unwrap(),
        }
    }

    /// The configuration. The definition that it names is written to its file.
    pub(super) fn config(&self, variant: Variant) -> String {
        let definition = self.definitions.path().join("betanet.yaml");
        let more = match variant.metric {
            "" => "metrics:".to_owned(),
            metric => format!("metrics:\n  - {metric}"),
        };
        let text = include_str!("../../../pipelines/betanet.yaml")
            .replace("\nmetrics:", &format!("\n{more}"));
        std::fs::write(&definition, text).unwrap();
        let definition = definition.display();
        let targets = self.nodes.iter().take(variant.nodes).enumerate();
        let targets =
            targets.map(|(n, node)| format!("{{endpoint: \"{}\", name: n{n}}}", node.url()));
        let targets = targets.collect::<Vec<_>>().join(", ");
        let (address, own_port, sink) = (&self.address, self.own_port, self.sink.url());
        let storage = self.storage.path().display();
        let Variant {
            receiver,
            otlp,
            prometheus,
            processors,
            exporters,
            pipelines,
            health,
            telemetry,
            ..
        } = variant;
        format!(
            "receivers: {{betanet: {{{receiver}, target_metrics: detailed, deadline: 5s, definition: \"{definition}\", \
             retry: {{max_retries: 0}}, targets: [{targets}]}}}}\n\
             processors:\n  filter: {{metrics: {{exclude: {{match_type: strict, \
             metric_names: [none]}}}}}}\n  \
             attributes: {{actions: [{{key: none, action: delete}}]}}\n  \
             aggregate: {{interval: 300ms, metrics: [{{include: betanet_bytes_transmitted_total}}]}}\n\
             exporters:\n  prometheus: {{endpoint: \"{address}\"{prometheus}}}\n  \
             otlp_http: {{endpoint: \"{sink}\"{otlp}}}\n  debug: {{}}\n\
             extensions:\n  health_check: {{endpoint: \"{address}\", lifecycle: true{health}}}\n  \
             file_storage: {{directory: \"{storage}\"}}\n\
             service:\n  extensions: [health_check, file_storage]\n  \
             telemetry: {{{telemetry}metrics: {{readers: [{{pull: {{exporter: {{prometheus: \
             {{host: 127.0.0.1, port: {own_port}}}}}}}}}]}}}}\n  \
             pipelines:\n    metrics: {{receivers: [betanet], processors: [{processors}], \
             exporters: [{exporters}]}}\n    {pipelines}\n"
        )
    }
}

/// A program whose configuration changes.
pub(super) struct Reloading {
    pub(super) collector: Collector,
    pub(super) world: World,
}

impl Reloading {
    /// Starts it, and waits until all nodes have been polled.
    pub(super) async fn start(variant: Variant, arguments: &[&str]) -> Self {
        let world = World::new().await;
        let ready = format!("http://{}/livez", world.address);
        let config = world.config(variant);
        let collector = Collector::run(&config, arguments, &[], &ready).await;
        let stand = Self { collector, world };
        stand.until_polled("n2", 1.0).await;
        stand
    }

    pub(super) async fn until_polled(&self, node: &str, times: f64) -> Scrape {
        let what = format!("{node} is polled {times} times");
        eventually(&what, PATIENCE, async || {
            Some(self.scrape().await).filter(|scrape| polls(scrape, node) >= times)
        })
        .await
    }

    /// Status and text of a `POST /-/reload` with this configuration.
    pub(super) async fn reload(&self, config: &str) -> (u16, String) {
        self.collector.configure(config);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("http://{}/-/reload", self.world.address);
        let answer = client.post(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub(super) async fn go_over(&self, variant: Variant) {
        let (status, text) = self.reload(&self.world.config(variant)).await;
        assert_eq!(status, 200, "{text}");
    }

    pub(super) async fn text(&self, path: &str) -> String {
        let answer = get(format!("http://{}{path}", self.world.address)).await;
        answer.unwrap().text().await.unwrap()
    }

    pub(super) async fn scrape(&self) -> Scrape {
        Scrape::parse(self.text("/metrics").await)
    }

    pub(super) async fn own(&self) -> Scrape {
        let url = format!("http://127.0.0.1:{}/metrics", self.world.own_port);
        Scrape::parse(get(url).await.unwrap().text().await.unwrap())
    }

    pub(super) fn open_files(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.collector.id());
        std::fs::read_dir(folder).unwrap().count()
    }
}

/// The times of the polls of a node that arrived, none of them twice.
pub(super) fn arrived(points: &[Point], node: &str) -> BTreeSet<u64> {
    let of = points.iter().filter(|point| {
        point.name == "betanet.up"
            && point.resource.get("service.instance.id") == Some(&node.into())
    });
    let times: Vec<_> = of.map(|point| point.time).collect();
    let distinct: BTreeSet<_> = times.iter().copied().collect();
    assert_eq!(distinct.len(), times.len(), "none twice");
    distinct
}
