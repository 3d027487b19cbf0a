//! Tests with the real program and two nodes with the same data.

use betanet_collector::simulator::{Node, NodeFault};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    PATIENCE,
    command::beside,
    eventually, free_port, get,
    scrape::Scrape,
    source::root,
    stand::{Options, Stand, documented_node},
};

/// The defaults, fifty times faster.
fn options() -> Options {
    Options {
        interval: "200ms",
        resilience: "retry: {initial_interval: 50ms, jitter: 0}, \
                     circuit_breaker: {open_duration: 600ms, open_jitter: 0}",
        ..Options::default()
    }
}

async fn start(nodes: &[&Node]) -> Stand {
    let urls: Vec<_> = nodes.iter().map(|node| node.url()).collect();
    let urls = urls.join(", ");
    let target = format!("{{name: pool, mode: replicas, endpoints: [{urls}]}}");
    let stand = options().start_with(&format!("targets: [{target}]")).await;
    stand.until_polls("pool", 3.0).await;
    stand
}

/// The sum of a metric over an instance.
fn of(scrape: &Scrape, metric: &str, node: &Node) -> f64 {
    let instance = node.address();
    scrape.sum(&format!("{metric}{{betanet_instance=\"{instance}\"}}"))
}

async fn health(stand: &Stand) -> Value {
    stand.health().await["targets"]["pool"].clone()
}

#[tokio::test]
async fn a_killed_replica_causes_no_gap_and_is_used_again_when_it_is_back() {
    let (a, b) = (documented_node(), documented_node());
    let stand = start(&[&a, &b]).await;
    let up = stand.scrape().await.sum("betanet_up{target=\"pool\"}");
    assert_eq!(up, 1.0);

    a.set_fault(None, NodeFault::Refuse);
    let state = "betanet_circuit_breaker_state";
    let opened = |scrape: &Scrape| of(scrape, state, &a) > 0.0;
    let scrape = stand.until("the breakers of `a` open", opened).await;
    assert!(of(&scrape, "betanet_balancer_failovers_total", &a) >= 5.0);
    assert_eq!(of(&scrape, "betanet_balancer_failovers_total", &b), 0.0);
    assert_eq!(of(&scrape, state, &b), 0.0);
    for results in scrape.select("betanet_poll_results_total") {
        assert_eq!(results.labels["outcome"], "fresh", "no poll is lost");
    }
    assert_eq!(scrape.sum("betanet_poll_retries_total"), 0.0);
    assert_eq!(scrape.sum("betanet_source_up"), 3.0);
    let values = scrape.select("betanet_packets_dropped_total");
    assert_eq!(
        values.len(),
        1,
        "a target is one series, whichever instance answers"
    );
    let instances = &health(&stand).await["host"]["instances"];
    let breaker = &instances[a.address().to_string()]["breaker"];
    assert_ne!(breaker["state"], "closed", "{instances}");

    let url = format!("http://{}/debug/resilience/pool", stand.address);
    let decisions = get(&url).await.unwrap().text().await.unwrap();
    assert!(decisions.contains("\"chosen\"") && decisions.contains("\"because\""));

    a.clear_faults();
    let closed = |scrape: &Scrape| of(scrape, state, &a) == 0.0;
    stand.until("the breakers of `a` close", closed).await;
    let asked = a.requests();
    b.set_fault(None, NodeFault::Refuse);
    eventually("`a` replaces `b`", PATIENCE, async || {
        Some(()).filter(|()| a.requests() > asked + 5)
    })
    .await;
    let scrape = stand.after_polls("pool", 3).await;
    assert_eq!(scrape.sum("betanet_up{target=\"pool\"}"), 1.0);
}

#[tokio::test]
async fn all_replicas_down_is_a_target_down() {
    let (a, b) = (documented_node(), documented_node());
    let stand = start(&[&a, &b]).await;
    for node in [&a, &b] {
        node.set_fault(None, NodeFault::Refuse);
    }
    let down = |scrape: &Scrape| scrape.value("betanet_up{target=\"pool\"}") == Some(0.0);
    stand.until("the target is down", down).await;
    let refused = |scrape: &Scrape| {
        let refused = scrape.select("betanet_poll_results_total{error_type=\"circuit_open\"}");
        refused.len() == 3
    };
    stand.until("no requests are sent", refused).await;
    b.clear_faults();
    let up = |scrape: &Scrape| scrape.value("betanet_up{target=\"pool\"}") == Some(1.0);
    stand.until("one is enough", up).await;
}

/// A pool whose instances are in a file.
struct Listed {
    folder: TempDir,
    stand: Stand,
}

impl Listed {
    async fn start(nodes: &[&Node]) -> Self {
        let folder = TempDir::new().unwrap();
        list(&folder, nodes);
        let keys = format!(
            "file_sd_configs: [{{files: ['{}/*.json']}}], \
             relabel_configs: [{{target_label: __pool__, replacement: pool}}]",
            folder.path().display()
        );
        let stand = options().start_with(&keys).await;
        stand.until_polls("pool", 3.0).await;
        Self { folder, stand }
    }

    /// Waits until a scrape has it. The pool itself must be in every scrape.
    async fn until(&self, what: &str, has: impl Fn(&Scrape) -> bool) -> Scrape {
        let has = |scrape: &Scrape| {
            assert_eq!(scrape.select("betanet_up").len(), 1, "{}", scrape.text);
            assert_eq!(scrape.value("betanet_up{target=\"pool\"}"), Some(1.0));
            assert_eq!(scrape.sum("betanet_source_up"), 3.0);
            let dropped = scrape.select("betanet_packets_dropped_total");
            let values: Vec<_> = dropped.iter().map(|sample| sample.value.as_str()).collect();
            assert_eq!(values, [DROPPED], "{what}");
            for results in scrape.select("betanet_poll_results_total") {
                assert_eq!(results.labels["outcome"], "fresh", "no poll is lost");
            }
            has(scrape)
        };
        self.stand.until(what, has).await
    }
}

/// The value of a documented node.
const DROPPED: &str = "10";

/// Replaces the list atomically, as deployments do. One of its entries is invalid.
fn list(folder: &TempDir, nodes: &[&Node]) {
    let addresses: Vec<_> = nodes
        .iter()
        .map(|node| node.address().to_string())
        .collect();
    let text = json!([{"targets": addresses}, {"targets": ["no address"]}]).to_string();
    let new = folder.path().join("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, folder.path().join("pool.json")).unwrap();
}

#[tokio::test]
async fn instances_of_a_pool_can_change_in_a_file_without_a_gap() {
    let (a, b, c) = (documented_node(), documented_node(), documented_node());
    let pool = Listed::start(&[&a, &b]).await;
    let (requests, state) = (
        "betanet_balancer_requests_total",
        "betanet_circuit_breaker_state",
    );
    a.set_fault(None, NodeFault::Refuse);
    let opened = |scrape: &Scrape| of(scrape, state, &a) > 0.0;
    let before = pool.until("the breakers of `a` open", opened).await;
    let failed = of(&before, requests, &a);

    list(&pool.folder, &[&c, &b, &a]);
    let joined = |scrape: &Scrape| of(scrape, requests, &c) > 0.0;
    let scrape = pool.until("`c` gets requests", joined).await;
    assert!(of(&scrape, requests, &a) >= failed, "`a` keeps its state");
    assert!(of(&scrape, state, &a) > 0.0, "and is still ejected");
    assert!(of(&scrape, requests, &b) >= of(&before, requests, &b));
    let own = pool.stand.own().await;
    let found =
        |result: &str| own.sum(&format!("betanet_discovery_targets{{result=\"{result}\"}}"));
    assert_eq!((found("kept"), found("invalid")), (3.0, 1.0));

    list(&pool.folder, &[&c]);
    let instance = format!("betanet_instance=\"{}\"", b.address());
    let left = |scrape: &Scrape| {
        scrape
            .select(&format!("{requests}{{{instance}}}"))
            .is_empty()
    };
    let alone = pool.until("`b` is gone", left).await;
    let more = |scrape: &Scrape| of(scrape, requests, &c) > of(&alone, requests, &c) + 3.0;
    pool.until("only `c` gets requests", more).await;

    // All instances change at once.
    a.clear_faults();
    list(&pool.folder, &[&a, &b]);
    let back = |scrape: &Scrape| of(scrape, requests, &a) > 0.0 && of(scrape, requests, &b) > 0.0;
    pool.until("`a` and `b` get requests", back).await;

    list(&pool.folder, &[]);
    let gone = |scrape: &Scrape| scrape.select("betanet_up").is_empty();
    pool.stand.until("the pool is gone", gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_polls_each_replica() {
    let (sound, port) = (documented_node(), free_port());
    let config = format!(
        "yaml:{{receivers: {{betanet: {{targets: [{{name: pool, mode: replicas, \
         endpoints: ['{}', 'http://127.0.0.1:{port}']}}]}}}}, exporters: {{debug: }}, \
         service: {{pipelines: {{metrics: {{receivers: [betanet], exporters: [debug]}}}}}}}}",
        sound.url()
    );
    let output = beside(root(), &["check", "--config", &config]).await;
    assert_eq!(output.code, Some(1), "{}", output.stdout);
    let answers = format!("pool@{} (betanet)", sound.address());
    let refuses = format!("pool@127.0.0.1:{port} (betanet)");
    let order = [
        answers,
        "betanet_messages_total".to_owned(),
        refuses,
        "no values".to_owned(),
    ];
    let mut rest = output.stdout.as_str();
    for part in &order {
        let behind = rest.split_once(part.as_str());
        rest = behind
            .unwrap_or_else(|| panic!("no `{part}` in:\n{}", output.stdout))
            .1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_assigns_a_whole_pool_to_one_shard() {
    let (a, b) = (documented_node(), documented_node());
    let [of_a, of_b] = [&a, &b].map(Node::address);
    let keys = format!(
        "targets: [{{name: fixed, mode: replicas, endpoints: ['http://{of_a}', 'http://{of_b}']}}], \
         static_configs: [{{targets: ['{of_a}', '{of_b}'], labels: {{__pool__: found}}}}]"
    );
    let mut shown = 0;
    for index in 0..4 {
        let config = format!(
            "yaml:{{receivers: {{betanet: {{{keys}, shard: {{index: {index}, count: 4}}}}}}, \
             exporters: {{debug: }}, \
             service: {{pipelines: {{metrics: {{receivers: [betanet], exporters: [debug]}}}}}}}}"
        );
        let output = beside(root(), &["check", "--config", &config]).await;
        let mut here = 0;
        for pool in ["fixed", "found"] {
            let has = |node| output.stdout.contains(&format!("{pool}@{node} (betanet)"));
            assert_eq!(has(of_a), has(of_b), "{}", output.stdout);
            here += u32::from(has(of_a));
        }
        let code = i32::from(here == 0);
        assert_eq!(output.code, Some(code), "a shard without targets says so");
        shown += here;
    }
    assert_eq!(shown, 2);
}
