//! Tests of OpenMetrics, the filter by name, and scrapes in progress during polls.

use super::{
    BOTH, NameFilter, TextFormat, collect, everything, export, exporter, fixture::read, gauges,
    target,
};
use crate::{exporters::prometheus::name::AggregationKind, pipeline::Exporter as _};

fn wanted(format: TextFormat, names: &[&str]) -> NameFilter {
    NameFilter {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..NameFilter::all(format)
    }
}

#[test]
fn openmetrics_differs_only_in_the_lines_about_families() {
    let exporter = exporter();
    export(&exporter, &target("n", &[]), BOTH, &[collect(everything)]);
    let open = read(&exporter, NameFilter::all(TextFormat::OpenMetrics));
    let about: Vec<_> = open.lines().filter(|line| line.starts_with('#')).collect();
    let expected = [
        "# HELP betanet_bytes_transmitted Bytes \\\\ sent.\\nAll of them.",
        "# TYPE betanet_bytes_transmitted counter",
        "# TYPE betanet_load_ratio gauge",
        "# UNIT betanet_load_ratio ratio",
        "# TYPE betanet_message_latency_seconds histogram",
        "# UNIT betanet_message_latency_seconds seconds",
        "# TYPE betanet_peers gauge",
        "# TYPE betanet_poll_results counter",
        "# HELP target Target metadata",
        "# TYPE target info",
        "# EOF",
    ];
    assert_eq!(about, expected);
    assert!(open.ends_with("\n# EOF\n"));
    let text = read(&exporter, NameFilter::all(TextFormat::Text));
    let samples = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(samples(&open), samples(&text));
}

#[test]
fn a_counter_whose_openmetrics_name_is_taken_has_no_type_there() {
    let exporter = exporter();
    let metrics = collect(|provider| {
        let meter = opentelemetry::metrics::MeterProvider::meter(provider, "betanet/network");
        meter.u64_gauge("x").build().record(1, &[]);
        meter.u64_counter("x_total").build().add(2, &[]);
        meter.u64_gauge("y_created").build().record(3, &[]);
        meter.u64_counter("y_total").build().add(4, &[]);
    });
    export(&exporter, &target("n", &[]), BOTH, &[metrics]);
    let open = read(&exporter, NameFilter::all(TextFormat::OpenMetrics));
    for line in [
        "# TYPE x gauge",
        "# TYPE x_total unknown",
        "# TYPE y_total unknown",
    ] {
        assert!(open.contains(&format!("{line}\n")), "{open}");
    }
}

#[test]
fn a_metric_that_looks_like_a_part_of_a_histogram_is_dropped() {
    let exporter = exporter();
    let histogram = collect(|provider| {
        let meter = opentelemetry::metrics::MeterProvider::meter(provider, "betanet/network");
        meter.u64_gauge("y_sum").build().record(1, &[]);
        meter.u64_histogram("y").build().record(1, &[]);
        meter.u64_histogram("x").build().record(1, &[]);
        meter.u64_gauge("x_count").build().record(1, &[]);
    });
    export(&exporter, &target("n", &[]), BOTH, &[histogram]);
    let text = read(&exporter, NameFilter::all(TextFormat::Text));
    assert!(text.contains("# TYPE x histogram\n"), "{text}");
    assert!(!text.contains("# TYPE x_count "), "{text}");
    assert!(text.contains("# TYPE y_sum gauge\n"), "{text}");
    assert!(!text.contains("# TYPE y histogram"), "{text}");
}

#[test]
fn names_select_families() {
    let exporter = exporter();
    export(&exporter, &target("n", &[]), BOTH, &[collect(everything)]);
    let types = |names: &[&str]| -> Vec<String> {
        let text = read(&exporter, wanted(TextFormat::Text, names));
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.map(str::to_owned).collect()
    };
    let latency = "betanet_message_latency_seconds histogram";
    assert_eq!(types(&["betanet_message_latency_seconds"]), [latency]);
    assert_eq!(types(&["betanet_message_latency_seconds_sum"]), [latency]);
    let both = [
        "betanet_bytes_transmitted_total counter",
        "target_info gauge",
    ];
    assert_eq!(types(&["betanet_bytes_transmitted", "target_info"]), both);
    assert!(types(&["betanet"]).is_empty());
    let nothing = read(&exporter, wanted(TextFormat::OpenMetrics, &["betanet"]));
    assert_eq!(nothing, "# EOF\n");

    let query = "a=b&name[]=x&name%5B%5D=y_total";
    let asked = NameFilter::from_query(NameFilter::all(TextFormat::Text).form, query);
    assert_eq!(asked, wanted(TextFormat::Text, &["x", "y_total"]));
    assert!(
        asked.is_named("y_total", AggregationKind::Counter)
            && !asked.is_named("z", AggregationKind::Gauge)
    );
}

/// Enough targets for several pieces.
const TARGETS: usize = 2_000;

#[test]
fn a_scrape_continues_while_targets_are_added_changed_and_removed() {
    let exporter = exporter();
    let targets: Vec<_> = (0..TARGETS)
        .map(|n| target(&format!("node-{n:0100}"), &[]))
        .collect();
    let poll = |targets: &[_], value| {
        for target in targets {
            let metrics = gauges("betanet/network", &[("a", "a", value), ("b", "a", value)]);
            export(&exporter, target, BOTH, &[metrics]);
        }
    };
    poll(&targets, 1);
    let mut scrape = exporter.scrape(NameFilter::all(TextFormat::Text));
    let mut text = String::from_utf8(scrape.next().unwrap().to_vec()).unwrap();
    poll(&targets, 2);
    for gone in &targets[TARGETS / 2..] {
        exporter.forget(gone);
    }
    text.extend(scrape.map(|piece| String::from_utf8(piece.to_vec()).unwrap()));
    let read = super::parser::parse(&text);
    let of = |name: &str, value: &str| {
        let samples = read.samples.iter();
        samples
            .filter(|((n, _), v)| n == name && *v == value)
            .count()
    };
    let old = of("a", "1");
    assert!(old > 0 && old < TARGETS / 2, "{old}");
    assert_eq!(
        (old + of("a", "2"), of("b", "2")),
        (TARGETS / 2, TARGETS / 2)
    );
}

#[test]
fn a_family_that_changes_its_type_during_a_scrape_ends_there() {
    let exporter = exporter();
    let targets: Vec<_> = (0..TARGETS)
        .map(|n| target(&format!("node-{n:0100}"), &[]))
        .collect();
    for target in &targets {
        export(
            &exporter,
            target,
            BOTH,
            &[gauges("betanet/network", &[("a_total", "a", 1)])],
        );
    }
    let mut scrape = exporter.scrape(NameFilter::all(TextFormat::Text));
    let mut text = String::from_utf8(scrape.next().unwrap().to_vec()).unwrap();
    targets.iter().for_each(|target| exporter.forget(target));
    let counter = collect(|provider| {
        let meter = opentelemetry::metrics::MeterProvider::meter(provider, "betanet/network");
        meter.u64_counter("a_total").build().add(2, &[]);
    });
    export(&exporter, &target("new", &[]), BOTH, &[counter]);
    text.extend(scrape.map(|piece| String::from_utf8(piece.to_vec()).unwrap()));
    assert!(!text.contains("target=\"new\"} 2"), "{text}");
    super::parser::parse(&text);
}
