//! A test with a fleet of a thousand nodes that change every second, one in ten failing, discovered
//! through a file and scraped by a real Prometheus.
//!
//! It makes thirty changes, or the number in the environment variable `CHANGES`.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use betanet_collector::simulator::{Dialect, Fleet, FleetOptions, Node, NodeFault, Script};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{MissedTickBehavior, interval};

use crate::support::{
    PATIENCE,
    counting_node::unix_nanos,
    descriptors, eventually, get,
    prometheus::Prometheus,
    stand::{Options, Stand},
};

/// The number of nodes in the list.
const LISTED: usize = 1000;

/// The number of nodes that each change adds, and that it removes.
const CHURN: usize = 20;

/// The nodes that are not in the list: a removed node returns after this number of changes.
const ABSENT: usize = 30 * CHURN;

/// Time between two polls. The tested programs are not optimized.
const INTERVAL: Duration = Duration::from_secs(10);

/// The metrics that Prometheus stores of each scrape.
const TOTAL: &str = "betanet_messages_total";
const UP: &str = "betanet_up";
const MISSED: &str = "betanet_poll_missed_ticks_total";

/// The path whose values are compared.
const METRICS: &str = "/api/v1/metrics";

/// Every fault of a node: one in ten nodes has one.
fn fault(index: usize) -> Option<NodeFault> {
    let status = |code, wait: Option<u64>| NodeFault::Status {
        code,
        retry_after: wait.map(Duration::from_secs),
    };
    let faults = [
        NodeFault::Refuse,
        NodeFault::HangBeforeHeaders,
        NodeFault::HangMidBody,
        NodeFault::Drip {
            bytes_per_second: 1,
        },
        NodeFault::CutBody,
        status(500, None),
        status(503, Some(3)),
        status(404, None),
        NodeFault::InvalidJson,
        NodeFault::HugeBody { bytes: 100_000 },
        NodeFault::GzipBomb { bytes: 1_000_000 },
        NodeFault::MissingField("packets_processed".to_owned()),
        NodeFault::WrongType("packets_processed".to_owned()),
        NodeFault::Grey,
    ];
    let kind = (index / 10) % faults.len();
    faults.into_iter().nth(kind).filter(|_| index % 10 == 3)
}

/// Whether `betanet_up` is right: a node is up if it answers, even with an error for some
/// endpoints.
fn is_up(index: usize, up: f64) -> bool {
    match fault(index) {
        None | Some(NodeFault::MissingField(_) | NodeFault::WrongType(_)) => up == 1.0,
        // The first requests reach the other paths before the one that makes it hang.
        Some(NodeFault::Grey) => true,
        Some(_) => up == 0.0,
    }
}

/// One change of the list. Times are since 1970.
struct Change {
    /// The new list does not exist before this time.
    from: Duration,
    /// After this time the collector polls exactly the nodes in the list.
    until: Duration,
}

struct World {
    fleet: Fleet,
    folder: TempDir,
    changes: Vec<Change>,
}

impl World {
    fn new() -> Self {
        let fleet = Fleet::start(FleetOptions {
            betanet: LISTED + ABSENT,
            mixnode: 0,
            public: 0,
            script: |_: Dialect, _| Script::default(),
            ..FleetOptions::default()
        });
        let world = Self {
            fleet: fleet.unwrap(),
            folder: TempDir::new().unwrap(),
            changes: Vec::new(),
        };
        for (index, node) in world.fleet.nodes().iter().enumerate() {
            match fault(index) {
                Some(NodeFault::Grey) => node.set_fault(Some(METRICS), NodeFault::Grey),
                Some(fault) => node.set_fault(None, fault),
                None => {}
            }
        }
        world.write(&BTreeSet::new());
        world
    }

    fn node(&self, index: usize) -> &Node {
        &self.fleet.nodes()[index]
    }

    /// The nodes in the list after this number of changes.
    fn listed(change: usize) -> impl Iterator<Item = usize> {
        (0..LISTED).map(move |n| (change * CHURN + n) % (LISTED + ABSENT))
    }

    fn write(&self, addresses: &BTreeSet<String>) {
        let list = json!([{"targets": addresses, "labels": {"fleet": "test"}}]).to_string();
        let (new, path) = (self.folder.path().join("new"), self.file());
        std::fs::write(&new, list).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("t.json")
    }

    async fn start(&self) -> Stand {
        let options = Options {
            interval: "10s",
            timeout: "4s",
            definition: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/messages.yaml"),
            // Connections are not kept: a connection to a removed node would stay for longer than
            // the test, and look like lost memory.
            target_metrics: None,
            resilience: "body_limit: 50KiB, max_idle_conns: 0",
            ..Options::default()
        };
        let keys = format!(
            "file_sd_configs: [{{files: ['{}']}}]",
            self.file().display()
        );
        options.start_with(&keys).await
    }

    /// Makes the next change: all nodes have new values, and the list changes. Waits until the
    /// collector has applied it.
    async fn change(&mut self, stand: &Stand) {
        let change = self.changes.len();
        let from = now();
        for (index, node) in self.fleet.nodes().iter().enumerate() {
            node.update(|state| state.packets_processed = value(index, change));
        }
        let names = |change| -> BTreeSet<_> {
            let listed = Self::listed(change).map(|index| self.node(index).address().to_string());
            listed.collect()
        };
        let (old, new) = (change.checked_sub(1).map(names), names(change));
        self.write(&new);
        for name in new.symmetric_difference(&old.unwrap_or_default()) {
            let (is_listed, what) = (new.contains(name), format!("{name} is added or removed"));
            eventually(&what, PATIENCE, async || {
                (is_target(stand, name).await == is_listed).then_some(())
            })
            .await;
        }
        self.changes.push(Change { from, until: now() });
    }

    /// Waits until all healthy nodes of the first list have been polled twice.
    async fn until_polled(&self) {
        let asked = |index| self.node(index).requests_to(METRICS);
        let sound = || Self::listed(0).filter(|index| fault(*index).is_none());
        eventually("each node is polled twice", PATIENCE * 3, async || {
            sound().all(|index| asked(index) >= 2).then_some(())
        })
        .await;
    }
}

/// The number of packets of a node since a change.
fn value(index: usize, change: usize) -> u64 {
    (index * 100_000 + change) as u64
}

fn now() -> Duration {
    Duration::from_nanos(unix_nanos())
}

/// Whether the collector has a target with this name.
async fn is_target(stand: &Stand, name: &str) -> bool {
    let url = format!("http://{}/debug/resilience/{name}", stand.address);
    get(&url).await.unwrap().status().is_success()
}

/// The contents of one scrape: for each metric, the values by target.
#[derive(Default)]
struct Seen(BTreeMap<&'static str, BTreeMap<String, f64>>);

impl Seen {
    fn of(&self, metric: &str, target: &str) -> Option<f64> {
        self.0.get(metric)?.get(target).copied()
    }
}

/// All scrapes so far, by their start times.
async fn scrapes(prometheus: &Prometheus) -> BTreeMap<Duration, Seen> {
    let mut scrapes = BTreeMap::<_, Seen>::new();
    for metric in [TOTAL, UP, MISSED] {
        for (labels, samples) in prometheus.samples(metric).await {
            let target = labels["target"].as_str().unwrap();
            for (at, value) in samples {
                let seen = scrapes.entry(at).or_default().0.entry(metric).or_default();
                let known = seen.insert(target.to_owned(), value);
                assert_eq!(known, None, "one series of {metric} for {target}");
            }
        }
    }
    scrapes
}

/// A scrape, and the changes that may affect it.
struct Check<'w> {
    world: &'w World,
    /// Before the start and after the end of the scrape.
    time: (Duration, Duration),
    seen: &'w Seen,
}

impl Check<'_> {
    /// The changes that may affect it, starting with the last one that the collector had applied
    /// `ago` before the scrape.
    fn changes(&self, ago: Duration) -> RangeInclusive<usize> {
        let (start, end) = self.time;
        let changes = &self.world.changes;
        let first = changes.iter().rposition(|c| c.until <= start - ago);
        let last = changes.iter().rposition(|c| c.from <= end);
        first.unwrap()..=last.unwrap()
    }

    /// Checks that everything is there that must be, nothing else is, and every value is right. A
    /// node that is added or removed during the scrape may be there in part.
    fn is_right(&self) {
        let is_listed = |index: usize, change: usize| {
            let all = LISTED + ABSENT;
            (index + all - change * CHURN % all) % all < LISTED
        };
        let (now, lately) = (self.changes(Duration::ZERO), self.changes(INTERVAL));
        let mut names = BTreeSet::new();
        for (index, node) in self.world.fleet.nodes().iter().enumerate() {
            let name = node.address().to_string();
            let [total, up, missed] = [TOTAL, UP, MISSED].map(|metric| self.seen.of(metric, &name));
            let what = format!("node {index} at {:?}: {:?}", self.time, fault(index));
            if lately.clone().all(|change| is_listed(index, change)) {
                assert!(up.is_some(), "{what}");
                assert_eq!(total.is_some(), fault(index).is_none(), "{what}");
            } else if !now.clone().any(|change| is_listed(index, change)) {
                assert_eq!((up, total, missed), (None, None, None), "gone: {what}");
            }
            let is_of_it = total.is_none_or(|total| self.is_of(index, total));
            assert!(is_of_it, "{total:?} {what}");
            assert!(up.is_none_or(|up| is_up(index, up)), "{what}");
            assert!(missed.is_none_or(|missed| missed == 0.0), "{what}");
            names.insert(name);
        }
        let mut shown = self.seen.0.values().flat_map(BTreeMap::keys);
        assert!(shown.all(|name| names.contains(name)));
    }

    /// Whether the value is one of the node, and not older than the start of the poll before the
    /// last: the last tick was not missed.
    fn is_of(&self, index: usize, total: f64) -> bool {
        let (start, end) = self.time;
        let changes = &self.world.changes;
        let Some(change) = (0..changes.len()).find(|c| value(index, *c) as f64 == total) else {
            return false;
        };
        let next = changes.get(change + 1);
        let is_new = next.is_none_or(|next| next.from + 2 * INTERVAL >= start);
        fault(index).is_none() && changes[change].from <= end && is_new
    }
}

/// The median in bytes.
fn median(memory: &[u64]) -> u64 {
    let mut memory = memory.to_vec();
    memory.sort_unstable();
    memory[memory.len() / 2]
}

/// Checks that resident memory does not grow. It was `empty` without targets, and `memory` after
/// each change. If no memory of removed nodes were returned, it would grow by the memory of all new
/// ones. Half of that is allowed, because freed memory lies between memory in use.
fn is_flat(empty: u64, memory: &[u64]) {
    let third = memory.len() / 3;
    let (before, after) = (
        median(&memory[..third]),
        median(&memory[memory.len() - third..]),
    );
    let came = (memory.len() - third) * CHURN;
    let taken = (before - empty) / LISTED as u64 * came as u64;
    let grown = after.saturating_sub(before);
    assert!(grown < taken / 2, "by {grown} of {taken} bytes: {memory:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs prometheus: run tests/run"]
async fn a_thousand_changing_nodes_have_right_values_if_healthy() {
    descriptors::allow_many();
    let mut world = World::new();
    let stand = world.start().await;
    let empty = stand.collector.memory();
    world.change(&stand).await;
    world.until_polled().await;
    let prometheus = Prometheus::start(&format!(
        "scrape_configs: [{{job_name: fleet, scrape_interval: 5s, scrape_timeout: 5s, \
         static_configs: [{{targets: ['{}']}}], metric_relabel_configs: [{{action: keep, \
         source_labels: [__name__], regex: '{TOTAL}|{UP}|{MISSED}'}}]}}]",
        stand.address
    ))
    .await;

    let changes = std::env::var("CHANGES").map_or(30, |changes| changes.parse().unwrap());
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut memory = Vec::new();
    for _ in 0..changes {
        ticks.tick().await;
        world.change(&stand).await;
        memory.push(stand.collector.memory());
    }
    let last = world.changes.last().unwrap().until;
    eventually("the last change is scraped", PATIENCE, async || {
        let scraped = prometheus.number("timestamp(up)").await?;
        (scraped > (last + Duration::from_secs(5)).as_secs_f64()).then_some(())
    })
    .await;

    let scrapes = scrapes(&prometheus).await;
    for ((start, seen), end) in scrapes.iter().zip(scrapes.keys().skip(1)) {
        let (world, time) = (&world, (*start, *end));
        Check { world, time, seen }.is_right();
    }
    assert!(scrapes.len() > changes / 8, "{} scrapes", scrapes.len());
    assert_eq!(prometheus.number("min_over_time(up[1d])").await, Some(1.0));
    is_flat(empty, &memory);
}
