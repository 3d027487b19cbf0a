//! Tests of the common part of all sending exporters, in the real program.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use hyper::Response;

use crate::support::{
    PATIENCE,
    accounts::Accounts,
    arrivals::{assert_own_time, counts, first_arrivals},
    backend::{Backend, Behavior},
    collector::Collector,
    counting_node::CountingNode,
    eventually, free_port, remote_write,
    sink::flatten,
    stand::{Options, documented_node},
};

const RETRY: &str =
    "retry_on_failure: {initial_interval: 50ms, max_interval: 100ms, max_elapsed_time: 0}";

/// Pushes with remote write and writes to a file. The timeout distinguishes configurations.
fn pushing_and_writing(backend: &Backend, path: &Path, timeout: &str) -> Options {
    let url = format!("{}{}", backend.url(), remote_write::PATH);
    let flush = "sending_queue: {batch: {flush_timeout: 2ms}}";
    let write = format!("{{endpoint: \"{url}\", timeout: {timeout}, {flush}, {RETRY}}}");
    let file = format!(
        "{{path: \"{}\", flush_interval: {timeout}}}",
        path.display()
    );
    Options {
        exporters: vec![
            ("prometheusremotewrite".to_owned(), write),
            ("file".to_owned(), file),
        ],
        ..Options::default()
    }
}

/// A reload replaces both exporters while their destinations are down: what the old ones hold
/// arrives before the data of the new ones.
#[tokio::test]
async fn remote_write_and_file_lose_nothing_at_a_reload() {
    let mut backend = Backend::start().await;
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("later").join("metrics.json");
    let node = CountingNode::start().await;
    let target = format!("targets: [{{endpoint: \"{}\", name: a}}]", node.url());
    let options = |timeout| pushing_and_writing(&backend, &path, timeout);
    let (first, second) = (options("100ms"), options("200ms"));
    let stand = first.start_with(&target).await;
    backend.set(Behavior::Down).await;
    stand.until_polls("a", 5.0).await;
    second.reload_with(&stand, &target);
    eventually("the reload", PATIENCE, async || {
        stand
            .collector
            .log()
            .contains("configuration reloaded")
            .then_some(())
    })
    .await;
    stand.after_polls("a", 5).await;
    std::fs::create_dir(folder.path().join("later")).unwrap();
    backend.set(Behavior::Accept).await;
    for exporter in ["prometheusremotewrite", "file"] {
        eventually("nothing is held", PATIENCE, async || {
            let accounts = Accounts::of(&stand.own().await, exporter);
            (accounts.held == 0.0).then_some(())
        })
        .await;
    }
    let (code, log) = stand.collector.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let answered = node.answered();
    let (points, repeated) = first_arrivals(backend.taken());
    assert_eq!(repeated, 0, "points came twice");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = text
        .lines()
        .map(|line| flatten(serde_json::from_str(line).unwrap()));
    let lines: Vec<_> = lines.flatten().collect();
    let mut written = counts(&lines, "a");
    // The old and the new exporter write in turns.
    written.sort_unstable();
    for counts in [counts(&points, "a"), written] {
        let missing = answered.len() - counts.len();
        assert!(missing <= 1, "{missing} of {}: {log}", answered.len());
        for (before, count) in counts.into_iter().enumerate() {
            assert_eq!(count.0, before + 1, "in order");
            assert_own_time(count, &answered);
        }
    }
}

/// A configuration that polls a node and pushes with one exporter.
fn config(node: &str, exporter: &str, settings: &str, health: u16) -> String {
    format!(
        "receivers: {{betanet: {{definition: betanet, collection_interval: 100ms, \
         targets: [{{endpoint: \"{node}\", name: a}}]}}}}\n\
         exporters: {{{exporter}: {settings}}}\n\
         extensions: {{health_check: {{endpoint: \"127.0.0.1:{health}\"}}}}\n\
         service:\n  extensions: [health_check]\n  telemetry: {{metrics: {{level: none}}}}\n  \
         pipelines: {{metrics: {{receivers: [betanet], exporters: [{exporter}]}}}}\n"
    )
}

#[tokio::test]
async fn exporters_use_the_proxy_of_the_environment() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let there = Arc::clone(&asked);
    let proxy = crate::support::server::Server::start(move |request| {
        there.lock().unwrap().push(request.uri().to_string());
        Response::new(Bytes::new())
    })
    .await;
    let (node, health) = (documented_node(), free_port());
    let settings = "{endpoint: \"http://otlp.invalid\"}";
    let config = config(&node.url(), "otlp_http", settings, health);
    let environment = [("HTTP_PROXY", proxy.url()), ("NO_PROXY", String::new())];
    let environment = environment
        .each_ref()
        .map(|(name, url)| (*name, url.as_str()));
    let ready = format!("http://127.0.0.1:{health}/livez");
    let collector = Collector::start(&config, &environment, &ready).await;
    eventually("the proxy gets a request", PATIENCE, async || {
        (!asked.lock().unwrap().is_empty()).then_some(())
    })
    .await;
    let (code, log) = collector.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let asked = asked.lock().unwrap();
    assert_eq!(asked[0], "http://otlp.invalid/v1/metrics");
    assert!(
        asked.iter().all(|url| *url == asked[0]),
        "requests to targets use no proxy: {asked:?}"
    );
}
