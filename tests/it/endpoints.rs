//! Two endpoints of one definition that send different requests to the same path.

use bytes::Bytes;
use http::{Response, StatusCode};
use tempfile::TempDir;

use crate::support::{
    PATIENCE, collector::Collector, eventually, free_port, get, scrape::Scrape, server::Server,
};

const HOURLY: &str = "  hourly: {path: '/history?window=1h'}\n";
const DAILY: &str = "  daily: {path: '/history?window=1d'}\n";

fn definition(endpoints: [&str; 2]) -> String {
    format!(
        "endpoints:\n{}metrics:
  - {{name: hourly_value, instrument: gauge, endpoint: hourly, value: $.v}}
  - {{name: daily_value, instrument: gauge, endpoint: daily, value: $.v}}
",
        endpoints.concat()
    )
}

/// Answers for an hour, and fails for a day.
async fn node() -> Server {
    let server = Server::start(|request| match request.uri().query() {
        Some("window=1h") => Response::new(Bytes::from_static(b"{\"v\": 7}")),
        _ => {
            let mut failure = Response::new(Bytes::new());
            *failure.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            failure
        }
    });
    server.await
}

/// A collector that polls the node.
struct Stand {
    base: String,
    folder: TempDir,
    _server: Server,
    _collector: Collector,
}

impl Stand {
    async fn start() -> Self {
        let (server, folder, port) = (node().await, TempDir::new().unwrap(), free_port());
        let file = folder.path().join("history.yaml");
        std::fs::write(&file, definition([HOURLY, DAILY])).unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let config = format!(
            "receivers:
  http_json:
    definition: {}
    collection_interval: 100ms
    target_metrics: normal
    targets: [{{endpoint: '{}', name: node}}]
exporters: {{prometheus: {{endpoint: '127.0.0.1:{port}', probe: {{allow: [127.0.0.0/8]}}}}}}
extensions: {{health_check: {{endpoint: '127.0.0.1:{port}', lifecycle: true}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [http_json], exporters: [prometheus]}}}}
",
            file.display(),
            server.url()
        );
        Self {
            _collector: Collector::start(&config, &[], &format!("{base}/livez")).await,
            base,
            folder,
            _server: server,
        }
    }

    async fn text(&self, path: &str) -> String {
        let response = get(format!("{}{path}", self.base)).await;
        response.unwrap().text().await.unwrap()
    }

    /// A scrape after each endpoint has so many results, all of them its own.
    async fn after(&self, results: f64) -> Scrape {
        eventually("both endpoints were polled", PATIENCE, async || {
            let scrape = Scrape::parse(self.text("/metrics").await);
            let others = [
                count(&scrape, "hourly", "missing"),
                count(&scrape, "daily", "fresh"),
            ];
            assert_eq!(others, [0.0, 0.0]);
            let polled = results_of(&scrape);
            let is_polled = polled.iter().all(|count| *count >= results);
            is_polled.then_some(scrape)
        })
        .await
    }

    fn assert_up(scrape: &Scrape) {
        for (endpoint, up) in [("hourly", 1.0), ("daily", 0.0)] {
            let template = "url_template=\"/history?window={window}\"";
            let selector = format!("http_json_source_up{{endpoint=\"{endpoint}\",{template}}}");
            assert_eq!(scrape.value(&selector), Some(up), "{selector}");
        }
        assert_eq!(scrape.value("hourly_value"), Some(7.0));
        assert_eq!(scrape.value("daily_value"), None);
    }
}

fn count(scrape: &Scrape, endpoint: &str, outcome: &str) -> f64 {
    let labels = format!("endpoint=\"{endpoint}\",outcome=\"{outcome}\"");
    scrape.sum(&format!("http_json_poll_results_total{{{labels}}}"))
}

fn results_of(scrape: &Scrape) -> [f64; 2] {
    [
        count(scrape, "hourly", "fresh"),
        count(scrape, "daily", "missing"),
    ]
}

#[tokio::test]
async fn two_endpoints_of_one_path_have_their_own_series_and_state_also_after_a_reload() {
    let stand = Stand::start().await;
    let first = stand.after(2.0).await;
    Stand::assert_up(&first);
    let probe = stand.text("/probe?target=node").await;
    for series in [
        "probe_endpoint_success{endpoint=\"hourly\",",
        "probe_endpoint_failure{endpoint=\"daily\",",
    ] {
        assert!(probe.contains(series), "{probe}");
    }

    // The endpoints change their places in the definition.
    let file = stand.folder.path().join("history.yaml");
    std::fs::write(&file, definition([DAILY, HOURLY])).unwrap();
    let reload = reqwest::Client::new().post(format!("{}/-/reload", stand.base));
    assert_eq!(reload.send().await.unwrap().status(), 200);
    let [hourly, daily] = results_of(&first);
    let later = stand.after(hourly.max(daily) + 2.0).await;
    Stand::assert_up(&later);
    let health = stand.text("/health").await;
    let health: serde_json::Value = serde_json::from_str(&health).unwrap();
    let endpoints = &health["targets"]["node"]["endpoints"];
    assert!(endpoints["hourly"]["last_error"].is_null(), "{health:#}");
    assert_eq!(
        endpoints["daily"]["last_error"]["type"], "500",
        "{health:#}"
    );
}
