//! Tests of reloads that change the collector's own telemetry.

use std::sync::{Arc, Mutex};

use http::Response;

use super::stand::{FIRST, Reloading, Variant};
use crate::support::{PATIENCE, eventually, free_port, get, scrape::Scrape, server::Server};

/// The collector's own counter of the points that were scraped.
const SCRAPED: &str = "otelcol_scraper_scraped_metric_points";

/// Paths of the requests that arrived.
type Paths = Arc<Mutex<Vec<String>>>;

async fn sink(paths: &Paths) -> Server {
    let paths = Arc::clone(paths);
    Server::start(move |request| {
        let path = request.uri().path().to_owned();
        paths.lock().unwrap().push(path);
        Response::new(bytes::Bytes::new())
    })
    .await
}

/// `config` with logs in JSON at level `debug`, and with pushes of metrics and spans to `sink`.
fn with_pushes(config: &str, sink: &str) -> String {
    let to = format!("exporter: {{otlp: {{endpoint: \"{sink}\"}}}}");
    let pushes = format!("readers: [{{periodic: {{interval: 100, {to}}}}}, ");
    let more = format!(
        "telemetry: {{logs: {{level: debug, encoding: json}}, \
         traces: {{processors: [{{batch: {{{to}}}}}]}}, "
    );
    let config = config.replace("telemetry: {", &more);
    config.replace("readers: [", &pushes)
}

/// The log lines of polls, which only `debug` shows.
fn lines_of_debug(log: &str) -> usize {
    log.lines().filter(|line| line.contains("DEBUG")).count()
}

#[tokio::test]
async fn logs_pushes_and_spans_change_and_no_total_begins_anew() {
    let stand = Reloading::start(FIRST, &[]).await;
    let paths = Paths::default();
    let sink = sink(&paths).await;
    let plain = stand.world.config(FIRST);
    let before = stand.own().await.sum(SCRAPED);
    assert!(before > 0.0);
    assert_eq!(lines_of_debug(&stand.collector.log()), 0);
    let (status, text) = stand.reload(&with_pushes(&plain, &sink.url())).await;
    assert_eq!(status, 200, "{text}");
    let in_json = |log: &str| log.lines().filter(|line| line.starts_with('{')).count();
    eventually("all of it arrives", PATIENCE, async || {
        let paths = paths.lock().unwrap();
        let has = |path: &str| paths.iter().any(|at| at == path);
        let log = stand.collector.log();
        let is_told = in_json(&log) > 0 && lines_of_debug(&log) > 0;
        (is_told && has("/v1/metrics") && has("/v1/traces")).then_some(())
    })
    .await;
    assert!(stand.own().await.sum(SCRAPED) >= before, "goes on");
    let (status, text) = stand.reload(&plain).await;
    assert_eq!(status, 200, "{text}");
    let log = stand.collector.log();
    let last = log.lines().last().unwrap();
    assert!(last.contains("configuration reloaded"), "{last}");
    assert!(!last.starts_with('{'), "for people again: {last}");
    assert_eq!(stand.collector.stop().await.0, Some(0));
}

#[tokio::test]
async fn the_endpoint_of_its_metrics_moves_or_all_of_it_stays() {
    let stand = Reloading::start(FIRST, &[]).await;
    let before = stand.own().await.sum(SCRAPED);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = |port: u16| {
        let (old, new) = (stand.world.own_port, format!("port: {port}"));
        let telemetry = "logs: {level: debug}, ";
        let config = stand.world.config(Variant { telemetry, ..FIRST });
        config.replace(&format!("port: {old}"), &new)
    };
    let port = taken.local_addr().unwrap().port();
    let (status, text) = stand.reload(&at(port)).await;
    assert_eq!(status, 500);
    let expected = format!("failed to listen on 127.0.0.1:{port} for service::telemetry");
    assert!(text.contains(&expected), "{text}");
    stand.until_polled("n0", 3.0).await;
    assert!(stand.own().await.sum(SCRAPED) > before);
    assert_eq!(lines_of_debug(&stand.collector.log()), 0, "not even that");
    let port = free_port();
    let (status, text) = stand.reload(&at(port)).await;
    assert_eq!(status, 200, "{text}");
    let moved = get(format!("http://127.0.0.1:{port}/metrics")).await;
    let moved = Scrape::parse(moved.unwrap().text().await.unwrap());
    assert!(moved.sum(SCRAPED) > before, "the same totals");
    let gone = get(format!("http://127.0.0.1:{}/metrics", stand.world.own_port)).await;
    assert!(gone.is_err(), "nobody listens there");
}
