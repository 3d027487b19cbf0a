//! Checks that no text breaks the format, whatever the rules and the scraper.

use opentelemetry::{KeyValue, metrics::MeterProvider as _};
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use proptest::prelude::*;

use super::{
    BOTH, Config, NameFilter, TextFormat, collect, export,
    fixture::{self, exporter_of, target},
    parser::parse,
};
use crate::exporters::prometheus::{
    Escaping, OutputFormat, ResourceConversion, TranslationStrategy,
    text::{Header, SampleName},
};

/// Generates any text, with special characters of the formats more often than by chance.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".*",
        "[\\\\\"\n\r{},= #\0\u{85}\u{2028}\u{2029}\u{fffd}\u{feff}]{0,6}",
        "[a_./:]{0,4}",
        Just("__name__".to_owned()),
        Just("le".to_owned()),
        Just("target".to_owned()),
    ]
}

/// Generates a valid name of an instrument.
fn instrument() -> impl Strategy<Value = String> {
    "[a-c][a_./-]{0,3}(|_total|\\.total|_created|_bucket|_sum|_info|_ratio)"
}

fn strategy() -> impl Strategy<Value = TranslationStrategy> {
    prop::sample::select(vec![
        TranslationStrategy::UnderscoreEscapingWithSuffixes,
        TranslationStrategy::UnderscoreEscapingWithoutSuffixes,
        TranslationStrategy::NoUTF8EscapingWithSuffixes,
        TranslationStrategy::NoTranslation,
    ])
}

prop_compose! {
    fn config()(
        strategy in strategy(),
        namespace in text(),
        constant in prop::collection::btree_map(text(), text(), 0..2),
        resource: bool,
        scope: bool,
        times: bool,
        created: bool,
    ) -> Config {
        Config {
            translation_strategy: Some(strategy),
            namespace,
            const_labels: constant,
            resource_to_telemetry_conversion: ResourceConversion {
                enabled: resource,
                ..ResourceConversion::default()
            },
            without_scope_info: !scope,
            send_timestamps: times,
            enable_open_metrics_text_created_samples: created,
            ..Config::default()
        }
    }
}

prop_compose! {
    /// Generates an instrument of any kind: its name, kind, unit, description and attributes.
    fn metric()(
        name in instrument(),
        kind in 0..4,
        unit in prop_oneof![Just("s"), Just("1"), Just("By/s"), Just("{a}"), Just("\"\\\n"), Just("")],
        help in text(),
        series in prop::collection::vec(prop::collection::btree_map(text(), text(), 0..3), 1..3),
    ) -> ResourceMetrics {
        let attributes: Vec<Vec<_>> = series
            .into_iter()
            .map(|of| of.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect())
            .collect();
        collect(|provider| {
            let meter = provider.meter("betanet/network");
            match kind {
                0 => {
                    let gauge = meter.f64_gauge(name).with_unit(unit).with_description(help).build();
                    attributes.iter().for_each(|of| gauge.record(0.5, of));
                }
                1 => {
                    let counter = meter.u64_counter(name).with_unit(unit).with_description(help).build();
                    attributes.iter().for_each(|of| counter.add(1, of));
                }
                2 => {
                    let level = meter.i64_up_down_counter(name).with_unit(unit).with_description(help).build();
                    attributes.iter().for_each(|of| level.add(-1, of));
                }
                _ => {
                    let histogram = meter.f64_histogram(name).with_unit(unit).with_description(help);
                    let histogram = histogram.with_boundaries(vec![1.0]).build();
                    attributes.iter().for_each(|of| histogram.record(0.5, of));
                }
            }
        })
    }
}

proptest! {
    #[test]
    fn any_scrape_is_valid_in_every_format(
        config in config(),
        metrics in prop::collection::vec(metric(), 0..4),
        names in prop::collection::vec(text(), 2),
        label in text(),
        value in text(),
    ) {
        let exporter = exporter_of(&config);
        for name in &names {
            export(&exporter, &target(name, &[(&label, &value)]), BOTH, &metrics);
        }
        for format in [TextFormat::Text, TextFormat::OpenMetrics] {
            let mut seen = Vec::new();
            for escaping in Escaping::ALL {
                let form = OutputFormat { format, escaping };
                let scrape = parse(&fixture::read(&exporter, NameFilter { form, ..NameFilter::all(format) }));
                for (_, labels) in scrape.samples.keys() {
                    prop_assert!(names.contains(&labels["target"]));
                }
                prop_assert_eq!(scrape.times.is_empty(), !config.send_timestamps || metrics.is_empty());
                seen.push((scrape.samples.len(), scrape.types.len()));
            }
            // All scrapers get the same number of samples.
            prop_assert!(seen.windows(2).all(|two| two[0] == two[1]), "{:?}", seen);
        }
    }

    /// Names that instruments cannot have.
    #[test]
    fn any_family_name_can_be_read_back(name in text(), suffix in "[a.]{1,2}") {
        let name = name + &suffix;
        let mut text = String::new();
        let (kind, unit, help) = ("gauge", "", "");
        Header { name: &name, kind, unit, help }.write(&mut text, TextFormat::Text);
        SampleName::new(&name).write(&mut text, ["", ""]);
        text.push_str("1\n");
        let scrape = parse(&text);
        prop_assert!(scrape.samples.contains_key(&(name, [].into())));
    }
}

#[test]
fn large_values_and_zero_bytes_are_kept() {
    let large = format!("{}\0\"\n\u{2028}\u{fffd}", "é".repeat(1 << 19));
    let exporter = exporter_of(&Config::default());
    let metrics = collect(|provider| {
        let gauge = provider.meter("betanet/network").u64_gauge("x").build();
        gauge.record(1, &[KeyValue::new("large", large.clone())]);
        gauge.record(2, &[KeyValue::new("large", "small")]);
    });
    export(&exporter, &target("n", &[]), BOTH, &[metrics]);
    for format in [TextFormat::Text, TextFormat::OpenMetrics] {
        let scrape = parse(&fixture::read(&exporter, NameFilter::all(format)));
        let values = scrape.samples.iter().filter(|((name, _), _)| name == "x");
        let values: Vec<_> = values
            .map(|((_, labels), value)| (&labels["large"], value.as_str()))
            .collect();
        assert!(values.contains(&(&large, "1")) && values.len() == 2);
    }
}
