//! Tests of names that not every scraper can read.

use opentelemetry::{KeyValue, metrics::MeterProvider as _};

use super::{
    BOTH, Config, NameFilter, Prometheus, TextFormat, collect, export, fixture, own_metrics_of,
    target,
};
use crate::{
    exporters::prometheus::{Escaping, OutputFormat, TranslationStrategy},
    pipeline::Exporter as _,
};

fn config(strategy: TranslationStrategy) -> Config {
    Config {
        translation_strategy: Some(strategy),
        ..Config::default()
    }
}

fn untranslated() -> Config {
    config(TranslationStrategy::NoTranslation)
}

/// A counter, a histogram and a gauge.
fn filled(config: &Config) -> Prometheus {
    let exporter = fixture::exporter_of(config);
    let metrics = collect(|provider| {
        let meter = provider.meter("betanet/network");
        let counter = meter.u64_counter("http.server.bytes").with_unit("By");
        counter.build().add(1, &[]);
        let latency = meter.f64_histogram("a/b").with_boundaries(vec![1.0]);
        let latency = latency.build();
        latency.record(0.5, &[KeyValue::new("größe", "m")]);
        let plain = meter.u64_gauge("plain").build();
        plain.record(2, &[KeyValue::new("x.y", "1"), KeyValue::new("x/y", "2\"")]);
    });
    let target = target("n", &[("my.label", "v")]);
    export(&exporter, &target, BOTH, &[metrics]);
    exporter
}

fn shown(exporter: &Prometheus, format: TextFormat, escaping: Escaping) -> Vec<String> {
    let form = OutputFormat { format, escaping };
    let text = fixture::read(
        exporter,
        NameFilter {
            form,
            ..NameFilter::all(format)
        },
    );
    super::parser::parse(&text);
    let is_info = |line: &str| line.contains("target_info") || line.contains(" target ");
    let lines = text.lines().filter(|line| !is_info(line));
    lines.map(str::to_owned).collect()
}

#[test]
fn a_scraper_that_supports_utf8_gets_names_in_quotes() {
    let exporter = filled(&untranslated());
    let expected = [
        r#"# TYPE "a/b" histogram"#,
        r#"{"a/b_bucket",target="n","my.label"="v","größe"="m",le="1.0"} 1"#,
        r#"{"a/b_bucket",target="n","my.label"="v","größe"="m",le="+Inf"} 1"#,
        r#"{"a/b_sum",target="n","my.label"="v","größe"="m"} 0.5"#,
        r#"{"a/b_count",target="n","my.label"="v","größe"="m"} 1"#,
        r#"# TYPE "http.server.bytes" counter"#,
        r#"{"http.server.bytes",target="n","my.label"="v"} 1"#,
        "# TYPE plain gauge",
        r#"plain{target="n","my.label"="v","x.y"="1","x/y"="2\""} 2"#,
    ];
    assert_eq!(
        shown(&exporter, TextFormat::Text, Escaping::AllowUtf8),
        expected
    );
}

#[test]
fn any_other_scraper_gets_escaped_names() {
    let exporter = filled(&untranslated());
    let line = |escaping, start: &str| {
        let lines = shown(&exporter, TextFormat::Text, escaping);
        let line = lines.iter().find(|line| line.starts_with(start));
        line.unwrap_or_else(|| panic!("no {start} in {lines:?}"))
            .clone()
    };
    for (escaping, start, expected) in [
        (
            Escaping::Underscores,
            "http",
            r#"http_server_bytes{target="n",my_label="v"} 1"#,
        ),
        (
            Escaping::Dots,
            "http",
            r#"http_dot_server_dot_bytes{target="n",my_dot_label="v"} 1"#,
        ),
        (
            Escaping::Values,
            "U__http",
            r#"U__http_2e_server_2e_bytes{target="n",U__my_2e_label="v"} 1"#,
        ),
        // Labels that become the same are joined.
        (
            Escaping::Underscores,
            "plain{",
            r#"plain{target="n",my_label="v",x_y="1;2\""} 2"#,
        ),
        (
            Escaping::Dots,
            "plain{",
            r#"plain{target="n",my_dot_label="v",x_dot_y="1",x__y="2\""} 2"#,
        ),
        (
            Escaping::Underscores,
            "a_b_sum",
            r#"a_b_sum{target="n",my_label="v",gr__e="m"} 0.5"#,
        ),
    ] {
        assert_eq!(line(escaping, start), expected);
    }
    let open = shown(&exporter, TextFormat::OpenMetrics, Escaping::Underscores);
    assert!(
        open.contains(&"# TYPE http_server_bytes unknown".to_owned()),
        "{open:?}"
    );
}

#[test]
fn suffixes_depend_on_the_strategy() {
    let exporter = filled(&config(TranslationStrategy::NoUTF8EscapingWithSuffixes));
    let open = shown(&exporter, TextFormat::OpenMetrics, Escaping::AllowUtf8);
    for line in [
        r#"# TYPE "http.server.bytes" counter"#,
        r#"{"http.server.bytes_total",target="n","my.label"="v"} 1"#,
    ] {
        assert!(open.contains(&line.to_owned()), "{open:?}");
    }
    let exporter = filled(&config(
        TranslationStrategy::UnderscoreEscapingWithoutSuffixes,
    ));
    for escaping in Escaping::ALL {
        let text = shown(&exporter, TextFormat::Text, escaping);
        let line = r#"http_server_bytes{target="n",my_label="v"} 1"#;
        assert!(text.contains(&line.to_owned()), "{text:?}");
    }
}

#[test]
fn a_family_is_found_by_its_name_escaped_or_not() {
    let exporter = filled(&untranslated());
    for name in [
        "http.server.bytes",
        "http_server_bytes",
        "a/b_sum",
        "a_b_sum",
        "plain",
    ] {
        let wanted = NameFilter {
            names: [name.to_owned()].into(),
            ..NameFilter::all(TextFormat::Text)
        };
        let text = fixture::read(&exporter, wanted);
        assert_eq!(text.matches("# TYPE").count(), 1, "{name}");
    }
}

#[test]
fn of_names_that_become_the_same_only_the_first_metric_is_shown() {
    let own = own_metrics_of(&untranslated(), |exporter| {
        let metrics = fixture::gauges("betanet/network", &[("a.b", "1", 1), ("a_b", "1", 2)]);
        export(exporter, &target("n", &[]), BOTH, &[metrics]);
        let expected = [r#"# TYPE "a.b" gauge"#, r#"{"a.b",target="n",id="1"} 1"#];
        assert_eq!(
            shown(exporter, TextFormat::Text, Escaping::AllowUtf8),
            expected
        );
    });
    let dropped = "reason=\"name_conflict\"} 1\n";
    assert!(own.contains(dropped), "{own}");
}

#[test]
fn a_family_that_changes_its_name_during_a_scrape_ends_there() {
    let exporter = fixture::exporter_of(&untranslated());
    let old: Vec<_> = (0..2_000)
        .map(|n| target(&format!("node-{n:0100}"), &[]))
        .collect();
    for target in &old {
        export(
            &exporter,
            target,
            BOTH,
            &[fixture::gauges("betanet/network", &[("a.b", "", 1)])],
        );
    }
    let mut scrape = exporter.scrape(NameFilter::all(TextFormat::Text));
    let mut text = String::from_utf8(scrape.next().unwrap().to_vec()).unwrap();
    old.iter().for_each(|target| exporter.forget(target));
    let new = fixture::gauges("betanet/network", &[("a_b", "", 2)]);
    export(&exporter, &target("new", &[]), BOTH, &[new]);
    text.extend(scrape.map(|piece| String::from_utf8(piece.to_vec()).unwrap()));
    super::parser::parse(&text);
    assert!(!text.contains("a_b{target=\"new\""), "{text}");
}
