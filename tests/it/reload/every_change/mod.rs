//! More than fifty reloads under load, of every kind in the table of `docs/operations.md`, while
//! destinations are down. Nothing is lost, nothing is sent twice, and no series is missing in any
//! scrape.

mod scraper;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use self::{
    scraper::{Scraper, series},
    world::{Names, World, done},
};
use crate::support::{
    PATIENCE,
    accounts::Accounts,
    arrivals::{assert_own_time, counts, first_arrivals},
    backend::Behavior,
    collector::Collector,
    counting_node::CountingNode,
    eventually, get,
    scrape::Scrape,
    sink::{Kind, Point, flatten},
    stand::polls,
};

/// The nodes that are polled all the time.
const STAYING: [&str; 4] = ["a", "b", "c", "f"];

/// Those of them that the configuration lists.
const LISTED: [&str; 3] = ["a", "b", "c"];

/// The one of them that is discovered.
const FOUND: &str = "f";

/// The exporters that send.
const SENDING: [&str; 4] = ["otlp_http", "otlp_grpc", "prometheusremotewrite", "file"];

/// How often each kind of change happens.
const ROUNDS: usize = 3;

/// The order of the changes.
const SEED: u64 = 14;

/// A row of the table, or one of several kinds of changes in a row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    /// A target comes or goes.
    Targets,
    Receiver,
    Definition,
    OtlpHttp,
    OtlpGrpc,
    RemoteWrite,
    File,
    Prometheus,
    /// Other names and labels of a `prometheus` exporter.
    PrometheusNames,
    /// Which processors a pipeline has.
    Processors,
    /// The settings of a processor.
    ProcessorSettings,
    /// Which exporters a pipeline has.
    Exporters,
    /// A pipeline, and with it a receiver of it, comes or goes.
    Pipelines,
    HealthPath,
    /// Whether clients of `health_check` must authenticate.
    HealthAuth,
    /// An extension that nothing else uses comes or goes.
    Extensions,
    ShutdownTimeout,
    /// What no pipeline uses.
    Unused,
    Logs,
    /// Where the collector's own metrics are pushed.
    OwnPush,
    /// Whether the collector's own spans are pushed.
    Traces,
    /// Other settings of a storage that is in use.
    Storage,
    /// Another directory of a storage that is in use.
    StorageDirectory,
    Shard,
    /// The way in which targets are discovered.
    Discovery,
    /// Refused: needs a restart.
    Resource,
    /// Refused: the collector itself uses the port.
    SamePort,
    /// Refused: the file is broken.
    Broken,
}

impl Change {
    const ALL: [Self; 28] = [
        Self::Targets,
        Self::Receiver,
        Self::Definition,
        Self::OtlpHttp,
        Self::OtlpGrpc,
        Self::RemoteWrite,
        Self::File,
        Self::Prometheus,
        Self::PrometheusNames,
        Self::Processors,
        Self::ProcessorSettings,
        Self::Exporters,
        Self::Pipelines,
        Self::HealthPath,
        Self::HealthAuth,
        Self::Extensions,
        Self::ShutdownTimeout,
        Self::Unused,
        Self::Logs,
        Self::OwnPush,
        Self::Traces,
        Self::Storage,
        Self::StorageDirectory,
        Self::Shard,
        Self::Discovery,
        Self::Resource,
        Self::SamePort,
        Self::Broken,
    ];

    /// Why the collector refuses it, if it does.
    fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Resource => Some("service::telemetry::resource"),
            Self::SamePort => Some("in use"),
            Self::Broken => Some("nowhere"),
            _ => None,
        }
    }
}

/// The kinds of changes, each as often as the others, in a random order.
fn changes() -> Vec<Change> {
    let mut changes = Change::ALL.repeat(ROUNDS);
    fastrand::Rng::with_seed(SEED).shuffle(&mut changes);
    changes
}

/// A program whose configuration changes.
struct Stand {
    world: World,
    collector: Collector,
    /// How often each change happened.
    done: Vec<Change>,
    counters: BTreeMap<&'static str, Accounts>,
}

impl Stand {
    async fn start() -> Self {
        let world = World::new().await;
        let ready = format!("http://{}/livez", world.address);
        let config = world.config(&[]);
        let collector = Collector::start(&config, &[], &ready).await;
        Self {
            world,
            collector,
            done: Vec::new(),
            counters: BTreeMap::new(),
        }
    }

    async fn scrape(&self) -> Scrape {
        let url = format!("http://{}/metrics", self.world.address);
        Scrape::parse(get(url).await.unwrap().text().await.unwrap())
    }

    /// Waits until each node has answered this many more polls.
    async fn polled(&self, more: usize) {
        let answered = |name: &str| self.world.nodes[name].answered().len();
        let wanted = STAYING.map(|name| answered(name) + more);
        eventually("more polls", PATIENCE, async || {
            let is = STAYING.iter().zip(&wanted).all(|(n, w)| answered(n) >= *w);
            is.then_some(())
        })
        .await;
    }

    async fn apply(&mut self, change: Change) {
        let shared = self.is_shown("e").await;
        if change.refusal().is_none() {
            self.done.push(change);
        }
        let config = match change.refusal() {
            Some(_) => self.world.refused(&self.done, change),
            None => self.world.config(&self.done),
        };
        self.collector.configure(&config);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("http://{}/-/reload", self.world.address);
        // Whoever need not authenticate may.
        let request = client.post(url).basic_auth("a", Some("b"));
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        match change.refusal() {
            Some(why) => assert!(status == 500 && text.contains(why), "{change:?}: {text}"),
            None => assert_eq!(status, 200, "{change:?}: {text}"),
        }
        match change {
            Change::Shard => {
                eventually("the shared target comes or goes", PATIENCE, async || {
                    (self.is_shown("e").await != shared).then_some(())
                })
                .await;
            }
            Change::PrometheusNames => self.check_names().await,
            Change::HealthAuth => self.check_auth().await,
            Change::Traces => self.check_traces().await,
            _ => {}
        }
        self.check_counters(change).await;
    }

    /// Waits until each node is shown under the names and labels of today, and checks that nothing
    /// is shown under others.
    async fn check_names(&self) {
        let url = format!("http://{}/named", self.world.address);
        let names = Names::after(&self.done);
        eventually("the nodes under other names", PATIENCE, async || {
            let scrape = Scrape::parse(get(&url).await.unwrap().text().await.unwrap());
            for sample in scrape.all() {
                assert!(sample.name.starts_with(&names.prefix), "{}", sample.name);
                let label = sample.labels.get("generation");
                assert_eq!(label, Some(&names.generation), "{}", sample.name);
            }
            let is_shown = |node: &&str| {
                let up = format!("{}betanet_up{{target=\"{node}\"}}", names.prefix);
                !scrape.select(&up).is_empty()
            };
            STAYING.iter().all(is_shown).then_some(())
        })
        .await;
    }

    /// Checks that who must authenticate must do it at once, and nobody else.
    async fn check_auth(&self) {
        let path = done(&self.done).on(Change::HealthPath, "/state");
        let path = if path.is_empty() { "/health" } else { path };
        let url = format!("http://{}{path}", self.world.address);
        let expected = match done(&self.done).is(Change::HealthAuth) {
            true => 401,
            false => 200,
        };
        assert_eq!(get(url).await.unwrap().status().as_u16(), expected);
    }

    /// Waits for spans if they are pushed now.
    async fn check_traces(&self) {
        let before = self.world.traces();
        if done(&self.done).is(Change::Traces) {
            eventually("spans arrive", PATIENCE, async || {
                (self.world.traces() > before).then_some(())
            })
            .await;
        }
    }

    async fn is_shown(&self, target: &str) -> bool {
        let scrape = self.scrape().await;
        !scrape
            .select(&format!("betanet_up{{target=\"{target}\"}}"))
            .is_empty()
    }

    async fn own(&self) -> Scrape {
        let url = format!("http://127.0.0.1:{}/metrics", self.world.own_port);
        Scrape::parse(get(url).await.unwrap().text().await.unwrap())
    }

    /// Checks that the counters of all exporters add up and that none fell.
    async fn check_counters(&mut self, change: Change) {
        let own = self.own().await;
        for exporter in SENDING {
            let now = Accounts::of(&own, exporter);
            let before = self.counters.insert(exporter, now).unwrap_or(now);
            let fell = now.received < before.received || now.sent < before.sent;
            assert!(!fell, "{exporter}: {before:?}, {now:?} after {change:?}");
            let lost = now.rejected + now.dropped;
            assert_eq!(lost, 0.0, "{exporter}: {now:?} after {change:?}");
        }
    }

    /// Waits until no exporter holds anything.
    async fn settled(&self) {
        eventually("nothing is held", PATIENCE, async || {
            let own = self.own().await;
            let held = SENDING.map(|exporter| Accounts::of(&own, exporter).held);
            held.iter().all(|held| *held == 0.0).then_some(())
        })
        .await;
    }
}

/// Checks that each answer of the nodes that stay is there once.
fn assert_each_answer_once(points: &[Point], nodes: &BTreeMap<&'static str, CountingNode>) {
    for name in STAYING {
        let answered = nodes[name].answered();
        let mut counts = counts(points, name);
        // A replaced exporter and its replacement send at the same time.
        counts.sort_unstable();
        // The poll in progress at the end is dropped.
        let missing = answered.len() - counts.len();
        assert!(missing <= 1, "{missing} of {} of {name}", answered.len());
        for (before, count) in counts.into_iter().enumerate() {
            assert_eq!(count.0, before + 1, "once each");
            assert_own_time(count, &answered);
        }
    }
}

/// Checks that totals of the definition never started again.
fn assert_one_start(points: &[Point]) {
    let mut starts = BTreeMap::new();
    for point in points {
        let node = &point.resource["service.instance.id"];
        let is_total = matches!(point.kind, Kind::Sum { monotonic, .. } if monotonic);
        if is_total && STAYING.contains(&node.as_str()) && point.name != "one.more" {
            let key = (node, &point.scope, &point.name, &point.attributes);
            let start = starts.entry(key).or_insert(point.start_time);
            assert_eq!(*start, point.start_time, "began again: {point:?}");
        }
    }
    assert!(starts.len() > 3, "{} totals", starts.len());
}

/// Checks what is in the file, and what the destinations got.
fn assert_arrived(world: &World) {
    let text = std::fs::read_to_string(world.path("metrics.json")).unwrap();
    let lines = text
        .lines()
        .map(|line| flatten(serde_json::from_str(line).unwrap()));
    let lines: Vec<_> = lines.flatten().collect();
    assert_each_answer_once(&lines, &world.nodes);
    for (exporter, backend) in &world.backends {
        let points = match *exporter {
            // Only this one needs the order of the samples.
            "prometheusremotewrite" => {
                let (points, repeated) = first_arrivals(backend.taken());
                assert_eq!(repeated, 0, "points came twice");
                points
            }
            _ => {
                let points = backend.taken().concat();
                assert_one_start(&points);
                points
            }
        };
        assert_each_answer_once(&points, &world.nodes);
    }
}

#[tokio::test]
async fn every_kind_of_change_under_load_loses_nothing() {
    let mut stand = Stand::start().await;
    stand.polled(5).await;
    let expected: BTreeSet<_> = series(&stand.scrape().await).into_keys().collect();
    assert!(expected.len() > 100, "{} series", expected.len());
    let url = format!("http://{}/metrics", stand.world.address);
    let scraper = Scraper::start(url, expected);
    let changes = changes();
    // Each destination is down for a quarter of the changes, one after the other, so that the last
    // quarter has none that is down.
    let quarter = changes.len() / 4;
    let down = ["otlp_http", "otlp_grpc", "prometheusremotewrite"];
    for (number, change) in changes.iter().enumerate() {
        if number % quarter == 0 {
            let now_down = down.get(number / quarter);
            for (exporter, backend) in &mut stand.world.backends {
                let behavior = match now_down == Some(exporter) {
                    true => Behavior::Down,
                    false => Behavior::Accept,
                };
                backend.set(behavior).await;
            }
        }
        scraper.tell(format!("{number}: {change:?}"));
        stand.apply(*change).await;
        stand.polled(1).await;
    }
    stand.settled().await;
    let scrapes = scraper.end().await;
    let last = stand.scrape().await;
    assert!(scrapes > changes.len(), "{scrapes} scrapes");
    for node in STAYING {
        assert!(polls(&last, node) >= changes.len() as f64);
    }
    let Stand {
        world, collector, ..
    } = stand;
    let (code, log) = collector.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("data points dropped"), "{log}");
    assert_arrived(&world);
}
