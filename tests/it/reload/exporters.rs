//! Tests of reloads that change an exporter, or its storage, while it holds something.

use tempfile::TempDir;

use super::stand::{FIRST, Reloading, Variant, arrived};
use crate::support::{PATIENCE, eventually, sink::Point, stand::polls};

/// A queue on disk, and short retries.
const ON_DISK: &str = ", sending_queue: {storage: file_storage}, \
    retry_on_failure: {initial_interval: 100ms, max_interval: 200ms}";

/// A program that holds some polls, because the destination of its exporter is down.
async fn holding(otlp: &'static str) -> Reloading {
    let stand = Reloading::start(Variant { otlp, ..FIRST }, &[]).await;
    stand.world.sink.set_away(true);
    hold_more(&stand).await;
    stand
}

async fn hold_more(stand: &Reloading) {
    let polled = polls(&stand.scrape().await, "n0");
    stand.until_polled("n0", polled + 3.0).await;
}

/// The destination comes back, and nothing may be lost.
async fn gives_all(stand: Reloading) {
    hold_more(&stand).await;
    let polled = polls(&stand.scrape().await, "n0");
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
    let stand = holding(", retry_on_failure: {initial_interval: 100ms, max_interval: 200ms}").await;
    let otlp = ", timeout: 6s, retry_on_failure: {initial_interval: 100ms, max_interval: 200ms}";
    stand.go_over(Variant { otlp, ..FIRST }).await;
    gives_all(stand).await;
}

#[tokio::test]
async fn a_queue_on_disk_is_handed_on() {
    let stand = holding(ON_DISK).await;
    let otlp = ", timeout: 6s, sending_queue: {storage: file_storage}, \
        retry_on_failure: {initial_interval: 100ms, max_interval: 200ms}";
    stand.go_over(Variant { otlp, ..FIRST }).await;
    gives_all(stand).await;
}

/// The configuration with more or other keys of `file_storage`.
fn stored(stand: &Reloading, from: &str, to: &str) -> String {
    let config = stand.world.config(Variant {
        otlp: ON_DISK,
        ..FIRST
    });
    assert!(config.contains(from), "{config}");
    config.replace(from, to)
}

#[tokio::test]
async fn a_storage_with_other_settings_hands_its_queue_on() {
    let stand = holding(ON_DISK).await;
    let (from, to) = ("file_storage: {dir", "file_storage: {fsync: false, dir");
    let (status, text) = stand.reload(&stored(&stand, from, to)).await;
    assert_eq!(status, 200, "{text}");
    gives_all(stand).await;
}

#[tokio::test]
async fn a_storage_that_moves_is_emptied_where_it_was() {
    let stand = holding(ON_DISK).await;
    let elsewhere = TempDir::new().unwrap();
    let path = |folder: &TempDir| folder.path().to_str().unwrap().to_owned();
    let here = path(&stand.world.storage);
    let moved = stored(&stand, &here, &path(&elsewhere));
    let (status, text) = stand.reload(&moved).await;
    assert_eq!(status, 200, "{text}");
    hold_more(&stand).await;
    let (status, text) = stand.reload(&stored(&stand, &here, &here)).await;
    assert_eq!(
        status, 500,
        "there is an exporter that still sends from there"
    );
    assert!(text.contains("is in use"), "{text}");
    let queue = "exporter_otlp_http.redb";
    for folder in [&stand.world.storage, &elsewhere] {
        assert!(folder.path().join(queue).exists());
    }
    gives_all(stand).await;
}
