//! Tests of values that could become wrong or be lost silently, with the whole program.

use http::Response;
use tempfile::TempDir;

use crate::support::{
    PATIENCE, collector::Collector, eventually, free_port, get, scrape::Scrape, server::Server,
};

const DEFINITION: &str = r#"
endpoints: { a: { path: /a } }
metrics:
  - { name: several, instrument: gauge, value: "$.loads[*]" }
  - { name: mode, instrument: gauge, value: $.mode, values: { "3": 0 } }
  - { name: typo, instrument: gauge, for_each: $.noodes, value: $.n }
  - { name: nodes, instrument: gauge, for_each: $.nodes, value: $.n, attributes: { id: $.id, site: { path: $.site, optional: true } } }
  - { name: energy, instrument: counter, value: $.energy }
  - { name: percent, instrument: counter, value: $.ratio, scale: 100, value_type: int }
  - { name: huge, instrument: gauge, value: $.huge }
  - { name: nan, instrument: gauge, value: $.nan }
  - { name: moment, instrument: gauge, parse: timestamp, value: $.ms }
  - { name: first, instrument: gauge, for_each: "$.values[0]", value: $.v, attributes: { at: "@key" } }
  - { name: exact, instrument: gauge, value: $.exact }
"#;

/// It has a byte order mark, invalid UTF-8, half of a surrogate pair, and numbers that JSON does
/// not have.
const BODY: &[u8] = b"\xEF\xBB\xBF{\"loads\": [1, 2, 3], \"mode\": 3, \"energy\": 8635.9, \
    \"nodes\": [{\"id\": \"a\xFFb\", \"n\": 1, \"site\": \"x\"}, {\"id\": \"\\ud83d\", \"n\": 2}], \
    \"ratio\": 0.29, \"huge\": 1e400, \"nan\": NaN, \"ms\": 1795437295000, \
    \"values\": [{\"v\": 5}], \"exact\": 1.1754943508222875e-38}";

/// A server that answers with [`BODY`], the program that polls it, and its addresses.
async fn started() -> (Server, TempDir, Collector, [String; 2]) {
    let node = Server::start(|_| Response::new(bytes::Bytes::from_static(BODY))).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("values.yaml");
    std::fs::write(&file, DEFINITION).unwrap();
    let [port, own_port] = [free_port(), free_port()];
    let config = format!(
        "receivers: {{http_json: {{collection_interval: 500ms, retry: {{max_retries: 0}}, \
         circuit_breaker: {{failure_threshold: 1000000}}, definition: '{}', \
         targets: [{{endpoint: '{}'}}]}}}}\n\
         exporters: {{prometheus: {{endpoint: '127.0.0.1:{port}'}}}}\n\
         service:\n  telemetry: {{metrics: {{readers: [{{pull: {{exporter: {{prometheus: \
         {{host: 127.0.0.1, port: {own_port}}}}}}}}}]}}}}\n  \
         pipelines: {{metrics: {{receivers: [http_json], exporters: [prometheus]}}}}\n",
        file.display(),
        node.url()
    );
    let urls = [port, own_port].map(|port| format!("http://127.0.0.1:{port}/metrics"));
    let collector = Collector::start(&config, &[], &urls[0]).await;
    (node, folder, collector, urls)
}

async fn scraped(url: &str) -> Scrape {
    Scrape::parse(get(url).await.unwrap().text().await.unwrap())
}

#[tokio::test]
async fn a_value_that_cannot_be_read_affects_only_itself_and_is_counted() {
    let (_node, _folder, collector, [url, own]) = started().await;
    let scrape = eventually("three polls", PATIENCE, async || {
        let scrape = scraped(&url).await;
        let selector = "http_json_mapping_problems_total{metric=\"several\"}";
        (scrape.value(selector)? >= 3.0).then_some(scrape)
    })
    .await;
    for (selector, expected) in [
        ("mode", "0"),
        ("nodes{id=\"a\u{fffd}b\",site=\"x\"}", "1"),
        ("nodes{id=\"\u{fffd}\"}", "2"),
        ("energy_total", "8635.9"),
        ("percent_total", "29"),
        ("first{at=\"0\"}", "5"),
    ] {
        assert_eq!(scrape.exact(selector), Some(expected), "{selector}");
    }
    let exact = scrape.value("exact").map(f64::to_bits);
    assert_eq!(exact, Some(1.175_494_350_822_287_5e-38_f64.to_bits()));
    for (metric, reason) in [
        ("several", "several"),
        ("typo", "missing"),
        ("huge", "range"),
        ("nan", "missing"),
        ("moment", "range"),
    ] {
        assert_eq!(scrape.exact(metric), None, "{metric}");
        let counted =
            format!("http_json_mapping_problems_total{{metric=\"{metric}\",reason=\"{reason}\"}}");
        assert!(scrape.value(&counted) >= Some(3.0), "{counted}");
    }
    let repaired = scraped(&own).await.sum("betanet_response_repaired");
    assert!(repaired >= 12.0 && repaired % 4.0 == 0.0, "{repaired}");
    let (_, log) = collector.stop().await;
    for detail in ["3 values, one wanted", "`1e400` is too large", "$.noodes"] {
        let said = log.lines().filter(|line| line.contains(detail)).count();
        assert_eq!(said, 1, "{detail}: {log}");
    }
}
