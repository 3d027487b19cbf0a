//! How the program starts, how its components are, and how it ends.

use betanet_collector::simulator::Dialect;

use crate::support::{
    PATIENCE,
    backend::{Backend, Behaviour},
    collector::Collector,
    eventually, free_port,
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

#[tokio::test]
async fn at_the_end_health_shows_what_has_stopped_already() {
    let node = node(Dialect::Betanet);
    let mut backend = Backend::start().await;
    backend.set(Behaviour::Hang).await;
    let exporter = format!("{{endpoint: \"{}\", timeout: 10m}}", backend.url());
    let options = Options {
        exporters: vec![("otlp_http".to_owned(), exporter)],
        ..Options::default()
    };
    let stand = options.start(&[("a", &node)]).await;
    eventually("something is being sent", PATIENCE, async || {
        (backend.met(Behaviour::Hang) > 0).then_some(())
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
    backend.set(Behaviour::Accept).await;
    let (code, log) = stand.collector.ended().await;
    assert_eq!(code, Some(0), "{log}");
}
