//! Tests with a real Prometheus that scrapes the real program.

use std::collections::BTreeSet;

use betanet_collector::simulator::{Dialect, Node, NodeFault};
use serde_json::json;

use crate::support::{
    PATIENCE, eventually, open_metrics,
    prometheus::{Prometheus, promtool_check_metrics},
    stand::{Options, Stand, documented_node, node},
};

/// A Prometheus that scrapes only `stand`.
async fn prometheus(stand: &Stand) -> Prometheus {
    prometheus_with(stand, &[]).await
}

/// A Prometheus with more arguments.
async fn prometheus_with(stand: &Stand, arguments: &[&str]) -> Prometheus {
    let scrape = format!(
        "scrape_configs: [{{job_name: betanet, static_configs: [{{targets: ['{}']}}]}}]",
        stand.address
    );
    Prometheus::start_with(&scrape, arguments).await
}

async fn until(prometheus: &Prometheus, promql: &str, enough: impl Fn(f64) -> bool) -> f64 {
    eventually(promql, PATIENCE, async || {
        prometheus
            .number(promql)
            .await
            .filter(|value| enough(*value))
    })
    .await
}

async fn equals(prometheus: &Prometheus, promql: &str, expected: f64) {
    assert_eq!(prometheus.number(promql).await, Some(expected), "{promql}");
}

#[tokio::test]
#[ignore = "needs prometheus and rotel: run tests/run"]
async fn prometheus_has_the_values_of_the_documented_api() {
    const LARGEST_EXACT: u64 = 1 << 53;
    let node = documented_node();
    node.update(|state| {
        state.packets_processed = LARGEST_EXACT;
        state.packets_dropped = LARGEST_EXACT - 1;
    });
    let stand = Options::default().start(&[("node", &node)]).await;
    let prometheus = prometheus(&stand).await;
    until(&prometheus, "betanet_up", |up| up == 1.0).await;
    for (promql, expected) in [
        ("betanet_messages_total", 9_007_199_254_740_992.0),
        ("betanet_packets_dropped_total", 9_007_199_254_740_991.0),
        ("betanet_connected_peers{target='node',job='betanet'}", 7.0),
        ("betanet_mixnode_active", 5.0),
        ("betanet_mixnode_inactive", 2.0),
        ("betanet_bytes_transmitted_total", 1_000_000.0),
        ("betanet_bytes_received_total", 500_000.0),
        ("betanet_message_latency_average_seconds", 0.045),
        ("betanet_peak_throughput_bytes_per_second", 10_000.0),
        ("target_info{service_name='betanet',url_scheme='http'}", 1.0),
    ] {
        equals(&prometheus, promql, expected).await;
    }
    // The queries of the alerts find their metrics.
    let rate = "rate(betanet_message_latency_seconds_bucket[1m])";
    let quantile = format!("histogram_quantile(0.95, {rate})");
    let latency = until(&prometheus, &quantile, |value| value > 0.0).await;
    assert!((0.025..=0.05).contains(&latency), "{latency}");
    assert_eq!(
        prometheus.query("betanet_connected_peers < 3").await,
        json!([])
    );
}

#[tokio::test]
#[ignore = "needs prometheus and rotel: run tests/run"]
async fn prometheus_has_every_mixnode_and_a_removed_one_becomes_stale() {
    let node = node(Dialect::Mixnode);
    node.update(|state| {
        for (mixnode, packets) in state.mixnodes.iter_mut().zip(1_000..) {
            mixnode.packets_processed = packets;
        }
    });
    let stand = Options::default().start(&[("node", &node)]).await;
    let prometheus = prometheus(&stand).await;
    until(&prometheus, "betanet_up", |up| up == 1.0).await;
    let processed =
        |id: &str| format!("betanet_mixnode_packets_processed_total{{betanet_mixnode_id='{id}'}}");
    let mixnodes = node.state().mixnodes;
    for mixnode in &mixnodes {
        let expected = f64::from(u32::try_from(mixnode.packets_processed).unwrap());
        equals(&prometheus, &processed(&mixnode.id), expected).await;
    }
    let sum = "betanet_packets_processed_total - on(target) \
               sum by (target) (betanet_mixnode_packets_processed_total)";
    equals(&prometheus, sum, 0.0).await;

    let gone = node.update(|state| state.remove_mixnode()).unwrap();
    eventually("the mixnode is stale", PATIENCE, async || {
        let series = prometheus.query(&processed(&gone.id)).await;
        (series == json!([])).then_some(())
    })
    .await;
    let left = f64::from(u32::try_from(mixnodes.len()).unwrap()) - 1.0;
    equals(&prometheus, "count(betanet_mixnode_uptime_seconds)", left).await;
}

#[tokio::test]
#[ignore = "needs prometheus and rotel: run tests/run"]
async fn a_node_that_is_down_causes_no_zero_in_prometheus() {
    let node = documented_node();
    let stand = Options::default().start(&[("node", &node)]).await;
    let prometheus = prometheus(&stand).await;
    until(&prometheus, "count_over_time(betanet_up[1m])", |n| n >= 2.0).await;
    node.stop().await;
    let zeros = "count_over_time((betanet_up == 0)[1m:1s])";
    until(&prometheus, zeros, |seconds| seconds >= 4.0).await;
    for (promql, expected) in [
        ("min_over_time(betanet_connected_peers[1m])", 7.0),
        ("min_over_time(betanet_mixnode_active[1m])", 5.0),
        ("min_over_time(betanet_messages_total[1m])", 5_000.0),
        ("resets(betanet_messages_total[1m])", 0.0),
        ("increase(betanet_messages_total[1m])", 0.0),
        ("betanet_connected_peers", 7.0),
        ("betanet_messages_total", 5_000.0),
        ("betanet_up", 0.0),
        ("up", 1.0),
        ("sum(betanet_source_up)", 0.0),
    ] {
        equals(&prometheus, promql, expected).await;
    }
    let age = "min(time() - betanet_source_last_success_timestamp_seconds)";
    until(&prometheus, age, |age| age >= 4.0).await;
}

/// Lets the node process packets until `promql` gives at least `enough`. Returns the number of
/// packets.
async fn busy_until(node: &Node, prometheus: &Prometheus, promql: &str, enough: f64) -> u64 {
    const BATCH: u64 = 10;
    let mut packets = 0;
    eventually(promql, PATIENCE, async || {
        node.update(|state| state.packets_processed += BATCH);
        packets += BATCH;
        prometheus.number(promql).await.filter(|v| *v >= enough)
    })
    .await;
    packets
}

#[tokio::test]
#[ignore = "needs prometheus and rotel: run tests/run"]
async fn a_restart_neither_doubles_an_increase_nor_makes_it_negative() {
    let node = documented_node();
    let stand = Options::default().start(&[("node", &node)]).await;
    let prometheus = prometheus(&stand).await;
    let samples = "count_over_time(betanet_messages_total[1m])";
    let mut made = busy_until(&node, &prometheus, samples, 6.0).await;
    node.restart();
    let resets = "resets(betanet_messages_total[1m])";
    made += busy_until(&node, &prometheus, resets, 1.0).await;
    let so_far = prometheus.number(samples).await.unwrap();
    made += busy_until(&node, &prometheus, samples, so_far + 6.0).await;

    equals(&prometheus, resets, 1.0).await;
    let seen = sampled_increase(&prometheus).await;
    let increase = "increase(betanet_messages_total[1m])";
    let increase = prometheus.number(increase).await.unwrap();
    let seconds = so_far + 5.0;
    let made = f64::from(u32::try_from(made).unwrap());
    // Packets between a scrape and a restart, or before the first scrape, are never seen.
    assert!(seen <= made, "{seen} of {made}");
    assert!(seen > made * 0.6, "{seen} of {made}");
    // Prometheus extrapolates by at most one scrape at either end.
    let most = seen * (1.0 + 2.5 / seconds);
    assert!(
        (seen..=most).contains(&increase),
        "{seen} {increase} {most}"
    );
    // The 5000 from before, or a second start, would be visible in any window.
    let rates = "rate(betanet_messages_total[4s])[1m:1s]";
    let slowest = prometheus.number(&format!("min_over_time({rates})")).await;
    let fastest = prometheus.number(&format!("max_over_time({rates})")).await;
    assert!(slowest >= Some(0.0), "{slowest:?}");
    assert!(fastest < Some(made / seconds * 4.0), "{fastest:?}");
    // The other totals fell too, and have not changed since.
    let dropped = "increase(betanet_packets_dropped_total[1m])";
    equals(&prometheus, dropped, 0.0).await;
}

/// The increase according to the samples: the sum of all steps, where a fall is a step from zero.
async fn sampled_increase(prometheus: &Prometheus) -> f64 {
    let series = prometheus.query("betanet_messages_total[1m]").await;
    let samples = series[0]["values"].as_array().unwrap();
    let values: Vec<f64> = samples
        .iter()
        .map(|sample| sample[1].as_str().unwrap().parse().unwrap())
        .collect();
    let steps = values.windows(2).map(|pair| match pair[1] - pair[0] {
        fall if fall < 0.0 => pair[1],
        step => step,
    });
    steps.sum()
}

#[tokio::test]
#[ignore = "needs prometheus and rotel: run tests/run"]
async fn promtool_accepts_the_metrics_of_the_nodes() {
    let (sound, broken, mixnode) = (documented_node(), documented_node(), node(Dialect::Mixnode));
    broken.set_fault(Some("/api/v1/nodes/status"), NodeFault::CutBody);
    broken.set_fault(
        Some("/api/v1/metrics"),
        NodeFault::MissingField("packets_dropped".to_owned()),
    );
    let nodes = [
        ("sound", &sound),
        ("broken", &broken),
        ("mixnode", &mixnode),
    ];
    let options = Options {
        target: "labels: {region: eu}",
        ..Options::default()
    };
    let stand = options.start(&nodes).await;
    for (target, _) in nodes {
        stand.until_polls(target, 2.0).await;
    }
    sound.restart();
    let scrape = stand.after_polls("sound", 2).await;
    // Betanet operators asked for this name. promtool accepts it, with a remark about one word.
    let remark = "betanet_counter_resets_total metric name should not include type 'counter'";
    assert_eq!(
        promtool_check_metrics(&scrape.text).trim(),
        remark,
        "{}",
        scrape.text
    );
}

#[tokio::test]
#[ignore = "needs prometheus and rotel: run tests/run"]
async fn promtool_accepts_the_metrics_of_the_collector() {
    let node = documented_node();
    let stand = Options::default().start(&[("node", &node)]).await;
    stand.until_polls("node", 2.0).await;
    let own = stand.own().await;
    let complaints = promtool_check_metrics(&own.text);
    // The names are the OpenTelemetry Collector's, whose counters have no suffix on this endpoint.
    let others: Vec<_> = complaints
        .lines()
        .filter(|line| !line.ends_with("counter metrics should have \"_total\" suffix"))
        .collect();
    assert!(others.is_empty(), "{others:?}\n{}", own.text);
    let polls = "betanet_receiver_polls{receiver=\"betanet\",outcome=\"up\"}";
    assert!(own.value(polls) >= Some(2.0), "{}", own.text);
}

#[tokio::test]
#[ignore = "needs prometheus and rotel: run tests/run"]
async fn prometheus_has_what_remote_write_sends() {
    let node = documented_node();
    let (prometheus, url) = Prometheus::receiving().await;
    let settings = format!(
        "{{endpoint: \"{url}\", external_labels: {{cluster: test}}, resource_to_telemetry_conversion: {{enabled: true}}}}"
    );
    let options = Options {
        exporters: vec![("prometheusremotewrite".to_owned(), settings)],
        ..Options::default()
    };
    let stand = options.start(&[("node", &node)]).await;
    until(&prometheus, "betanet_up", |up| up == 1.0).await;
    for (promql, expected) in [
        ("betanet_messages_total", 5_000.0),
        (
            "betanet_bytes_transmitted_total{job='betanet',instance='node'}",
            1_000_000.0,
        ),
        (
            "betanet_connected_peers{cluster='test',url_scheme='http'}",
            7.0,
        ),
        ("betanet_message_latency_average_seconds", 0.045),
        ("target_info{instance='node',url_scheme='http'}", 1.0),
    ] {
        equals(&prometheus, promql, expected).await;
    }
    let seconds = "betanet_message_latency_seconds";
    until(&prometheus, &format!("{seconds}_count"), |count| {
        count >= 2.0
    })
    .await;
    let median = format!("histogram_quantile(1, {seconds}_bucket)");
    until(&prometheus, &median, |bound| (bound - 0.05).abs() < 1e-9).await;

    node.update(|state| state.bytes_transmitted = 2_000_000);
    until(&prometheus, "betanet_bytes_transmitted_total", |bytes| {
        bytes == 2_000_000.0
    })
    .await;
    let own = stand.own().await;
    let of = "{exporter=\"prometheusremotewrite\"}";
    assert!(own.sum(&format!("otelcol_exporter_sent_metric_points{of}")) > 0.0);
    let rejected = own.sum(&format!("betanet_exporter_rejected_metric_points{of}"));
    assert_eq!(rejected, 0.0, "in order");
    // The series of a removed node end at once, not after five minutes.
    drop(node);
    until(&prometheus, "betanet_up", |up| up == 0.0).await;
    eventually("its series have ended", PATIENCE, async || {
        let left = prometheus.query("betanet_messages_total").await;
        left.as_array()?.is_empty().then_some(())
    })
    .await;
    equals(&prometheus, "betanet_up", 0.0).await;
}

#[tokio::test]
#[ignore = "needs prometheus and rotel: run tests/run"]
async fn prometheus_keeps_the_trace_of_a_poll() {
    let node = documented_node();
    let options = Options {
        interval: "1s",
        // Nothing accepts the traces, which does not affect the polls.
        telemetry: "traces: {processors: [{batch: {exporter: {otlp: {endpoint: \"http://127.0.0.1:9\"}}}}]}",
        ..Options::default()
    };
    let stand = options.start(&[("node", &node)]).await;
    let prometheus = prometheus_with(&stand, &["--enable-feature=exemplar-storage"]).await;
    let url = format!("http://{}/metrics", stand.address);
    let mut shown = BTreeSet::new();
    eventually("an exemplar is stored", PATIENCE, async || {
        let page = open_metrics(&url).await;
        let ids = page.split("{trace_id=\"").skip(1);
        shown.extend(ids.filter_map(|rest| Some(rest.get(..32)?.to_owned())));
        let kept = prometheus.exemplars("betanet_poll_results_total").await;
        let mut ids = kept
            .iter()
            .filter_map(|of| of["labels"]["trace_id"].as_str());
        ids.any(|id| shown.contains(id)).then_some(())
    })
    .await;
}
