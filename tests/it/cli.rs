//! Tests of the command line: the output of each command, and how the program ends.

use std::{net::TcpListener, process::Stdio, time::Duration};

use betanet_collector::simulator::{Dialect, Node, NodeFault, NodeOptions};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::{
    PATIENCE,
    command::{PROGRAM, beside, command, run, run_in, stdout_of},
    eventually, free_port,
    process::Process,
    source::root,
};

fn node(dialect: Dialect) -> Node {
    Node::start(NodeOptions::new(dialect)).unwrap()
}

/// The line of a table that starts with this word.
fn row<'o>(output: &'o str, first: &str) -> Vec<&'o str> {
    let rows = output
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut found = rows
        .into_iter()
        .filter(|words| words.first() == Some(&first));
    found
        .next()
        .unwrap_or_else(|| panic!("no row `{first}` in:\n{output}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn check_shows_each_value_of_a_node() {
    let node = node(Dialect::Betanet);
    node.update(|state| state.packets_processed = u64::MAX);
    let url = node.url();
    let arguments = ["check", "--endpoint", &url, "--definition", "betanet"];
    let output = beside(root(), &arguments).await;
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    let total = row(&output.stdout, "betanet_messages_total");
    assert_eq!(total, ["betanet_messages_total", "18446744073709551615"]);
    assert_eq!(row(&output.stdout, "metrics").get(2), Some(&"ok"));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_polls_the_configured_targets() {
    let node = node(Dialect::Mixnode);
    let folder = TempDir::new().unwrap();
    let config = format!(
        "yaml:{{receivers: {{betanet/x: {{definition: betanet-mixnode, targets: [{{endpoint: '{}', name: mix}}]}}, \
         betanet/unused: {{targets: [{{endpoint: 'http://127.0.0.1:1'}}]}}}}, exporters: {{debug: }}, \
         service: {{pipelines: {{metrics: {{receivers: [betanet/x], exporters: [debug]}}}}}}}}",
        node.url()
    );
    let output = beside(folder.path(), &["check", "--config", &config]).await;
    let unused = "receivers::betanet/unused: is in no pipeline, so it does nothing\n";
    assert_eq!(output.code, Some(0), "{}", output.stdout);
    assert!(output.stderr.ends_with(unused), "{}", output.stderr);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    assert!(
        output.stdout.starts_with("mix (betanet-mixnode)\n"),
        "{}",
        output.stdout
    );
    assert!(!output.stdout.contains("127.0.0.1:1 "), "{}", output.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_the_endpoint_that_made_the_node_hang() {
    let node = Node::start(NodeOptions::public()).unwrap();
    let config = format!(
        "yaml:{{receivers: {{betanet: {{definition: betanet-mixnode-full, timeout: 300ms, targets: [{{endpoint: '{}'}}]}}}}, \
         exporters: {{debug: }}, service: {{pipelines: {{metrics: {{receivers: [betanet], exporters: [debug]}}}}}}}}",
        node.url()
    );
    let output = beside(root(), &["check", "--config", &config]).await;
    let result = |endpoint: &str| row(&output.stdout, endpoint).join(" ");
    assert_eq!(row(&output.stdout, "mixnodes").get(2), Some(&"ok"));
    assert!(result("status").contains("timeout"), "{}", output.stdout);
    assert!(output.stdout.contains("suspect"), "{}", output.stdout);
    assert!(result("metrics").contains("waiting"), "{}", output.stdout);
    assert!(output.stdout.contains("not polled"), "{}", output.stdout);
    assert_eq!(node.requests_to("/metrics"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_fails_when_a_required_metric_gives_nothing() {
    let refused = format!("http://127.0.0.1:{}", free_port());
    let arguments = ["check", "--endpoint", &refused, "--definition", "betanet"];
    let output = beside(root(), &arguments).await;
    assert_eq!(output.code, Some(1), "{}", output.stdout);
    assert!(output.stdout.contains("no values"), "{}", output.stdout);
    let refusal = output.stdout.to_lowercase();
    assert!(refusal.contains("refused"), "{refusal}");

    // One endpoint of three is not enough.
    let node = node(Dialect::Betanet);
    for path in ["/api/v1/metrics", "/api/v1/network/stats"] {
        let retry_after = None;
        node.set_fault(
            Some(path),
            NodeFault::Status {
                code: 503,
                retry_after,
            },
        );
    }
    let url = node.url();
    let output = beside(
        root(),
        &["check", "--endpoint", &url, "--definition", "betanet"],
    )
    .await;
    assert_eq!(output.code, Some(1), "{}", output.stdout);
    assert!(output.stdout.contains("503"), "{}", output.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_answers_can_be_checked_offline() {
    for (dialect, definition) in [
        (Dialect::Betanet, "betanet"),
        (Dialect::Mixnode, "betanet-mixnode"),
    ] {
        let node = node(dialect);
        let folder = TempDir::new().unwrap();
        let url = node.url();
        let poll = [
            "check",
            "--endpoint",
            &url,
            "--definition",
            definition,
            "--record",
            "saved",
        ];
        let polled = beside(folder.path(), &poll).await;
        assert_eq!((polled.code, polled.stderr.as_str()), (Some(0), ""));
        let saved = format!("saved/{}", node.address());
        let offline = ["check", "--sample", &saved, "--definition", definition];
        let mapped = run_in(folder.path(), &offline, &[]);
        assert_eq!((mapped.code, mapped.stderr.as_str()), (Some(0), ""));
        // Everything except the header, which has the name and the times.
        let values = |text: &str| text.split_once("  METRIC").unwrap().1.to_owned();
        assert_eq!(
            values(&polled.stdout),
            values(&mapped.stdout),
            "{definition}"
        );
    }
}

/// A definition with one endpoint and one text in an attribute.
const NAMED: &str = "description: d\nendpoints: {e: {path: /e}}\nmetrics:\n  - {name: m, description: d, \
                     instrument: gauge, endpoint: e, value: $.v, attributes: {n: $.n}}\n";

#[test]
fn check_escapes_control_characters_of_a_node() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("d.yaml", NAMED);
    let arguments = ["check", "--sample", "e.json", "--definition", "d.yaml"];
    write(
        "e.json",
        r#"{"v": 1, "n": "\u001b]0;owned\u0007\u009b2J\nx"}"#,
    );
    let output = run_in(folder.path(), &arguments, &[]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    let is_obeyed = |c: char| c.is_control() && c != '\n';
    assert!(!output.stdout.contains(is_obeyed), "{:?}", output.stdout);
    assert!(
        output.stdout.contains(r"n=\u{1b}]0;owned\u{7}\u{9b}2J\nx"),
        "{}",
        output.stdout
    );

    // Wider than any column can be.
    write(
        "e.json",
        &format!(r#"{{"v": "{}", "n": "x"}}"#, "w".repeat(70_000)),
    );
    let output = run_in(folder.path(), &arguments, &[]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(1), ""));
    let many: String = (0..100).map(|n| format!("n{n}: $.n, ")).collect();
    write("d.yaml", &NAMED.replace("n: $.n", &many));
    let body = format!(r#"{{"v": 1, "n": "{}"}}"#, "w".repeat(900));
    write("e.json", &body);
    let output = run_in(folder.path(), &arguments, &[]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    assert!(output.stdout.lines().all(|line| line.chars().count() < 300));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_records_only_below_its_directory() {
    let node = node(Dialect::Betanet);
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("saved")).unwrap();
    for (name, is_in) in [("..", "__"), ("../../x", ".._.._x"), ("a\nb", "a_b")] {
        let config = serde_json::json!({
            "receivers": {"betanet": {"definition": "betanet",
                "targets": [{"endpoint": node.url(), "name": name}]}},
            "exporters": {"debug": null},
            "service": {"pipelines": {"metrics": {"receivers": ["betanet"], "exporters": ["debug"]}}},
        });
        let config = format!("yaml:{config}");
        let arguments = ["check", "--config", &config, "--record", "saved"];
        let output = beside(folder.path(), &arguments).await;
        assert_eq!(
            (output.code, output.stderr.as_str()),
            (Some(0), ""),
            "{name}"
        );
        let file = folder.path().join("saved").join(is_in).join("metrics.json");
        assert!(file.is_file(), "{name}");
    }
    let outside = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(outside, 1, "nothing outside of it");
}

#[test]
fn inputs_without_an_end_are_refused() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("d.yaml"), NAMED).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("zero.yaml")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("e.json")).unwrap();
    for (arguments, said) in [
        (
            &["check", "--sample", "e.json", "--definition", "d.yaml"][..],
            "failed to read the sample `e.json`: it is larger than 67108864 bytes",
        ),
        (
            &["check", "--sample", "d.yaml", "--definition", "zero.yaml"],
            "the definition `zero.yaml` is larger than 1048576 bytes",
        ),
        (
            &["check", "--sample", "d.yaml", "--definition", "./zero.yaml"],
            "the definition `./zero.yaml` is larger than 1048576 bytes",
        ),
        (
            &["simulate", "--script", "zero.yaml"],
            "failed to read the script `zero.yaml`: it is larger",
        ),
        (
            &["validate", "--config", "zero.yaml"],
            "the file is larger than 4194304 bytes",
        ),
    ] {
        let output = match arguments[0] {
            "simulate" => {
                let config = root().join("otel-config.yaml");
                let config = ["--config", config.to_str().unwrap()];
                run_in(folder.path(), &[arguments, &config].concat(), &[])
            }
            _ => run_in(folder.path(), arguments, &[]),
        };
        assert_eq!(output.code, Some(1), "{arguments:?}");
        assert!(
            output.stderr.contains(said),
            "{arguments:?}: {}",
            output.stderr
        );
    }
}

#[test]
fn check_suggests_the_nearest_key() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("network.json");
    std::fs::write(
        &file,
        r#"{"bytes_transmited": 5, "bytes_received": 6, "avg_latency_ms": null}"#,
    )
    .unwrap();
    let sample = file.to_str().unwrap();
    let output = run(
        &["check", "--sample", sample, "--definition", "betanet"],
        &[],
    );
    assert_eq!(output.code, Some(1), "{}", output.stdout);
    let lacking = "  no value of betanet_bytes_transmitted_total";
    assert!(output.stdout.contains(lacking), "{}", output.stdout);
    assert_eq!(
        row(&output.stdout, "betanet_bytes_received_total").get(1),
        Some(&"6")
    );
    let hint = "$.bytes_transmitted: no `bytes_transmitted`; did you mean `bytes_transmited`?";
    assert!(output.stdout.contains(hint), "{}", output.stdout);
    assert!(
        output.stdout.contains("$.avg_latency_ms: it is null"),
        "{}",
        output.stdout
    );
}

#[test]
fn check_reports_invalid_arguments() {
    let body = "tests/fixtures/bodies/nats/varz.json";
    for (arguments, code, message) in [
        (&["--endpoint", "http://a"][..], 2, "--definition <NAME>"),
        (
            &["--endpoint", "a", "--definition", "nats"],
            1,
            "expected a URL that begins with http:// or https://",
        ),
        (
            &["--endpoint", "http://a", "--definition", "natts"],
            1,
            "did you mean `nats`?",
        ),
        (
            &["--sample", body, "--definition", "betanet"],
            1,
            "name it as one of metrics.json, nodes.json, network.json",
        ),
        (
            &["--sample", "none.json", "--definition", "nats"],
            1,
            "failed to read the sample `none.json`",
        ),
        (
            &["--sample", "src", "--definition", "nats"],
            1,
            "name it as one of varz.json",
        ),
        (
            &[
                "--sample",
                body,
                "--definition",
                "tests/fixtures/definitions/unknown-key.yaml",
            ],
            1,
            "unknown-key.yaml:7:5: metrics::0::lables: unknown key",
        ),
    ] {
        let output = run(&[&["check"][..], arguments].concat(), &[]);
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (Some(code), ""),
            "{arguments:?}"
        );
        assert!(
            output.stderr.contains(message),
            "{message}\n{}",
            output.stderr
        );
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let version = format!("betanet-collector {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(stdout_of(&["--version"], &[]), version);
    let help = stdout_of(&["--help"], &[]);
    for command in [
        "run",
        "validate",
        "components",
        "print-config",
        "schema",
        "check",
        "simulate",
        "demo",
    ] {
        assert!(help.contains(&format!("\n  {command}")), "{help}");
        let of_command = stdout_of(&[command, "--help"], &[]);
        assert!(
            of_command.contains("Usage: betanet-collector"),
            "{of_command}"
        );
    }
    let output = run(&["validat"], &[]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""));
    assert!(output.stderr.contains("'validate'"), "{}", output.stderr);
}

#[test]
fn a_closed_pipe_is_not_a_crash() {
    for arguments in [
        &["schema"][..],
        &["components"],
        &["print-config"],
        &["--help"],
    ] {
        let mut call = command(root(), arguments);
        let mut child = call
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), stderr.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

/// Polls `node` all the time and pushes to a port that refuses.
fn busy(node: &str, listen: u16) -> String {
    let refused = free_port();
    format!(
        "receivers: {{ betanet: {{ targets: [{{ endpoint: \"{node}\" }}], collection_interval: 50ms, timeout: 30s }} }}
exporters:
  prometheus: {{ endpoint: \"127.0.0.1:{listen}\" }}
  otlp_http: {{ endpoint: \"http://127.0.0.1:{refused}\", retry_on_failure: {{ initial_interval: 100ms }} }}
service:
  pipelines: {{ metrics: {{ receivers: [betanet], exporters: [prometheus, otlp_http] }} }}
  telemetry: {{ metrics: {{ level: none }} }}
"
    )
}

#[tokio::test]
async fn a_signal_stops_it_within_two_seconds_whatever_hangs() {
    for signal in ["TERM", "INT"] {
        let node = node(Dialect::Betanet);
        let listen = free_port();
        let config = busy(&node.url(), listen);
        let mut collector = Process::start(PROGRAM, |command, folder| {
            std::fs::write(folder.join("c.yaml"), config).unwrap();
            command.current_dir(folder).args(["--config", "c.yaml"]);
        });
        collector
            .answers(&format!("http://127.0.0.1:{listen}/metrics"))
            .await;
        eventually("a push is refused", PATIENCE, async || {
            collector.log().contains("otlp_http").then_some(())
        })
        .await;
        node.set_fault(None, NodeFault::HangBeforeHeaders);
        node.wait_for_requests(node.requests() + 3).await;
        let asked = Instant::now();
        let status = collector.stop_by(signal).await;
        assert_eq!(status.code(), Some(0), "SIG{signal}");
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(2), "SIG{signal}: {took:?}");
    }
}

#[test]
fn the_error_for_a_used_port_names_its_owners() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let settings = [("BETANET_LISTEN", address.as_str())];
    let no_telemetry = "service.telemetry.metrics.level=none";
    let output = run(&["--set", no_telemetry], &settings);
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""));
    let message = format!(
        "Error: failed to listen on {address} for health_check, prometheus, status_page: Address already in use"
    );
    let last = output.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with(&message), "{}", output.stderr);
    // The rest of the configuration is valid.
    assert_eq!(run(&["validate"], &settings).code, Some(0));
}

#[test]
fn simulate_shows_the_effect_of_outages() {
    let table = stdout_of(&["simulate", "--outages", "20"], &[]);
    assert!(
        table.starts_with("betanet: 20 outages of each kind of a target with 3 endpoints"),
        "{table}"
    );
    let fresh = |name| {
        row(&table, name)
            .into_iter()
            .skip_while(|word| *word != "of")
    };
    assert!(fresh("hang").next().is_some(), "{table}");
    assert_eq!(table, stdout_of(&["simulate", "--outages", "20"], &[]));

    let json = [
        "simulate",
        "--receiver",
        "betanet",
        "--outages",
        "20",
        "--format",
        "json",
    ];
    let document: serde_json::Value = serde_json::from_str(&stdout_of(&json, &[])).unwrap();
    let hang = &document["receivers"][0]["faults"][0];
    assert_eq!(
        (&hang["fault"], &hang["outages"]),
        (&"hang".into(), &20.into())
    );
    assert!(
        hang["detection_seconds"]["mean"].as_f64().unwrap() < 45.0,
        "{hang}"
    );
}

#[test]
fn simulate_runs_a_script() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("script.yaml");
    let script = file.to_str().unwrap();
    std::fs::write(&file, "- {fault: status, code: 500, endpoint: metrics}\n").unwrap();
    let arguments = ["simulate", "--outages", "5", "--script", script];
    let table = stdout_of(&arguments, &[]);
    assert!(table.contains("status 500 of metrics  "), "{table}");
    assert_eq!(row(&table, "status").len(), 16, "{table}");

    std::fs::write(&file, "- {fault: hang, endpoint: none}\n").unwrap();
    let output = run(&arguments, &[]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""));
    let message =
        "script.yaml:1:17: 0::endpoint: is not an endpoint of the definition; it has: `metrics`";
    assert!(output.stderr.contains(message), "{}", output.stderr);
    let output = run(&["simulate", "--receiver", "betanet/x"], &[]);
    assert_eq!(output.code, Some(1));
    assert!(
        output
            .stderr
            .contains("no receiver `betanet/x`; there is: `betanet`"),
        "{}",
        output.stderr
    );
}

#[test]
fn the_demo_shows_its_addresses_and_what_arrived() {
    let [listen, telemetry] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let arguments = [
        "demo",
        "--seconds",
        "4",
        "--interval",
        "1",
        "--listen",
        &listen,
        "--telemetry-listen",
        &telemetry,
    ];
    let output = run(&arguments, &[]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    for url in [
        format!("http://{listen}/metrics"),
        format!("http://{listen}/\n"),
        format!("http://{telemetry}/metrics"),
    ] {
        assert!(output.stdout.contains(&url), "{}", output.stdout);
    }
    let last = output.stdout.lines().last().unwrap_or_default();
    let points = last
        .strip_prefix("OTLP receiver: ")
        .and_then(|rest| rest.split(' ').next());
    let points: u64 = points.unwrap_or_default().parse().unwrap();
    assert!(points > 100, "{last}");
}

#[test]
fn the_demo_takes_values_of_the_command_line() {
    let set = ["demo", "--set", "receivers.betanet.concurrency=none"];
    let output = run(&set, &[]);
    assert_eq!(output.code, Some(1), "{}", output.stdout);
    let key = "receivers::betanet::concurrency";
    assert!(output.stderr.contains(key), "{}", output.stderr);
}

#[test]
fn the_demo_listens_on_its_default_or_configured_ports() {
    let help = stdout_of(&["demo", "--help"], &[]);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for default in ["[default: localhost:9200]", "[default: localhost:8888]"] {
        assert!(help.contains(default), "{help}");
    }
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    let script = stdout_of(&["completions", "bash"], &[]);
    assert!(script.contains("print-config"), "{script}");
    let folder = TempDir::new().unwrap();
    let pages = folder.path().join("man");
    let output = run(&["man", pages.to_str().unwrap()], &[]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    for page in ["betanet-collector.1", "betanet-collector-simulate.1"] {
        let page = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(page.starts_with(".ie"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_succeeds_only_with_a_good_status() {
    let node = node(Dialect::Betanet);
    let ask = async |path: &str| {
        let url = format!("{}{path}", node.url());
        let output = beside(root(), &["healthcheck", &url]).await;
        output.code
    };
    assert_eq!(ask("/api/v1/metrics").await, Some(0));
    assert_eq!(ask("/livez").await, Some(1), "the node answers 404");
    node.set_fault(None, NodeFault::Refuse);
    assert_eq!(ask("/api/v1/metrics").await, Some(1), "no answer");
}
