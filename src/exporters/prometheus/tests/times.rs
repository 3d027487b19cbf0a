//! Tests of observation times and start times.

use std::time::Duration;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::data::ResourceMetrics;

use super::{
    BOTH, Config, NameFilter, Prometheus, TextFormat, collect, export, fixture, parser, target,
};
use crate::exporters::prometheus::{Escaping, OutputFormat, TranslationStrategy};

fn totals() -> ResourceMetrics {
    collect(|provider| {
        let meter = provider.meter("betanet/network");
        meter.u64_counter("a.b").build().add(1, &[]);
        meter.u64_counter("unknown").build().add(1, &[]);
        meter.u64_counter("taken").build().add(1, &[]);
        meter.u64_gauge("taken.created").build().record(1, &[]);
        meter.i64_up_down_counter("level").build().add(1, &[]);
        let latency = meter.f64_histogram("latency").with_boundaries(vec![1.0]);
        latency.build().record(0.5, &[]);
    })
}

/// Seconds in the syntax of OpenMetrics.
fn seconds(time: Duration) -> String {
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}

fn shown(exporter: &Prometheus, format: TextFormat) -> String {
    fixture::read(exporter, NameFilter::all(format))
}

#[test]
fn values_have_the_time_of_the_poll_if_configured() {
    let config = Config {
        send_timestamps: true,
        ..Config::default()
    };
    let exporter = fixture::exporter_of(&config);
    let millis = fixture::TIME.as_millis();
    export(&exporter, &target("n", &[]), BOTH, &[totals()]);
    let text = parser::parse(&shown(&exporter, TextFormat::Text));
    assert!(text.times.contains(&millis.to_string()), "{:?}", text.times);
    let open = parser::parse(&shown(&exporter, TextFormat::OpenMetrics));
    let seconds = seconds(fixture::TIME);
    assert!(open.times.contains(&seconds), "{:?}", open.times);
    assert_eq!(open.samples, text.samples);
    let shown = shown(&exporter, TextFormat::Text);
    let info = shown.lines().find(|line| line.starts_with("target_info{"));
    assert!(info.unwrap().ends_with("} 1"), "{shown}");
    let without = fixture::exporter();
    export(&without, &target("n", &[]), BOTH, &[totals()]);
    assert!(
        parser::parse(&fixture::read(&without, NameFilter::all(TextFormat::Text)))
            .times
            .is_empty()
    );
}

#[test]
fn totals_have_a_start_time_in_openmetrics_if_configured() {
    let config = Config {
        enable_open_metrics_text_created_samples: true,
        ..Config::default()
    };
    let exporter = fixture::exporter_of(&config);
    export(&exporter, &target("n", &[]), BOTH, &[totals()]);
    let open = shown(&exporter, TextFormat::OpenMetrics);
    let read = parser::parse(&open);
    let created: Vec<_> = read
        .samples
        .iter()
        .filter(|((name, _), _)| name.ends_with("_created"))
        .collect();
    let names: Vec<_> = created.iter().map(|((name, _), _)| name.as_str()).collect();
    // A counter without a type has no such sample, an up-down counter never has one, and nobody
    // knows the start time of what a node counted before its first poll.
    assert_eq!(names, ["a_b_created", "latency_created", "taken_created"]);
    assert_eq!(*created[0].1, seconds(fixture::BEGAN));
    assert!(open.contains("# TYPE taken_total unknown\n"), "{open}");
    assert!(open.contains("# TYPE taken_created gauge\n"), "{open}");
    // The sample comes after the total that it belongs to.
    let (_, behind) = open.split_once("a_b_total{").unwrap();
    let next = behind.lines().nth(1).unwrap();
    assert!(next.starts_with("a_b_created{target=\"n\"} "), "{open}");

    let text = shown(&exporter, TextFormat::Text);
    assert_eq!(text.matches("_created{").count(), 1, "{text}");
    let plain = fixture::exporter();
    export(&plain, &target("n", &[]), BOTH, &[totals()]);
    assert_eq!(
        shown(&plain, TextFormat::OpenMetrics)
            .matches("_created{")
            .count(),
        1
    );
}

#[test]
fn quoted_names_have_a_start_time_in_every_escaping() {
    let config = Config {
        enable_open_metrics_text_created_samples: true,
        send_timestamps: true,
        translation_strategy: Some(TranslationStrategy::NoUTF8EscapingWithSuffixes),
        ..Config::default()
    };
    let exporter = fixture::exporter_of(&config);
    export(&exporter, &target("n", &[]), BOTH, &[totals()]);
    for (escaping, expected) in [
        (Escaping::AllowUtf8, "{\"a.b_created\",target=\"n\"} 1"),
        (Escaping::Underscores, "a_b_created{target=\"n\"} 1"),
        (Escaping::Dots, "a_dot_b__created{target=\"n\"} 1"),
        (Escaping::Values, "U__a_2e_b__created{target=\"n\"} 1"),
    ] {
        let form = OutputFormat {
            format: TextFormat::OpenMetrics,
            escaping,
        };
        let open = fixture::read(
            &exporter,
            NameFilter {
                form,
                ..NameFilter::all(form.format)
            },
        );
        parser::parse(&open);
        assert!(open.contains(expected), "{open}");
    }
}
