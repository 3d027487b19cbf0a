//! Requests and formats of a definition, on the started program before a server that follows a
//! script: the examples of `docs/definitions.md`.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyper::{Request, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    PATIENCE, collector::Collector, eventually, free_port, get, scrape::Scrape, server::Server,
    sink::OtlpSink, source::root,
};

/// The YAML that stands behind a heading of `docs/definitions.md`.
fn example(heading: &str) -> String {
    let text = std::fs::read_to_string(root().join("docs/definitions.md")).unwrap();
    let (_, behind) = text
        .split_once(&format!("# {heading}\n"))
        .unwrap_or_else(|| panic!("no {heading}"));
    let (_, block) = behind.split_once("```yaml\n").unwrap();
    let (block, _) = block.split_once("```\n").unwrap();
    block.to_owned()
}

/// A request that came.
#[derive(Debug, Clone)]
struct Asked {
    method: String,
    path: String,
    accept: Option<String>,
    body: Bytes,
}

/// A collector with receivers of one target before a server, and what came to that.
struct Stand {
    asked: Arc<Mutex<Vec<Asked>>>,
    port: u16,
    sink: OtlpSink,
    _server: Server,
    _collector: Collector,
    _folder: TempDir,
}

impl Stand {
    async fn start(
        definitions: &[String],
        handler: impl Fn(&Request<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let sent = Arc::clone(&asked);
        let server = Server::start(move |request: &Request<Bytes>| {
            let accept = request.headers().get("accept");
            sent.lock().unwrap().push(Asked {
                method: request.method().to_string(),
                path: request.uri().to_string(),
                accept: accept.map(|value| value.to_str().unwrap().to_owned()),
                body: request.body().clone(),
            });
            handler(request)
        })
        .await;
        let (sink, port, folder) = (
            OtlpSink::start().await,
            free_port(),
            TempDir::new().unwrap(),
        );
        let mut receivers = String::new();
        let mut names = Vec::new();
        for (index, text) in definitions.iter().enumerate() {
            let file = folder.path().join(format!("d{index}.yaml"));
            std::fs::write(&file, text).unwrap();
            receivers.push_str(&format!(
                "  http_json/{index}: {{definition: {}, collection_interval: 1s, target_metrics: normal, targets: [{{\
                 name: t{index}, endpoint: \"{}\", labels: {{tenant: \"a/b\"}}}}]}}\n",
                file.display(),
                server.url()
            ));
            names.push(format!("http_json/{index}"));
        }
        let config = format!(
            "receivers:\n{receivers}exporters:\n  prometheus: {{endpoint: \"127.0.0.1:{port}\"}}\n  \
             otlp_http: {{endpoint: \"{}\"}}\n\
             extensions: {{health_check: {{endpoint: \"127.0.0.1:{port}\"}}}}\n\
             service:\n  extensions: [health_check]\n  telemetry: {{metrics: {{level: none}}}}\n  \
             pipelines: {{metrics: {{receivers: [{}], exporters: [prometheus, otlp_http]}}}}\n",
            sink.url(),
            names.join(", ")
        );
        let ready = format!("http://127.0.0.1:{port}/livez");
        Self {
            asked,
            port,
            sink,
            _server: server,
            _collector: Collector::start(&config, &[], &ready).await,
            _folder: folder,
        }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    async fn scrape_until(&self, what: &str, holds: impl Fn(&Scrape) -> bool) -> Scrape {
        eventually(what, PATIENCE, async || {
            let answer = get(format!("http://127.0.0.1:{}/metrics", self.port))
                .await
                .ok()?;
            let scrape = Scrape::parse(answer.text().await.ok()?);
            holds(&scrape).then_some(scrape)
        })
        .await
    }
}

fn status(status: u16, body: &'static str) -> Response<Bytes> {
    let answer = Response::builder().status(status);
    answer.body(Bytes::from_static(body.as_bytes())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_made_as_the_definition_says() {
    let stand = Stand::start(&[example("Requests")], |request| {
        match request.uri().path() {
            "/api/rpc" => status(
                503,
                r#"{"jsonrpc": "2.0", "id": 1, "result": {"depth": 42}}"#,
            ),
            _ => status(200, r#"{"up": true}"#),
        }
    })
    .await;
    let scrape = stand
        .scrape_until("the health was asked several times", |scrape| {
            scrape.sum("betanet_poll_results_total{url_template=\"/health\"}") > 2.0
                && scrape.value("queue_depth{target=\"t0\"}").is_some()
        })
        .await;
    assert_eq!(
        scrape.exact("queue_depth{target=\"t0\"}"),
        Some("42"),
        "it stays shown"
    );
    let results = scrape.select("betanet_poll_results_total{error_type=\"503\"}");
    let [result] = results.as_slice() else {
        panic!("{}", scrape.text);
    };
    assert_eq!(result.labels["outcome"], "fresh");
    assert_eq!(
        result.labels["url_template"],
        "/api/rpc?tenant={tenant}&window={window}"
    );
    let asked = stand.asked();
    let posts: Vec<_> = asked.iter().filter(|it| it.method == "POST").collect();
    let [post] = posts.as_slice() else {
        panic!("once a minute: {posts:?}");
    };
    assert_eq!(post.path, "/api/rpc?tenant=a%2Fb&window=5m");
    assert_eq!(post.accept.as_deref(), Some("application/vnd.api+json"));
    let mut body: Value = serde_json::from_slice(&post.body).unwrap();
    let since = body["params"]["since"].take();
    assert!(
        since.as_u64().is_some_and(|since| since > 1_600_000_000),
        "{since}"
    );
    let expected = json!({
        "jsonrpc": "2.0", "id": 1, "method": "queue.stats",
        "params": {"limit": 200, "since": null},
    });
    assert_eq!(body, expected);
    let points = stand.sink.wait("the depth arrives", |points| {
        points.iter().any(|point| point.name == "queue_depth")
    });
    drop(points.await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_is_read() {
    let definitions = ["Formats", "NDJSON", "CSV", "XML", "Text"].map(example);
    let stand = Stand::start(&definitions, |request| {
        let (content_type, body): (_, &[u8]) = match request.uri().path() {
            "/stats.json" => (
                "application/json; charset=utf-16",
                b"\xFF\xFE{\0\"\0a\0\"\0:\x007\0}\0",
            ),
            "/events" => (
                "application/x-ndjson",
                b"{\"kind\": \"a\", \"n\": 1}\n{\"kind\": \"b\", \"n\": 2}\n",
            ),
            "/stats;csv" => (
                "text/plain",
                b"# pxname,svname,scur,\nweb,FRONTEND,3,\nweb,s1,18446744073709551615,\n",
            ),
            "/status.xml" => (
                "text/xml; charset=ISO-8859-1",
                b"<server site='K\xF6ln'><worker id='1'><busy>4</busy></worker></server>",
            ),
            "/server-status" => (
                "text/plain",
                b"localhost\nTotal Accesses: 99\nBusyWorkers: 1\n",
            ),
            other => panic!("{other}"),
        };
        let answer = Response::builder().header("content-type", content_type);
        answer.body(Bytes::from_static(body)).unwrap()
    })
    .await;
    let expected = [
        ("stats_a", "7"),
        ("event_n{kind=\"b\"}", "2"),
        (
            "haproxy_current_sessions{proxy=\"web\",server=\"s1\"}",
            "18446744073709551615",
        ),
        ("worker_busy{site=\"Köln\",worker=\"1\"}", "4"),
        ("apache_accesses_total", "99"),
    ];
    let scrape = stand
        .scrape_until("all are there", |scrape| {
            expected
                .iter()
                .all(|(name, _)| scrape.exact(name).is_some())
        })
        .await;
    for (name, value) in expected {
        assert_eq!(scrape.exact(name), Some(value), "{name}: {}", scrape.text);
    }
    let wanted = [
        "stats_a",
        "event_n",
        "haproxy_current_sessions",
        "worker_busy",
    ];
    let arrived = stand.sink.wait("they arrive over OTLP", |points| {
        let has = |name: &&str| points.iter().any(|point| point.name == *name);
        wanted.iter().all(has)
    });
    drop(arrived.await);
}
