//! The real program before two nodes with the same data.

use betanet_collector::simulator::{Fault, Node};
use serde_json::Value;

use crate::support::{
    PATIENCE, eventually, get,
    scrape::Scrape,
    stand::{Options, Stand, documented_node},
};

/// The defaults, fifty times as fast.
async fn start(nodes: &[&Node]) -> Stand {
    let options = Options {
        interval: "200ms",
        resilience: "retry: {initial_interval: 50ms, jitter: 0}, \
                     circuit_breaker: {open_duration: 600ms, open_jitter: 0}",
        ..Options::default()
    };
    let urls: Vec<_> = nodes.iter().map(|node| node.url()).collect();
    let urls = urls.join(", ");
    let target = format!("{{name: pool, mode: replicas, endpoints: [{urls}]}}");
    let stand = options.start_with(&format!("targets: [{target}]")).await;
    stand.until_polls("pool", 3.0).await;
    stand
}

/// The sum of what is said of an instance.
fn of(scrape: &Scrape, metric: &str, node: &Node) -> f64 {
    let instance = node.address();
    scrape.sum(&format!("{metric}{{betanet_instance=\"{instance}\"}}"))
}

async fn health(stand: &Stand) -> Value {
    stand.health().await["targets"]["pool"].clone()
}

#[tokio::test]
async fn a_replica_that_is_killed_leaves_no_gap_and_is_asked_again_when_it_is_back() {
    let (a, b) = (documented_node(), documented_node());
    let stand = start(&[&a, &b]).await;
    let up = stand.scrape().await.sum("betanet_up{target=\"pool\"}");
    assert_eq!(up, 1.0);

    a.set_fault(None, Fault::Refuse);
    let state = "betanet_circuit_breaker_state";
    let opened = |scrape: &Scrape| of(scrape, state, &a) > 0.0;
    let scrape = stand.until("the breakers of `a` open", opened).await;
    assert!(of(&scrape, "betanet_balancer_failovers_total", &a) >= 5.0);
    assert_eq!(of(&scrape, "betanet_balancer_failovers_total", &b), 0.0);
    assert_eq!(of(&scrape, state, &b), 0.0);
    for results in scrape.select("betanet_poll_results_total") {
        assert_eq!(results.labels["outcome"], "fresh", "no poll is lost");
    }
    assert_eq!(scrape.sum("betanet_poll_retries_total"), 0.0);
    assert_eq!(scrape.sum("betanet_source_up"), 3.0);
    let values = scrape.select("betanet_packets_dropped_total");
    assert_eq!(values.len(), 1, "a target is one series, whoever answers");
    let instances = &health(&stand).await["host"]["instances"];
    let breaker = &instances[a.address().to_string()]["breaker"];
    assert_ne!(breaker["state"], "closed", "{instances}");

    let url = format!("http://{}/debug/resilience/pool", stand.address);
    let decisions = get(&url).await.unwrap().text().await.unwrap();
    assert!(decisions.contains("\"chosen\"") && decisions.contains("\"because\""));

    a.clear_faults();
    let closed = |scrape: &Scrape| of(scrape, state, &a) == 0.0;
    stand.until("the breakers of `a` close", closed).await;
    let asked = a.requests();
    b.set_fault(None, Fault::Refuse);
    eventually("`a` stands in for `b`", PATIENCE, async || {
        Some(()).filter(|()| a.requests() > asked + 5)
    })
    .await;
    let scrape = stand.after_polls("pool", 3).await;
    assert_eq!(scrape.sum("betanet_up{target=\"pool\"}"), 1.0);
}

#[tokio::test]
async fn all_replicas_down_is_a_target_down() {
    let (a, b) = (documented_node(), documented_node());
    let stand = start(&[&a, &b]).await;
    for node in [&a, &b] {
        node.set_fault(None, Fault::Refuse);
    }
    let down = |scrape: &Scrape| scrape.value("betanet_up{target=\"pool\"}") == Some(0.0);
    stand.until("the target is down", down).await;
    let refused = |scrape: &Scrape| {
        let refused = scrape.select("betanet_poll_results_total{error_type=\"circuit_open\"}");
        refused.len() == 3
    };
    stand.until("nobody is asked", refused).await;
    b.clear_faults();
    let up = |scrape: &Scrape| scrape.value("betanet_up{target=\"pool\"}") == Some(1.0);
    stand.until("one is enough", up).await;
}
