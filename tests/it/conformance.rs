//! What the official Python client reads from a scrape, in both formats.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use betanet_collector::simulator::Dialect;
use serde::Deserialize;

use crate::support::stand::{Options, documented_node, node};

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

/// A sample as Python has it.
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

#[tokio::test]
#[ignore = "needs prometheus-client: run tests/run"]
async fn the_python_client_reads_every_sample_in_both_formats() {
    let (documented, mixnode) = (documented_node(), node(Dialect::Mixnode));
    documented.update(|state| state.packets_processed = u64::MAX);
    let options = Options {
        target: r#"labels: {odd: "a\"b\\c\nd {é},=🦀"}"#,
        ..Options::default()
    };
    let nodes = [("documented", &documented), ("mixnode", &mixnode)];
    let stand = options.start(&nodes).await;
    for (target, _) in nodes {
        stand.until_polls(target, 2.0).await;
    }
    let url = format!("http://{}/metrics", stand.address);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (format, accept) in [("text", "text/plain"), ("open", OPEN_METRICS)] {
        let answer = client.get(&url).header("accept", accept).send().await;
        let text = answer.unwrap().text().await.unwrap();
        let samples = read(format, &text);
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(samples.len(), lines.len(), "{text}");
        for (sample, line) in samples.iter().zip(&lines) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            assert_eq!(sample.name, name, "{line}");
            let (read, value): (f64, f64) = (sample.value.parse().unwrap(), value.parse().unwrap());
            assert_eq!(read.to_bits(), value.to_bits(), "{line}");
            if name != "target_info" {
                assert_eq!(sample.labels["odd"], "a\"b\\c\nd {é},=🦀", "{line}");
            }
        }
    }
}
