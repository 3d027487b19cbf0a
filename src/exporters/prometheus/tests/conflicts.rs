//! Tests of conflicts, by the rules of the Prometheus compatibility specification.

use opentelemetry::metrics::MeterProvider as _;

use super::{
    BOTH, Config, NameFilter, TextFormat, collect, export, exporter,
    fixture::{exporter_of, read},
    gauges, own_metrics,
    parser::parse,
    samples, scrape, target,
};
use crate::exporters::prometheus::{TranslationStrategy, lock};

#[test]
fn a_conflict_of_types_drops_only_the_later_metric() {
    let own = own_metrics(|exporter| {
        let (first, second) = (target("first", &[]), target("second", &[]));
        let counter = collect(|provider| {
            let counter = provider.meter("betanet/network").u64_counter("x").build();
            counter.add(5, &[]);
        });
        export(exporter, &first, BOTH, &[counter]);
        let gauge = gauges(
            "betanet/network",
            &[("x_total", "a", 1), ("x_total", "b", 1), ("y", "a", 2)],
        );
        export(exporter, &second, BOTH, &[gauge]);
        assert_eq!(
            samples(exporter),
            [
                "x_total{target=\"first\"} 5",
                "y{target=\"second\",id=\"a\"} 2"
            ]
        );
    });
    let dropped = "betanet_exporter_dropped_metric_points{exporter=\"prometheus/x\",reason=\"type_conflict\"} 2\n";
    assert!(own.contains(dropped), "{own}");
    let series = "betanet_exporter_series{exporter=\"prometheus/x\"} 4\n";
    assert!(own.contains(series), "{own}");
}

#[test]
fn of_two_descriptions_the_first_one_stays() {
    let exporter = exporter();
    for name in ["first", "second"] {
        let metrics = collect(|provider| {
            let meter = provider.meter("betanet/network");
            let gauge = meter.u64_gauge("x").with_description(name);
            gauge.build().record(1, &[]);
        });
        export(&exporter, &target(name, &[]), BOTH, &[metrics]);
    }
    let scrape = parse(&scrape(&exporter));
    assert_eq!(scrape.help["x"], "first");
    assert_eq!(scrape.samples.len(), 4);
}

#[test]
fn of_two_units_the_first_one_stays() {
    let shown = |units: [&'static str; 2]| {
        let exporter = exporter_of(&Config {
            translation_strategy: Some(TranslationStrategy::NoTranslation),
            ..Config::default()
        });
        for (name, unit) in ["first", "second"].into_iter().zip(units) {
            let metrics = collect(|provider| {
                let meter = provider.meter("betanet/network");
                let gauge = meter.u64_gauge("x_seconds").with_unit(unit);
                gauge.build().record(1, &[]);
            });
            export(&exporter, &target(name, &[]), BOTH, &[metrics]);
        }
        let scrape = parse(&read(&exporter, NameFilter::all(TextFormat::OpenMetrics)));
        assert_eq!(scrape.types["x_seconds"], "gauge");
        scrape.units.get("x_seconds").cloned()
    };
    assert_eq!(shown(["s", "By"]).as_deref(), Some("seconds"));
    assert_eq!(shown(["By", "s"]), None);
}

#[test]
fn a_conflict_is_logged_once_and_counted_at_each_poll() {
    let own = own_metrics(|exporter| {
        let counter = collect(|provider| {
            let meter = provider.meter("betanet/network");
            meter.u64_counter("x").build().add(5, &[]);
        });
        export(exporter, &target("first", &[]), BOTH, &[counter]);
        let second = target("second", &[]);
        for _ in 0..3 {
            let gauge = gauges("betanet/network", &[("x_total", "a", 1)]);
            export(exporter, &second, BOTH, &[gauge]);
        }
        assert_eq!(lock(&exporter.warned).len(), 1);
    });
    assert!(own.contains("reason=\"type_conflict\"} 3\n"), "{own}");
}

#[test]
fn a_target_has_one_target_info_and_no_other_metric_has_this_name() {
    let own = own_metrics(|exporter| {
        for name in ["m", "n"] {
            let epochs = [
                gauges("betanet/network", &[("target.info", "a", 7)]),
                gauges("betanet/network", &[("x", "a", 1)]),
            ];
            export(exporter, &target(name, &[]), BOTH, &epochs);
        }
        let text = scrape(exporter);
        parse(&text);
        let infos: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("target_info"))
            .collect();
        let attributes = r#"server_port="9000",service_name="betanet""#;
        let expected =
            ["m", "n"].map(|name| format!("target_info{{target=\"{name}\",{attributes}}} 1"));
        assert_eq!(infos, expected);
    });
    assert!(own.contains("reason=\"type_conflict\"} 2\n"), "{own}");
}

#[test]
fn duplicate_series_of_a_target_are_counted() {
    let own = own_metrics(|exporter| {
        let parts = [
            gauges("betanet/network", &[("x", "a", 1), ("x", "b", 2)]),
            // These are from another endpoint, and from another epoch of the same one.
            gauges("betanet/mixnodes", &[("x", "b", 3), ("x", "c", 4)]),
            gauges("betanet/network", &[("x", "a", 5)]),
        ];
        export(exporter, &target("n", &[]), BOTH, &parts);
        assert_eq!(samples(exporter).len(), 3);
    });
    assert!(own.contains("reason=\"duplicate_series\"} 2\n"), "{own}");
}
