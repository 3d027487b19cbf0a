//! A new configuration while the program runs, under load.

use betanet_collector::simulator::{Dialect, Node};

use crate::support::{
    PATIENCE,
    collector::Collector,
    eventually, free_port, get,
    scrape::Scrape,
    sink::OtlpSink,
    stand::{node, polls},
};

/// How often it is reloaded; every second time with a broken file.
const RELOADS: usize = 100;

/// A program whose configuration changes.
struct Reloading {
    collector: Collector,
    address: String,
    own_port: u16,
    sink: OtlpSink,
    nodes: Vec<Node>,
}

impl Reloading {
    async fn start(nodes: usize) -> Self {
        let nodes: Vec<_> = (0..nodes).map(|_| node(Dialect::Betanet)).collect();
        let (address, own_port) = (format!("127.0.0.1:{}", free_port()), free_port());
        let sink = OtlpSink::start().await;
        let config = config(&nodes, &address, own_port, &sink.url());
        let ready = format!("http://{address}/livez");
        let collector = Collector::start(&config, &[], &ready).await;
        Self {
            collector,
            address,
            own_port,
            sink,
            nodes,
        }
    }

    /// The configuration with the first `count` nodes.
    fn with(&self, count: usize) -> String {
        config(
            &self.nodes[..count],
            &self.address,
            self.own_port,
            &self.sink.url(),
        )
    }

    /// Status and text of a `POST /-/reload` with this configuration.
    async fn reload(&self, config: &str) -> (u16, String) {
        self.collector.configure(config);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("http://{}/-/reload", self.address);
        let answer = client.post(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn scrape(&self) -> Scrape {
        let answer = get(format!("http://{}/metrics", self.address)).await;
        Scrape::parse(answer.unwrap().text().await.unwrap())
    }

    async fn own(&self) -> Scrape {
        let answer = get(format!("http://127.0.0.1:{}/metrics", self.own_port)).await;
        Scrape::parse(answer.unwrap().text().await.unwrap())
    }

    fn open_files(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.collector.id());
        std::fs::read_dir(folder).unwrap().count()
    }
}

fn config(nodes: &[Node], address: &str, own_port: u16, sink: &str) -> String {
    let targets = nodes.iter().enumerate();
    let targets = targets.map(|(n, node)| format!("{{endpoint: \"{}\", name: n{n}}}", node.url()));
    let targets = targets.collect::<Vec<_>>().join(", ");
    format!(
        "receivers: {{betanet: {{collection_interval: 1s, timeout: 5s, deadline: 5s, \
         retry: {{max_retries: 0}}, targets: [{targets}]}}}}\n\
         exporters:\n  prometheus: {{endpoint: \"{address}\"}}\n  otlp_http: {{endpoint: \"{sink}\"}}\n\
         extensions: {{health_check: {{endpoint: \"{address}\", lifecycle: true}}}}\n\
         service:\n  extensions: [health_check]\n  \
         telemetry: {{metrics: {{readers: [{{pull: {{exporter: {{prometheus: \
         {{host: 127.0.0.1, port: {own_port}}}}}}}}}]}}}}\n  \
         pipelines: {{metrics: {{receivers: [betanet], exporters: [prometheus, otlp_http]}}}}\n"
    )
}

#[tokio::test]
async fn a_hundred_reloads_under_load_cost_nothing_that_did_not_change() {
    let stand = Reloading::start(4).await;
    eventually("all are polled", PATIENCE, async || {
        let scrape = stand.scrape().await;
        (0..4)
            .all(|n| polls(&scrape, &format!("n{n}")) >= 1.0)
            .then_some(())
    })
    .await;
    let (files, started) = (stand.open_files(), polls(&stand.scrape().await, "n0"));
    for round in 0..RELOADS {
        let count = 3 + round / 2 % 2;
        let (broken, good) = (
            stand.with(count).replace("betanet", "betanot"),
            stand.with(count),
        );
        let is_broken = round % 2 == 1;
        let (status, text) = stand.reload(if is_broken { &broken } else { &good }).await;
        assert_eq!(status, if is_broken { 500 } else { 200 }, "{text}");
        let scrape = stand.scrape().await;
        for n in 0..3 {
            let up = scrape.value(&format!("betanet_up{{target=\"n{n}\"}}"));
            assert_eq!(up, Some(1.0), "no gap in the series of n{n}");
        }
        let own = stand.own().await;
        let successful = own.value("betanet_config_last_reload_successful");
        assert_eq!(successful, Some(f64::from(u8::from(!is_broken))));
    }
    let polled = polls(&stand.scrape().await, "n0");
    assert!(
        polled > started,
        "the count goes on: {polled} after {started}"
    );
    let missed = stand.scrape().await.sum("betanet_poll_missed_ticks_total");
    assert_eq!(missed, 0.0, "ticks were missed");
    let more = stand.open_files().saturating_sub(files);
    assert!(more <= 16, "{more} more open files");
    let (code, log) = stand.collector.stop().await;
    assert_eq!(code, Some(0), "{log}");
    // Each poll of a node that stayed arrived, and none twice.
    let points = stand.sink.points();
    let mut times: Vec<_> = points
        .iter()
        .filter(|point| point.name == "betanet.up")
        .filter(|point| {
            point
                .resource
                .get("service.instance.id")
                .is_some_and(|id| id == "n0")
        })
        .map(|point| point.time)
        .collect();
    let arrived = times.len();
    times.dedup();
    assert_eq!(times.len(), arrived, "none twice");
    assert!(arrived as f64 >= polled, "{arrived} of at least {polled}");
}

#[tokio::test]
async fn sighup_reloads_and_what_needs_a_restart_is_refused() {
    let stand = Reloading::start(2).await;
    stand.collector.configure(&stand.with(1));
    stand.collector.signal("HUP");
    eventually("n1 is gone from a scrape", PATIENCE, async || {
        let scrape = stand.scrape().await;
        let gone = scrape.select("betanet_up{target=\"n1\"}").is_empty();
        (gone && polls(&scrape, "n0") >= 1.0).then_some(())
    })
    .await;
    let other = stand
        .with(1)
        .replace(&stand.sink.url(), "http://127.0.0.1:9");
    let (status, text) = stand.reload(&other).await;
    assert_eq!(status, 500);
    let expected =
        "the running configuration stays: changes of exporters::otlp_http need a restart\n";
    assert_eq!(text, expected);
    let health = get(format!("http://{}/health", stand.address))
        .await
        .unwrap();
    let health: serde_json::Value = serde_json::from_str(&health.text().await.unwrap()).unwrap();
    let config = &health["components"]["service:config"];
    assert_eq!(config["status"], "StatusRecoverableError", "{health:#}");
    let get_it = get(format!("http://{}/-/reload", stand.address)).await;
    assert_eq!(get_it.unwrap().status(), 405);
    assert_eq!(stand.reload(&stand.with(2)).await.0, 200);
}
