//! A fleet that comes and goes, some of it failing, found through a file.

use std::time::Duration;

use betanet_collector::simulator::{Dialect, Fault, Fleet, FleetOptions, Node, Script};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    scrape::Scrape,
    stand::{Options, Stand},
};

/// How many nodes there are, and how many of them are listed at a time.
const NODES: usize = 120;
const LISTED: usize = 100;

/// How many nodes come and go with each change.
const CHURN: usize = 5;

/// Every way in which a node of the fleet fails: one in ten does.
fn fault(index: usize) -> Option<Fault> {
    let faults = [
        Fault::Refuse,
        Fault::HangBeforeHeaders,
        Fault::HangMidBody,
        Fault::CutBody,
        Fault::InvalidJson,
        Fault::Status {
            code: 500,
            retry_after: None,
        },
    ];
    let kind = (index / 10) % faults.len();
    faults.into_iter().nth(kind).filter(|_| index % 10 == 3)
}

fn is_sound(index: usize) -> bool {
    fault(index).is_none()
}

struct World {
    fleet: Fleet,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let fleet = Fleet::start(FleetOptions {
            betanet: NODES,
            mixnode: 0,
            script: |_: Dialect, _| Script::default(),
            ..FleetOptions::default()
        });
        let fleet = fleet.unwrap();
        for (index, node) in fleet.nodes().iter().enumerate() {
            node.update(|state| state.packets_processed = value(index));
            if let Some(fault) = fault(index) {
                node.set_fault(None, fault);
            }
        }
        Self {
            fleet,
            folder: TempDir::new().unwrap(),
        }
    }

    /// The nodes that are listed after so many changes.
    fn listed(&self, change: usize) -> Vec<(usize, &Node)> {
        let all = self.fleet.nodes().iter().enumerate().cycle();
        all.skip(change * CHURN).take(LISTED).collect()
    }

    fn list(&self, change: usize) {
        let listed = self.listed(change);
        let addresses: Vec<_> = listed
            .iter()
            .map(|(_, n)| n.address().to_string())
            .collect();
        let list = json!([{"targets": addresses, "labels": {"fleet": "test"}}]).to_string();
        let (new, path) = (
            self.folder.path().join("new"),
            self.folder.path().join("t.json"),
        );
        std::fs::write(&new, list).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    /// The first scrape that shows the nodes of a change and no others, all of them polled.
    async fn shown(&self, stand: &Stand, change: usize) -> Scrape {
        let listed = self.listed(change);
        let mut wanted: Vec<_> = listed
            .iter()
            .map(|(_, n)| n.address().to_string())
            .collect();
        wanted.sort();
        let is_shown = |scrape: &Scrape| {
            let up = scrape.select("betanet_up{fleet=\"test\"}");
            let mut shown: Vec<_> = up.iter().map(|s| s.labels["target"].clone()).collect();
            shown.sort();
            shown == wanted
        };
        let what = format!("the targets of change {change}");
        stand.until(&what, is_shown).await
    }
}

/// What a node says it has processed.
fn value(index: usize) -> u64 {
    100_000 + index as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_come_and_go_and_what_the_sound_ones_say_is_right() {
    let world = World::new();
    world.list(0);
    let options = Options {
        interval: "3s",
        timeout: "2500ms",
        ..Options::default()
    };
    let file = world.folder.path().join("t.json");
    let stand = options
        .start_with(&format!(
            "file_sd_configs: [{{files: ['{}']}}]",
            file.display()
        ))
        .await;
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    for change in 0..8 {
        ticks.tick().await;
        world.list(change);
        let scrape = world.shown(&stand, change).await;
        for (index, node) in world.listed(change) {
            let of = |name: &str| scrape.exact(&format!("{name}{{target=\"{}\"}}", node.address()));
            let (up, total) = (of("betanet_up"), of("betanet_messages_total"));
            match is_sound(index) {
                true => assert_eq!(
                    (up, total),
                    (Some("1"), Some(value(index).to_string().as_str()))
                ),
                false => assert_eq!((up, total), (Some("0"), None), "{:?}", fault(index)),
            }
        }
        let gone = scrape.select("betanet_messages_total").len();
        let sound = world
            .listed(change)
            .iter()
            .filter(|(index, _)| is_sound(*index))
            .count();
        assert_eq!(gone, sound, "no series of a node that is gone");
        assert_eq!(scrape.sum("betanet_poll_missed_ticks_total"), 0.0);
    }
}
