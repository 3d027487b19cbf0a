//! Tests of every fault of a node, with the real program.

use std::time::Duration;

use betanet_collector::simulator::{Dialect, Node, NodeAction, NodeFault, NodeOptions};
use tokio::time::Instant;

use crate::support::{
    scrape::Scrape,
    server::Server,
    stand::{Options, Stand, documented_node, node, polls},
};

const METRICS: &str = "/api/v1/metrics";
const UP: &str = "betanet_source_up{target=\"broken\",url_template=\"/api/v1/metrics\"}";

/// Short timeouts, so that a node that hangs does not slow down the test.
fn impatient() -> Options {
    Options {
        timeout: "700ms",
        ..Options::default()
    }
}

/// Makes one endpoint of one of two nodes fail. Checks that this affects only the series of that
/// endpoint, that it is counted as `error_type`, and that it recovers.
async fn costs_one_endpoint(fault: NodeFault, error_type: &str) {
    let (broken, sound) = (documented_node(), documented_node());
    let nodes = [("broken", &broken), ("sound", &sound)];
    let options = match error_type {
        "timeout" => impatient(),
        _ => Options::default(),
    };
    let stand = options.start(&nodes).await;
    stand.until_polls("broken", 1.0).await;
    broken.set_fault(Some(METRICS), fault);
    stand.until("it fails", |s| s.value(UP) == Some(0.0)).await;
    broken.update(|state| {
        state.packets_processed = 6_000;
        state.total_nodes = 8;
    });
    let scrape = stand.after_polls("broken", 2).await;
    assert_costs_one_endpoint(&scrape, error_type);

    broken.clear_faults();
    let healed = stand
        .until("it recovers", |s| s.value(UP) == Some(1.0))
        .await;
    let total = "betanet_messages_total{target=\"broken\"}";
    assert_eq!(healed.exact(total), Some("6000"));
    assert_untouched(&stand.after_polls("sound", 2).await);
}

fn assert_costs_one_endpoint(scrape: &Scrape, error_type: &str) {
    let of = |name: &str| scrape.exact(&format!("{name}{{target=\"broken\"}}"));
    assert_eq!(of("betanet_up"), Some("1"), "other endpoints answer");
    assert_eq!(of("betanet_messages_total"), Some("5000"), "the last value");
    assert_eq!(of("betanet_connected_peers"), Some("8"), "a fresh value");
    let failures = scrape.select("betanet_poll_results_total{outcome=\"stale\"}");
    let [failures] = failures.as_slice() else {
        panic!("one class of failure at one endpoint: {failures:?}");
    };
    assert_eq!(failures.labels["error_type"], error_type);
    assert_eq!(failures.labels["url_template"], METRICS);
    assert_eq!(failures.labels["target"], "broken");
    assert_eq!(scrape.sum("betanet_source_up"), 5.0, "of six endpoints");
}

/// Checks that the other node was polled and never failed.
fn assert_untouched(scrape: &Scrape) {
    for outcome in ["missing", "stale"] {
        let bad = format!("betanet_poll_results_total{{target=\"sound\",outcome=\"{outcome}\"}}");
        assert_eq!(scrape.sum(&bad), 0.0);
    }
    assert_eq!(scrape.exact("betanet_up{target=\"sound\"}"), Some("1"));
}

fn status(code: u16, retry_after: Option<u64>) -> NodeFault {
    let retry_after = retry_after.map(Duration::from_secs);
    NodeFault::Status { code, retry_after }
}

#[tokio::test]
async fn a_reset_connection_is_a_lost_answer() {
    costs_one_endpoint(NodeFault::Refuse, "body").await;
}

#[tokio::test]
async fn a_hang_before_the_headers_is_a_timeout() {
    costs_one_endpoint(NodeFault::HangBeforeHeaders, "timeout").await;
}

#[tokio::test]
async fn a_body_that_stops_arriving_ends_in_a_timeout() {
    costs_one_endpoint(NodeFault::HangMidBody, "timeout").await;
}

#[tokio::test]
async fn a_body_that_arrives_too_slowly_ends_in_a_timeout() {
    let fault = NodeFault::Drip {
        bytes_per_second: 10,
    };
    costs_one_endpoint(fault, "timeout").await;
}

#[tokio::test]
async fn a_body_that_is_cut_is_an_error() {
    costs_one_endpoint(NodeFault::CutBody, "body").await;
}

#[tokio::test]
async fn a_404_is_counted_as_its_status() {
    costs_one_endpoint(status(404, None), "404").await;
}

#[tokio::test]
async fn a_500_is_counted_as_its_status() {
    costs_one_endpoint(status(500, None), "500").await;
}

#[tokio::test]
async fn a_429_is_counted_as_its_status() {
    costs_one_endpoint(status(429, None), "429").await;
}

#[tokio::test]
async fn a_503_is_counted_as_its_status() {
    costs_one_endpoint(status(503, None), "503").await;
}

#[tokio::test]
async fn retry_after_pauses_the_whole_host() {
    let (broken, sound) = (documented_node(), documented_node());
    let stand = Options::default()
        .start(&[("broken", &broken), ("sound", &sound)])
        .await;
    stand.until_polls("broken", 1.0).await;
    broken.set_fault(Some(METRICS), status(503, Some(60)));
    let paused = "betanet_poll_results_total{target=\"broken\",error_type=\"paused\"}";
    stand
        .until("requests are paused", |s| s.sum(paused) >= 6.0)
        .await;
    let asked = broken.requests();
    let scrape = stand.after_polls("broken", 5).await;
    assert_eq!(broken.requests(), asked, "no further request");
    let limited = "betanet_poll_results_total{target=\"broken\",error_type=\"503\"}";
    assert_eq!(scrape.sum(limited), 1.0);
    assert_untouched(&scrape);
}

#[tokio::test]
async fn an_invalid_json_body_is_a_decode_error() {
    costs_one_endpoint(NodeFault::InvalidJson, "decode").await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_not_read() {
    let fault = NodeFault::HugeBody { bytes: 8 << 20 };
    costs_one_endpoint(fault, "too_large").await;
}

#[tokio::test]
async fn a_gzip_bomb_stops_at_the_limit() {
    let node = documented_node();
    let stand = Options::default().start(&[("node", &node)]).await;
    stand.until_polls("node", 2.0).await;
    let before = stand.collector.peak_memory();
    // All endpoints, so that three arrive at once.
    node.set_fault(None, NodeFault::GzipBomb { bytes: 128 << 20 });
    let errors = "betanet_poll_results_total{error_type=\"too_large\"}";
    stand
        .until("ten bombs of each endpoint", |s| s.sum(errors) >= 30.0)
        .await;
    // Less than one of the thirty when it is decompressed: three buffers at once, each 4 MiB that
    // grew by doubling, and the same amount that the allocator has not returned yet.
    let grown = stand.collector.peak_memory() - before;
    assert!(grown < 96 << 20, "{} MiB more", grown >> 20);
}

#[tokio::test]
async fn a_closed_port_is_a_connect_error() {
    let (broken, sound) = (documented_node(), documented_node());
    broken.stop().await;
    let nodes = [("broken", &broken), ("sound", &sound)];
    let stand = Options::default().start(&nodes).await;
    let scrape = stand.until_polls("broken", 3.0).await;
    let refused = "betanet_poll_results_total{target=\"broken\",error_type=\"connect\"}";
    // One request per poll. The other two endpoints wait until one has answered.
    assert_eq!(scrape.sum(refused), polls(&scrape, "broken"));
    let waiting = "betanet_poll_results_total{target=\"broken\",error_type=\"waiting\"}";
    assert_eq!(scrape.sum(waiting), 2.0 * polls(&scrape, "broken"));
    assert_eq!(scrape.exact("betanet_up{target=\"broken\"}"), Some("0"));
    let values = scrape.select("betanet_messages_total{target=\"broken\"}");
    assert!(values.is_empty(), "{values:?}");
    assert_untouched(&stand.after_polls("sound", 2).await);

    broken.start_again().await.unwrap();
    let up = "betanet_up{target=\"broken\"}";
    stand.until("it is up", |s| s.value(up) == Some(1.0)).await;
}

/// Breaks the field `packets_processed`, and checks that only its series is missing, counted by
/// `reason`.
async fn costs_one_series(fault: NodeFault, reason: &str) {
    let node = documented_node();
    let stand = Options::default().start(&[("node", &node)]).await;
    stand.until_polls("node", 1.0).await;
    node.set_fault(Some(METRICS), fault);
    let scrape = stand.after_polls("node", 3).await;
    assert_eq!(scrape.exact("betanet_messages_total"), None);
    assert_eq!(scrape.exact("betanet_packets_dropped_total"), Some("10"));
    assert_eq!(scrape.sum("betanet_source_up"), 3.0);
    let problems = scrape.select("betanet_mapping_problems_total");
    let [problem] = problems.as_slice() else {
        panic!("one kind of problem: {problems:?}");
    };
    assert_eq!(problem.labels["metric"], "betanet_messages_total");
    assert_eq!(problem.labels["reason"], reason);
    node.clear_faults();
    let scrape = stand.after_polls("node", 2).await;
    assert_eq!(scrape.exact("betanet_messages_total"), Some("5000"));
    assert_eq!(scrape.exact("betanet_counter_resets_total"), Some("0"));
}

#[tokio::test]
async fn a_missing_field_affects_only_its_series() {
    let fault = NodeFault::MissingField("packets_processed".to_owned());
    costs_one_series(fault, "missing").await;
}

#[tokio::test]
async fn a_field_of_another_type_affects_only_its_series() {
    let fault = NodeFault::WrongType("packets_processed".to_owned());
    costs_one_series(fault, "type").await;
}

#[tokio::test]
async fn a_deadlocked_node_times_out_until_it_is_restarted() {
    let (broken, sound) = (node(Dialect::Mixnode), node(Dialect::Mixnode));
    broken.set_fault(None, NodeFault::Grey);
    let nodes = [("broken", &broken), ("sound", &sound)];
    let stand = impatient().start(&nodes).await;
    let timeouts = "betanet_poll_results_total{target=\"broken\",error_type=\"timeout\"}";
    let up = "betanet_up{target=\"broken\"}";
    let scrape = stand
        .until("every endpoint hangs", |s| {
            s.value(up) == Some(0.0) && s.sum(timeouts) >= 6.0
        })
        .await;
    // The endpoint that caused the deadlock is the suspect, and the endpoints after it wait.
    let broken_by = |error_type: &str| {
        scrape.sum(&format!(
            "betanet_poll_results_total{{target=\"broken\",error_type=\"{error_type}\"}}"
        ))
    };
    assert!(broken_by("suspect") > 0.0 && broken_by("waiting") > 0.0);
    assert_eq!(broken.requests_to("/status"), 1);
    let health = stand.health().await;
    let suspect = &health["targets"]["broken"]["endpoints"]["status"]["suspect"];
    assert!(suspect["since_seconds"].is_number(), "{health:#}");
    assert!(
        scrape.value("betanet_poll_missed_ticks_total{target=\"broken\"}") > Some(0.0),
        "a poll of 700 ms misses ticks of 100 ms"
    );
    broken.restart();
    stand.until("it is up", |s| s.value(up) == Some(1.0)).await;
    assert_untouched(&stand.after_polls("sound", 2).await);
}

#[tokio::test]
async fn a_node_that_closes_each_connection_unannounced_never_fails() {
    let node = Node::start(NodeOptions {
        close_after_response: true,
        ..NodeOptions::new(Dialect::Mixnode)
    })
    .unwrap();
    let options = Options {
        interval: "20ms",
        ..Options::default()
    };
    let stand = options.start(&[("node", &node)]).await;
    let scrape = stand.until_polls("node", 100.0).await;
    assert_eq!(
        scrape.sum("betanet_poll_results_total{outcome=\"missing\"}"),
        0.0
    );
    assert!(node.requests() >= 300, "{}", node.requests());
}

#[tokio::test]
async fn a_restart_shows_the_zeros_of_the_node() {
    let node = documented_node();
    let stand = Options::default().start(&[("node", &node)]).await;
    stand.until_polls("node", 2.0).await;
    node.restart();
    let scrape = stand.after_polls("node", 2).await;
    for total in [
        "betanet_messages_total",
        "betanet_packets_dropped_total",
        "betanet_bytes_transmitted_total",
        "betanet_bytes_received_total",
    ] {
        assert_eq!(scrape.exact(total), Some("0"), "{total}");
    }
    assert_eq!(scrape.exact("betanet_counter_resets_total"), Some("4"));
    assert_eq!(scrape.exact("betanet_connected_peers"), Some("7"));
}

#[tokio::test]
async fn series_follow_the_mixnodes() {
    let node = node(Dialect::Mixnode);
    let stand = Options::default().start(&[("node", &node)]).await;
    stand.until_polls("node", 1.0).await;
    let gone = node.state().mixnodes[0].id.clone();
    assert_eq!(mixnodes(&stand.scrape().await), ids(&node));

    node.apply(&NodeAction::RemoveMixnode).await.unwrap();
    node.apply(&NodeAction::AddMixnode).await.unwrap();
    let scrape = stand.after_polls("node", 2).await;
    assert_eq!(mixnodes(&scrape), ids(&node));
    assert!(!scrape.text.contains(&gone), "no series of any metric");

    node.update(|state| state.mixnodes.clear());
    let scrape = stand.after_polls("node", 2).await;
    assert_eq!(mixnodes(&scrape), Vec::<String>::new());
    assert_eq!(scrape.exact("betanet_nodes"), Some("0"));
    assert_eq!(scrape.sum("betanet_source_up"), 3.0);
}

/// The mixnodes with series, sorted. Each has one series of each metric, and one for each state.
fn mixnodes(scrape: &Scrape) -> Vec<String> {
    let totals = scrape.select("betanet_mixnode_packets_processed_total");
    let states = scrape.select("betanet_mixnode_state");
    assert_eq!(states.len(), totals.len() * 3);
    assert_eq!(scrape.sum("betanet_mixnode_state"), totals.len() as f64);
    let mut ids: Vec<_> = totals
        .iter()
        .map(|total| total.labels["betanet_mixnode_id"].clone())
        .collect();
    ids.sort();
    ids
}

fn ids(node: &Node) -> Vec<String> {
    let mut ids: Vec<_> = node.state().mixnodes.into_iter().map(|m| m.id).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn a_node_that_hangs_does_not_hold_up_the_end() {
    let (hangs, sound) = (documented_node(), documented_node());
    hangs.set_fault(None, NodeFault::HangBeforeHeaders);
    let options = Options {
        timeout: "60s",
        ..Options::default()
    };
    let stand: Stand = options.start(&[("hangs", &hangs), ("sound", &sound)]).await;
    hangs.wait_for_requests(1).await;
    stand.after_polls("sound", 1).await;
    let begun = Instant::now();
    let (code, log) = stand.collector.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(log.contains("polls in progress were dropped"), "{log}");
}

#[tokio::test]
async fn the_url_alone_is_enough_for_both_apis() {
    let documented = documented_node();
    let public = Node::start(NodeOptions::public()).unwrap();
    let options = Options {
        definition: "betanet, betanet-mixnode",
        ..Options::default()
    };
    let targets = [("documented", documented.url()), ("public", public.url())];
    let targets = targets
        .each_ref()
        .map(|(name, url)| (*name, url.as_str(), Dialect::Betanet));
    let stand = options.start_at(&targets).await;
    stand.until_polls("documented", 2.0).await;
    let scrape = stand.after_polls("public", 2).await;
    let at = |name: &str, target: &str| scrape.value(&format!("{name}{{target=\"{target}\"}}"));
    assert_eq!(at("betanet_up", "documented"), Some(1.0));
    assert_eq!(at("betanet_up", "public"), Some(1.0));
    assert!(
        at("betanet_connected_peers", "documented").is_some(),
        "{}",
        scrape.text
    );
    let mixnodes = |target: &str| {
        let state = format!("betanet_mixnode_state{{target=\"{target}\"}}");
        scrape.select(&state).len()
    };
    assert_eq!(mixnodes("public"), public.state().mixnodes.len() * 3);
    assert_eq!(mixnodes("documented"), 0);
    // Finding the API of a node does no harm.
    for path in ["/status", "/metrics"] {
        assert_eq!(public.requests_to(path), 0);
    }
}

#[tokio::test]
async fn a_server_without_tls_is_a_failed_handshake() {
    let server = Server::start(|_| http::Response::new(bytes::Bytes::new())).await;
    let url = format!("https://{}", server.address());
    let options = Options {
        resilience: "tls: {insecure_skip_verify: true}, retry: {max_retries: 0}",
        ..Options::default()
    };
    let stand = options.start_at(&[("node", &url, Dialect::Betanet)]).await;
    let failures = "betanet_poll_results_total{target=\"node\",error_type=\"tls\"}";
    stand
        .until("the handshake fails", |s| s.sum(failures) >= 3.0)
        .await;
}
