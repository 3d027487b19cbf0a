//! Tests of exemplars: the trace of an event that a total counted.

use std::time::{Duration, UNIX_EPOCH};

use opentelemetry::{KeyValue, metrics::MeterProvider as _};

use super::{Config, NameFilter, Prometheus, TextFormat, collect, exporter, fixture, target};
use crate::{
    exporters::prometheus::TranslationStrategy,
    instruments::SCOPE,
    pipeline::{Exemplar, Exporter as _, OtlpForm, Snapshot},
    telemetry::{Trace, names},
};

fn outcome(outcome: &'static str) -> [KeyValue; 1] {
    [KeyValue::new(names::OUTCOME, outcome)]
}

/// Two polls. The one that failed was traced.
fn export(exporter: &Prometheus, metric: &'static str) {
    let metrics = collect(|provider| {
        for scope in [SCOPE, "betanet/network"] {
            let total = provider.meter(scope).u64_counter(metric).build();
            total.add(7, &outcome("fresh"));
            total.add(2, &outcome("missing"));
        }
    });
    let metrics = [metrics];
    let exemplar = Exemplar {
        metric: metric.into(),
        attributes: outcome("missing").into(),
        trace: Trace {
            trace_id: 0xabc_u128.into(),
            span_id: 0xd_u64.into(),
        },
        time: UNIX_EPOCH + Duration::from_millis(1_700_000_000_045),
    };
    exporter.export(&Snapshot {
        target: &target("n", &[]),
        fresh: &[true, true],
        lost: &[],
        is_refused: false,
        time: UNIX_EPOCH + fixture::TIME,
        starts: &(),
        resource: &fixture::shared_resource(&metrics),
        metrics: &metrics,
        histograms: &[],
        exemplars: &[exemplar],
        otlp: OtlpForm::new(Vec::new),
    });
}

fn lines(exporter: &Prometheus, format: TextFormat) -> Vec<String> {
    let text = fixture::read(exporter, NameFilter::all(format));
    let lines = text.lines().filter(|line| line.contains("outcome="));
    let mut lines: Vec<_> = lines.map(str::to_owned).collect();
    // The SDK has the series of a metric in no order.
    lines.sort();
    lines
}

const FRESH: &str = r#"betanet_poll_results_total{target="n",outcome="fresh"} 7"#;
const MISSING: &str = r#"betanet_poll_results_total{target="n",outcome="missing"} 2"#;
const EXEMPLAR: &str = r##" # {trace_id="00000000000000000000000000000abc",span_id="000000000000000d"} 1 1700000000.045"##;

#[test]
fn openmetrics_names_the_trace_of_the_last_counted_event() {
    let exporter = exporter();
    export(&exporter, "betanet.poll.results");
    assert_eq!(
        lines(&exporter, TextFormat::OpenMetrics),
        [FRESH.to_owned(), MISSING.to_owned() + EXEMPLAR]
    );
    // The older format has no exemplars.
    assert_eq!(lines(&exporter, TextFormat::Text), [FRESH, MISSING]);
}

#[test]
fn the_time_of_the_poll_is_before_the_exemplar() {
    let exporter = fixture::exporter_of(&Config {
        send_timestamps: true,
        ..Config::default()
    });
    export(&exporter, "betanet.poll.results");
    let shown = lines(&exporter, TextFormat::OpenMetrics);
    let line = shown[1].strip_suffix(EXEMPLAR).unwrap();
    let time = line.strip_prefix(MISSING).unwrap();
    assert!(time.trim().parse::<f64>().unwrap() > 1.7e9, "{time}");
}

#[test]
fn a_metric_without_a_type_in_openmetrics_has_no_exemplar() {
    let exporter = fixture::exporter_of(&Config {
        translation_strategy: Some(TranslationStrategy::UnderscoreEscapingWithoutSuffixes),
        ..Config::default()
    });
    export(&exporter, "betanet.poll.results");
    let shown = lines(&exporter, TextFormat::OpenMetrics);
    assert!(shown.iter().all(|line| !line.contains('#')), "{shown:?}");
}
