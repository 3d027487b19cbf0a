//! Several collectors that share the targets among them.

use std::{collections::BTreeSet, time::Duration};

use betanet_collector::simulator::{Dialect, Fleet, FleetOptions, Script};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::{
    PATIENCE, eventually,
    stand::{Options, Stand},
};

const METRICS: &str = "/api/v1/metrics";

/// A fleet, and the file in which collectors find it.
struct World {
    fleet: Fleet,
    folder: TempDir,
    interval: &'static str,
}

impl World {
    fn new(nodes: usize, interval: &'static str) -> Self {
        let fleet = Fleet::start(FleetOptions {
            betanet: nodes,
            mixnode: 0,
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
        Self {
            fleet,
            folder,
            interval,
        }
    }

    async fn collector(&self, index: usize, count: usize) -> Stand {
        let file = self.folder.path().join("targets.json");
        let keys = format!(
            "file_sd_configs: [{{files: ['{}']}}], shard: {{index: 'betanet-collector-{index}', count: {count}}}",
            file.display()
        );
        let options = Options {
            interval: self.interval,
            timeout: "3s",
            ..Options::default()
        };
        options.start_with(&keys).await
    }

    /// How often each node was asked for its metrics.
    fn requests(&self) -> Vec<u64> {
        let nodes = self.fleet.nodes().iter();
        nodes.map(|node| node.requests_to(METRICS)).collect()
    }

    /// Waits until each node was asked `more` times more; how often each was asked meanwhile.
    async fn until_asked(&self, more: u64) -> Vec<u64> {
        let before = self.requests();
        let since = || -> Vec<u64> {
            let now = self.requests();
            now.iter()
                .zip(&before)
                .map(|(now, before)| now - before)
                .collect()
        };
        let what = format!("each node is asked {more} times");
        eventually(&what, PATIENCE * 2, async || {
            Some(since()).filter(|asked| asked.iter().all(|times| *times >= more))
        })
        .await
    }

    /// Each node is polled once an interval, and by one of the collectors.
    async fn is_shared_out(&self, collectors: &[Stand]) {
        let asked = self.until_asked(3).await;
        // When the last is asked for the third time, the first is about to be for the fourth. One
        // that two collectors poll would be asked six times.
        assert!(asked.iter().all(|times| *times <= 5), "{asked:?}");
        let mut seen = BTreeSet::new();
        for collector in collectors {
            let scrape = collector.scrape().await;
            for sample in scrape.select("betanet_up") {
                assert_eq!(sample.value, "1");
                let target = sample.labels["target"].clone();
                assert!(seen.insert(target), "polled twice: {sample:?}");
            }
        }
        assert_eq!(seen.len(), self.fleet.nodes().len());
    }
}

/// Three collectors share `nodes`; one is killed, and the others are told that they are two.
async fn share(nodes: usize, interval: &'static str, interval_time: Duration) {
    let world = World::new(nodes, interval);
    let mut collectors = Vec::new();
    for index in 0..3 {
        collectors.push(world.collector(index, 3).await);
    }
    world.is_shared_out(&collectors).await;

    drop(collectors); // SIGKILL
    let mut collectors = Vec::new();
    for index in 0..2 {
        collectors.push(world.collector(index, 2).await);
    }
    let start = Instant::now();
    world.until_asked(1).await;
    let (took, allowed) = (start.elapsed(), interval_time + Duration::from_secs(2));
    assert!(took <= allowed, "{took:?} of {allowed:?}");
    world.is_shared_out(&collectors).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_target_is_polled_by_one_of_three_and_then_of_two() {
    share(150, "4s", Duration::from_secs(4)).await;
}
