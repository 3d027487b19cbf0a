//! Tests of promises that the predecessor of this collector made and did not keep, one test each.
//!
//! The tests of resilience cover its retries, its breaker and its cache.

use betanet_collector::simulator::NodeFault;

use crate::support::{
    PATIENCE, eventually,
    scrape::Scrape,
    stand::{Options, documented_node, polls},
};

const METRICS: &str = "/api/v1/metrics";

/// The samples of the documented body in a scrape.
const TOTALS: [(&str, &str); 4] = [
    ("betanet_messages_total", "5000"),
    ("betanet_packets_dropped_total", "10"),
    ("betanet_bytes_transmitted_total", "1000000"),
    ("betanet_bytes_received_total", "500000"),
];
const GAUGES: [(&str, &str); 6] = [
    ("betanet_connected_peers", "7"),
    ("betanet_mixnode_active", "5"),
    ("betanet_mixnode_inactive", "2"),
    ("betanet_message_latency_average_seconds", "0.045"),
    ("betanet_peak_throughput_bytes_per_second", "10000"),
    ("betanet_message_latency_seconds_bucket{le=\"0.025\"}", "0"),
];

fn assert_shows(scrape: &Scrape, expected: &[(&str, &str)]) {
    for (selector, value) in expected {
        assert_eq!(scrape.exact(selector), Some(*value), "{selector}");
    }
}

#[tokio::test]
async fn counters_show_the_totals_of_the_node_without_adding_them_up() {
    let node = documented_node();
    let stand = Options::default().start(&[("node", &node)]).await;
    for count in [1.0, 2.0, 10.0] {
        let scrape = stand.until_polls("node", count).await;
        assert_shows(&scrape, &TOTALS);
        assert_shows(&scrape, &GAUGES);
    }
    node.update(|state| state.packets_processed += 7);
    let scrape = stand.after_polls("node", 2).await;
    assert_shows(&scrape, &[("betanet_messages_total", "5007")]);
    assert_shows(&scrape, &[("betanet_counter_resets_total", "0")]);
}

#[tokio::test]
async fn a_node_that_is_down_keeps_its_last_values_without_zeros() {
    let node = documented_node();
    let stand = Options::default().start(&[("node", &node)]).await;
    stand.until_polls("node", 2.0).await;
    node.stop().await;
    let down = stand
        .until("the node is down", |scrape| {
            scrape.value("betanet_up") == Some(0.0)
        })
        .await;
    let later = stand.after_polls("node", 5).await;
    for scrape in [&down, &later] {
        assert_shows(scrape, &TOTALS);
        assert_shows(scrape, &GAUGES);
        assert_shows(scrape, &[("betanet_up", "0")]);
    }
    assert_eq!(last_successes(&later), last_successes(&down));
}

#[tokio::test]
async fn a_node_that_is_down_adds_no_observation_of_its_latency() {
    let node = documented_node();
    let stand = Options::default().start(&[("node", &node)]).await;
    let up = stand.until_polls("node", 3.0).await;
    let count = "betanet_message_latency_seconds_count";
    assert_eq!(up.value(count), Some(polls(&up, "node")));
    node.stop().await;
    let down = stand
        .until("the node is down", |scrape| {
            scrape.value("betanet_up") == Some(0.0)
        })
        .await;
    let later = stand.after_polls("node", 5).await;
    assert_eq!(later.value(count), down.value(count));
    let sum = "betanet_message_latency_seconds_sum";
    let expected = later.value(count).unwrap() * 0.045;
    assert!((later.value(sum).unwrap() - expected).abs() < 1e-9);
    let fresh = later.sum(
        "betanet_poll_results_total{outcome=\"fresh\",url_template=\"/api/v1/network/stats\"}",
    );
    assert_eq!(later.value(count), Some(fresh), "one a fresh poll");
}

#[tokio::test]
async fn an_endpoint_that_fails_is_an_error_and_not_a_default_value() {
    let node = documented_node();
    node.set_fault(
        Some(METRICS),
        NodeFault::Status {
            code: 500,
            retry_after: None,
        },
    );
    let stand = Options::default().start(&[("node", &node)]).await;
    let scrape = stand.until_polls("node", 3.0).await;
    assert_eq!(scrape.exact("betanet_messages_total"), None);
    assert_eq!(scrape.exact("betanet_packets_dropped_total"), None);
    let errors = "betanet_poll_results_total{outcome=\"missing\",error_type=\"500\"}";
    assert_eq!(scrape.sum(errors), polls(&scrape, "node"));
    assert_shows(&scrape, &[("betanet_connected_peers", "7")]);
}

#[tokio::test]
async fn the_documented_body_is_enough() {
    let node = documented_node();
    let stand = Options::default().start(&[("node", &node)]).await;
    let scrape = stand.until_polls("node", 2.0).await;
    assert_shows(&scrape, &TOTALS);
    let problems = scrape.select("betanet_mapping_problems_total");
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(scrape.exact("betanet_nodes"), None, "said by no body");
}

#[tokio::test]
async fn health_says_what_is_wrong() {
    let (sound, broken) = (documented_node(), documented_node());
    let nodes = [("sound", &sound), ("broken", &broken)];
    let stand = Options::default().start(&nodes).await;
    status(&stand, "ok").await;

    broken.set_fault(Some(METRICS), NodeFault::InvalidJson);
    let health = status(&stand, "degraded").await;
    let endpoint = &health["targets"]["broken"]["endpoints"]["metrics"];
    assert_eq!(endpoint["last_error"]["type"], "decode", "{health:#}");
    assert_eq!(health["targets"]["broken"]["up"], true);
    assert_eq!(health["targets_up"], 2);

    sound.stop().await;
    broken.stop().await;
    let health = status(&stand, "failing").await;
    let endpoint = &health["targets"]["sound"]["endpoints"]["nodes"];
    assert_eq!(endpoint["last_error"]["type"], "connect", "{health:#}");
    let message = endpoint["last_error"]["message"].as_str().unwrap();
    assert!(message.contains("refused"), "{message}");
    assert!(endpoint["age_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(health["targets"]["sound"]["up"], false);

    sound.start_again().await.unwrap();
    broken.start_again().await.unwrap();
    broken.clear_faults();
    status(&stand, "ok").await;
}

async fn status(stand: &crate::support::stand::Stand, expected: &str) -> serde_json::Value {
    eventually(&format!("/health says {expected}"), PATIENCE, async || {
        Some(stand.health().await).filter(|health| health["status"] == expected)
    })
    .await
}

fn last_successes(scrape: &Scrape) -> Vec<&str> {
    let times = scrape.select("betanet_source_last_success_timestamp_seconds");
    assert_eq!(times.len(), 3);
    times.iter().map(|time| time.value.as_str()).collect()
}
