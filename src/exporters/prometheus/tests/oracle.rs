//! Compares with an independent parser, and with opentelemetry-prometheus.

use opentelemetry::{KeyValue, metrics::MeterProvider as _};
use opentelemetry_sdk::metrics::{
    SdkMeterProvider, data::ResourceMetrics, reader::MetricReader as _,
};
use prometheus::{Registry, TextEncoder};
use proptest::prelude::*;

use super::{
    BOTH,
    fixture::{builder, collect, export, exporter, scrape, target},
    parser::parse,
};

proptest! {
    #[test]
    fn any_text_survives(
        name in ".*",
        help in ".*|[\\\\\"\n]*",
        attributes in prop::collection::btree_map(".*|[a_.]{0,3}", ".*|[\\\\\"\n,{}=]*", 0..4),
        label in ".*",
    ) {
        let exporter = exporter();
        let target = target(&name, &[(&label, &help)]);
        let metrics = collect(|provider| {
            let meter = provider.meter("betanet/network");
            let pairs = attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
            let pairs: Vec<_> = pairs.collect();
            meter.u64_gauge("x").with_description(help.clone()).build().record(1, &pairs);
            meter.u64_histogram("y").build().record(1, &pairs);
        });
        export(&exporter, &target, BOTH, &[metrics]);
        let scrape = parse(&scrape(&exporter));
        prop_assert_eq!(scrape.help.get("x").map_or("", String::as_str), &help);
        let (_, labels) = scrape.samples.keys().find(|(name, _)| name == "x").unwrap();
        prop_assert_eq!(&labels["target"], &name);
        let values: Vec<_> = labels.values().flat_map(|joined| joined.split(';')).collect();
        for value in attributes.values().flat_map(|value| value.split(';')) {
            prop_assert!(values.contains(&value), "{:?} in {:?}", value, values);
        }
    }

    #[test]
    fn any_double_survives(value: f64) {
        let exporter = exporter();
        let metrics = collect(|provider| {
            provider.meter("betanet/network").f64_gauge("x").build().record(value, &[]);
        });
        export(&exporter, &target("n", &[]), BOTH, &[metrics]);
        let scrape = parse(&scrape(&exporter));
        let (_, read) = scrape.samples.iter().find(|((name, _), _)| name == "x").unwrap();
        let read: f64 = read.parse().unwrap();
        prop_assert!(read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan()));
    }
}

fn instruments(provider: &SdkMeterProvider) {
    let meter = provider.meter("betanet/network");
    let series = |id: &'static str| {
        [
            KeyValue::new("mix.id", id),
            KeyValue::new("note", "a\"b\\c\nd"),
        ]
    };
    let counter = meter
        .u64_counter("packets_total")
        .with_description("Packets.")
        .build();
    let level = meter.i64_up_down_counter("level").build();
    let gauge = meter.f64_gauge("load_seconds").with_unit("s").build();
    let histogram = meter
        .f64_histogram("latency_seconds")
        .with_unit("s")
        .build();
    for (id, value) in [("a", 1_u32), ("b", 70_000)] {
        counter.add(value.into(), &series(id));
        level.add(-i64::from(value), &series(id));
        gauge.record(f64::from(value) / 7.0, &series(id));
        histogram.record(f64::from(value), &series(id));
        histogram.record(0.5, &series(id));
    }
}

#[test]
fn the_text_agrees_with_opentelemetry_prometheus() {
    let registry = Registry::new();
    let oracle = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .without_units()
        .without_counter_suffixes()
        .scope_info_enabled(false);
    // Two readers of one provider do not disturb each other with synchronous instruments.
    let (builder, pull) = builder();
    let provider = builder.with_reader(oracle.build().unwrap()).build();
    instruments(&provider);
    let mut metrics = ResourceMetrics::default();
    pull.collect(&mut metrics).unwrap();
    let exporter = exporter();
    export(&exporter, &target("n", &[]), BOTH, &[metrics]);

    let expected = parse(
        &TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap(),
    );
    let mut ours = parse(&scrape(&exporter));
    assert_eq!(ours.types, expected.types);
    let without_target = ours.samples.into_iter().map(|((name, mut labels), value)| {
        assert_eq!(labels.remove("target").as_deref(), Some("n"));
        // The bounds of the other program are not canonical.
        if let Some(bound) = labels.get_mut("le") {
            *bound = bound.strip_suffix(".0").unwrap_or(bound).to_owned();
        }
        ((name, labels), value)
    });
    ours.samples = without_target.collect();
    assert_eq!(ours.samples, expected.samples);
}
