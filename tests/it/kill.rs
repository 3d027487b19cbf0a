//! Tests that kill the collector (SIGKILL) at random times, with its queue on disk.
//!
//! Everything that it confirmed as stored arrives, in order. What arrives twice was being sent at
//! the time of a kill. There are ten kills, or the number in the environment variable `KILLS`, over
//! HTTP, and five over gRPC.

use std::fmt::Write as _;

use betanet_collector::simulator::Dialect;
use fastrand::Rng;

use crate::support::{
    PATIENCE,
    accounts::Accounts,
    arrivals::{assert_own_time, counts, first_arrivals},
    backend::{Backend, Behavior},
    counting_node::{CountingNode, unix_nanos},
    eventually,
    sink::Point,
    stand::{Options, Stand},
};

const NODE: &str = "node";

/// The time from one start to the kill.
struct Life {
    /// Points on disk, as the collector reported shortly before.
    stored: f64,
    /// Answers of the node until then, over all lives.
    answers: usize,
    /// When it was dead, in Unix nanoseconds.
    end: u64,
}

/// Lets it run for a random number of scrapes, and kills it.
async fn live(exporter: &str, stand: Stand, node: &CountingNode, rng: &mut Rng) -> Life {
    let mut stored = 0.0;
    for _ in 0..rng.u32(0..60) {
        stored = Accounts::of(&stand.own().await, exporter).stored;
    }
    stand.collector.kill().await;
    // A request may still be waiting for its answer.
    node.left().await;
    Life {
        stored,
        answers: node.answered().len(),
        end: unix_nanos(),
    }
}

#[tokio::test]
async fn kills_at_random_moments_lose_nothing_that_was_on_disk() {
    let kills = std::env::var("KILLS").map_or(10, |kills| kills.parse().unwrap());
    kill("otlp_http", kills).await;
}

#[tokio::test]
async fn nor_do_they_over_grpc() {
    kill("otlp_grpc", 5).await;
}

async fn kill(exporter: &str, kills: u32) {
    let mut rng = Rng::with_seed(4);
    let folder = tempfile::tempdir().unwrap();
    let (node, mut backend) = (CountingNode::start().await, Backend::start().await);
    let (options, url) = (
        Options::pushing_with(exporter, &backend.url(), folder.path()),
        node.url(),
    );
    let targets = [(NODE, url.as_str(), Dialect::Betanet)];
    let mut lives = Vec::new();
    for _ in 0..kills {
        let behaviors = [
            Behavior::Accept,
            Behavior::Accept,
            Behavior::Down,
            Behavior::Busy { retry_after: 1 },
            Behavior::ResetAnswer,
            Behavior::Hang,
        ];
        backend.set(behaviors[rng.usize(..behaviors.len())]).await;
        let stand = options.start_at(&targets).await;
        lives.push(live(exporter, stand, &node, &mut rng).await);
    }
    backend.set(Behavior::Accept).await;
    let stand = options.start_at(&targets).await;
    eventually("everything is sent", PATIENCE, async || {
        let accounts = Accounts::of(&stand.own().await, exporter);
        (accounts.stored > 0.0 && accounts.held == 0.0).then_some(())
    })
    .await;
    let (code, log) = stand.collector.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let requests = backend.taken();
    let batches = requests.len();
    let (points, repeated) = first_arrivals(requests);
    let report = judge(&points, &lives, &node.answered());
    eprintln!("{kills} kills: {report}; {repeated} points repeated in {batches} requests");
}

/// Checks that each life's points arrived as far as they were on disk, without a gap.
fn judge(points: &[Point], lives: &[Life], answered: &[u64]) -> String {
    let counts = counts(points, NODE);
    let (mut from, mut given, mut unstored) = (0, 0, 0);
    for life in lives {
        let of_life = |time: u64| from < time && time <= life.end;
        let arrived = points.iter().filter(|point| of_life(point.time)).count();
        assert!(
            arrived as f64 >= life.stored,
            "{arrived} of {}",
            life.stored
        );
        let values = counts.iter().filter(|(_, time)| of_life(*time));
        let values: Vec<_> = values.copied().collect();
        for (place, count) in values.iter().enumerate() {
            assert_eq!(count.0, given + place + 1, "a gap, or another order");
            assert_own_time(*count, answered);
        }
        unstored += life.answers - given - values.len();
        (from, given) = (life.end, life.answers);
    }
    let mut report = String::new();
    let stored: f64 = lives.iter().map(|life| life.stored).sum();
    write!(report, "{stored} points said to be on disk, all arrived; ").unwrap();
    write!(report, "{unstored} of {given} polls were not on disk yet").unwrap();
    report
}
