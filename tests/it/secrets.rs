//! Tests that secrets in queries and in invalid configurations never leave the real program.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Response;
use reqwest::Method;

use crate::support::{PATIENCE, collector::Collector, eventually, free_port, get, server::Server};

const DEFINITION: &str = "
endpoints:
  prices: {path: '/prices?key=${file:KEY_FILE}&user=${env:USER_NAME}&currency=EUR'}
  gone: {path: '/gone?key=hunter2-gone'}
metrics:
  - {name: price, instrument: gauge, endpoint: prices, value: $.price}
  - {name: gone, instrument: gauge, endpoint: gone, value: $.gone}
";

/// A configuration that shows its targets in all possible places.
fn config(port: u16, own_port: u16, target: &str, keys: &str) -> String {
    format!(
        "receivers:
  http_json:
    definition: ./prices.yaml
    collection_interval: 100ms
    retry: {{max_retries: 1}}
    targets: [{{endpoint: '{target}', name: node}}]
    {keys}
exporters:
  prometheus: {{endpoint: '127.0.0.1:{port}', probe: {{allow: [127.0.0.0/8]}}}}
  debug: {{verbosity: detailed}}
  file: {{path: out.json}}
extensions:
  health_check: {{endpoint: '127.0.0.1:{port}', lifecycle: true}}
service:
  extensions: [health_check]
  telemetry:
    logs: {{level: debug}}
    metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {own_port}}}}}}}}}]}}
  pipelines: {{metrics: {{receivers: [http_json], exporters: [prometheus, debug, file]}}}}
"
    )
}

/// A node whose prices need a key, and the list of its requests.
async fn node() -> (Server, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    let server = Server::start(move |request| {
        kept.lock().unwrap().push(request.uri().to_string());
        match request.uri().path() {
            "/prices" => Response::new(Bytes::from_static(b"{\"price\": 3}")),
            _ => {
                // Like many servers, it repeats the request.
                let page = format!("<html>cannot GET {}</html>", request.uri());
                Response::new(page.into())
            }
        }
    });
    (server.await, asked)
}

async fn text(url: &str) -> String {
    get(url).await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn values_of_a_query_are_sent_and_never_shown() {
    let (server, asked) = node().await;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "hunter2&x\n").unwrap();
    let definition = DEFINITION.replace("KEY_FILE", key.to_str().unwrap());
    let (port, own_port) = (free_port(), free_port());
    let base = format!("http://127.0.0.1:{port}");
    let definition_file = folder.path().join("prices.yaml");
    std::fs::write(&definition_file, definition).unwrap();
    let config = config(port, own_port, &server.url(), "")
        .replace("./prices.yaml", definition_file.to_str().unwrap());
    let environment = [("USER_NAME", "hunter2-user")];
    let collector = Collector::start(&config, &environment, &format!("{base}/livez")).await;
    let metrics = eventually("both endpoints were polled", PATIENCE, async || {
        let metrics = text(&format!("{base}/metrics")).await;
        let is_there = metrics.contains("price{") && metrics.contains("error_type=\"decode\"");
        is_there.then_some(metrics)
    })
    .await;
    let request = "/prices?key=hunter2%26x&user=hunter2-user&currency=EUR";
    assert!(asked.lock().unwrap().iter().any(|uri| uri == request));
    let template = "url_template=\"/prices?key={key}&user={user}&currency={currency}\"";
    assert!(metrics.contains(template), "{metrics}");

    let own = text(&format!("http://127.0.0.1:{own_port}/metrics")).await;
    assert!(own.contains(template), "{own}");
    let mut shown = vec![metrics, own, collector.log()];
    for path in [
        "/health",
        "/debug/resilience/node",
        "/api/v1/targets",
        "/api/v1/targets/node",
        "/probe?target=node",
    ] {
        shown.push(text(&format!("{base}{path}")).await);
    }
    let written = eventually("the file has both", PATIENCE, async || {
        let written = std::fs::read_to_string(collector.folder().join("out.json"));
        written.ok().filter(|text| text.contains("?key={key}"))
    });
    shown.push(written.await);
    for text in shown {
        assert!(!text.contains("hunter2"), "{text}");
        assert!(!text.contains("EUR"), "{text}");
    }
}

#[tokio::test]
async fn a_failed_reload_shows_no_secret_and_no_page_can_trigger_one() {
    let (server, _) = node().await;
    let (port, own_port) = (free_port(), free_port());
    let base = format!("http://127.0.0.1:{port}");
    let sound = config(port, own_port, &server.url(), "").replace("./prices.yaml", "betanet");
    let collector = Collector::start(&sound, &[], &format!("{base}/livez")).await;
    let wrong = "auth: {bearer: hunter2, basic: [hunter2]}
    headers: [hunter2]
    proxy: {url: hunter2}";
    let wrong = config(port, own_port, "http://h:99999/?token=hunter2", wrong);
    collector.configure(&wrong);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let reload = async |header: &str, value: &str| {
        let request = client.request(Method::POST, format!("{base}/-/reload"));
        let answer = request.header(header, value).send().await.unwrap();
        let sniff = answer.headers().get("x-content-type-options");
        assert_eq!(sniff.unwrap(), "nosniff");
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for (header, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("host", "evil.example"),
    ] {
        assert_eq!(reload(header, value).await.0, 403, "{header}: {value}");
    }
    let (status, said) = reload("origin", &base).await;
    assert_eq!(status, 500, "{said}");
    assert!(
        said.contains("receivers::http_json::auth::bearer"),
        "{said}"
    );
    let health = text(&format!("{base}/health")).await;
    assert!(
        health.contains("receivers::http_json::auth::bearer"),
        "{health}"
    );
    for text in [said, health, collector.log()] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}
