//! A test with three collectors that share a thousand targets, one of which is killed.

use std::{collections::BTreeSet, time::Duration};

use betanet_collector::simulator::{Dialect, Fleet, FleetOptions, Script};
use futures_util::future::join_all;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::{
    PATIENCE, descriptors, eventually,
    stand::{Options, Stand},
};

const METRICS: &str = "/api/v1/metrics";

const NODES: usize = 1000;

/// Time between two polls. The tested programs are not optimized.
const INTERVAL: Duration = Duration::from_secs(10);

/// Additional time for the start, and for a busy machine.
const GRACE: Duration = Duration::from_secs(5);

/// A fleet, and the file from which collectors discover it.
struct World {
    fleet: Fleet,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let fleet = Fleet::start(FleetOptions {
            betanet: NODES,
            mixnode: 0,
            public: 0,
            script: |_: Dialect, _| Script::default(),
            ..FleetOptions::default()
        });
        let (fleet, folder) = (fleet.unwrap(), TempDir::new().unwrap());
        let addresses: Vec<_> = fleet
            .nodes()
            .iter()
            .map(|n| n.address().to_string())
            .collect();
        let list = json!([{"targets": addresses}]).to_string();
        std::fs::write(folder.path().join("targets.json"), list).unwrap();
        Self { fleet, folder }
    }

    fn options() -> Options {
        Options {
            interval: "10s",
            timeout: "5s",
            target_metrics: None,
            definition: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/messages.yaml"),
            ..Options::default()
        }
    }

    /// The keys that make a collector one of `count`.
    fn keys(&self, index: usize, count: usize) -> String {
        let file = self.folder.path().join("targets.json");
        format!(
            "file_sd_configs: [{{files: ['{}']}}], shard: {{index: 'betanet-collector-{index}', count: {count}}}",
            file.display()
        )
    }

    /// The number of requests for metrics to each node.
    fn requests(&self) -> Vec<u64> {
        let nodes = self.fleet.nodes().iter();
        nodes.map(|node| node.requests_to(METRICS)).collect()
    }

    /// Waits until each node got `times` more requests than `before`. Returns the numbers.
    async fn until_asked(&self, before: &[u64], times: u64) -> Vec<u64> {
        let since = || -> Vec<u64> {
            let now = self.requests();
            now.iter()
                .zip(before)
                .map(|(now, before)| now - before)
                .collect()
        };
        let what = format!("each node is asked {times} times");
        eventually(&what, PATIENCE * 3, async || {
            Some(since()).filter(|asked| asked.iter().all(|asked| *asked >= times))
        })
        .await
    }

    /// Waits until each node is a target of one of the collectors and is up.
    async fn is_shared_out(&self, collectors: &[Stand]) {
        let scrapes = eventually("every node is up", PATIENCE, async || {
            let scrapes = collectors.iter().map(Stand::scrape);
            let scrapes = join_all(scrapes).await;
            let up = scrapes.iter().map(|scrape| scrape.sum("betanet_up"));
            (up.sum::<f64>() >= NODES as f64).then_some(scrapes)
        })
        .await;
        let mut seen = BTreeSet::new();
        for scrape in scrapes {
            for sample in scrape.select("betanet_up") {
                let target = sample.labels["target"].clone();
                assert!(seen.insert(target), "polled twice: {sample:?}");
            }
            assert_eq!(scrape.sum("betanet_poll_missed_ticks_total"), 0.0);
        }
        assert_eq!(seen.len(), NODES);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_target_is_polled_by_one_of_three_and_then_of_two() {
    descriptors::allow_many();
    let world = World::new();
    let options = World::options();
    let mut collectors = Vec::new();
    for index in 0..3 {
        collectors.push(options.start_with(&world.keys(index, 3)).await);
    }
    let asked = world.until_asked(&world.requests(), 3).await;
    // At the third request to the last node, the fourth one to the first node is about to be sent.
    // A node that two collectors poll would get six.
    assert!(asked.iter().all(|times| *times <= 5), "{asked:?}");
    world.is_shared_out(&collectors).await;

    drop(collectors.pop()); // SIGKILL
    let (before, start) = (world.requests(), Instant::now());
    for (index, collector) in collectors.iter().enumerate() {
        options.reload_with(collector, &world.keys(index, 2));
    }
    let asked = world.until_asked(&before, 1).await;
    assert!(start.elapsed() <= INTERVAL + GRACE, "{:?}", start.elapsed());
    // One request at once from the collector that had it before, and then one at each tick.
    assert!(asked.iter().all(|times| *times <= 3), "{asked:?}");
    world.is_shared_out(&collectors).await;
}
