//! Documents that are made from the code.

use std::fmt::Write as _;

use betanet_collector::{
    exporters::prometheus::scrape_name,
    telemetry::names::{AGGREGATE, COLLECTOR, Kind, Metric, PROBE, TARGET},
};

use crate::support::source::root;

const HEAD: &str = "\
# Metrics that the collector makes up itself

Made from `src/telemetry/names.rs`; `UPDATE_FIXTURES=1 cargo test docs` writes it anew.
What the targets say is in their definitions, `pipelines/*.yaml`.
";

#[test]
fn the_list_of_metrics_is_in_step_with_the_code() {
    let file = root().join("docs/metrics.md");
    let made = document();
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == made,
        "docs/metrics.md is out of step: UPDATE_FIXTURES=1 cargo test docs"
    );
}

fn document() -> String {
    let mut text = HEAD.to_owned();
    text.push_str(
        "\n## Of each target\n\n\
         They travel with the target's data to every exporter. Over OTLP the first name stands, on \
         a scrape the second, with the label `target` and the target's own labels.\n\n\
         | OpenTelemetry | Prometheus | kind | unit | attributes | |\n|---|---|---|---|---|---|\n",
    );
    for metric in TARGET.iter().chain(AGGREGATE) {
        let scraped = scrape_name(metric);
        row(
            &mut text,
            &format!("`{}` | `{scraped}`", metric.name),
            metric,
        );
    }
    text.push_str(
        "\n## Of a probe\n\n\
         In the answer of `/probe` beside what the target says.\n\n\
         | name | kind | unit | attributes | |\n|---|---|---|---|---|\n",
    );
    for metric in PROBE {
        row(&mut text, &format!("`{}`", scrape_name(metric)), metric);
    }
    text.push_str(
        "\n## Of the collector\n\n\
         At `service::telemetry::metrics`, by default http://localhost:8888/metrics, under the \
         names of the OpenTelemetry Collector where it has one.\n\n\
         | name | kind | unit | attributes | |\n|---|---|---|---|---|\n",
    );
    for metric in COLLECTOR {
        row(&mut text, &format!("`{}`", metric.name), metric);
    }
    text
}

fn row(text: &mut String, names: &str, metric: &Metric) {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::UpDownCounter => "updowncounter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    };
    let attributes: Vec<_> = metric
        .attributes
        .iter()
        .map(|key| format!("`{key}`"))
        .collect();
    let (unit, attributes) = (metric.unit, attributes.join(", "));
    writeln!(
        text,
        "| {names} | {kind} | {unit} | {attributes} | {} |",
        metric.description
    )
    .unwrap();
}

#[test]
fn the_tests_that_reliability_names_exist() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let document = read("docs/reliability.md");
    let words = document.split('`').filter(|word| !word.contains(' '));
    let tests: Vec<_> = words.filter_map(|word| word.split_once("::")).collect();
    assert!(!tests.is_empty());
    for (file, test) in tests {
        let text = read(&format!("tests/it/{file}.rs"));
        assert!(text.contains(&format!("fn {test}()")), "{file}::{test}");
    }
}
