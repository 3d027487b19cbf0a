//! Tests with a node that tries to harm the real program: its cost is limited, and other nodes are
//! polled as usual.

use std::{
    io::Write as _,
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder},
};
use hyper::{Request, Response};
use tempfile::TempDir;

use crate::support::{
    PATIENCE, collector::Collector, command::beside, eventually, free_port, get, scrape::Scrape,
    server::Server, source::root,
};

const MIB: u64 = 1024 * 1024;

const GOOD: &str = r#"{"v": 7}"#;

fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn answer(encoding: &str, body: impl Into<Bytes>) -> Response<Bytes> {
    let answer = Response::builder().header("content-encoding", encoding);
    answer.body(body.into()).unwrap()
}

/// Four MiB of text in a few kilobytes.
fn repeated(piece: &str, between: &str) -> String {
    let count = 4 * 1024 * 1024 / (piece.len() + between.len()) - 1;
    vec![piece; count].join(between)
}

/// The configuration: receivers with targets at these addresses, each with a definition.
struct Setup {
    port: u16,
    /// Of its own metrics.
    own_port: u16,
    receivers: Vec<String>,
    processors: &'static str,
    /// The directory of the definitions.
    folder: TempDir,
}

impl Setup {
    fn new() -> Self {
        Self {
            port: free_port(),
            own_port: free_port(),
            receivers: Vec::new(),
            processors: "",
            folder: TempDir::new().unwrap(),
        }
    }

    fn receiver(mut self, definition: &str, interval: &str, targets: &[(&str, &Server)]) -> Self {
        let targets = targets.iter().map(|(name, server)| {
            let url = server.url();
            format!("{{name: {name}, endpoint: \"{url}\"}}")
        });
        let targets = targets.collect::<Vec<_>>().join(", ");
        let file = self.folder.path().join(format!("{definition}.yaml"));
        let file = file.display();
        self.receivers.push(format!(
            "{{definition: {file}, collection_interval: {interval}, target_metrics: normal, targets: [{targets}]}}"
        ));
        self
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn text(&self) -> String {
        let (port, own) = (self.port, self.own_port);
        let names = (0..self.receivers.len()).map(|n| format!("http_json/{n}"));
        let names = names.collect::<Vec<_>>().join(", ");
        let receivers = self.receivers.iter().enumerate();
        let receivers = receivers.map(|(n, receiver)| format!("  http_json/{n}: {receiver}\n"));
        let receivers: String = receivers.collect();
        let (processors, used) = match self.processors {
            "" => (String::new(), ""),
            limiter => (
                format!("processors: {{memory_limiter: {limiter}}}\n"),
                "memory_limiter",
            ),
        };
        format!(
            "receivers:\n{receivers}{processors}\
             exporters: {{prometheus: {{endpoint: \"127.0.0.1:{port}\"}}}}\n\
             extensions: {{health_check: {{endpoint: \"127.0.0.1:{port}\"}}}}\n\
             service:\n  extensions: [health_check]\n  telemetry: {{metrics: {{readers: [{{pull: \
             {{exporter: {{prometheus: {{host: 127.0.0.1, port: {own}}}}}}}}}]}}}}\n  \
             pipelines: {{metrics: {{receivers: [{names}], processors: [{used}], exporters: [prometheus]}}}}\n"
        )
    }

    /// Starts the program with definitions that have one metric, `value`.
    async fn start(&self, definitions: &[(&str, &str)]) -> Collector {
        for (name, text) in definitions {
            let file = self.folder.path().join(format!("{name}.yaml"));
            std::fs::write(file, text).unwrap();
        }
        Collector::start(&self.text(), &[], &self.url("/livez")).await
    }

    async fn scrape(&self) -> Scrape {
        let answer = get(self.url("/metrics")).await.unwrap();
        Scrape::parse(answer.text().await.unwrap())
    }

    /// Its own metrics.
    async fn own(&self) -> Scrape {
        let url = format!("http://127.0.0.1:{}/metrics", self.own_port);
        let answer = get(url).await.unwrap();
        Scrape::parse(answer.text().await.unwrap())
    }

    async fn until(&self, what: &str, mut holds: impl FnMut(&Scrape) -> bool) -> Scrape {
        eventually(what, PATIENCE, async || {
            let scrape = self.scrape().await;
            holds(&scrape).then_some(scrape)
        })
        .await
    }
}

/// The sum of the samples that `selector` names.
fn sum(scrape: &Scrape, selector: &str) -> f64 {
    let samples = scrape.select(selector);
    let values = samples
        .iter()
        .map(|sample| sample.value.parse::<f64>().unwrap());
    values.sum()
}

/// How often an endpoint of `target` gave a body.
fn fresh(scrape: &Scrape, target: &str) -> f64 {
    let results = "http_json_poll_results_total{outcome=\"fresh\"";
    sum(scrape, &format!("{results},target=\"{target}\"}}"))
}

const ONE: &str = "endpoints: {a: {path: /a}}\n\
                   metrics: [{name: value, instrument: gauge, value: $.v}]\n";

const TEXT: &str = "endpoints: {a: {path: /a, format: prometheus}}\n\
                    metrics: [{name: value, instrument: gauge, value: '$.a[0].value'}]\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_of_a_document_is_limited() {
    let json = gzip(format!("[{}]", repeated(r#"{"":0}"#, ",")));
    let json = Server::start(move |_| answer("gzip", json.clone())).await;
    let text = gzip(repeated("a 1", "\n"));
    let text = Server::start(move |_| answer("gzip", text.clone())).await;
    let good = Server::start(|_: &Request<Bytes>| Response::new(GOOD.into())).await;
    let trees = ["one", "two", "three", "four"].map(|name| (name, &json));
    let texts = ["five", "six", "seven", "eight"].map(|name| (name, &text));
    let setup = Setup::new()
        .receiver("one", "1s", &trees)
        .receiver("text", "1s", &texts)
        .receiver("one", "200ms", &[("good", &good)]);
    let collector = setup.start(&[("one", ONE), ("text", TEXT)]).await;
    let refused = "http_json_poll_results_total{error_type=\"too_large\"}";
    let bombs = [
        "one", "two", "three", "four", "five", "six", "seven", "eight",
    ];
    let scrape = setup
        .until("each is refused, and counted", |scrape| {
            let of = |name| {
                sum(
                    scrape,
                    &refused.replace('}', &format!(",target=\"{name}\"}}")),
                )
            };
            bombs.iter().all(|name| of(name) >= 1.0) && fresh(scrape, "good") >= 25.0
        })
        .await;
    for name in bombs {
        let up = format!("http_json_up{{target=\"{name}\"}}");
        assert_eq!(scrape.value(&up), Some(0.0), "{name}");
    }
    // Two documents at a time, and the memory of the program itself.
    let peak = collector.peak_memory() / MIB;
    assert!(peak < 250, "{peak} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn above_the_memory_limit_polls_continue_one_by_one() {
    let good = Server::start(|_: &Request<Bytes>| Response::new(GOOD.into())).await;
    let names = ["a", "b", "c", "d", "e"].map(|name| (name, &good));
    let mut setup = Setup::new().receiver("one", "500ms", &names);
    // This is like an answer that needed too much memory, of which nothing was returned.
    setup.processors = "{check_interval: 100ms, limit_mib: 1}";
    let _collector = setup.start(&[("one", ONE)]).await;
    setup
        .until("all are polled", |s| {
            names.iter().all(|(name, _)| fresh(s, name) >= 2.0)
        })
        .await;
    let ready = get(setup.url("/readyz")).await.unwrap();
    assert_eq!(ready.status().as_u16(), 503);
    let ready = ready.text().await.unwrap();
    assert!(ready.contains("polls are permitted one by one"), "{ready}");
    let health = get(setup.url("/health"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let health: serde_json::Value = serde_json::from_str(&health).unwrap();
    let limiter = &health["components"]["processor:memory_limiter"];
    assert_eq!(limiter["status"], "StatusRecoverableError", "{health:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_targets_are_polled_again_after_a_bomb() {
    let bomb = gzip(format!("[{}]", repeated("[0]", ",")));
    let has_blown = AtomicBool::new(false);
    let node = Server::start(move |_| match has_blown.swap(true, Ordering::Relaxed) {
        false => answer("gzip", bomb.clone()),
        true => Response::new(GOOD.into()),
    })
    .await;
    let good = Server::start(|_: &Request<Bytes>| Response::new(GOOD.into())).await;
    let targets = [("bomb", &node), ("good", &good)];
    let mut setup = Setup::new().receiver("one", "1s", &targets);
    setup.processors = "{check_interval: 100ms, limit_percentage: 1, spike_limit_percentage: 0}";
    let _collector = setup.start(&[("one", ONE)]).await;
    setup
        .until("all are up", |s| {
            let up = |(name, _): &(&str, _)| s.value(&format!("value{{target=\"{name}\"}}"));
            targets.iter().all(|target| up(target) == Some(7.0))
        })
        .await;
}

/// Elements of one metric, each a series.
fn elements(count: u64) -> String {
    let elements = (0..count).map(|n| format!(r#"{{"id":"element-{n}-of-many","v":{n}}}"#));
    format!("[{}]", elements.collect::<Vec<_>>().join(","))
}

const MANY: &str = "endpoints: {a: {path: /a}}\n\
                    metrics: [{name: value, instrument: gauge, for_each: '$[*]', value: $.v, \
                    attributes: {id: $.id}, max_series: 100000}]\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stale_goes_while_the_limiter_refuses() {
    let (large, small) = (elements(1_000), elements(1));
    let calls = AtomicU64::new(0);
    let bomb = Server::start(move |_| match calls.fetch_add(1, Ordering::Relaxed) {
        0 => Response::new(large.clone().into()),
        _ => Response::builder().status(500).body(Bytes::new()).unwrap(),
    })
    .await;
    let good = Server::start(move |_| Response::new(small.clone().into())).await;
    let names = ["a", "b", "c", "d"].map(|name| (name, &good));
    let mut setup = Setup::new()
        .receiver("many", "500ms", &[("bomb", &bomb)])
        .receiver("one", "500ms", &names);
    // The collector has more than that at any time.
    setup.processors = "{check_interval: 100ms, limit_mib: 1}";
    let _collector = setup.start(&[("many", MANY), ("one", MANY)]).await;
    let failed = "http_json_poll_results_total{error_type=\"500\",target=\"bomb\"}";
    setup
        .until("the bomb fails", |scrape| sum(scrape, failed) >= 1.0)
        .await;
    let before = setup.scrape().await;
    setup
        .until("its values are gone, long before `max_stale`", |scrape| {
            scrape.select("value").len() == names.len()
        })
        .await;
    setup
        .until("the others are polled", |scrape| {
            let again = |name| fresh(scrape, name) >= fresh(&before, name) + 2.0;
            names.iter().all(|(name, _)| again(name))
        })
        .await;
    let shed = "betanet_memory_limiter_shed_items{reason=\"stale_series\"}";
    let shed = sum(&setup.own().await, shed);
    assert!((1_000.0..1_100.0).contains(&shed), "{shed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_path_is_stopped_and_delays_no_other_target() {
    let nested = format!("{}{{\"load\":1}}{}", "[".repeat(100), "]".repeat(100));
    let nested = gzip(format!("[{}]", vec![nested; 3000].join(",")));
    let deep = Server::start(move |_| answer("gzip", nested.clone())).await;
    let good = Server::start(|_: &Request<Bytes>| Response::new(GOOD.into())).await;
    let slow = "endpoints: {a: {path: /a}}\n\
                metrics: [{name: slow, instrument: gauge, for_each: '$..[?@..load]', value: $.load}]\n";
    let setup = Setup::new()
        .receiver("slow", "1s", &[("deep", &deep)])
        .receiver("one", "250ms", &[("good", &good)]);
    let _collector = setup.start(&[("slow", slow), ("one", ONE)]).await;
    let scrape = setup
        .until("both", |s| {
            fresh(s, "deep") >= 2.0 && fresh(s, "good") >= 20.0
        })
        .await;
    let problems = sum(
        &scrape,
        "http_json_mapping_problems_total{reason=\"steps\"}",
    );
    assert!(problems >= 1.0, "{problems}");
    let missed = scrape.value("http_json_poll_missed_ticks_total{target=\"good\"}");
    assert!(missed.is_none_or(|missed| missed < 10.0), "{missed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_read_completely_with_every_compression() {
    let (first, second) = GOOD.split_at(4);
    let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
    bare.write_all(GOOD.as_bytes()).unwrap();
    let bare = bare.finish().unwrap();
    let cut = gzip(GOOD);
    let cut = cut[..cut.len() - 4].to_vec();
    let members = [gzip(first), gzip(second)].concat();
    let server = Server::start(move |request| match request.uri().path() {
        "/members/a" => answer("gzip", members.clone()),
        "/upper/a" => answer("GZIP", gzip(GOOD)),
        "/old/a" => answer("x-gzip", gzip(GOOD)),
        "/bare/a" => answer("deflate", bare.clone()),
        "/cut/a" => answer("gzip", cut.clone()),
        _ => answer("br", "x"),
    })
    .await;
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    std::fs::write(file.path(), ONE).unwrap();
    let path = file.path().to_str().unwrap();
    for (name, expected) in [
        ("members", "value"),
        ("upper", "value"),
        ("old", "value"),
        ("bare", "value"),
        ("cut", "the compressed body ends early"),
        ("brotli", "the body has the content encoding `br`"),
    ] {
        let url = format!("{}/{name}", server.url());
        let arguments = ["check", "--definition", path, "--endpoint", &url];
        let out = beside(root(), &arguments).await;
        assert!(out.stdout.contains(expected), "{name}: {}", out.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_signal_works_while_the_configuration_is_loaded() {
    let good = Server::start(|_: &Request<Bytes>| Response::new(GOOD.into())).await;
    let setup = Setup::new().receiver("one", "1s", &[("good", &good)]);
    let collector = setup.start(&[("one", ONE)]).await;
    setup.until("it polls", |s| fresh(s, "good") >= 1.0).await;
    // A file without an end replaces the configuration.
    let config = collector.file();
    std::fs::remove_file(&config).unwrap();
    let made = Command::new("mkfifo").arg(&config).status();
    assert!(made.unwrap().success());
    collector.signal("HUP");
    let (code, log) = tokio::time::timeout(Duration::from_secs(15), collector.stop())
        .await
        .unwrap();
    assert_eq!(code, Some(0), "{log}");
}
