//! Tests that the official Python client reads a scrape correctly, in both formats.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use betanet_collector::simulator::Dialect;
use serde::Deserialize;

use crate::support::{
    scrape::Scrape,
    stand::{Options, Stand, documented_node, node},
};

const OPEN_METRICS: &str = "application/openmetrics-text;version=1.0.0";

/// Prints name, labels and value of every sample of a text, in its order.
const READER: &str = "
import json, sys
from prometheus_client import parser
from prometheus_client.openmetrics import parser as open_parser
read = (open_parser if sys.argv[1] == 'open' else parser).text_string_to_metric_families
text = sys.stdin.buffer.read().decode('utf-8')
samples = [s for family in read(text) for s in family.samples]
json.dump([{'name': s.name, 'labels': s.labels, 'value': repr(float(s.value))} for s in samples], sys.stdout)
";

/// A sample as Python reads it.
#[derive(Debug, Deserialize)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: String,
}

/// What the client reads; panics where it cannot.
fn read(format: &str, text: &str) -> Vec<Sample> {
    let mut python = Command::new("python3")
        .args(["-c", READER, format])
        .env(
            "PYTHONPATH",
            std::env::var_os("BETANET_E2E_PROMETHEUS_CLIENT").unwrap_or_default(),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start python3: {error}; run tests/run"));
    let mut stdin = python.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "the client cannot read:\n{text}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A label of all targets, in YAML and as it should arrive.
const ODD: (&str, &str) = (
    r#"labels: {odd: "a\"b\\c\nd\re\0 {é},=🦀\L\uFFFD"}"#,
    "a\"b\\c\nd\re\0 {é},=🦀\u{2028}\u{FFFD}",
);

/// The text for a scraper that accepts `accept`.
async fn scrape(stand: &Stand, accept: &str) -> String {
    let url = format!("http://{}/metrics", stand.address);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(&url).header("accept", accept).send().await;
    answer.unwrap().text().await.unwrap()
}

/// Compares the samples of the client with the lines of a text, which end with a time if
/// `has_times`.
fn compare(samples: &[Sample], text: &str, has_times: bool) {
    let lines = text.split('\n').filter(|line| !line.starts_with('#'));
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    assert_eq!(samples.len(), lines.len(), "{text}");
    for (sample, line) in samples.iter().zip(&lines) {
        let is_timed = has_times && !line.contains("target_info") && !line.contains("target__info");
        let line = if is_timed {
            line.rsplit_once(' ').unwrap().0
        } else {
            line
        };
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = match series.strip_prefix("{\"") {
            Some(quoted) => quoted.split('"').next().unwrap(),
            None => series.split('{').next().unwrap(),
        };
        assert_eq!(sample.name, name, "{line}");
        let (read, value): (f64, f64) = (sample.value.parse().unwrap(), value.parse().unwrap());
        assert_eq!(read.to_bits(), value.to_bits(), "{line}");
        if !name.ends_with("target_info") {
            assert_eq!(sample.labels["odd"], ODD.1, "{line}");
        }
    }
}

#[tokio::test]
#[ignore = "needs prometheus-client: run tests/run"]
async fn the_python_client_reads_every_sample_in_both_formats() {
    let (documented, mixnode) = (documented_node(), node(Dialect::Mixnode));
    documented.update(|state| state.packets_processed = u64::MAX);
    let options = Options {
        target: ODD.0,
        ..Options::default()
    };
    let nodes = [("documented", &documented), ("mixnode", &mixnode)];
    let stand = options.start(&nodes).await;
    for (target, _) in nodes {
        stand.until_polls(target, 2.0).await;
    }
    for (format, accept) in [("text", "text/plain"), ("open", OPEN_METRICS)] {
        let text = scrape(&stand, accept).await;
        compare(&read(format, &text), &text, false);
    }
}

#[tokio::test]
#[ignore = "needs prometheus-client: run tests/run"]
async fn the_python_client_reads_names_in_quotes_and_times() {
    let options = Options {
        target: ODD.0,
        prometheus: "translation_strategy: NoUTF8EscapingWithSuffixes, namespace: 'my space', \
                     send_timestamps: true, enable_open_metrics_text_created_samples: true, \
                     without_scope_info: false, const_labels: {'a.b c': '1'}",
        ..Options::default()
    };
    let node = node(Dialect::Mixnode);
    let stand = options.start(&[("mixnode", &node)]).await;
    let polled = |scrape: &Scrape| scrape.text.contains("my_space_betanet_poll_results_total{");
    stand.until("a poll", polled).await;
    for (escaping, label) in [
        ("allow-utf-8", "a.b c"),
        ("underscores", "a_b_c"),
        ("dots", "a_dot_b__c"),
        ("values", "U__a_2e_b_20_c"),
    ] {
        for (format, accept) in [("text", "text/plain;version=1.0.0"), ("open", OPEN_METRICS)] {
            let text = scrape(&stand, &format!("{accept};escaping={escaping}")).await;
            let samples = read(format, &text);
            compare(&samples, &text, true);
            assert!(
                samples.iter().all(|sample| sample.labels[label] == "1"),
                "{text}"
            );
            let created = samples
                .iter()
                .any(|sample| sample.name.ends_with("_created"));
            assert_eq!(created, format == "open", "{text}");
        }
    }
}
