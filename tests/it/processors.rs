//! Tests of processors in the real program, and of the examples in `docs/processors.md`.

use betanet_collector::simulator::{Dialect, NodeFault};

use crate::support::{
    PATIENCE,
    command::run,
    eventually,
    sink::{Kind, OtlpSink, Point, Value},
    source::root,
    stand::{Options, documented_node, node},
};

/// The YAML of each example.
fn examples() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("docs/processors.md")).unwrap();
    let blocks = text.split("```yaml\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_examples_of_the_documentation_are_valid() {
    let examples = examples();
    assert!(examples.len() >= 6, "{} examples", examples.len());
    for example in examples {
        let id = example.lines().nth(1).unwrap().trim().trim_end_matches(':');
        let rest = format!(
            "receivers: {{betanet: {{targets: [{{endpoint: 'http://localhost:9000'}}]}}}}\n\
             exporters: {{debug: }}\n\
             service: {{pipelines: {{metrics: {{receivers: [betanet], processors: [{id}], exporters: [debug]}}}}}}"
        );
        let (example, rest) = (format!("yaml:{example}"), format!("yaml:{rest}"));
        let output = run(&["validate", "--config", &example, "--config", &rest], &[]);
        assert_eq!(output.code, Some(0), "{id}: {}", output.stderr);
        // `debug` does not send OTLP.
        let silent = !["batch", "cumulativetodelta"].contains(&id);
        assert_eq!(output.stderr.is_empty(), silent, "{id}: {}", output.stderr);
    }
}

#[tokio::test]
async fn a_fleet_is_filtered_labeled_and_aggregated() {
    let nodes = [documented_node(), documented_node()];
    let options = Options {
        processors: vec![
            (
                "attributes",
                "{actions: [{key: tier, value: edge, action: insert}]}",
            ),
            (
                "aggregate",
                "{interval: 100ms, metrics: [{include: betanet_connected_peers, functions: [sum, avg]}, {include: betanet_bytes_transmitted_total}]}",
            ),
            (
                "filter",
                "{metric_conditions: ['name == \"betanet.scrape.duration\"']}",
            ),
        ],
        ..Options::default()
    };
    let stand = options.start(&[("a", &nodes[0]), ("b", &nodes[1])]).await;
    let whole =
        "betanet_aggregate_coverage_ratio{metric=\"betanet_connected_peers\",target=\"fleet\"}";
    let scrape = stand
        .until("both are in", |scrape| {
            (scrape.sum(whole) - 1.0).abs() < 1e-9
        })
        .await;
    assert_eq!(
        scrape.sum("fleet_betanet_connected_peers_sum{target=\"fleet\"}"),
        14.0
    );
    assert_eq!(
        scrape.sum("fleet_betanet_connected_peers_avg{target=\"fleet\"}"),
        7.0
    );
    assert_eq!(
        scrape.sum("fleet_betanet_bytes_transmitted_total{target=\"fleet\"}"),
        0.0
    );
    assert_eq!(
        scrape.sum("betanet_up{tier=\"edge\"}"),
        2.0,
        "report metrics too"
    );
    assert_eq!(scrape.sum("betanet_connected_peers{tier=\"edge\"}"), 14.0);
    assert!(!scrape.text.contains("betanet_scrape_duration"));
    let own = stand.own().await;
    let (incoming, outgoing) = (
        own.sum("otelcol_processor_incoming_items{processor=\"filter\"}"),
        own.sum("otelcol_processor_outgoing_items{processor=\"filter\"}"),
    );
    assert!(
        incoming > outgoing && outgoing > 0.0,
        "{incoming} {outgoing}"
    );
}

#[tokio::test]
async fn metrics_are_renamed_scaled_and_combined() {
    let node = documented_node();
    let options = Options {
        processors: vec![(
            "metricstransform",
            "{transforms: [
                {include: betanet_message_latency_average_seconds, action: update, new_name: node.latency, operations: [
                    {action: experimental_scale_value, experimental_scale: 1000},
                    {action: add_label, new_label: scale, new_value: milli}]},
                {include: betanet_bytes_transmitted_total, action: insert, new_name: sent},
                {include: '^betanet_bytes_(?P<direction>.*)_total$', match_type: regexp, action: combine, new_name: traffic},
                {include: betanet.up, action: insert, new_name: alive}]}",
        )],
        ..Options::default()
    };
    let stand = options.start(&[("a", &node)]).await;
    let scrape = stand.after_polls("a", 2).await;
    for (series, value) in [
        ("node_latency_seconds{scale=\"milli\"}", 45.0),
        ("sent_bytes_total", 1_000_000.0),
        (
            "traffic_bytes_total{direction=\"transmitted\"}",
            1_000_000.0,
        ),
        ("traffic_bytes_total{direction=\"received\"}", 500_000.0),
        ("betanet_up", 1.0),
        ("alive", 1.0),
    ] {
        assert_eq!(scrape.sum(series), value, "{series} in {}", scrape.text);
    }
    assert!(!scrape.text.contains("betanet_bytes"), "{}", scrape.text);
}

#[tokio::test]
async fn grouped_metrics_are_a_separate_target() {
    let node = documented_node();
    let options = Options {
        processors: vec![
            (
                "metricstransform",
                "{transforms: [{include: '^betanet_bytes_(?P<direction>.*)_total$', match_type: regexp, action: combine, new_name: traffic}]}",
            ),
            ("groupbyattrs", "{keys: [direction]}"),
        ],
        ..Options::default()
    };
    let stand = options.start(&[("a", &node)]).await;
    let scrape = stand.after_polls("a", 2).await;
    for (series, value) in [
        ("traffic_bytes_total{target=\"a/transmitted\"}", 1_000_000.0),
        ("traffic_bytes_total{target=\"a/received\"}", 500_000.0),
        (
            "target_info{target=\"a/received\",direction=\"received\"}",
            1.0,
        ),
        ("target_info{target=\"a\"}", 1.0),
        ("betanet_connected_peers{target=\"a\"}", 7.0),
        ("betanet_up", 1.0),
    ] {
        assert_eq!(scrape.sum(series), value, "{series} in {}", scrape.text);
    }
}

#[tokio::test]
async fn totals_are_deltas_over_otlp_and_totals_on_a_scrape() {
    let (node, sink) = (documented_node(), OtlpSink::start().await);
    let options = Options {
        processors: vec![(
            "cumulativetodelta",
            "{exclude: {match_type: strict, metrics: [betanet_messages_total]}}",
        )],
        exporters: vec![(
            "otlp_http".to_owned(),
            format!("{{endpoint: \"{}\"}}", sink.url()),
        )],
        ..Options::default()
    };
    let stand = options.start(&[("a", &node)]).await;
    stand.after_polls("a", 2).await;
    let mut grown = 0;
    for (bytes, more) in [(1_000_500, 500), (200, 200), (250, 50)] {
        node.update(|state| state.bytes_transmitted = bytes);
        grown += more;
        let what = format!("{grown} bytes have arrived");
        sink.wait(&what, |points| sum(&deltas(points)) == grown)
            .await;
    }
    let scrape = stand.scrape().await;
    assert_eq!(scrape.sum("betanet_bytes_transmitted_total"), 250.0);

    let points = sink.points();
    let deltas = deltas(&points);
    let kind = Kind::Sum {
        monotonic: true,
        cumulative: false,
    };
    assert!(deltas.iter().all(|point| point.kind == kind));
    for pair in deltas.windows(2) {
        assert_eq!(pair[0].time, pair[1].start_time, "without a gap");
    }
    let others = points
        .iter()
        .filter(|point| point.name == "betanet_messages_total");
    let cumulative = Kind::Sum {
        monotonic: true,
        cumulative: true,
    };
    assert!(others.clone().count() > 0 && others.clone().all(|point| point.kind == cumulative));
}

fn deltas(points: &[Point]) -> Vec<&Point> {
    let named = |point: &&Point| point.name == "betanet_bytes_transmitted_total";
    points.iter().filter(named).collect()
}

fn sum(points: &[&Point]) -> i64 {
    let values = points.iter().map(|point| match point.value {
        Value::Int(value) => value,
        ref other => panic!("{other:?}"),
    });
    values.sum()
}

#[tokio::test]
async fn above_the_memory_limit_nodes_are_polled_one_at_a_time() {
    let (first, second) = (node(Dialect::Betanet), node(Dialect::Betanet));
    for node in [&first, &second] {
        node.set_fault(None, NodeFault::HangBeforeHeaders);
    }
    let options = Options {
        processors: vec![("memory_limiter", "{check_interval: 100ms, limit_mib: 1}")],
        ..Options::default()
    };
    let stand = options.start(&[("a", &first), ("b", &second)]).await;
    let refused = "betanet_memory_limiter_refused_polls";
    eventually("polls are refused", PATIENCE, async || {
        (stand.own().await.sum(refused) >= 3.0).then_some(())
    })
    .await;
    assert!(first.requests() + second.requests() > 0, "one of them");
}
