//! Times that bodies say, in a started collector: when a process began, and when a value was
//! measured.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use http::Response;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    PATIENCE, collector::Collector, eventually, free_port, get, open_metrics, server::Server,
};

const DEFINITION: &str = r#"
endpoints:
  status: { path: /status }
  sensors: { path: /sensors }
start_time: { endpoint: status, path: $.started, parse: { as: timestamp, unit: ms } }
metrics:
  - { name: packets_total, instrument: counter, endpoint: status, value: $.packets }
  - { name: seen_total, instrument: counter, endpoint: sensors, value: $.seen }
  - { name: temperature, instrument: gauge, endpoint: sensors, value: $.value, time: { path: $.at } }
"#;

/// A poll later the sensor has measured once more, and then not again.
async fn node(polls: &Arc<AtomicU64>) -> Server {
    let polls = Arc::clone(polls);
    Server::start(move |request| {
        let body = match request.uri().path() {
            "/status" => r#"{"started": 1780000000000, "packets": 12}"#.to_owned(),
            _ => {
                let number = polls.fetch_add(1, Ordering::Relaxed);
                let at = if number == 0 {
                    1_780_000_100
                } else {
                    1_780_000_200
                };
                format!(r#"{{"value": 21.5, "at": {at}, "seen": 3}}"#)
            }
        };
        Response::new(bytes::Bytes::from(body))
    })
    .await
}

/// The points of a metric in the lines of the file exporter.
fn points(lines: &str, name: &str) -> Vec<Value> {
    let mut points = Vec::new();
    for line in lines.lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let list = |of: &Value, key: &str| of[key].as_array().cloned().unwrap_or_default();
        for resource in list(&message, "resourceMetrics") {
            for scope in list(&resource, "scopeMetrics") {
                for metric in list(&scope, "metrics") {
                    if metric["name"] == name {
                        points.extend(list(&metric["sum"], "dataPoints"));
                        points.extend(list(&metric["gauge"], "dataPoints"));
                    }
                }
            }
        }
    }
    points
}

/// A field of each point that has a value.
fn texts(lines: &str, name: &str, field: &str) -> Vec<String> {
    let points = points(lines, name).into_iter();
    let points = points.filter(|point| point["flags"].as_u64().unwrap_or(0) == 0);
    let texts = points.map(|point| point[field].as_str().unwrap_or_default().to_owned());
    texts.collect()
}

#[tokio::test]
async fn what_a_body_says_of_times_is_believed() {
    let polls = Arc::<AtomicU64>::default();
    let node = node(&polls).await;
    let folder = TempDir::new().unwrap();
    let [file, pushed] = ["d.yaml", "pushed.jsonl"].map(|name| folder.path().join(name));
    std::fs::write(&file, DEFINITION).unwrap();
    let port = free_port();
    let config = format!(
        "receivers: {{http_json: {{collection_interval: 500ms, definition: '{}', \
         targets: [{{endpoint: '{}'}}]}}}}\n\
         exporters:\n  prometheus: {{endpoint: '127.0.0.1:{port}', send_timestamps: true, \
         enable_open_metrics: true, enable_open_metrics_text_created_samples: true}}\n  \
         file: {{path: '{}', flush_interval: 200ms}}\n\
         service: {{telemetry: {{metrics: {{level: none}}}}, pipelines: {{metrics: {{receivers: [http_json], exporters: [prometheus, file]}}}}}}\n",
        file.display(),
        node.url(),
        pushed.display()
    );
    let url = format!("http://127.0.0.1:{port}/metrics");
    let collector = Collector::start(&config, &[], &url).await;
    let text = eventually("five polls", PATIENCE, async || {
        let text = get(&url).await.ok()?.text().await.ok()?;
        (polls.load(Ordering::Relaxed) >= 5).then_some(text)
    })
    .await;
    let line = text.lines().find(|line| line.starts_with("temperature{"));
    assert!(line.unwrap().ends_with("} 21.5 1780000200000"), "{line:?}");
    let open = open_metrics(&url).await;
    let created = open
        .lines()
        .find(|line| line.starts_with("packets_created{"));
    assert!(
        created.is_some_and(|line| line.contains("} 1780000000.000")),
        "{open}"
    );
    collector.stop().await;
    let pushed = std::fs::read_to_string(&pushed).unwrap();
    for name in ["packets_total", "seen_total"] {
        let starts = texts(&pushed, name, "startTimeUnixNano");
        assert!(starts.len() >= 4, "{name}: {starts:?}");
        let mut later = starts.iter().skip(1);
        let is_known = later.all(|start| start == "1780000000000000000");
        assert!(is_known, "{name}: {starts:?}");
    }
    let times = texts(&pushed, "temperature", "timeUnixNano");
    let each_once = ["1780000100000000000", "1780000200000000000"];
    assert_eq!(times, each_once);
}
