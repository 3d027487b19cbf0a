//! A `transform` in a started collector: what it gives, and what one costs that runs away.

use std::time::Duration;

use http::Response;
use tempfile::TempDir;

use crate::support::{
    PATIENCE, collector::Collector, command::run, eventually, free_port, get, scrape::Scrape,
    server::Server,
};

const DEFINITION: &str = r#"
endpoints:
  good: { path: /good, transform: '[.[] | {id, free: (.size - .used)}]' }
  spins: { path: /spins, transform: 'def f: f; f' }
  swells: { path: /swells, transform: 'reduce range(1e9) as $i ([.]; . + .)' }
  pours: { path: /pours, transform: 'range(1e9)' }
  fails: { path: /fails, transform: 'error("no data: \(.)")' }
metrics:
  - { name: free, instrument: gauge, endpoint: good, for_each: $, value: $.free, attributes: { id: $.id } }
  - { name: spins, instrument: gauge, endpoint: spins, value: $.a }
  - { name: swells, instrument: gauge, endpoint: swells, value: $.a }
  - { name: pours, instrument: gauge, endpoint: pours, value: $.a }
  - { name: fails, instrument: gauge, endpoint: fails, value: $.a }
"#;

const BODY: &str =
    r#"[{"id": "a", "size": 18446744073709551615, "used": 1}, {"id": "b", "size": 3, "used": 1}]"#;

#[tokio::test]
async fn a_program_that_runs_away_costs_its_endpoint_and_nobody_else() {
    let node = Server::start(|_| Response::new(bytes::Bytes::from_static(BODY.as_bytes()))).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("transforms.yaml");
    std::fs::write(&file, DEFINITION).unwrap();
    let port = free_port();
    let config = format!(
        "receivers: {{http_json: {{collection_interval: 2s, retry: {{max_retries: 0}}, \
         circuit_breaker: {{failure_threshold: 1000000}}, definition: '{}', \
         targets: [{{endpoint: '{}'}}]}}}}\n\
         exporters: {{prometheus: {{endpoint: '127.0.0.1:{port}'}}}}\n\
         service: {{telemetry: {{metrics: {{level: none}}}}, pipelines: {{metrics: {{receivers: [http_json], exporters: [prometheus]}}}}}}\n",
        file.display(),
        node.url()
    );
    let url = format!("http://127.0.0.1:{port}/metrics");
    let collector = Collector::start(&config, &[], &url).await;
    let counted = |path: &str| {
        format!(
            "http_json_poll_results_total{{endpoint=\"{path}\",error_type=\"transform\",outcome=\"missing\"}}"
        )
    };
    let bad = ["spins", "swells", "pours", "fails"];
    let scrape = eventually("two polls", PATIENCE * 3, async || {
        let started = tokio::time::Instant::now();
        let text = get(&url).await.ok()?.text().await.ok()?;
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "a scrape goes on beside it"
        );
        let scrape = Scrape::parse(text);
        let are_counted = bad
            .iter()
            .all(|path| scrape.value(&counted(path)) >= Some(2.0));
        are_counted.then_some(scrape)
    })
    .await;
    assert_eq!(scrape.exact("free{id=\"a\"}"), Some("18446744073709551614"));
    assert_eq!(scrape.exact("free{id=\"b\"}"), Some("2"));
    for path in bad {
        assert_eq!(scrape.exact(path), None, "{path}");
    }
    let (_, log) = collector.stop().await;
    for path in bad {
        let said = log.lines().filter(|line| {
            line.contains("gives no document; this is logged once") && line.contains(path)
        });
        assert_eq!(said.count(), 1, "{path}: {log}");
    }
}

#[test]
fn check_shows_what_a_program_made() {
    let folder = TempDir::new().unwrap();
    let definition = folder.path().join("d.yaml");
    let text = "endpoints: {e: {path: /, transform: '{sum: (map(.used) | add)}'}}\n\
                metrics: [{name: used, instrument: gauge, value: $.sum}]\n";
    std::fs::write(&definition, text).unwrap();
    let body = folder.path().join("e.json");
    std::fs::write(&body, BODY).unwrap();
    let [definition, body] = [definition, body].map(|path| path.display().to_string());
    let arguments = ["check", "--sample", &body, "--definition", &definition];
    let shown = run(&[&arguments[..], &["--show-document"]].concat(), &[]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stdout.contains("document of e:"), "{}", shown.stdout);
    assert!(shown.stdout.contains("\"sum\": 2"), "{}", shown.stdout);
    let plain = run(&arguments, &[]);
    assert!(!plain.stdout.contains("document of"), "{}", plain.stdout);
}
