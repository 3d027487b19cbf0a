//! Targets behind Unix sockets, on the started program.

use std::{
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    task::JoinSet,
};

use crate::support::{
    PATIENCE, collector::Collector, command::PROGRAM, eventually, free_port, get, scrape::Scrape,
    sink::OtlpSink,
};

const DEFINITION: &str = "
endpoints:
  info: {path: /v1/info}
  stats: {path: /v1/stats, method: POST, body: {json: {all: true}}}
metrics:
  - {name: containers_running, instrument: gauge, endpoint: info, value: $.running}
  - {name: containers_seen_total, instrument: counter, endpoint: stats, value: $.seen}
";

/// A server on a socket, and what it was asked: the connection, and the head of the request.
struct SocketServer {
    asked: Arc<Mutex<Vec<(usize, String)>>>,
    _tasks: JoinSet<()>,
}

impl SocketServer {
    fn start(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let asked: Arc<Mutex<Vec<(usize, String)>>> = Arc::default();
        let log = Arc::clone(&asked);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (socket, _) = listener.accept().await.unwrap();
                connections.spawn(serve(socket, number, Arc::clone(&log)));
            }
        });
        Self {
            asked,
            _tasks: tasks,
        }
    }

    fn asked(&self) -> Vec<(usize, String)> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut socket: UnixStream, number: usize, log: Arc<Mutex<Vec<(usize, String)>>>) {
    let mut head = String::new();
    let mut read = [0; 2048];
    while let Ok(length @ 1..) = socket.read(&mut read).await {
        head.push_str(&String::from_utf8_lossy(&read[..length]));
        let is_post = head.starts_with("POST");
        let is_whole = head.contains("\r\n\r\n") && (!is_post || head.contains("{\"all\":true}"));
        if !is_whole {
            continue;
        }
        let body = match head.starts_with("GET /v1/info ") {
            true => r#"{"running": 7}"#,
            false => r#"{"seen": 18446744073709551615}"#,
        };
        log.lock()
            .unwrap()
            .push((number, std::mem::take(&mut head)));
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// One target is configured, and one is found.
fn configuration(definition: &Path, [one, other]: [&Path; 2], port: u16, sink: &str) -> String {
    format!(
        "receivers:\n  http_json:\n    definition: {}\n    collection_interval: 1s\n    targets: \
         [{{endpoint: \"unix://{}\"}}]\n    static_configs: [{{targets: [\"unix://{}\"], labels: \
         {{found: \"yes\"}}}}]\nexporters:\n  prometheus: {{endpoint: \"127.0.0.1:{port}\"}}\n  \
         otlp_http: {{endpoint: \"{}\"}}\nextensions:\n  health_check: {{endpoint: \
         \"127.0.0.1:{port}\"}}\n  status_page: {{endpoint: \"127.0.0.1:{port}\"}}\nservice:\n  extensions: \
         [health_check, status_page]\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines: {{metrics: \
         {{receivers: [http_json], exporters: [prometheus, otlp_http]}}}}\n",
        definition.display(),
        one.display(),
        other.display(),
        sink,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_may_be_a_socket_of_this_machine() {
    let folder = TempDir::new().unwrap();
    let [one, other] = ["one.sock", "other.sock"].map(|name| folder.path().join(name));
    let (server, _other) = (SocketServer::start(&one), SocketServer::start(&other));
    let definition = folder.path().join("podman.yaml");
    std::fs::write(&definition, DEFINITION).unwrap();
    let (sink, port) = (OtlpSink::start().await, free_port());
    let config = configuration(&definition, [&one, &other], port, &sink.url());
    let ready = format!("http://127.0.0.1:{port}/livez");
    let _collector = Collector::start(&config, &[], &ready).await;
    let [of_one, of_other] =
        [&one, &other].map(|path| format!("{{target=\"{}\"}}", path.display()));
    let scrape = eventually("both are there", PATIENCE, async || {
        let answer = get(format!("http://127.0.0.1:{port}/metrics")).await.ok()?;
        let scrape = Scrape::parse(answer.text().await.ok()?);
        let has = |name: &str, of: &str| scrape.exact(&format!("{name}{of}")).is_some();
        let is_there = has("containers_running", &of_other)
            && has("containers_seen_total", &of_one)
            && server.asked().len() > 4;
        is_there.then_some(scrape)
    })
    .await;
    let seen = scrape.exact(&format!("containers_seen_total{of_one}"));
    assert_eq!(seen, Some("18446744073709551615"));
    let found = scrape.select(&format!("containers_running{of_other}"));
    assert_eq!(found[0].labels["found"], "yes");
    let asked = server.asked();
    for (_, head) in &asked {
        assert!(head.contains("\r\nhost: localhost\r\n"), "{head}");
    }
    let gets = asked.iter().filter(|(_, head)| head.starts_with("GET"));
    let connections: Vec<_> = gets.map(|(number, _)| *number).collect();
    assert!(
        connections.windows(2).any(|pair| pair[0] == pair[1]),
        "a connection is kept: {connections:?}"
    );
    let arrived = sink.wait("a socket is an address over OTLP", |points| {
        points
            .iter()
            .any(|point| point.name == "containers_running")
    });
    drop(arrived.await);
    let page = get(format!("http://127.0.0.1:{port}/api/v1/targets"))
        .await
        .unwrap();
    let page = page.text().await.unwrap();
    assert!(
        page.contains(&format!("unix://{}", one.display())),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn check_asks_a_socket_and_names_one_that_is_not_there() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("api.sock");
    let _server = SocketServer::start(&socket);
    let definition = folder.path().join("podman.yaml");
    std::fs::write(&definition, DEFINITION).unwrap();
    let check = |socket: &Path| {
        let checked = Command::new(PROGRAM)
            .arg("check")
            .args(["--endpoint", &format!("unix://{}", socket.display())])
            .arg("--definition")
            .arg(&definition)
            .output()
            .unwrap();
        String::from_utf8_lossy(&checked.stdout).into_owned()
    };
    let shown = check(&socket);
    assert!(shown.contains("containers_running"), "{shown}");
    let shown = check(&folder.path().join("gone.sock"));
    assert!(shown.contains("No such file or directory"), "{shown}");
}

/// A server on a socket that gives out a token, and wants it.
async fn serve_with_token(listener: UnixListener, token: &'static str) {
    let mut connections = JoinSet::new();
    loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        connections.spawn(async move {
            let (mut head, mut read) = (String::new(), [0; 2048]);
            while let Ok(length @ 1..) = socket.read(&mut read).await {
                head.push_str(&String::from_utf8_lossy(&read[..length]));
                if !head.contains("\r\n\r\n") {
                    continue;
                }
                let is_known = head.contains(&format!("\r\nx-token: {token}\r\n"));
                let (status, body) = match head.starts_with("GET /login ") {
                    true => ("200 OK", format!("{{\"token\": \"{token}\"}}")),
                    false if is_known => ("200 OK", "{\"running\": 7}".to_owned()),
                    false => ("403 Forbidden", String::new()),
                };
                head.clear();
                let length = body.len();
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
                if socket.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_belongs_to_one_socket_and_logs_in_there() {
    let folder = TempDir::new().unwrap();
    let sockets = ["one.sock", "other.sock"].map(|name| folder.path().join(name));
    let mut servers = JoinSet::new();
    for (socket, token) in sockets.iter().zip(["of-one", "of-other"]) {
        servers.spawn(serve_with_token(UnixListener::bind(socket).unwrap(), token));
    }
    let definition = folder.path().join("running.yaml");
    let text = "{endpoints: {info: {path: /info}}, metrics: [{name: running, instrument: gauge, \
                value: $.running}]}";
    std::fs::write(&definition, text).unwrap();
    let targets = sockets.each_ref();
    let targets = targets.map(|socket| format!("{{endpoint: 'unix://{}'}}", socket.display()));
    let port = free_port();
    let config = format!(
        "receivers: {{http_json: {{definition: '{}', collection_interval: 1s, auth: {{authenticator: \
         session}}, targets: [{}]}}}}\nexporters: {{prometheus: {{endpoint: '127.0.0.1:{port}'}}}}\n\
         extensions: {{session: {{login: {{method: GET, path: /login}}, token: {{path: $.token, \
         header: X-Token}}}}}}\nservice: {{extensions: [session], telemetry: {{metrics: {{level: \
         none}}}}, pipelines: {{metrics: {{receivers: [http_json], exporters: [prometheus]}}}}}}\n",
        definition.display(),
        targets.join(", "),
    );
    let url = format!("http://127.0.0.1:{port}/metrics");
    let _collector = Collector::start(&config, &[], &url).await;
    eventually("both accept their own token", PATIENCE, async || {
        let scrape = Scrape::parse(get(&url).await.ok()?.text().await.ok()?);
        (scrape.sum("running") == 14.0).then_some(())
    })
    .await;
}
