//! Tests of the telemetry of the collector itself: what it adds to a target, and what it pushes: its
//! metrics, and a span for each poll.

use std::sync::{Arc, Mutex};

use betanet_collector::{
    exporters::prometheus::scrape_name,
    simulator::{Dialect, NodeFault},
    telemetry::target_metrics::TargetMetric,
};
use http::Response;

use crate::support::{
    PATIENCE,
    collector::Collector,
    eventually, free_port, get, open_metrics,
    scrape::Scrape,
    server::Server,
    stand::{Options, documented_node, node},
};

/// Path and body of each request.
type Taken = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// The most series that the collector itself adds to a healthy target with three endpoints.
const SERIES_MAX: usize = 12;

#[tokio::test]
async fn a_healthy_target_has_few_series_about_itself_by_default() {
    let node = documented_node();
    let options = Options {
        target_metrics: None,
        ..Options::default()
    };
    let stand = options.start(&[("node", &node)]).await;
    let own = |scrape: &Scrape| {
        let names = TargetMetric::ALL.iter();
        let names = names.map(|metric| format!("betanet_{}", scrape_name(&metric.row().metric)));
        let found = names.map(|name| (scrape.select(&name).len(), name));
        let found = found.filter(|(series, _)| *series > 0);
        found.collect::<Vec<_>>()
    };
    let scrape = stand
        .until("all endpoints have answered", |scrape| {
            scrape.sum("betanet_source_up") == 3.0
        })
        .await;
    let healthy = own(&scrape);
    let count: usize = healthy.iter().map(|(series, _)| series).sum();
    assert!((9..=SERIES_MAX).contains(&count), "{count}: {healthy:?}");
    // A problem gets its own series, and only then.
    let failed = "betanet_poll_results_total{error_type=\"500\"}";
    assert!(scrape.select("betanet_poll_results_total").is_empty());
    let fault = NodeFault::Status {
        code: 500,
        retry_after: None,
    };
    node.set_fault(Some("/api/v1/metrics"), fault);
    stand
        .until("the failure is counted", |scrape| scrape.sum(failed) >= 2.0)
        .await;
}

#[tokio::test]
async fn metrics_and_spans_are_pushed_and_do_not_feed_on_themselves() {
    let taken = Taken::default();
    let kept = Arc::clone(&taken);
    let sink = Server::start(move |request| {
        let request = (request.uri().path().to_owned(), request.body().to_vec());
        kept.lock().unwrap().push(request);
        Response::new(bytes::Bytes::new())
    })
    .await;
    let node = node(Dialect::Betanet);
    let (port, scrapes) = (free_port(), free_port());
    let own = format!("http://127.0.0.1:{port}/metrics");
    let collector = Collector::start(
        &config(&node.url(), &sink.url(), [port, scrapes]),
        &[],
        &own,
    )
    .await;

    let has = |path: &str, text: &str| {
        let taken = taken.lock().unwrap();
        let holds = |body: &[u8]| body.windows(text.len()).any(|part| part == text.as_bytes());
        taken.iter().any(|(at, body)| at == path && holds(body))
    };
    eventually("spans and metrics arrive", PATIENCE, async || {
        let spans = has("/v1/traces", "/api/v1/network/stats") && has("/v1/traces", "poll");
        let metrics = has("/v1/metrics", "otelcol_scraper_scraped_metric_points");
        (spans && metrics).then_some(())
    })
    .await;
    assert!(!has("/v1/traces", "/v1/traces"), "a push made a span");
    // Each poll has another trace, and spans arrive in batches.
    let trace = eventually("an exemplar names a trace", PATIENCE, async || {
        let text = open_metrics(&format!("http://127.0.0.1:{scrapes}/metrics")).await;
        let (_, exemplar) = text.split_once("# {trace_id=\"")?;
        u128::from_str_radix(exemplar.get(..32)?, 16).ok()
    })
    .await
    .to_be_bytes();
    eventually("the trace arrives", PATIENCE, async || {
        let taken = taken.lock().unwrap();
        let mut spans = taken.iter().filter(|(at, _)| at == "/v1/traces");
        let has = spans.any(|(_, body)| body.windows(trace.len()).any(|part| part == trace));
        has.then_some(())
    })
    .await;
    let scraped = get(own).await.unwrap().text().await.unwrap();
    assert!(scraped.contains("otelcol_process_uptime"), "{scraped}");
    let (code, log) = collector.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.lines().all(|line| line.starts_with('{')),
        "one JSON object a line: {log}"
    );
}

fn config(node: &str, sink: &str, [port, scrapes]: [u16; 2]) -> String {
    format!(
        "receivers:
  betanet:
    targets: [{{ endpoint: \"{node}\" }}]
    collection_interval: 200ms
    timeout: 150ms
    retry: {{ max_retries: 0 }}
    target_metrics: normal
exporters:
  debug: {{ verbosity: basic }}
  prometheus: {{ endpoint: \"127.0.0.1:{scrapes}\" }}
service:
  pipelines:
    metrics: {{ receivers: [betanet], exporters: [debug, prometheus] }}
  telemetry:
    logs: {{ encoding: json }}
    metrics:
      readers:
        - pull: {{ exporter: {{ prometheus: {{ host: 127.0.0.1, port: {port} }} }} }}
        - periodic: {{ interval: 300, exporter: {{ otlp: {{ endpoint: \"{sink}\" }} }} }}
    traces:
      processors:
        - batch: {{ exporter: {{ otlp: {{ endpoint: \"{sink}\" }} }} }}
"
    )
}
