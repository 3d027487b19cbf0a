//! How the program starts, how its components are, and how it ends.

use betanet_collector::simulator::Dialect;

use crate::support::{
    collector::Collector,
    free_port,
    stand::{Options, node},
};

/// A collector without targets that answer, which ends after a moment with a fatal error.
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
    let error = "Error: task `extension fail_after` died: asked for by --fail-after";
    assert!(log.contains(error), "{log}");
    assert!(
        log.contains("stopping") && log.contains("stopped"),
        "in order: {log}"
    );
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
