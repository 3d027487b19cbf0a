//! What the OpenTelemetry Collector and Prometheus themselves make of our start times: the lifetime
//! total of a node is never an increase, however often we are restarted.
//!
//! `tests/collector/run` builds both and runs these tests.

use std::time::Duration;

use betanet_collector::simulator::Node;

use crate::support::{
    collector::Collector,
    eventually, free_port, open_metrics,
    otelcol::OtelCollector,
    prometheus::Prometheus,
    sink::{Kind, OtlpSink, Point, Value},
    stand::documented_node,
};

/// What the node had counted before anyone asked it; a double still knows each unit.
const LIFETIME: u64 = 4_000_000_000_000_000;
const LIFETIME_DOUBLE: f64 = 4e15;
/// What it counts in each of our lives, half of it while we do not poll.
const GROWTH: u32 = 130;
const LIVES: u32 = 3;
const TOTAL: &str = "betanet_messages_total";
const GAUGE: &str = "betanet_connected_peers";

/// Building takes longer than anything else here; a busy machine may be slow too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Our program before a node, always on the same port.
struct Restarted {
    node: Node,
    port: u16,
    exporter: String,
}

impl Restarted {
    fn new(exporter: &str) -> Self {
        let node = documented_node();
        node.update(|state| state.packets_processed = LIFETIME);
        Self {
            node,
            port: free_port(),
            exporter: exporter.to_owned(),
        }
    }

    async fn start(&self) -> Collector {
        let (url, port, exporter) = (self.node.url(), self.port, &self.exporter);
        let (id, _) = exporter.split_once(':').unwrap();
        let config = format!(
            "receivers: {{betanet: {{collection_interval: 200ms, timeout: 150ms, target_metrics: normal, \
             targets: [{{name: node, endpoint: \"{url}\"}}]}}}}\n\
             exporters: {{{exporter}}}\n\
             extensions: {{health_check: {{endpoint: \"127.0.0.1:{port}\"}}}}\n\
             service:\n  extensions: [health_check]\n  telemetry: {{metrics: {{level: none}}}}\n  \
             pipelines: {{metrics: {{receivers: [betanet], exporters: [{id}]}}}}\n"
        );
        let ready = format!("http://127.0.0.1:{port}/livez");
        Collector::start(&config, &[], &ready).await
    }

    fn grow(&self) {
        self.node
            .update(|state| state.packets_processed += u64::from(GROWTH / 2));
    }

    /// Waits until the node was polled after all that happened before.
    async fn polled(&self) {
        self.node.wait_for_requests(self.node.requests() + 10).await;
    }
}

async fn stop(collector: Collector) {
    let (code, log) = collector.stop().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
#[ignore = "needs an OpenTelemetry Collector: run tests/collector/run"]
async fn deltas_of_a_real_collector_are_what_a_total_grew_by() {
    let sink = OtlpSink::start().await;
    let otelcol = OtelCollector::start(&sink.url()).await;
    let us = Restarted::new(&format!(
        "otlp_http: {{endpoint: \"{}\", sending_queue: {{batch: {{flush_timeout: 20ms}}}}}}",
        otelcol.url
    ));
    for _ in 0..LIVES {
        let collector = us.start().await;
        us.polled().await;
        us.grow();
        us.polled().await;
        stop(collector).await;
        // While the node is not polled. Our start time is new then, so the Collector takes the
        // first total after it as a beginning, and this part is in no delta.
        us.grow();
    }
    let collector = us.start().await;
    us.polled().await;
    stop(collector).await;
    let truth = i64::from(LIVES * (GROWTH / 2));
    let points = sink
        .wait("the last delta", |points| sum(points) >= truth)
        .await;
    assert_eq!(sum(&points), truth, "{:?}", deltas(&points));
    let gauges: Vec<_> = points.iter().filter(|of| of.name == GAUGE).collect();
    assert!(gauges.len() > 10, "{}", gauges.len());
    for gauge in gauges {
        assert_eq!((gauge.start_time, gauge.kind), (0, Kind::Gauge));
    }
}

/// What the total of the node grew by, point by point.
fn deltas(points: &[Point]) -> Vec<i64> {
    let points = points.iter().filter(|of| of.name == TOTAL);
    let delta = |point: &Point| {
        let kind = Kind::Sum {
            monotonic: true,
            cumulative: false,
        };
        assert_eq!(point.kind, kind);
        match point.value {
            Value::Int(delta) => delta,
            ref other => panic!("{other:?}"),
        }
    };
    points.map(delta).collect()
}

fn sum(points: &[Point]) -> i64 {
    deltas(points).iter().sum()
}

#[tokio::test]
#[ignore = "needs a new Prometheus: run tests/collector/run"]
async fn created_timestamps_put_no_zero_before_a_total_of_a_node_or_a_gauge() {
    let port = free_port();
    let mut us = Restarted::new(&format!(
        "prometheus: {{endpoint: \"127.0.0.1:{port}\", \
         enable_open_metrics_text_created_samples: true}}"
    ));
    us.port = port;
    let scrape = format!(
        "scrape_configs: [{{job_name: us, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]"
    );
    let feature = "--enable-feature=created-timestamp-zero-ingestion";
    let prometheus = Prometheus::start_with(&scrape, &[feature]).await;
    for life in 1..=LIVES {
        let collector = us.start().await;
        us.polled().await;
        seen(&prometheus, (life - 1) * GROWTH).await;
        us.grow();
        us.polled().await;
        seen(&prometheus, (life - 1) * GROWTH + GROWTH / 2).await;
        if life == 1 {
            assert_created(port).await;
        }
        stop(collector).await;
        us.grow();
    }
    let collector = us.start().await;
    seen(&prometheus, LIVES * GROWTH).await;
    stop(collector).await;
    for (name, least) in [(TOTAL, LIFETIME_DOUBLE), (GAUGE, 1.0)] {
        let series = prometheus.samples(name).await;
        let [(labels, samples)] = series.as_slice() else {
            panic!("one series: {series:?}");
        };
        assert!(samples.iter().all(|(_, value)| *value >= least), "{labels}");
    }
    let resets = prometheus.number(&format!("resets({TOTAL}[1d])")).await;
    assert_eq!(resets, Some(0.0));
    // What is not seen at both ends it makes up, half a scrape each.
    let increase = prometheus.number(&format!("increase({TOTAL}[1d])")).await;
    let (increase, truth) = (increase.unwrap(), f64::from(LIVES * GROWTH));
    assert!((truth..truth * 1.5).contains(&increase), "{increase}");
    // What we count ourselves began at 0 when we did, and Prometheus is told so.
    let own = prometheus
        .samples("betanet_poll_results_total{outcome='fresh'}")
        .await;
    let zeros = own.iter().flat_map(|(_, samples)| samples);
    let zeros = zeros.filter(|(_, value)| *value == 0.0).count();
    assert!(zeros >= LIVES as usize, "{own:?}");
}

/// Waits until Prometheus knows that the total grew by so much.
async fn seen(prometheus: &Prometheus, growth: u32) {
    eventually(&format!("{TOTAL} grew by {growth}"), PATIENCE, async || {
        let value = prometheus.number(TOTAL).await?;
        (value == LIFETIME_DOUBLE + f64::from(growth)).then_some(())
    })
    .await;
}

/// Only of what we count ourselves do we say since when.
async fn assert_created(port: u16) {
    let text = open_metrics(&format!("http://127.0.0.1:{port}/metrics")).await;
    let created: Vec<_> = text.lines().filter(|of| of.contains("_created{")).collect();
    assert!(!created.is_empty());
    assert!(
        created.iter().all(|of| !of.starts_with("betanet_messages")),
        "{created:?}"
    );
}
