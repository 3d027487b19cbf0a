//! Tests with the real program and failing nodes: its requests, and what its metrics, health,
//! decisions and log say about them.

use std::time::Duration;

use betanet_collector::simulator::{Node, NodeFault};
use serde_json::Value;
use tokio::time::Instant;

use crate::support::{
    PATIENCE, eventually, get,
    prometheus::promtool_check_metrics,
    scrape::Scrape,
    stand::{Options, Stand, documented_node},
};

const METRICS: &str = "/api/v1/metrics";
const STATE: &str = "betanet_circuit_breaker_state";
const ENDPOINT: &str = "betanet_breaker_scope=\"endpoint\",url_template=\"/api/v1/metrics\"";
const HOST: &str = "betanet_breaker_scope=\"host\"";

/// The defaults, twenty to thirty times faster.
fn fast() -> Options {
    Options {
        interval: "200ms",
        resilience: "retry: {initial_interval: 50ms, jitter: 0}, \
                     circuit_breaker: {open_duration: 1s, open_jitter: 0}",
        ..Options::default()
    }
}

/// The same, but an open breaker stays open for the rest of the test.
fn open_for_long() -> Options {
    Options {
        resilience: "retry: {initial_interval: 50ms, jitter: 0}, \
                     circuit_breaker: {open_duration: 250s, open_jitter: 0}",
        ..fast()
    }
}

fn status(code: u16) -> NodeFault {
    let retry_after = None;
    NodeFault::Status { code, retry_after }
}

/// How often the breaker of `of` at `target` changed its state for this reason.
fn transitions(scrape: &Scrape, target: &str, of: &str, reason: &str) -> f64 {
    let of = format!("target=\"{target}\",{of},reason=\"{reason}\"");
    scrape.sum(&format!(
        "betanet_circuit_breaker_transitions_total{{{of}}}"
    ))
}

/// The number of the state of the breaker of `of` at `target`.
fn state(scrape: &Scrape, target: &str, of: &str) -> Option<f64> {
    scrape.value(&format!("{STATE}{{target=\"{target}\",{of}}}"))
}

async fn until_state(stand: &Stand, target: &str, of: &str, number: f64) -> Scrape {
    let what = format!("{of} of {target} is in state {number}");
    stand
        .until(&what, |scrape| state(scrape, target, of) == Some(number))
        .await
}

/// The current decisions in `/debug/resilience` of a target.
async fn decisions(stand: &Stand, target: &str) -> Vec<Value> {
    let url = format!("http://{}/debug/resilience/{target}", stand.address);
    let text = get(&url).await.unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The current `/health` of a target.
async fn health(stand: &Stand, target: &str) -> Value {
    let health = stand.health().await;
    health["targets"][target].clone()
}

#[tokio::test]
async fn a_failed_request_is_repeated_and_five_failures_open_the_breaker() {
    let node = documented_node();
    let stand = open_for_long().start(&[("node", &node)]).await;
    stand.until_polls("node", 1.0).await;
    node.set_fault(Some(METRICS), status(500));
    let scrape = until_state(&stand, "node", ENDPOINT, 1.0).await;
    let retries = scrape.select("betanet_poll_retries_total");
    let retries: Vec<_> = retries
        .iter()
        .filter(|series| series.value != "0")
        .collect();
    let [retries] = retries.as_slice() else {
        panic!("of one endpoint, for one reason: {retries:?}");
    };
    assert_eq!(retries.labels["error_type"], "500");
    assert_eq!(retries.labels["url_template"], METRICS);
    assert_eq!(retries.value, "3", "the fifth failure ended its poll");
    assert_eq!(
        transitions(&scrape, "node", ENDPOINT, "failure_threshold"),
        1.0
    );
    assert_eq!(state(&scrape, "node", HOST), Some(0.0), "the host answers");

    let asked = node.requests_to(METRICS);
    let later = stand.after_polls("node", 5).await;
    assert_eq!(node.requests_to(METRICS), asked, "nothing is sent");
    let rejected = |scrape: &Scrape| {
        scrape.sum(&format!(
            "betanet_circuit_breaker_rejections_total{{{ENDPOINT}}}"
        ))
    };
    let refused = "betanet_poll_results_total{error_type=\"circuit_open\"}";
    assert!(rejected(&later) >= rejected(&scrape) + 5.0);
    assert_eq!(rejected(&later), later.sum(refused));
    assert_eq!(later.sum("betanet_source_up"), 2.0, "the others are polled");
    let entries = later.select("betanet_cache_entries");
    assert!(
        entries
            .iter()
            .all(|series| series.labels.contains_key("state"))
    );
    assert_eq!(
        (entries.len(), later.sum("betanet_cache_entries")),
        (4, 3.0)
    );
    let own = stand.own().await;
    let of = |metric: &str| own.sum(&format!("{metric}{{url_template=\"{METRICS}\"}}"));
    assert_eq!(of("betanet_poll_retry_delay_count"), 1.0);
    let waited = of("betanet_poll_retry_delay_sum");
    assert_eq!((waited * 1e3).round(), 50.0 + 100.0 + 200.0);
    let (whole, stale) = (
        of("http_client_response_body_size_count"),
        of("betanet_cache_served_stale_age_count"),
    );
    let polls = own.sum("betanet_receiver_polls");
    assert!(
        whole >= 1.0 && stale >= 6.0 && whole + stale >= polls,
        "{whole} and {stale} of {polls}"
    );
}

#[tokio::test]
async fn one_trial_request_per_open_time_decides_until_one_succeeds() {
    let node = documented_node();
    let stand = fast().start(&[("node", &node)]).await;
    stand.until_polls("node", 1.0).await;
    node.set_fault(Some(METRICS), status(500));
    until_state(&stand, "node", ENDPOINT, 1.0).await;
    let asked = node.requests_to(METRICS);
    let failed = |scrape: &Scrape| transitions(scrape, "node", ENDPOINT, "probe_failed");
    let scrape = stand
        .until("two trial requests fail", |scrape| failed(scrape) >= 2.0)
        .await;
    let probes = node.requests_to(METRICS) - asked;
    assert!(
        (1..=3).contains(&probes),
        "{probes} requests for two trial requests"
    );
    assert_eq!(
        scrape.sum("betanet_poll_retries_total"),
        3.0,
        "a trial request is not repeated"
    );

    node.clear_faults();
    let scrape = until_state(&stand, "node", ENDPOINT, 0.0).await;
    assert_eq!(
        transitions(&scrape, "node", ENDPOINT, "probe_succeeded"),
        1.0
    );
    let up = format!("betanet_source_up{{url_template=\"{METRICS}\"}}");
    assert_eq!(scrape.value(&up), Some(1.0));
}

#[tokio::test]
async fn each_result_of_a_poll_is_one_read_of_the_cache() {
    let node = documented_node();
    let stand = fast().start(&[("node", &node)]).await;
    stand.until_polls("node", 2.0).await;
    node.set_fault(Some(METRICS), status(500));
    until_state(&stand, "node", ENDPOINT, 1.0).await;
    let scrape = stand.after_polls("node", 2).await;
    let reads = |labels: &str| scrape.sum(&format!("betanet_cache_requests_total{{{labels}}}"));
    let results = |labels: &str| scrape.sum(&format!("betanet_poll_results_total{{{labels}}}"));
    assert_eq!(reads("reader=\"poll\""), results(""));
    assert_eq!(
        reads("reader=\"poll\",result=\"stale\""),
        results("outcome=\"stale\"")
    );
    assert_eq!(
        reads("reader=\"poll\",result=\"miss\""),
        results("outcome=\"fresh\"")
    );
    assert_eq!(reads("reader=\"api\""), 0.0, "a scrape reads no node");
    let age = format!("betanet_cache_entry_age_seconds{{url_template=\"{METRICS}\"}}");
    assert!(scrape.value(&age) > Some(0.0), "it grows");
}

#[tokio::test]
async fn metrics_health_and_decisions_agree_that_a_node_is_down_from_the_start() {
    let node = documented_node();
    node.stop().await;
    let stand = open_for_long().start(&[("node", &node)]).await;
    let scrape = until_state(&stand, "node", HOST, 1.0).await;
    assert_eq!(scrape.exact("betanet_up"), Some("0"));
    assert_eq!(transitions(&scrape, "node", HOST, "failure_threshold"), 1.0);
    let failures = format!("betanet_circuit_breaker_consecutive_failures{{{HOST}}}");
    assert_eq!(scrape.value(&failures), Some(5.0));
    let behind = scrape.select(&format!("{STATE}{{{ENDPOINT}}}"));
    assert_eq!(behind[0].value, "1", "behind an open host");

    let health = health(&stand, "node").await;
    let breaker = &health["host"]["breaker"];
    assert_eq!(breaker["state"], "open", "{health:#}");
    assert_eq!(breaker["consecutive_failures"], 5, "{health:#}");
    let retry_in = breaker["retry_in_seconds"].as_f64().unwrap();
    let since = breaker["since_seconds"].as_f64().unwrap();
    assert!((retry_in + since - 250.0).abs() < 0.01, "{health:#}");

    let next_poll = health["next_poll_in_seconds"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&next_poll), "{health:#}");

    let decided = decisions(&stand, "node").await;
    let opened: Vec<_> = decided
        .iter()
        .filter(|decision| decision["event"] == "transition")
        .collect();
    if let [opened] = opened.as_slice() {
        assert_eq!(opened["level"], "host");
        assert_eq!(opened["to"], "open");
        assert_eq!(opened["failures"], 5);
    } else {
        panic!("one transition: {decided:#?}");
    }
    eventually("requests are refused", PATIENCE, async || {
        let last = decisions(&stand, "node").await.pop()?;
        Some(()).filter(|()| last["event"] == "refused")
    })
    .await;
}

/// The number of log lines with all of these words.
fn lines(log: &str, words: &[&str]) -> f64 {
    let holds = |line: &&str| words.iter().all(|word| line.contains(word));
    let count = log.lines().filter(holds).count();
    f64::from(u32::try_from(count).unwrap())
}

#[tokio::test]
async fn an_outage_is_two_lines_when_it_begins_and_two_when_it_ends() {
    let node = documented_node();
    let stand = fast().start(&[("node", &node)]).await;
    stand.until_polls("node", 2.0).await;
    node.stop().await;
    let failed = |scrape: &Scrape| transitions(scrape, "node", HOST, "probe_failed");
    stand
        .until("a trial request fails", |scrape| failed(scrape) >= 1.0)
        .await;
    node.start_again().await.unwrap();
    stand
        .until("it is back", |s| {
            state(s, "node", HOST) == Some(0.0) && s.exact("betanet_up") == Some("1")
        })
        .await;
    let scrape = stand.after_polls("node", 2).await;
    assert_eq!(scrape.sum("betanet_source_up"), 3.0);
    let of = |reason| transitions(&scrape, "node", HOST, reason);
    assert_eq!(of("failure_threshold"), 1.0);
    assert_eq!(of("open_expired"), of("probe_failed") + 1.0);
    assert_eq!(of("probe_succeeded"), 1.0);
    let health = health(&stand, "node").await;
    assert_eq!(health["host"]["breaker"]["state"], "closed");
    assert_eq!(health["host"]["breaker"]["consecutive_failures"], 0);
    assert_eq!(health["host"]["breaker"]["retry_in_seconds"], Value::Null);

    let (code, log) = stand.collector.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(of("probe_failed") >= 1.0, "an ongoing outage is not logged");
    assert_eq!(lines(&log, &["breaker opened"]), 1.0, "{log}");
    assert_eq!(lines(&log, &["breaker half-open"]), 0.0, "{log}");
    assert_eq!(lines(&log, &["breaker closed"]), 1.0, "{log}");
    assert_eq!(lines(&log, &["target is down"]), 1.0, "{log}");
    assert_eq!(lines(&log, &["target is up again"]), 1.0, "{log}");
    for word in ["retrying", "polled", "no answer"] {
        assert_eq!(lines(&log, &[word]), 0.0, "{word}: {log}");
    }
    // Only lines about a change have the cause.
    assert_eq!(lines(&log, &["failed to connect"]), 2.0, "{log}");
}

/// The total number of requests, when it has not grown for a while.
async fn requests_after(node: &Node, stand: &Stand, probes: f64) -> u64 {
    let what = format!("{probes} trial requests to the node that hangs");
    let failed = |scrape: &Scrape| transitions(scrape, "hangs", HOST, "probe_failed");
    stand.until(&what, |scrape| failed(scrape) >= probes).await;
    node.requests()
}

#[tokio::test]
async fn a_node_that_never_answers_gets_one_request_per_open_time() {
    let (hangs, sound) = (documented_node(), documented_node());
    hangs.set_fault(None, NodeFault::HangBeforeHeaders);
    let options = Options {
        timeout: "300ms",
        ..fast()
    };
    let stand = options.start(&[("hangs", &hangs), ("sound", &sound)]).await;
    until_state(&stand, "hangs", HOST, 1.0).await;
    let first = requests_after(&hangs, &stand, 1.0).await;
    let fourth = requests_after(&hangs, &stand, 4.0).await;
    // One for each trial request, and at most one more in progress at either time.
    assert!((2..=4).contains(&(fourth - first)), "{first} {fourth}");

    let scrape = stand.after_polls("sound", 5).await;
    for outcome in ["missing", "stale"] {
        let bad = format!("betanet_poll_results_total{{target=\"sound\",outcome=\"{outcome}\"}}");
        assert_eq!(scrape.sum(&bad), 0.0);
    }
    let rejected = "betanet_circuit_breaker_rejections_total{target=\"sound\"}";
    assert_eq!(scrape.sum(rejected), 0.0);
    let begun = Instant::now();
    let (code, log) = stand.collector.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn all_places_show_the_same_states() {
    let node = documented_node();
    node.set_fault(Some(METRICS), status(503));
    let stand = fast().start(&[("node", &node)]).await;
    until_state(&stand, "node", ENDPOINT, 1.0).await;
    for number in 0..20 {
        if number == 15 {
            node.clear_faults();
        }
        // If nothing happened in between, both reads are the same.
        eventually("a moment without a transition", PATIENCE, async || {
            let before = decisions(&stand, "node").await.last()?["number"].clone();
            let (scrape, health) = (stand.scrape().await, health(&stand, "node").await);
            let after = decisions(&stand, "node").await.last()?["number"].clone();
            let of = format!("betanet_circuit_breaker_status{{{ENDPOINT}}}");
            let is = scrape.select(&of).into_iter().find(|s| s.value == "1")?;
            let agrees =
                health["endpoints"]["metrics"]["breaker"]["state"] == is.labels["state"].as_str();
            // Nothing is decided between an expiry and the trial request, and a scrape shows the
            // last poll.
            Some(()).filter(|()| before == after && agrees)
        })
        .await;
    }
    until_state(&stand, "node", ENDPOINT, 0.0).await;
}

#[tokio::test]
async fn a_trial_request_in_progress_shows_as_half_open() {
    let node = documented_node();
    let options = Options {
        timeout: "1s",
        ..fast()
    };
    let stand = options.start(&[("node", &node)]).await;
    let before = stand.until_polls("node", 2.0).await;
    node.set_fault(None, NodeFault::HangBeforeHeaders);
    let scrape = until_state(&stand, "node", HOST, 2.0).await;
    assert_eq!(
        health(&stand, "node").await["host"]["breaker"]["state"],
        "half_open"
    );
    let status = format!("betanet_circuit_breaker_status{{{HOST},state=\"half_open\"}}");
    assert_eq!(scrape.value(&status), Some(1.0));
    let total = "betanet_messages_total";
    assert_eq!(
        scrape.exact(total),
        before.exact(total),
        "earlier knowledge stays"
    );
    let duration = scrape.value("betanet_scrape_duration_seconds");
    assert!(
        duration.is_none_or(|seconds| seconds > 0.0),
        "the value of the last poll"
    );
    node.clear_faults();
    until_state(&stand, "node", HOST, 0.0).await;
}

#[tokio::test]
#[ignore = "needs prometheus and rotel: run tests/run"]
async fn promtool_accepts_the_metrics_of_resilience() {
    let (broken, down) = (documented_node(), documented_node());
    broken.set_fault(Some(METRICS), status(500));
    down.stop().await;
    let stand = fast().start(&[("broken", &broken), ("down", &down)]).await;
    until_state(&stand, "broken", ENDPOINT, 1.0).await;
    let scrape = until_state(&stand, "down", HOST, 1.0).await;
    for name in [
        "betanet_poll_retries_total",
        "betanet_poll_retries_suppressed_total",
        "betanet_circuit_breaker_rejections_total",
        "betanet_circuit_breaker_state_time_seconds_total",
    ] {
        assert!(!scrape.select(name).is_empty(), "{name}\n{}", scrape.text);
    }
    let complaints = promtool_check_metrics(&scrape.text);
    let known = "betanet_counter_resets_total metric name should not include type 'counter'";
    let new: Vec<_> = complaints.lines().filter(|line| *line != known).collect();
    assert!(new.is_empty(), "{new:?}");
}
