//! Pages of `docs/` that are generated from the code.

use std::{collections::BTreeSet, fmt::Write as _};

use betanet_collector::{
    config::Registers,
    definition::{self, BUILTIN},
    exporters::{self, prometheus::scrape_name},
    extensions, processors, receivers,
    settings::ComponentType,
    telemetry::{
        SERVICE_FOREIGN,
        names::{AGGREGATE, COLLECTOR, Metric, MetricKind, PROBE},
        target_metrics::{PREFIXES, ReportedFrom, TargetMetric},
    },
    yaml::{Foreign, ForeignHandling, ForeignKey},
};
use serde_json::Value;

use crate::support::source::root;

const HEAD: &str = "\
# Metrics of the collector itself

This page is generated from `src/telemetry/names.rs` and `src/telemetry/target_metrics.rs`, with `UPDATE_FIXTURES=1 cargo test docs`.
The metrics of the targets are in their definitions, `pipelines/*.yaml`.
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

/// The section of the report metrics.
fn target_section() -> String {
    let mut text = String::from(
        "\n## Metrics about each target\n\n\
         They travel with the target's data to every exporter. OTLP has the first names. A scrape \
         has the second names, with the label `target` and the labels of the target.\n\n\
         A name begins with the type of the receiver that polls the target, `betanet` or `http_json`. \
         Attributes have the same keys in both. A query for all targets is \
         `{__name__=~\"betanet_up|http_json_up\"}`.\n\n\
         `target_metrics` of the receiver chooses the level. `basic` is the default. It has what the \
         alerts in `deploy/prometheus` need: 11 series of a healthy target with three endpoints. \
         \"problems\" means that `basic` has only the series about a problem that exists, and that \
         `normal` has all of them. Sums over all targets of a receiver are among the metrics about \
         the collector, below.\n\n\
         The first event makes the series of a counter with attributes such as `outcome` or \
         `reason`, so its first value is not 0, and `rate` and `increase` do not see the first \
         event. `increase(NAME[10m]) > 0 or NAME unless NAME offset 10m` does. OTLP has the time at \
         which the counting began, and so has a scrape with \
         [`enable_open_metrics_text_created_samples`](prometheus.md).\n\n\
         | OpenTelemetry | Prometheus | level | kind | unit | attributes | |\n|---|---|---|---|---|---|---|\n",
    );
    for metric in TargetMetric::ALL {
        let about = metric.row();
        let scraped = scrape_name(&about.metric);
        let names = PREFIXES.map(|prefix| format!("`{}`", metric.name(prefix)));
        let scraped = PREFIXES.map(|prefix| format!("`{prefix}_{scraped}`"));
        let (names, scraped) = (names.join(", "), scraped.join(", "));
        let level = match about.reported_from {
            ReportedFrom::Basic => "basic",
            ReportedFrom::BasicPart => "basic: problems",
            ReportedFrom::Normal => "normal",
            ReportedFrom::Detailed => "detailed",
        };
        row(
            &mut text,
            &format!("{names} | {scraped} | {level}"),
            &about.metric,
        );
    }
    text
}

fn document() -> String {
    let mut text = format!("{HEAD}{}", target_section());
    text.push_str(
        "\n## Metrics about aggregates\n\n\
         The processor `aggregate` adds them to its targets.\n\n\
         | OpenTelemetry | Prometheus | kind | unit | attributes | |\n|---|---|---|---|---|---|\n",
    );
    for metric in AGGREGATE {
        let scraped = scrape_name(metric);
        row(
            &mut text,
            &format!("`{}` | `{scraped}`", metric.name),
            metric,
        );
    }
    text.push_str(
        "\n## Metrics about a probe\n\n\
         They are in the answer of `/probe`, in addition to the metrics of the target.\n\n\
         | name | kind | unit | attributes | |\n|---|---|---|---|---|\n",
    );
    for metric in PROBE {
        row(&mut text, &format!("`{}`", scrape_name(metric)), metric);
    }
    text.push_str(
        "\n## Metrics about the collector\n\n\
         They are served at `service::telemetry::metrics`, by default \
         http://localhost:8888/metrics. They have the names of the OpenTelemetry Collector if it \
         has the same metric.\n\n\
         | name | kind | unit | attributes | |\n|---|---|---|---|---|\n",
    );
    for metric in COLLECTOR {
        row(&mut text, &format!("`{}`", metric.name), metric);
    }
    text
}

fn row(text: &mut String, names: &str, metric: &Metric) {
    let kind = match metric.kind {
        MetricKind::Counter => "counter",
        MetricKind::UpDownCounter => "updowncounter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram(_) => "histogram",
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

const LIBRARY: &str = "\
# Library of definitions

This page is generated from `pipelines/`, with `UPDATE_FIXTURES=1 cargo test docs`.
These definitions are part of the program, and are named without a path:

```yaml
receivers:
  http_json/web:
    definition: nginx
    targets: [{ endpoint: \"http://web-1:8080\" }, { endpoint: \"http://web-2:8080\" }]
```

What a server must be configured for stands at the head of the file, which says as well how its names differ from those of the OpenTelemetry Collector.
A file `pipelines/NAME.yaml` in the working directory comes before the one in the program.
`betanet-collector demo --definition nginx` shows one of them without a server, and `betanet-collector test` runs the tests beside the files.
Those with a mark are held against the real program by `tests/run --real`.

| definition | | metrics | bodies of its test | real |
|---|---|---|---|---|
";

#[test]
fn the_library_page_is_in_step_with_the_definitions() {
    let mut made = LIBRARY.to_owned();
    for builtin in BUILTIN {
        let definition =
            definition::load_builtin(builtin).unwrap_or_else(|error| panic!("{error}"));
        let name = builtin.name;
        let value = |text: &str, key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap_or_else(|| panic!("{name}: no `{key}`"))
                .trim()
                .to_owned()
        };
        let what = value(builtin.text, "description:");
        let source = value(builtin.test, "source:");
        let metrics: BTreeSet<_> = definition.instruments.iter().map(|of| &of.name).collect();
        let is_real = root().join(format!("tests/real/{name}.py")).is_file();
        let real = if is_real { "✓" } else { "" };
        writeln!(
            made,
            "| [`{name}`](../pipelines/{name}.yaml) | {what} | {} | {source} | {real} |",
            metrics.len()
        )
        .unwrap();
    }
    let file = root().join("docs/library.md");
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == made,
        "docs/library.md is out of step: UPDATE_FIXTURES=1 cargo test docs"
    );
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

/// After this heading comes the part that is generated from the tables of foreign keys.
const KEYS: &str = "## Keys that only the Collector's components have\n";

#[test]
fn the_list_of_foreign_keys_is_in_step_with_the_code() {
    let file = root().join("docs/compatibility.md");
    let written = std::fs::read_to_string(&file).unwrap();
    let head = written.split(KEYS).next().unwrap();
    let made = format!("{head}{KEYS}{}", foreign_keys());
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(&file, &made).unwrap();
        return;
    }
    assert!(
        written == made,
        "docs/compatibility.md is out of step: UPDATE_FIXTURES=1 cargo test docs"
    );
}

/// Each component that has foreign keys, with its table.
fn tables() -> Vec<(String, &'static Foreign)> {
    fn of<C: ?Sized>(
        types: &[ComponentType<C>],
    ) -> impl Iterator<Item = (String, &'static Foreign)> {
        let pairs = types
            .iter()
            .map(|known| (known.name.to_owned(), known.foreign));
        pairs.collect::<Vec<_>>().into_iter()
    }
    of(receivers::TYPES)
        .chain(of(processors::TYPES))
        .chain(of(exporters::TYPES))
        .chain(of(extensions::TYPES))
        .chain([("service".to_owned(), &SERVICE_FOREIGN)])
        .collect()
}

/// All foreign keys of a table, each with the path of its parent.
fn all(table: &'static Foreign, path: &str, into: &mut Vec<(String, &'static ForeignKey)>) {
    into.extend(table.keys.iter().map(|key| (path.to_owned(), key)));
    for also in table.also {
        all(also, path, into);
    }
    for (key, below) in table.below {
        all(below, &format!("{path}{key}::"), into);
    }
}

fn foreign_keys() -> String {
    let mut rows: Vec<(Vec<String>, Vec<String>, &ForeignKey)> = Vec::new();
    for (owner, table) in tables() {
        let mut keys = Vec::new();
        all(table, "", &mut keys);
        for (path, key) in keys {
            let names = key.names.iter().map(|name| format!("`{path}{name}`"));
            let names: Vec<_> = names.collect();
            let same = rows.iter_mut().find(|(_, known, other)| {
                *known == names && other.why == key.why && other.handling == key.handling
            });
            match same {
                Some((owners, ..)) => owners.push(owner.clone()),
                None => rows.push((vec![owner.clone()], names, key)),
            }
        }
    }
    let mut text =
        "\nThis table is generated from `foreign.rs` in the directory of each component, \
                    with `UPDATE_FIXTURES=1 cargo test docs`.\n\n\
                    | component | keys | | |\n|---|---|---|---|\n"
            .to_owned();
    for (owners, names, key) in rows {
        let handling = match key.handling {
            ForeignHandling::Ignored => "without effect".to_owned(),
            ForeignHandling::Only(values) => format!("only `{}`", values.join("`, `")),
            ForeignHandling::Refused => "refused".to_owned(),
        };
        let (owners, names) = (owners.join(", "), names.join(", "));
        writeln!(text, "| {owners} | {names} | {handling} | {} |", key.why).unwrap();
    }
    text
}

/// A foreign key that the struct also has would never be looked up.
#[test]
fn no_foreign_key_is_one_of_ours() {
    let schema = betanet_collector::config::schema(&Registers::builtin());
    for (owner, table) in tables() {
        let mut keys = Vec::new();
        all(table, "", &mut keys);
        for (path, key) in keys.iter().filter(|(path, _)| !path.contains('*')) {
            for name in key.names {
                let full: Vec<_> = path.split("::").filter(|key| !key.is_empty()).collect();
                let known = properties(&schema, &owner, &full);
                assert!(!known.iter().any(|of| of == name), "{owner}: {path}{name}");
            }
        }
    }
}

/// The keys that the schema has at a path of a component.
fn properties(schema: &Value, owner: &str, path: &[&str]) -> Vec<String> {
    let sections = ["receivers", "processors", "exporters", "extensions"];
    let patterns = sections.iter().flat_map(|section| {
        let patterns = &schema["properties"][section]["patternProperties"];
        patterns.as_object().unwrap()
    });
    let mut bodies = patterns.filter(|(pattern, _)| {
        let names = pattern.trim_start_matches("^(").split(')').next().unwrap();
        names.split('|').any(|name| name == owner)
    });
    let mut at = match owner {
        "service" => &schema["properties"]["service"],
        _ => bodies.next().unwrap().1,
    };
    for key in path {
        at = &resolved(schema, at)["properties"][key];
        assert!(!at.is_null(), "{owner} has no {path:?}");
    }
    let properties = resolved(schema, at)["properties"].as_object();
    // A foreign key has a description in the schema, and no type.
    let has_type = |of: &Value| {
        of.as_object()
            .is_none_or(|of| of.keys().any(|key| key != "description"))
    };
    let own = properties
        .into_iter()
        .flatten()
        .filter(|(_, of)| has_type(of));
    own.map(|(name, _)| name.clone()).collect()
}

/// Follows references and choices to the part with properties.
fn resolved<'s>(schema: &'s Value, at: &'s Value) -> &'s Value {
    if let Some(name) = at["$ref"].as_str() {
        let name = name.trim_start_matches("#/definitions/");
        return resolved(schema, &schema["definitions"][name]);
    }
    let choices = ["anyOf", "allOf", "oneOf"].iter();
    let mut choices = choices.filter_map(|key| at[*key].as_array()).flatten();
    let chosen = choices.find(|one| {
        let one = resolved(schema, one);
        !one["properties"].is_null()
    });
    chosen.map_or(at, |one| resolved(schema, one))
}
