//! How many system calls a polled document takes. They are most of what a poll costs, and their
//! number does not depend on the machine.

use std::{
    fmt::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use hyper::Response;
use tempfile::TempDir;

use crate::support::{
    PATIENCE, collector::Collector, eventually, free_port, process::Process, server::Server,
    sink::OtlpSink,
};

const TARGETS: usize = 20;

/// Documents that are counted: five polls of each target.
const DOCUMENTS: u64 = 5 * 3 * TARGETS as u64;

/// The request, its answer, a wait for each of the two, and a share of the tick and of the push:
/// 3.3 to 3.7 were measured, 4.6 with a second worker.
const MOST: f64 = 4.2;

const DEFINITION: &str = "endpoints: {a: {path: /a}, b: {path: /b}, c: {path: /c}}\n\
     metrics:\n\
     - {name: a, instrument: gauge, endpoint: a, value: $.value}\n\
     - {name: b, instrument: counter, endpoint: b, value: $.value}\n\
     - {name: c, instrument: gauge, endpoint: c, value: $.value}\n";

/// Nodes that count the documents which they give, together.
async fn nodes(given: &Arc<AtomicU64>) -> Vec<Server> {
    let mut nodes = Vec::new();
    for _ in 0..TARGETS {
        let given = Arc::clone(given);
        let node = Server::start(move |_| {
            let value = given.fetch_add(1, Ordering::Relaxed);
            Response::new(Bytes::from(format!("{{\"value\": {value}}}")))
        });
        nodes.push(node.await);
    }
    nodes
}

fn config(definition: &Path, nodes: &[Server], sink: &OtlpSink, port: u16) -> String {
    let mut config = format!(
        "receivers:\n  http_json:\n    definition: {}\n    collection_interval: 1s\n    \
         targets:\n",
        definition.display()
    );
    for node in nodes {
        writeln!(config, "    - endpoint: {}", node.url()).unwrap();
    }
    let sink = sink.url();
    write!(
        config,
        "exporters:\n  prometheus: {{endpoint: 'localhost:{port}'}}\n  \
         otlp_http: {{endpoint: '{sink}'}}\n\
         service:\n  telemetry: {{metrics: {{level: none}}}}\n  \
         pipelines: {{metrics: {{receivers: [http_json], exporters: [prometheus, otlp_http]}}}}\n"
    )
    .unwrap();
    config
}

/// The system calls of this process while the nodes give so many documents.
async fn calls_during(collector: &Collector, given: &AtomicU64) -> (u64, u64) {
    let process = collector.id().to_string();
    let mut strace = Process::start("strace", |command, folder| {
        let table = folder.join("table");
        command.args(["-f", "-c", "-o"]).arg(table);
        command.args(["-p", &process]);
    });
    eventually("strace sees the collector", PATIENCE, async || {
        strace.log().contains("attached").then_some(())
    })
    .await;
    let before = given.load(Ordering::Relaxed);
    let documents = eventually("the nodes are polled", PATIENCE, async || {
        let now = given.load(Ordering::Relaxed) - before;
        (now >= DOCUMENTS).then_some(now)
    })
    .await;
    strace.stop_by("INT").await;
    let table = std::fs::read_to_string(strace.folder().join("table")).unwrap();
    let total = table.lines().find(|line| line.ends_with(" total")).unwrap();
    let calls = total.split_whitespace().nth(3).unwrap();
    eprintln!("{table}");
    (calls.parse().unwrap(), documents)
}

#[tokio::test]
#[ignore = "needs strace: tests/run installs it"]
async fn a_polled_document_takes_few_system_calls() {
    let given = Arc::new(AtomicU64::new(0));
    let (nodes, sink, port) = (nodes(&given).await, OtlpSink::start().await, free_port());
    let folder = TempDir::new().unwrap();
    let definition = folder.path().join("api.yaml");
    std::fs::write(&definition, DEFINITION).unwrap();
    let config = config(&definition, &nodes, &sink, port);
    let ready = format!("http://127.0.0.1:{port}/metrics");
    let collector = Collector::start(&config, &[], &ready).await;
    eventually("each target was polled", PATIENCE, async || {
        (given.load(Ordering::Relaxed) >= 3 * DOCUMENTS / 5).then_some(())
    })
    .await;
    let (calls, documents) = calls_during(&collector, &given).await;
    #[expect(clippy::cast_precision_loss, reason = "both are small")]
    let each = calls as f64 / documents as f64;
    assert!(
        each <= MOST,
        "{calls} calls for {documents} documents: {each:.2}"
    );
}
