//! An exporter changes while it holds something.

use super::stand::{FIRST, Reloading, Variant, arrived};
use crate::support::{PATIENCE, eventually, sink::Point, stand::polls};

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
