//! Tests of the start, the status of components, and the end of the program.

use std::{
    fs::Permissions,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::Command,
};

use betanet_collector::simulator::Dialect;
use tempfile::TempDir;

use crate::support::{
    PATIENCE,
    backend::{Backend, Behavior},
    collector::Collector,
    command::PROGRAM,
    eventually, free_port, remote_write,
    sink::{Point, Value},
    stand::{Options, node},
};

/// A collector whose targets do not answer, and which ends with a fatal error after a moment.
async fn doomed(after: &str) -> Collector {
    let address = format!("127.0.0.1:{}", free_port());
    let config = format!(
        "receivers: {{betanet: {{targets: [{{endpoint: \"http://127.0.0.1:9\"}}]}}}}\n\
         exporters: {{prometheus: {{endpoint: \"{address}\"}}}}\n\
         service: {{telemetry: {{metrics: {{level: none}}}}, \
         pipelines: {{metrics: {{receivers: [betanet], exporters: [prometheus]}}}}}}\n"
    );
    let ready = format!("http://{address}/metrics");
    Collector::run(&config, &["--fail-after", after], &[], &ready).await
}

#[tokio::test]
async fn a_component_that_dies_makes_the_exit_code_non_zero() {
    let (code, log) = doomed("500ms").await.ended().await;
    assert_eq!(code, Some(1), "so that a supervisor restarts it");
    let error = "Error: task `extension fail_after` died: requested by --fail-after";
    assert!(log.contains(error), "{log}");
    assert!(
        log.contains("stopping") && log.contains("stopped"),
        "in order: {log}"
    );
}

/// A call of the program as somebody who may have so many processes and threads. Root may have any
/// number, and becomes somebody else.
fn with_threads(most: usize, folder: &Path, arguments: &[&str]) -> String {
    let limit = format!("--nproc={most}");
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let somebody: &[&str] = match is_root {
        true => &["setpriv", "--reuid=65534", "--clear-groups"],
        false => &[],
    };
    let program = folder.join("collector");
    let output = Command::new("prlimit")
        .arg(limit)
        .args(somebody)
        .arg(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{most} threads: {text}");
    text
}

#[test]
fn where_no_threads_can_be_had_it_says_so_and_ends() {
    let folder = TempDir::new().unwrap();
    let everybody = Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), everybody).unwrap();
    std::fs::copy(PROGRAM, folder.path().join("collector")).unwrap();
    let config = "yaml:{receivers: {betanet: {targets: [{endpoint: 'http://127.0.0.1:9'}]}}, \
                  exporters: {debug: {}}, service: {telemetry: {metrics: {level: none}}, \
                  pipelines: {metrics: {receivers: [betanet], exporters: [debug]}}}}";
    let arguments = ["--config", config, "run", "--fail-after", "200ms"];
    let mut refused = 0;
    for most in [1, 2, 3, 4, 5, 6, 8] {
        let text = with_threads(most, folder.path(), &arguments);
        assert!(!text.contains("panicked"), "{most} threads: {text}");
        let is_refused = text.contains("the system refuses to start a thread");
        let has_run = text.contains("requested by --fail-after");
        assert!(is_refused || has_run, "{most} threads: {text}");
        refused += usize::from(is_refused);
    }
    assert!(refused > 0);
}

#[tokio::test]
async fn health_and_a_metric_show_each_component() {
    let node = node(Dialect::Betanet);
    let stand = Options::default().start(&[("a", &node)]).await;
    stand.after_polls("a", 1).await;
    let health = stand.health().await;
    let components = health["components"].as_object().unwrap();
    for id in [
        "receiver:betanet",
        "exporter:prometheus",
        "extension:health_check",
    ] {
        assert_eq!(components[id]["status"], "StatusOK", "{id}: {health:#}");
        assert_eq!(components[id]["healthy"], true);
    }
    let listener = &components[&format!("listener:{}", stand.address)];
    assert_eq!(listener["status"], "StatusOK");
    let own = stand.own().await;
    let status = |state| {
        let labels = format!("otelcol_component_id=\"prometheus\",state=\"{state}\"");
        own.value(&format!("betanet_component_status{{{labels}}}"))
    };
    assert_eq!(
        [status("ok"), status("fatal_error")],
        [Some(1.0), Some(0.0)]
    );
}

#[tokio::test]
async fn at_the_end_health_shows_what_has_stopped_already() {
    let node = node(Dialect::Betanet);
    let mut backend = Backend::start().await;
    backend.set(Behavior::Hang).await;
    let exporter = format!("{{endpoint: \"{}\", timeout: 10m}}", backend.url());
    let options = Options {
        exporters: vec![("otlp_http".to_owned(), exporter)],
        ..Options::default()
    };
    let stand = options.start(&[("a", &node)]).await;
    eventually("something is being sent", PATIENCE, async || {
        (backend.met(Behavior::Hang) > 0).then_some(())
    })
    .await;
    stand.collector.signal("TERM");
    let health = eventually("the receiver has stopped", PATIENCE, async || {
        let health = stand.health().await;
        let receiver = &health["components"]["receiver:betanet"];
        (receiver["status"] == "StatusStopped").then_some(health)
    })
    .await;
    let exporter = &health["components"]["exporter:otlp_http"];
    assert_eq!(exporter["status"], "StatusOK", "it still sends: {health:#}");
    backend.set(Behavior::Accept).await;
    let (code, log) = stand.collector.ended().await;
    assert_eq!(code, Some(0), "{log}");
}

/// Polls fifty times a second and writes to `backend`, which takes Prometheus' remote write.
fn writing_to(backend: &Backend) -> Options {
    let endpoint = format!("{}{}", backend.url(), remote_write::PATH);
    let settings = format!("{{endpoint: \"{endpoint}\"}}");
    Options {
        interval: "20ms",
        exporters: vec![("prometheusremotewrite".to_owned(), settings)],
        ..Options::default()
    }
}

/// Names and targets of the series that were said to have ended.
fn ends(backend: &Backend) -> Vec<(String, String)> {
    let points = backend.taken().concat().into_iter();
    let is_end = |point: &Point| matches!(point.value, Value::Double(value) if value.is_nan());
    let ends = points.filter(is_end);
    ends.map(|point| (point.name, point.attributes["instance"].clone()))
        .collect()
}

/// The targets are removed one after the other, and those that still answer must not end the series
/// of others.
#[tokio::test]
async fn a_stop_is_the_end_of_no_series() {
    let (node, backend) = (node(Dialect::Betanet), Backend::start().await);
    let url = node.url();
    let targets = (0..60).map(|number| format!("{{endpoint: \"{url}\", name: n{number}}}"));
    let keys = format!("targets: [{}]", targets.collect::<Vec<_>>().join(", "));
    let stand = writing_to(&backend).start_with(&keys).await;
    stand.until_polls("n0", 5.0).await;
    let (code, log) = stand.collector.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(backend.requests() > 0);
    assert_eq!(ends(&backend), []);
}

/// No other target is polled that could trigger it.
#[tokio::test]
async fn the_last_target_that_goes_ends_its_series() {
    let (node, backend) = (node(Dialect::Betanet), Backend::start().await);
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("targets.yaml");
    let (new, targets) = (list.with_extension("new"), node.address());
    std::fs::write(&list, format!("[{{targets: [\"{targets}\"]}}]")).unwrap();
    let keys = format!("file_sd_configs: [{{files: [\"{}\"]}}]", list.display());
    let stand = writing_to(&backend).start_with(&keys).await;
    stand.until_polls(&targets.to_string(), 3.0).await;
    std::fs::write(&new, "[]").unwrap();
    std::fs::rename(&new, &list).unwrap();
    let up = ("betanet_up".to_owned(), targets.to_string());
    eventually("its series have ended", PATIENCE, async || {
        ends(&backend).contains(&up).then_some(())
    })
    .await;
}
