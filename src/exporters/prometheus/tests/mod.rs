//! Tests of what a scrape shows after certain polls.

mod build;
mod conflicts;
mod exemplars;
mod fixture;
mod labels;
mod lifetime;
mod open_metrics;
mod oracle;
mod parser;
mod probe;
mod properties;
mod rows;
mod times;
mod utf8;

use opentelemetry::{KeyValue, metrics::MeterProvider as _};
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, SdkMeterProvider, Stream, data::ResourceMetrics,
    reader::MetricReader as _,
};
use prometheus::{Registry, TextEncoder};

use super::{Config, NameFilter, Prometheus, TextFormat};
use crate::{pipeline::StateStore, telemetry::Meter};
use fixture::{builder, collect, export, exporter, gauges, meter, samples, scrape, target};

const BOTH: [bool; 2] = [true, true];

fn everything(provider: &SdkMeterProvider) {
    let network = provider.meter("betanet/network");
    let sent = network.u64_counter("betanet_bytes_transmitted_total");
    let sent = sent
        .with_unit("By")
        .with_description("Bytes \\ sent.\nAll of them.")
        .build();
    sent.add(u64::MAX, &[]);
    let load = network.f64_gauge("betanet.load").with_unit("1").build();
    load.record(1e-9, &[KeyValue::new("kind", "small")]);
    network
        .i64_up_down_counter("betanet.peers")
        .build()
        .add(-3, &[]);
    let latency = network
        .f64_histogram("betanet_message_latency_seconds")
        .with_unit("s");
    let latency = latency.with_boundaries(vec![0.005, 0.5, 1.0]).build();
    for value in [0.25, 0.5, 2.0] {
        latency.record(value, &[KeyValue::new("le", "mine")]);
    }
    let own = provider.meter("betanet-collector");
    let results = own
        .u64_counter("betanet.poll.results")
        .with_unit("{poll}")
        .build();
    let outcome = KeyValue::new("outcome", "fresh");
    results.add(1, &[KeyValue::new("url.template", "/a\"b\\c\nd"), outcome]);
}

#[test]
fn a_scrape_has_the_expected_text() {
    let exporter = exporter();
    let target = target("node-1", &[("region", "eu")]);
    export(&exporter, &target, BOTH, &[collect(everything)]);
    assert_eq!(
        scrape(&exporter),
        r#"# HELP betanet_bytes_transmitted_total Bytes \\ sent.\nAll of them.
# TYPE betanet_bytes_transmitted_total counter
betanet_bytes_transmitted_total{target="node-1",region="eu"} 18446744073709551615
# TYPE betanet_load_ratio gauge
betanet_load_ratio{target="node-1",region="eu",kind="small"} 1e-9
# TYPE betanet_message_latency_seconds histogram
betanet_message_latency_seconds_bucket{target="node-1",region="eu",exported_le="mine",le="0.005"} 0
betanet_message_latency_seconds_bucket{target="node-1",region="eu",exported_le="mine",le="0.5"} 2
betanet_message_latency_seconds_bucket{target="node-1",region="eu",exported_le="mine",le="1.0"} 2
betanet_message_latency_seconds_bucket{target="node-1",region="eu",exported_le="mine",le="+Inf"} 3
betanet_message_latency_seconds_sum{target="node-1",region="eu",exported_le="mine"} 2.75
betanet_message_latency_seconds_count{target="node-1",region="eu",exported_le="mine"} 3
# TYPE betanet_peers gauge
betanet_peers{target="node-1",region="eu"} -3
# TYPE betanet_poll_results_total counter
betanet_poll_results_total{target="node-1",region="eu",outcome="fresh",url_template="/a\"b\\c\nd"} 1
# HELP target_info Target metadata
# TYPE target_info gauge
target_info{target="node-1",server_port="9000",service_name="betanet"} 1
"#
    );
    parser::parse(&scrape(&exporter));
}

#[test]
fn labels_never_collide() {
    let exporter = exporter();
    let target = target("node-1", &[("target", "configured"), ("a.b", "base")]);
    let metrics = collect(|provider| {
        let gauge = provider.meter("betanet/network").u64_gauge("x").build();
        let attributes = [
            ("c-d", "2"),
            ("target", "attribute"),
            ("c.d", "3"),
            ("a_b", "4"),
            ("c d", "1"),
        ];
        gauge.record(1, &attributes.map(|(key, value)| KeyValue::new(key, value)));
    });
    export(&exporter, &target, BOTH, &[metrics]);
    let expected = "x{target=\"node-1\",a_b=\"base\",exported_target=\"configured\",c_d=\"1;2;3\",\
                    exported_a_b=\"4\",exported_exported_target=\"attribute\"} 1";
    assert_eq!(samples(&exporter), [expected]);
}

#[test]
fn epochs_of_a_counter_are_one_family() {
    let exporter = exporter();
    let epoch = |id: &'static str, value| {
        collect(move |provider| {
            let counter = provider
                .meter("betanet/mixnodes")
                .u64_counter("packets")
                .build();
            counter.add(value, &[KeyValue::new("id", id)]);
        })
    };
    let parts = [epoch("a", 7), epoch("b", 1), epoch("a", 99)];
    export(&exporter, &target("n", &[]), BOTH, &parts);
    // The older epoch keeps the series that both have.
    let expected = [
        "packets_total{target=\"n\",id=\"a\"} 7",
        "packets_total{target=\"n\",id=\"b\"} 1",
    ];
    assert_eq!(samples(&exporter), expected);
}

#[test]
fn endpoints_of_a_target_share_a_family_but_no_series() {
    let exporter = exporter();
    let target = target("n", &[]);
    let parts = [
        gauges("betanet/network", &[("x", "a", 1), ("x", "b", 2)]),
        gauges("betanet/mixnodes", &[("x", "b", 3), ("x", "c", 4)]),
    ];
    export(&exporter, &target, BOTH, &parts);
    let expected = [
        "x{target=\"n\",id=\"a\"} 1",
        "x{target=\"n\",id=\"b\"} 2",
        "x{target=\"n\",id=\"c\"} 4",
    ];
    let mut shown = samples(&exporter);
    shown.sort();
    assert_eq!(shown, expected);
}

/// The exporter's own metrics after `polls`.
fn own_metrics(polls: impl FnOnce(&Prometheus)) -> String {
    own_metrics_of(&Config::default(), polls)
}

fn own_metrics_of(config: &Config, polls: impl FnOnce(&Prometheus)) -> String {
    let registry = Registry::new();
    let reader = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .without_target_info()
        .without_counter_suffixes()
        .without_units()
        .scope_info_enabled(false);
    let provider = SdkMeterProvider::builder()
        .with_reader(reader.build().unwrap())
        .build();
    let exporter = Prometheus::new(
        "prometheus/x",
        config,
        &Meter::of(&provider),
        &StateStore::default(),
    );
    polls(&exporter);
    TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap()
}

#[test]
fn exponential_histograms_are_counted_but_not_shown() {
    let own = own_metrics(|exporter| {
        let (builder, pull) = builder();
        let exponential = |_: &Instrument| {
            let aggregation = Aggregation::Base2ExponentialHistogram {
                max_size: 160,
                max_scale: 20,
                record_min_max: false,
            };
            Stream::builder().with_aggregation(aggregation).build().ok()
        };
        let provider = builder.with_view(exponential).build();
        provider
            .meter("betanet/network")
            .f64_histogram("x")
            .build()
            .record(1.0, &[]);
        let mut metrics = ResourceMetrics::default();
        pull.collect(&mut metrics).unwrap();
        export(exporter, &target("n", &[]), BOTH, &[metrics]);
        assert!(samples(exporter).is_empty());
    });
    let dropped = "betanet_exporter_dropped_metric_points{exporter=\"prometheus/x\",reason=\"unsupported\"} 1\n";
    assert!(own.contains(dropped), "{own}");
}

#[test]
fn large_scrapes_come_in_chunks() {
    let exporter = exporter();
    for number in 0..2_000 {
        let name = format!("node-{number:0100}");
        export(
            &exporter,
            &target(&name, &[]),
            BOTH,
            &[gauges("betanet/network", &[("x", "a", 1)])],
        );
    }
    let chunks: Vec<_> = exporter.scrape(NameFilter::all(TextFormat::Text)).collect();
    assert!(chunks.len() > 4 && chunks.iter().all(|chunk| chunk.len() <= 64 * 1024));
    assert_eq!(samples(&exporter).len(), 2_000);
}

#[test]
fn the_key_of_the_opentelemetry_collector_works() {
    let written = r#"{"metric_expiration": "7s"}"#;
    let config: Config = serde_json::from_str(written).unwrap();
    assert_eq!(config.max_stale, crate::settings::Duration::from_secs(7));
    assert_eq!(config.endpoint, Config::default().endpoint);
}
