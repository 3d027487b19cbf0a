//! A new configuration while the program runs, under load.

mod settings;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use betanet_collector::simulator::{Dialect, Node};
use tempfile::TempDir;

use crate::support::{
    PATIENCE,
    collector::Collector,
    eventually, free_port, get,
    scrape::Scrape,
    sink::{Kind, OtlpSink, Point, Value},
    stand::{node, polls},
};

/// How often it is reloaded; every second time with a broken file.
const RELOADS: usize = 100;

/// The nodes that are in every configuration.
const STAYING: [&str; 3] = ["n0", "n1", "n2"];

/// What a configuration has; the first one is the default.
#[derive(Clone, Copy)]
struct Variant {
    /// How the receiver polls, as flow YAML.
    receiver: &'static str,
    /// One more metric of the definition, or none.
    metric: &'static str,
    /// More keys of `otlp_http`, as flow YAML.
    otlp: &'static str,
    /// More keys of `prometheus`.
    prometheus: &'static str,
    /// What the pipeline's processors and exporters are.
    processors: &'static str,
    exporters: &'static str,
    /// More in `service::pipelines`.
    pipelines: &'static str,
    /// More keys of `health_check`.
    health: &'static str,
    /// How many nodes are polled.
    nodes: usize,
}

const FIRST: Variant = Variant {
    receiver: "collection_interval: 500ms, timeout: 5s",
    metric: "",
    otlp: "",
    prometheus: "",
    processors: "aggregate",
    exporters: "prometheus, otlp_http",
    pipelines: "",
    health: "",
    nodes: 3,
};

/// Each differs from the one before in another section.
const VARIANTS: [Variant; 10] = [
    Variant {
        metric: "{name: one.more, instrument: counter, endpoint: network, value: $.bytes_received}",
        ..FIRST
    },
    Variant { nodes: 4, ..FIRST },
    Variant {
        receiver: "collection_interval: 600ms, timeout: 5s",
        ..FIRST
    },
    Variant {
        receiver: "collection_interval: 500ms, timeout: 4s, cache: {ttl: 1s}, \
            headers: {x-who: me}, max_idle_conns: 900",
        ..FIRST
    },
    Variant {
        otlp: ", timeout: 7s",
        ..FIRST
    },
    Variant {
        prometheus: ", max_stale: 6m",
        ..FIRST
    },
    Variant {
        processors: "filter, aggregate, attributes",
        ..FIRST
    },
    Variant {
        exporters: "prometheus, otlp_http, debug",
        ..FIRST
    },
    Variant {
        pipelines: "metrics/2: {receivers: [betanet], exporters: [debug]}",
        ..FIRST
    },
    Variant {
        health: ", path: /state",
        ..FIRST
    },
];

/// What the configurations speak of.
struct World {
    address: String,
    own_port: u16,
    sink: OtlpSink,
    nodes: Vec<Node>,
    storage: TempDir,
    definitions: TempDir,
}

impl World {
    async fn new() -> Self {
        Self {
            address: format!("127.0.0.1:{}", free_port()),
            own_port: free_port(),
            sink: OtlpSink::start().await,
            nodes: (0..4).map(|_| node(Dialect::Betanet)).collect(),
            storage: TempDir::new().unwrap(),
            definitions: TempDir::new().unwrap(),
        }
    }

    /// The configuration; the definition that it names is written.
    fn config(&self, variant: Variant) -> String {
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
            ..
        } = variant;
        format!(
            "receivers: {{betanet: {{{receiver}, deadline: 5s, definition: \"{definition}\", \
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
             telemetry: {{metrics: {{readers: [{{pull: {{exporter: {{prometheus: \
             {{host: 127.0.0.1, port: {own_port}}}}}}}}}]}}}}\n  \
             pipelines:\n    metrics: {{receivers: [betanet], processors: [{processors}], \
             exporters: [{exporters}]}}\n    {pipelines}\n"
        )
    }
}

/// A program whose configuration changes.
struct Reloading {
    collector: Collector,
    world: World,
}

impl Reloading {
    /// Starts it and waits until all nodes have been polled.
    async fn start(variant: Variant, arguments: &[&str]) -> Self {
        let world = World::new().await;
        let ready = format!("http://{}/livez", world.address);
        let config = world.config(variant);
        let collector = Collector::run(&config, arguments, &[], &ready).await;
        let stand = Self { collector, world };
        stand.until_polled("n2", 1.0).await;
        stand
    }

    async fn until_polled(&self, node: &str, times: f64) -> Scrape {
        let what = format!("{node} is polled {times} times");
        eventually(&what, PATIENCE, async || {
            Some(self.scrape().await).filter(|scrape| polls(scrape, node) >= times)
        })
        .await
    }

    /// Status and text of a `POST /-/reload` with this configuration.
    async fn reload(&self, config: &str) -> (u16, String) {
        self.collector.configure(config);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("http://{}/-/reload", self.world.address);
        let answer = client.post(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn go_over(&self, variant: Variant) {
        let (status, text) = self.reload(&self.world.config(variant)).await;
        assert_eq!(status, 200, "{text}");
    }

    async fn text(&self, path: &str) -> String {
        let answer = get(format!("http://{}{path}", self.world.address)).await;
        answer.unwrap().text().await.unwrap()
    }

    async fn scrape(&self) -> Scrape {
        Scrape::parse(self.text("/metrics").await)
    }

    async fn own(&self) -> Scrape {
        let url = format!("http://127.0.0.1:{}/metrics", self.world.own_port);
        Scrape::parse(get(url).await.unwrap().text().await.unwrap())
    }

    fn open_files(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.collector.id());
        std::fs::read_dir(folder).unwrap().count()
    }
}

/// The values of a scrape by series, of some targets or of the collector itself.
fn series(scrape: &Scrape, targets: &[&str]) -> BTreeMap<String, f64> {
    let samples = scrape.all().iter();
    let of = samples.filter(|sample| {
        let target = sample.labels.get("target");
        target.map_or(targets.is_empty(), |target| {
            targets.contains(&target.as_str())
        })
    });
    of.map(|sample| {
        let key = format!("{}{:?}", sample.name, sample.labels);
        (key, sample.value.parse().unwrap())
    })
    .collect()
}

/// No series may have gone, and no total may have fallen.
fn assert_goes_on(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>, round: usize) {
    for (key, old) in before {
        let new = after.get(key);
        let new = new.unwrap_or_else(|| panic!("{key} is gone in round {round}"));
        let name = key.split('{').next().unwrap();
        // The collector's own have no suffix.
        let is_total = name.ends_with("_total") || name.ends_with("_metric_points");
        assert!(!is_total || new >= old, "{key}: {new} after {old}, {round}");
    }
}

/// The times of the polls of a node that arrived, none of them twice.
fn arrived(points: &[Point], node: &str) -> BTreeSet<u64> {
    let of = points.iter().filter(|point| {
        point.name == "betanet.up"
            && point.resource.get("service.instance.id") == Some(&node.into())
    });
    let times: Vec<_> = of.map(|point| point.time).collect();
    let distinct: BTreeSet<_> = times.iter().copied().collect();
    assert_eq!(distinct.len(), times.len(), "none twice");
    distinct
}

/// Each total, those of the fleet too, has one start time and never falls.
fn assert_totals_go_on(points: &[Point]) {
    let mut last = BTreeMap::new();
    let mut points: Vec<_> = points.iter().collect();
    points.sort_by_key(|point| point.time);
    for point in points {
        let node = point.resource.get("service.instance.id").unwrap();
        let is_total = matches!(point.kind, Kind::Sum { monotonic, .. } if monotonic);
        let is_staying = STAYING.contains(&node.as_str()) || node == "fleet";
        let is_known = is_staying && point.name != "one.more";
        if !is_total || !is_known {
            continue;
        }
        let value = match point.value {
            Value::Int(value) => value as f64,
            Value::Double(value) => value,
            _ => continue,
        };
        let key = (node, &point.scope, &point.name, &point.attributes);
        let (start, before) = last
            .insert(key, (point.start_time, value))
            .unwrap_or((point.start_time, value));
        assert_eq!(point.start_time, start, "{key:?} began anew");
        assert!(value >= before, "{key:?}: {value} after {before}");
    }
    assert!(last.len() > 30, "{} totals", last.len());
    let of_fleet = last.into_iter().filter(|((node, ..), _)| *node == "fleet");
    let of_fleet: Vec<_> = of_fleet.map(|(_, (_, value))| value).collect();
    assert!(of_fleet.len() == 1 && of_fleet[0] > 0.0, "{of_fleet:?}");
}

#[tokio::test]
async fn a_hundred_reloads_under_load_leave_no_gap_and_lose_no_point() {
    let stand = Reloading::start(FIRST, &[]).await;
    for node in STAYING {
        stand.until_polled(node, 2.0).await;
    }
    let files = stand.open_files();
    let (mut shown, mut own) = (BTreeMap::new(), BTreeMap::new());
    for round in 0..RELOADS {
        for node in &stand.world.nodes {
            node.advance(Duration::from_secs(1));
        }
        let good = stand.world.config(VARIANTS[round / 2 % VARIANTS.len()]);
        let is_broken = round % 2 == 1;
        let broken = good.replace("exporters: [", "exporters: [nowhere, ");
        let (status, text) = stand.reload(if is_broken { &broken } else { &good }).await;
        assert_eq!(status, if is_broken { 500 } else { 200 }, "{text}");
        let scrape = stand.scrape().await;
        let mut now = series(&scrape, &STAYING);
        now.retain(|key, _| !key.contains("one_more"));
        assert_goes_on(&shown, &now, round);
        shown = now;
        for node in STAYING {
            let up = scrape.value(&format!("betanet_up{{target=\"{node}\"}}"));
            assert_eq!(up, Some(1.0), "{node}, {round}");
        }
        let scrape = stand.own().await;
        let successful = scrape.value("betanet_config_last_reload_successful");
        assert_eq!(successful, Some(f64::from(u8::from(!is_broken))));
        let mut now = series(&scrape, &[]);
        now.retain(|key, _| key.contains("otlp_http") && !key.contains("_queue_"));
        now.retain(|key, _| key.contains("_metric_points") && !key.contains("_held_"));
        assert_goes_on(&own, &now, round);
        own = now;
    }
    let last = stand.scrape().await;
    let missed = last.sum("betanet_poll_missed_ticks_total");
    assert_eq!(missed, 0.0, "ticks were missed");
    let more = stand.open_files().saturating_sub(files);
    assert!(more <= 16, "{more} more open files");
    let (code, log) = stand.collector.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("data points dropped"), "{log}");
    let points = stand.world.sink.points();
    assert_totals_go_on(&points);
    for node in STAYING {
        let (arrived, polled) = (arrived(&points, node).len() as f64, polls(&last, node));
        assert!(arrived >= polled, "{arrived} of at least {polled}");
    }
}

/// What waits for a destination that is away when its exporter changes.
async fn changes_while_the_destination_is_away(queue: &'static str, changed: &'static str) {
    let first = Variant {
        otlp: queue,
        ..FIRST
    };
    let stand = Reloading::start(first, &[]).await;
    stand.world.sink.set_away(true);
    let polled = polls(&stand.scrape().await, "n0");
    stand.until_polled("n0", polled + 3.0).await;
    let otlp = changed;
    stand.go_over(Variant { otlp, ..FIRST }).await;
    let polled = polls(&stand.scrape().await, "n0");
    let polled = polls(&stand.until_polled("n0", polled + 2.0).await, "n0");
    stand.world.sink.set_away(false);
    let enough = |points: &[Point]| arrived(points, "n0").len() as f64 >= polled;
    stand.world.sink.wait("all polls", enough).await;
    let held = "betanet_exporter_held_metric_points{exporter=\"otlp_http\"}";
    eventually("the accounts balance", PATIENCE, async || {
        let own = stand.own().await;
        let sum = |name: &str| own.sum(&format!("{name}{{exporter=\"otlp_http\"}}"));
        let gone = sum("otelcol_exporter_sent_metric_points")
            + sum("betanet_exporter_dropped_metric_points");
        let received = sum("betanet_exporter_received_metric_points");
        (received > 0.0 && received == gone + own.sum(held)).then_some(())
    })
    .await;
    assert_eq!(stand.collector.stop().await.0, Some(0));
}

#[tokio::test]
async fn an_exporter_that_leaves_sends_what_it_holds() {
    changes_while_the_destination_is_away(
        ", retry_on_failure: {initial_interval: 100ms, max_interval: 200ms}",
        ", timeout: 6s, retry_on_failure: {initial_interval: 100ms, max_interval: 200ms}",
    )
    .await;
}

#[tokio::test]
async fn a_queue_on_disk_is_handed_on() {
    changes_while_the_destination_is_away(
        ", sending_queue: {storage: file_storage}, \
         retry_on_failure: {initial_interval: 100ms, max_interval: 200ms}",
        ", sending_queue: {storage: file_storage}, timeout: 6s, \
         retry_on_failure: {initial_interval: 100ms, max_interval: 200ms}",
    )
    .await;
}

#[tokio::test]
async fn sighup_reloads_and_what_needs_a_restart_is_refused() {
    let stand = Reloading::start(FIRST, &[]).await;
    let fewer = Variant { nodes: 2, ..FIRST };
    stand.collector.configure(&stand.world.config(fewer));
    stand.collector.signal("HUP");
    eventually("n2 is gone from a scrape", PATIENCE, async || {
        let scrape = stand.scrape().await;
        let gone = scrape.select("betanet_up{target=\"n2\"}").is_empty();
        (gone && polls(&scrape, "n0") >= 1.0).then_some(())
    })
    .await;
    let other = stand.world.config(FIRST);
    let other = other.replace("telemetry: {", "telemetry: {logs: {level: debug}, ");
    let (status, text) = stand.reload(&other).await;
    assert_eq!(status, 500);
    let expected =
        "the running configuration stays: changes of service::telemetry need a restart\n";
    assert_eq!(text, expected);
    let health: serde_json::Value = serde_json::from_str(&stand.text("/health").await).unwrap();
    let config = &health["components"]["service:config"];
    assert_eq!(config["status"], "StatusRecoverableError", "{health:#}");
    let get_it = get(format!("http://{}/-/reload", stand.world.address)).await;
    assert_eq!(get_it.unwrap().status(), 405);
    stand.go_over(FIRST).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_refused_and_nothing_has_changed() {
    let stand = Reloading::start(FIRST, &[]).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = taken.local_addr().unwrap().to_string();
    let config = stand.world.config(Variant { nodes: 4, ..FIRST });
    let at = |address: &str| format!("prometheus: {{endpoint: \"{address}\"");
    let moved = config.replace(&at(&stand.world.address), &at(&elsewhere));
    let (status, text) = stand.reload(&moved).await;
    assert_eq!(status, 500);
    assert!(text.contains(&elsewhere), "{text}");
    assert!(
        stand
            .scrape()
            .await
            .select("betanet_up{target=\"n3\"}")
            .is_empty()
    );
    drop(taken);
    assert_eq!(stand.reload(&moved).await.0, 200);
    let scrape = get(format!("http://{elsewhere}/metrics")).await.unwrap();
    let scrape = Scrape::parse(scrape.text().await.unwrap());
    for node in STAYING {
        assert!(polls(&scrape, node) >= 1.0, "moved with all its series");
    }
    let gone = get(format!("http://{}/metrics", stand.world.address)).await;
    assert_eq!(gone.unwrap().status(), 404);
}

#[tokio::test]
async fn watched_files_are_loaded_when_they_change_and_only_then() {
    let stand = Reloading::start(FIRST, &["--watch"]).await;
    let reloads = |log: &str| log.matches("configuration reloaded").count();
    // As kubelet lays it out: the file is a link through `..data`, and only that one is replaced.
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let version = |name: &str, text: &str| {
        std::fs::create_dir(path(name)).unwrap();
        std::fs::write(path(name).join("node.yaml"), text).unwrap();
        std::os::unix::fs::symlink(name, path("..data_tmp")).unwrap();
        std::fs::rename(path("..data_tmp"), path("..data")).unwrap();
    };
    let definition = include_str!("../../../pipelines/betanet.yaml");
    version("..2026_1", definition);
    std::os::unix::fs::symlink("..data/node.yaml", path("node.yaml")).unwrap();
    let config = stand.world.config(FIRST);
    let known = stand.world.definitions.path().join("betanet.yaml");
    let config = config.replace(known.to_str().unwrap(), path("node.yaml").to_str().unwrap());
    stand.collector.configure(&config);
    eventually("the configuration is loaded", PATIENCE, async || {
        (reloads(&stand.collector.log()) == 1).then_some(())
    })
    .await;
    stand.until_polled("n0", 2.0).await;
    stand.collector.configure(&config);
    stand.collector.write("beside.yaml", "what: ever");
    version(
        "..2026_2",
        &definition.replace("betanet_connected_peers", "betanet_renamed"),
    );
    let renamed = "the definition is loaded, and the series have its names";
    eventually(renamed, PATIENCE, async || {
        let text = stand.text("/metrics").await;
        text.contains("betanet_renamed").then_some(())
    })
    .await;
    let log = stand.collector.log();
    assert_eq!(reloads(&log), 2, "{log}");
    assert_eq!(stand.collector.stop().await.0, Some(0));
}
