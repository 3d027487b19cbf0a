//! Tests that a failing disk loses only what only the disk could have kept.

use std::path::Path;

use betanet_collector::simulator::Dialect;

use crate::support::{
    PATIENCE,
    accounts::Accounts,
    arrivals::{assert_own_time, counts, first_arrivals},
    backend::{Backend, Behavior},
    counting_node::{CountingNode, unix_nanos},
    eventually,
    stand::{Options, Stand},
};

const NODE: &str = "node";

/// The file name of the queue.
const FILE: &str = "exporter_otlp_http.redb";

/// Starts a collector that polls a node and pushes to a backend, with a queue on disk.
async fn start(node: &CountingNode, backend: &Backend, folder: &Path) -> Stand {
    let options = Options::pushing_from_disk(&backend.url(), folder);
    let url = node.url();
    options.start_at(&[(NODE, &url, Dialect::Betanet)]).await
}

async fn accounts(stand: &Stand) -> Accounts {
    Accounts::of(&stand.own().await, "otlp_http")
}

/// Waits until this number of points is on disk.
async fn until_stored(stand: &Stand, points: f64) {
    eventually("points are on disk", PATIENCE, async || {
        (accounts(stand).await.stored >= points).then_some(())
    })
    .await;
}

async fn until_sent(stand: &Stand) {
    eventually("everything is sent", PATIENCE, async || {
        let accounts = accounts(stand).await;
        (accounts.sent > 0.0 && accounts.held == 0.0).then_some(())
    })
    .await;
}

/// Waits until the storage has this status, and returns its message.
async fn until_status(stand: &Stand, status: &str) -> String {
    eventually(&format!("the storage is {status}"), PATIENCE, async || {
        let health = stand.health().await;
        let storage = &health["components"]["extension:file_storage"];
        let is_it = storage["status"] == status;
        is_it.then(|| storage["error"].as_str().unwrap_or_default().to_owned())
    })
    .await
}

/// The number of counted disk failures with this reason.
async fn failures(stand: &Stand, reason: &str) -> f64 {
    let labels = format!("exporter=\"otlp_http\",reason=\"{reason}\"");
    let own = stand.own().await;
    own.sum(&format!(
        "betanet_exporter_queue_storage_failures{{{labels}}}"
    ))
}

/// Checks that polls and scrapes continue.
async fn assert_unaffected(stand: &Stand) {
    let scrape = stand.after_polls(NODE, 5).await;
    let up = format!("betanet_up{{target=\"{NODE}\"}}");
    assert_eq!(scrape.value(&up), Some(1.0));
    assert!(scrape.value("betanet_messages_total") > Some(0.0));
}

/// Stops the collector, and checks that every answer of the node arrived once, in order, with its
/// own time.
async fn assert_complete(stand: Stand, node: &CountingNode, backend: &Backend) -> String {
    let (code, log) = stand.collector.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let (points, repeated) = first_arrivals(backend.taken());
    assert_eq!(repeated, 0);
    let (counts, answered) = (counts(&points, NODE), node.answered());
    assert!(answered.len() - counts.len() <= 1, "{log}");
    for (before, count) in counts.into_iter().enumerate() {
        assert_eq!(count.0, before + 1);
        assert_own_time(count, &answered);
    }
    log
}

#[tokio::test]
async fn where_nothing_can_be_written_the_queue_is_in_memory() {
    let (node, backend) = (CountingNode::start().await, Backend::start().await);
    // No user can create files there.
    let stand = start(&node, &backend, Path::new("/sys")).await;
    let error = until_status(&stand, "StatusRecoverableError").await;
    assert!(error.contains("otlp_http: open: the disk fails"), "{error}");
    assert!(failures(&stand, "open").await >= 1.0);
    assert_unaffected(&stand).await;
    until_sent(&stand).await;
    assert_eq!(accounts(&stand).await.stored, 0.0);
    let log = assert_complete(stand, &node, &backend).await;
    assert!(log.contains("the queue cannot be written to disk"), "{log}");
}

#[tokio::test]
async fn a_full_disk_costs_nothing_and_is_used_again_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let (node, mut backend) = (CountingNode::start().await, Backend::start().await);
    let stand = start(&node, &backend, folder.path()).await;
    backend.set(Behavior::Down).await;
    until_stored(&stand, 1.0).await;
    let file = folder.path().join(FILE);
    let bytes = std::fs::metadata(&file).unwrap().len();
    stand.collector.limit_files(Some(bytes));
    let error = until_status(&stand, "StatusRecoverableError").await;
    assert!(error.contains("File too large"), "{error}");
    assert!(failures(&stand, "write").await >= 1.0);
    assert_unaffected(&stand).await;

    let stored = accounts(&stand).await.stored;
    stand.collector.limit_files(None);
    until_status(&stand, "StatusOK").await;
    until_stored(&stand, stored + 1.0).await;
    backend.set(Behavior::Accept).await;
    until_sent(&stand).await;
    assert_eq!(accounts(&stand).await.dropped, 0.0);
    let log = assert_complete(stand, &node, &backend).await;
    assert!(log.contains("the queue is on disk again"), "{log}");
}

/// Kills a collector whose backend is down, damages its file, and starts another one. Checks that
/// intact records arrive in order, lost ones are counted in points, and everything continues.
/// Returns how many points of the first collector arrived, and how many were lost.
async fn damaged_by(damage: impl FnOnce(&mut [u8])) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let (node, mut backend) = (CountingNode::start().await, Backend::start().await);
    backend.set(Behavior::Down).await;
    let stand = start(&node, &backend, folder.path()).await;
    // About forty records, of which the damaged places are a small part.
    until_stored(&stand, 5_000.0).await;
    let stored = accounts(&stand).await.stored;
    stand.collector.kill().await;
    let end = unix_nanos();
    let file = folder.path().join(FILE);
    let mut bytes = std::fs::read(&file).unwrap();
    damage(&mut bytes);
    std::fs::write(&file, bytes).unwrap();

    backend.set(Behavior::Accept).await;
    let stand = start(&node, &backend, folder.path()).await;
    until_stored(&stand, 1.0).await;
    assert_eq!(failures(&stand, "damaged").await, 1.0);
    until_status(&stand, "StatusOK").await;
    assert_unaffected(&stand).await;
    until_sent(&stand).await;
    let lost = accounts(&stand).await.dropped;
    let (code, log) = stand.collector.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains(&format!("lost_points={lost}")), "{log}");
    assert!(file.with_extension("damaged").exists());

    let (points, repeated) = first_arrivals(backend.taken());
    assert_eq!(repeated, 0);
    let of_first = points.iter().filter(|point| point.time <= end).count() as f64;
    assert!(of_first + lost >= stored, "{of_first} + {lost} of {stored}");
    let counts = counts(&points, NODE);
    for count in &counts {
        assert_own_time(*count, &node.answered());
    }
    let of_second = counts.iter().filter(|(_, time)| *time > end);
    let of_second: Vec<_> = of_second.map(|(count, _)| *count).collect();
    let has_hole = of_second.windows(2).any(|pair| pair[0] + 1 != pair[1]);
    assert!(!has_hole && !of_second.is_empty(), "{of_second:?}");
    (of_first, lost)
}

#[tokio::test]
async fn of_a_damaged_file_what_is_whole_arrives_and_what_is_lost_is_counted() {
    let mut rng = fastrand::Rng::with_seed(9);
    let (arrived, lost) = damaged_by(|file| {
        // The header, so that redb refuses the file, and a few sectors.
        file[..512].fill(0);
        for _ in 0..3 {
            let at = rng.usize(..file.len() / 512) * 512;
            file[at..at + 512].fill(0x55);
        }
    })
    .await;
    assert!(arrived > lost, "{arrived} arrived, {lost} lost");
}

#[tokio::test]
async fn a_file_of_which_nothing_is_whole_is_lost_and_counted() {
    let (arrived, lost) = damaged_by(|file| file.fill(0x55)).await;
    assert!(
        arrived == 0.0 && lost > 1_000.0,
        "{arrived} arrived, {lost} lost"
    );
}
