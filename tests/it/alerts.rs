//! Tests of the alerts in `deploy/prometheus` and the dashboards in `deploy/grafana`: a real
//! Prometheus that scrapes the real program runs each query, with a healthy fleet and with faults.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use betanet_collector::{
    simulator::{Node, NodeFault},
    yaml::{Diagnostics, Node as Yaml, parse},
};
use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    PATIENCE, eventually,
    prometheus::Prometheus,
    sink::OtlpSink,
    source::root,
    stand::{Options, Stand, documented_node},
};

const ALERTS: &str = "deploy/prometheus/alerts.yaml";

/// Alerts about nodes and targets that the faults in the test below cause at once.
const FIRED: &[&str] = &[
    "BetanetComponentUnhealthy",
    "BetanetEndpointDown",
    "BetanetExportFailing",
    "BetanetFewPeers",
    "BetanetFleetDown",
    "BetanetReloadFailed",
    "BetanetTargetDown",
    "BetanetValuesUnreadable",
];

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Name, query and page of each alert.
fn alerts() -> BTreeMap<String, (String, String)> {
    let mut diagnostics = Diagnostics::new();
    let node = parse(ALERTS, &read(ALERTS), &mut diagnostics).unwrap();
    let text = |node: &Yaml, path: &[&str]| node.at(path).and_then(Yaml::text).unwrap().to_owned();
    let groups = node.get("groups").unwrap().items().iter();
    let rules = groups.flat_map(|group| group.get("rules").unwrap().items());
    let rules = rules.map(|rule| {
        let page = text(rule, &["annotations", "runbook_url"]);
        (text(rule, &["alert"]), (text(rule, &["expr"]), page))
    });
    rules.collect()
}

fn dashboards() -> Vec<(PathBuf, Value)> {
    let folder = std::fs::read_dir(root().join("deploy/grafana")).unwrap();
    let files = folder.map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|kind| kind == "json"));
    files
        .map(|path| {
            let dashboard = serde_json::from_str(&read(&path)).unwrap();
            (path, dashboard)
        })
        .collect()
}

/// The queries of all panels of a dashboard, by title, about this target.
fn queries(dashboard: &Value, of: &str) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let queries = panels.flat_map(|panel| {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().unwrap().iter();
        targets.map(move |target| {
            let query = target["expr"].as_str().unwrap();
            (title.to_owned(), query.replace("$target", of))
        })
    });
    queries.collect()
}

#[test]
fn each_alert_has_its_section_in_the_runbook() {
    let runbook = read("docs/runbook.md");
    let sections = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect::<BTreeSet<_>>();
    let alerts = alerts();
    let names: BTreeSet<_> = alerts.keys().map(String::as_str).collect();
    assert_eq!(names, sections);
    for (name, (_, page)) in &alerts {
        assert_eq!(page, &format!("docs/runbook.md#{}", name.to_lowercase()));
    }
}

#[test]
fn each_alert_is_tested_to_fire_and_to_clear() {
    let tests = read("deploy/prometheus/alerts.test.yaml");
    let (_, tested) = tests.split_once("each alert fires and clears").unwrap();
    for name in alerts().keys() {
        let fires = format!("alertname=\"{name}\"");
        assert!(tested.contains(&fires), "{name}");
    }
}

#[test]
fn rules_and_dashboards_use_metrics_that_exist() {
    let mut known = read("docs/metrics.md");
    for entry in std::fs::read_dir(root().join("pipelines")).unwrap() {
        known += &read(entry.unwrap().path());
    }
    known += &read("deploy/prometheus/recording.yaml");
    let name =
        Regex::new(r"\b(?:betanet|http_json|otelcol|fleet:|exporter:|target:)[a-z_:]+").unwrap();
    let mut asked: Vec<_> = alerts()
        .into_iter()
        .map(|(alert, (query, _))| (alert, query))
        .collect();
    for (_, dashboard) in dashboards() {
        asked.extend(queries(&dashboard, "sound"));
    }
    for (place, query) in asked {
        for found in name.find_iter(&query) {
            let metric = found.as_str();
            let metric = metric
                .trim_end_matches("_bucket")
                .trim_end_matches("_count");
            // Labels of the collector start the same way.
            let is_label =
                metric.starts_with("betanet_breaker") || metric == "otelcol_component_id";
            assert!(is_label || known.contains(metric), "{place}: {metric}");
        }
    }
}

#[test]
fn panels_of_a_dashboard_have_different_ids() {
    let dashboards = dashboards();
    assert_eq!(dashboards.len(), 3);
    for (path, dashboard) in dashboards {
        let panels = dashboard["panels"].as_array().unwrap();
        let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
        assert_eq!(ids.len(), panels.len(), "{}", path.display());
    }
}

#[test]
#[ignore = "needs prometheus: run tests/run"]
fn promtool_accepts_the_rules_and_their_tests() {
    for arguments in [
        &["check", "rules", "alerts.yaml", "recording.yaml"][..],
        &["test", "rules", "alerts.test.yaml"],
    ] {
        let output = Command::new("promtool")
            .args(arguments)
            .current_dir(root().join("deploy/prometheus"))
            .output()
            .unwrap_or_else(|error| panic!("cannot start promtool: {error}; run tests/run"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
}

/// A collector with the default `target_metrics`, with which all alerts and panels work.
fn by_default() -> Options {
    Options {
        target_metrics: None,
        ..Options::default()
    }
}

/// A Prometheus with these rules, without their `for` times, that scrapes `stand`. Queries look back
/// for seconds instead of minutes, so that what is over is soon forgotten.
async fn prometheus(stand: &Stand, folder: &TempDir) -> Prometheus {
    let lookbacks = Regex::new(r"\[\d+[mh]\]").unwrap();
    let waits = Regex::new(r"(?m)^\s+for: \w+\n").unwrap();
    let mut files = Vec::new();
    for file in ["alerts.yaml", "recording.yaml"] {
        let rules = read(Path::new("deploy/prometheus").join(file));
        let path = folder.path().join(file);
        let rules = waits.replace_all(&rules, "");
        let rules = lookbacks.replace_all(&rules, "[6s]");
        std::fs::write(&path, rules.as_bytes()).unwrap();
        files.push(format!("'{}'", path.display()));
    }
    let config = format!(
        "rule_files: [{}]\nscrape_configs:\n\
         - {{job_name: betanet-nodes, honor_labels: true, static_configs: [{{targets: ['{}']}}]}}\n\
         - {{job_name: betanet-collector, static_configs: [{{targets: ['{}']}}]}}",
        files.join(", "),
        stand.address,
        stand.own_address(),
    );
    Prometheus::start(&config).await
}

async fn firing(prometheus: &Prometheus) -> BTreeSet<String> {
    let query = "count by (alertname) (ALERTS{alertstate='firing'})";
    let firing = prometheus.query(query).await;
    let firing = firing.as_array().unwrap().iter();
    firing
        .map(|series| series["metric"]["alertname"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
#[ignore = "needs prometheus: run tests/run"]
async fn no_alert_fires_in_a_healthy_fleet_and_every_panel_works() {
    let nodes = [documented_node(), documented_node(), documented_node()];
    let named = [("sound", &nodes[0]), ("b", &nodes[1]), ("c", &nodes[2])];
    let stand = by_default().start(&named).await;
    let folder = TempDir::new().unwrap();
    let prometheus = prometheus(&stand, &folder).await;
    // Rates need two samples, and rules see the previous scrape.
    eventually("Prometheus has seen some scrapes", PATIENCE, async || {
        let seen = "min(count_over_time(betanet_up[1h])) and on () up{job='betanet-collector'}";
        let seen = prometheus.number(seen).await;
        seen.filter(|count| *count >= 6.0)
    })
    .await;
    assert_eq!(firing(&prometheus).await, BTreeSet::new());
    for (path, dashboard) in dashboards() {
        for (title, query) in queries(&dashboard, "sound") {
            let found = prometheus.query(&query).await;
            let is_empty = found.as_array().unwrap().is_empty();
            let place = format!("{}: {title}: {query}", path.display());
            if !is_of_pushing(&title, &query) {
                assert_eq!(is_empty, TROUBLE.contains(&title.as_str()), "{place}");
            }
        }
    }
}

/// Panels that are empty while all is well.
const TROUBLE: &[&str] = &[
    "Values that cannot be read",
    "Restarts",
    "Failures by class",
    "Polls without an answer",
    "Components in trouble",
    "Discovery",
];

/// Whether a query is about exporters that push.
fn is_of_pushing(title: &str, query: &str) -> bool {
    let metrics = ["exporter_sent", "send_failed", "queue_", "held_metric"];
    metrics.iter().any(|metric| query.contains(metric)) || title == "Held"
}

/// The panels that are empty in a sound fleet that pushes nothing have data in this one. A node
/// restarts again and again: a counter begins with its first event, and grows with the second.
async fn assert_panels_about_trouble_have_data(prometheus: &Prometheus, restarting: &Node) {
    let mut tries = 0_u32;
    for (path, dashboard) in dashboards() {
        for (title, query) in queries(&dashboard, "half") {
            if TROUBLE.contains(&title.as_str()) || is_of_pushing(&title, &query) {
                let place = format!("{}: {title}: {query}", path.display());
                eventually(&format!("{place} has data"), PATIENCE, async || {
                    tries += 1;
                    match tries % 20 {
                        10 => restarting.update(|state| state.bytes_transmitted += 1_000),
                        0 => restarting.restart(),
                        _ => {}
                    }
                    let found = prometheus.query(&query).await;
                    (!found.as_array().unwrap().is_empty()).then_some(())
                })
                .await;
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs prometheus: run tests/run"]
async fn each_fault_fires_its_alert_which_ends_with_the_fault() {
    let nodes: Vec<_> = (0..4).map(|_| documented_node()).collect();
    let named = [
        ("half", &nodes[0]),
        ("refusing", &nodes[1]),
        ("hanging", &nodes[2]),
        ("failing", &nodes[3]),
    ];
    nodes[0].set_fault(
        Some("/api/v1/metrics"),
        NodeFault::Status {
            code: 500,
            retry_after: None,
        },
    );
    nodes[0].set_fault(
        Some("/api/v1/network/stats"),
        NodeFault::MissingField("bytes_received".to_owned()),
    );
    nodes[0].update(|state| state.total_nodes = 2);
    for node in &nodes[1..] {
        node.set_fault(None, NodeFault::Refuse);
    }
    let sink = OtlpSink::start().await;
    sink.set_away(true);
    let destination = format!(
        "{{endpoint: '{}', retry_on_failure: {{initial_interval: 100ms, max_interval: 200ms}}}}",
        sink.url()
    );
    let options = Options {
        exporters: vec![("otlp_http".to_owned(), destination)],
        resilience: "retry: {max_retries: 0}, circuit_breaker: {failure_threshold: 1000000}, \
                     file_sd_configs: [{files: ['/nowhere/*.json']}]",
        ..by_default()
    };
    let stand = options.start(&named).await;
    let sound = std::fs::read_to_string(stand.collector.file()).unwrap();
    stand.collector.configure("receivers: [");
    stand.collector.signal("HUP");
    let folder = TempDir::new().unwrap();
    let prometheus = prometheus(&stand, &folder).await;
    let expected: BTreeSet<_> = FIRED.iter().map(|name| (*name).to_owned()).collect();
    eventually("each alert fires", PATIENCE, async || {
        expected.is_subset(&firing(&prometheus).await).then_some(())
    })
    .await;
    // The query of docs/metrics.md for a counter that begins with its first event.
    let name = "betanet_poll_results_total{target='refusing'}";
    let first = format!("count({name} unless {name} offset 10m)");
    assert!(
        prometheus
            .number(&first)
            .await
            .is_some_and(|count| count > 0.0)
    );
    assert_panels_about_trouble_have_data(&prometheus, &nodes[0]).await;
    sink.set_away(false);
    for node in &nodes {
        node.clear_faults();
    }
    nodes[0].update(|state| state.total_nodes = 7);
    stand.collector.configure(&sound);
    stand.collector.signal("HUP");
    eventually("all of them end", PATIENCE * 3, async || {
        let firing = firing(&prometheus).await;
        firing.is_disjoint(&expected).then_some(())
    })
    .await;
    // The missing collector is noticed, too.
    drop(stand);
    eventually(
        "the missing collector is noticed",
        Duration::from_secs(30),
        async || {
            firing(&prometheus)
                .await
                .contains("BetanetCollectorDown")
                .then_some(())
        },
    )
    .await;
}
