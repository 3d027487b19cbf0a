//! Tests of the log lines.

use std::{sync::Arc, time::UNIX_EPOCH};

use opentelemetry::{KeyValue, metrics::MeterProvider as _};
use opentelemetry_sdk::{
    Resource,
    metrics::{SdkMeterProvider, reader::MetricReader as _},
};

use super::*;
use crate::{
    delivery::testing::{Reader, logged},
    exporters::testing::target,
    pipeline::OtlpForm,
};

/// A total with two series, and a histogram.
fn metrics() -> ResourceMetrics {
    let reader = Reader::default();
    let resource = Resource::builder_empty().with_attribute(KeyValue::new("service.name", "one"));
    let provider = SdkMeterProvider::builder()
        .with_reader(reader.clone())
        .with_resource(resource.build())
        .build();
    let meter = provider.meter("scope");
    let total = meter.u64_counter("total").with_unit("By").build();
    total.add(u64::MAX, &[KeyValue::new("node", "a\nb")]);
    total.add(2, &[]);
    let histogram = meter.f64_histogram("latency").with_boundaries(vec![1.0]);
    histogram.build().record(0.5, &[]);
    let mut metrics = ResourceMetrics::default();
    reader.collect(&mut metrics).unwrap();
    metrics
}

/// The log lines of this number of simultaneous polls, and of the drain after them.
async fn shown(config: Config, polls: usize) -> Vec<String> {
    let (lines, guard) = logged();
    let (exporter, target) = (config.exporter("debug"), target("one"));
    let metrics = [metrics()];
    for _ in 0..polls {
        let (target, metrics) = (&target, &metrics);
        exporter.export(&Snapshot {
            target,
            fresh: &[],
            lost: &[],
            is_refused: false,
            time: UNIX_EPOCH,
            starts: &(),
            resource: &Arc::new(metrics[0].resource().clone()),
            metrics,
            histograms: &[],
            exemplars: &[],
            otlp: OtlpForm::new(Vec::new),
        });
    }
    exporter.drain(Instant::now()).await;
    drop(guard);
    lines.text().lines().map(str::to_owned).collect()
}

fn config(verbosity: Verbosity) -> Config {
    Config {
        verbosity,
        sampling_thereafter: 0,
        ..Config::default()
    }
}

#[tokio::test(start_paused = true)]
async fn basic_logs_counts_in_one_line_per_second() {
    let lines = shown(config(Verbosity::Basic), 10).await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].ends_with("polls=1 metrics=2 points=3"),
        "{lines:?}"
    );
    assert!(
        lines[1].ends_with("polls=9 metrics=18 points=27"),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn normal_logs_one_line_for_each_metric() {
    let lines = shown(config(Verbosity::Normal), 10).await;
    assert_eq!(lines.len(), 2 * 2, "two polls in one second: {lines:?}");
    assert!(
        lines
            .iter()
            .any(|line| line.contains(r#"node=\"a\\nb\""#) && line.contains("{} 2")),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn detailed_logs_one_line_for_each_point_with_all_details() {
    let lines = shown(config(Verbosity::Detailed), 1).await;
    assert_eq!(lines.len(), 1 + 3, "{lines:?}");
    assert!(lines[0].contains(r#"service.name=\"one\""#), "{lines:?}");
    let all = lines.join(" ");
    for part in [
        "18446744073709551615",
        "scope=\"scope\"",
        "unit=\"By\"",
        "count=1 sum=0.5 bounds=[1.0] counts=[1, 0]",
    ] {
        assert!(all.contains(part), "{part}: {lines:?}");
    }
}
