//! Requests and formats of a definition, on the started program before a server that follows a
//! script: the examples of `docs/definitions.md`.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyper::{Request, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    PATIENCE, collector::Collector, command::beside, eventually, free_port, get, scrape::Scrape,
    server::Server, sink::OtlpSink, source::root,
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
            scrape.sum("http_json_poll_results_total{url_template=\"/health\"}") > 2.0
                && scrape.value("queue_depth{target=\"t0\"}").is_some()
        })
        .await;
    assert_eq!(
        scrape.exact("queue_depth{target=\"t0\"}"),
        Some("42"),
        "it stays shown"
    );
    let results = scrape.select("http_json_poll_results_total{error_type=\"503\"}");
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

/// The server of the example of pages.
fn paged(request: &Request<Bytes>) -> Response<Bytes> {
    let path = request.uri().to_string();
    let (body, link) = match path.as_str() {
        "/hosts?limit=2" => (
            r#"{"total": 3, "hosts": [{"name": "a", "load": 1}, {"name": "b", "load": 2}],
                "links": {"next": "/hosts?limit=2&page=2"}}"#,
            None,
        ),
        "/hosts?limit=2&page=2" => (
            r#"{"total": 3, "hosts": [{"name": "c", "load": 3}], "links": {"next": null}}"#,
            None,
        ),
        "/jobs" => (
            r#"[{"state": "active"}, {"state": "active"}]"#,
            Some(r#"</jobs?page=1>; rel="first", </jobs?page=2>; rel="next""#),
        ),
        "/jobs?page=2" => (r#"[{"state": "active"}, {"state": "done"}]"#, None),
        "/users" => (r#"{"users": [1, 2], "meta": {"cursor": "x y/&"}}"#, None),
        "/users?after=x%20y%2F%26" => (r#"{"users": [3], "meta": {}}"#, None),
        "/items?page=1" => (r#"{"items": [{"id": "i", "price": 0.5}]}"#, None),
        "/items?page=2" => (r#"{"items": [{"id": "j", "price": 7}]}"#, None),
        "/items?page=3" => (r#"{"items": []}"#, None),
        _ => return status(404, ""),
    };
    let mut answer = Response::builder();
    if let Some(link) = link {
        answer = answer.header("link", link);
    }
    answer.body(Bytes::from_static(body.as_bytes())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_one_poll() {
    let stand = Stand::start(&[example("Pages")], paged).await;
    let expected = [
        ("host_load{host=\"a\"}", "1"),
        ("host_load{host=\"c\"}", "3"),
        ("hosts_known", "3"),
        ("jobs_active", "3"),
        ("users_known", "3"),
        ("item_price{item=\"i\"}", "0.5"),
        ("item_price{item=\"j\"}", "7"),
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
    let problems = scrape.select("http_json_mapping_problems_total{}");
    assert!(problems.is_empty(), "{}", scrape.text);
    let arrived = stand.sink.wait("they arrive over OTLP", |points| {
        let has = |name: &str| points.iter().any(|point| point.name == name);
        ["host_load", "jobs_active", "users_known", "item_price"]
            .iter()
            .all(|name| has(name))
    });
    drop(arrived.await);
}

/// The server of the example of requests for elements: one of them fails.
fn with_elements(request: &Request<Bytes>) -> Response<Bytes> {
    match request.uri().to_string().as_str() {
        "/api/v1/applications" => status(
            200,
            r#"[{"id": "a/1", "name": "etl", "state": "running"},
                {"id": "2", "name": "old", "state": "done"},
                {"id": "3", "name": "web", "state": "running"},
                {"id": "4", "name": "broken", "state": "running"}]"#,
        ),
        "/api/v1/applications/a%2F1/executors" => status(
            200,
            r#"[{"id": "driver", "memory": 18446744073709551615}, {"id": "1", "memory": 5}]"#,
        ),
        "/api/v1/applications/3/executors" => status(200, r#"[{"id": "driver", "memory": 7}]"#),
        _ => status(404, ""),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_element_of_an_answer_has_its_request() {
    let heading = "One request for each element of another answer: `for_each`";
    let stand = Stand::start(&[example(heading)], with_elements).await;
    let expected = [
        ("applications_running", "3"),
        (
            "executor_memory_bytes{app=\"etl\",executor=\"driver\",number=\"0\"}",
            "18446744073709551615",
        ),
        ("executor_memory_bytes{app=\"etl\",executor=\"1\"}", "5"),
        ("executor_memory_bytes{app=\"web\",number=\"2\"}", "7"),
        ("executors{app=\"etl\"}", "2"),
        ("executors{app=\"web\"}", "1"),
        ("http_json_source_up{endpoint=\"executors\"}", "1"),
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
    let failed = scrape.select("http_json_mapping_problems_total{reason=\"request\"}");
    let [failed] = failed.as_slice() else {
        panic!("{}", scrape.text);
    };
    assert_eq!(failed.labels["metric"], "endpoints.executors");
    let arrived = stand.sink.wait("they arrive over OTLP", |points| {
        points
            .iter()
            .any(|point| point.name == "executor_memory_bytes")
    });
    drop(arrived.await);
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

/// What `check` says of a definition before a server, and of what it recorded there.
async fn checked_twice(
    definition: &str,
    handler: impl Fn(&Request<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
) -> [String; 2] {
    let server = Server::start(handler).await;
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("d.yaml"), definition).unwrap();
    let url = server.url();
    let live = [
        "check",
        "--endpoint",
        &url,
        "--record",
        "saved",
        "--definition",
        "d.yaml",
    ];
    let live = beside(folder.path(), &live).await;
    let saved = format!("saved/{}", server.address());
    let sample = ["check", "--sample", &saved, "--definition", "d.yaml"];
    let sample = beside(folder.path(), &sample).await;
    assert_eq!(
        (live.code, live.stderr.as_str()),
        (Some(0), ""),
        "{}",
        live.stdout
    );
    assert_eq!(
        (sample.code, sample.stderr.as_str()),
        (Some(0), ""),
        "{}",
        sample.stdout
    );
    [live.stdout, sample.stdout]
}

fn values_in(shown: &str) -> &str {
    shown.split_once("  METRIC").unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn check_records_pages_requests_for_elements_and_every_format() {
    let [live, sample] = checked_twice(&example("Pages"), paged).await;
    assert_eq!(values_in(&live), values_in(&sample));
    for part in [
        "host_load",
        "GET http://127.0.0.1",
        "/hosts?limit=[REDACTED]&page=[REDACTED]",
    ] {
        assert!(live.contains(part), "{part}: {live}");
    }
    let heading = "One request for each element of another answer: `for_each`";
    let all_answer = |request: &Request<Bytes>| match request.uri().path() {
        "/api/v1/applications/4/executors" => status(200, "[]"),
        _ => with_elements(request),
    };
    let [live, sample] = checked_twice(&example(heading), all_answer).await;
    assert_eq!(values_in(&live), values_in(&sample));
    assert!(
        live.contains("/api/v1/applications/a%2F1/executors"),
        "{live}"
    );
    let latin = |_: &Request<Bytes>| {
        let body = b"<?xml version='1.0' encoding='ISO-8859-1'?><server site='K\xF6ln'>\
                     <worker id='1'><busy>4</busy></worker></server>";
        Response::new(Bytes::from_static(body))
    };
    let [live, sample] = checked_twice(&example("XML"), latin).await;
    assert!(live.contains("site=Köln"), "{live}");
    assert_eq!(values_in(&live), values_in(&sample));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_the_nearest_key_of_every_path() {
    let definition = "
endpoints:
  list: {path: /list}
  items: {path: '/item/${i:id}', for_each: {endpoint: list, path: $.itms, as: i}}
  pages: {path: /pages, pages: {parameter: page, until_empty: $.itms}}
metrics:
  - {name: a, instrument: gauge, endpoint: list, for_each: $.itms, value: $.x}
  - {name: b, instrument: gauge, endpoint: list, count: '$.itms[*]'}
  - {name: c, instrument: gauge, endpoint: list, for_each: $.items, value: $.id, time: {path: $.tme}}
  - {name: d, instrument: gauge, endpoint: list, for_each: $.items, value: $.id, attributes: {n: $.nam}}
  - {name: e, instrument: gauge, endpoint: items, value: $.v}
  - {name: f, instrument: gauge, endpoint: pages, value: $.v}
";
    let answer = r#"{"items": [{"id": 1, "name": "x", "time": 5}]}"#;
    let server = Server::start(move |_| status(200, answer)).await;
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("d.yaml"), definition).unwrap();
    let url = server.url();
    let check = ["check", "--endpoint", &url, "--definition", "d.yaml"];
    let checked = beside(folder.path(), &check).await;
    assert_eq!(checked.code, Some(1));
    let said = checked.stdout.matches("did you mean `items`?").count();
    assert!(said >= 4, "{}", checked.stdout);
    for part in ["did you mean `time`?", "did you mean `name`?"] {
        assert!(checked.stdout.contains(part), "{}", checked.stdout);
    }
}
