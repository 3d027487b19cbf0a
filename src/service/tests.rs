//! Tests of what a reload leaves behind.

use std::time::Duration;

use tokio::time::sleep;

use super::*;
use crate::{
    config::{self, ConfigSource},
    yaml::Diagnostics,
};

/// The number of reloads.
const RELOADS: usize = 200;

/// Longer than a removed component may take.
const LONG: Duration = Duration::from_secs(100);

/// One of two configurations that differ in everything. They poll no target, so that no removed
/// exporter has anything to send.
fn config(name: &str, seconds: u64) -> Config {
    let text = format!(
        "receivers:
  betanet:
    timeout: {seconds}s
    file_sd_configs: [{{files: ['/nowhere/{name}/*.json'], refresh_interval: {seconds}s}}]
  betanet/{name}: {{file_sd_configs: [{{files: ['/nowhere/*.json']}}]}}
processors:
  aggregate: {{interval: {seconds}s, metrics: [{{include: x}}]}}
  memory_limiter: {{check_interval: {seconds}s, limit_mib: 1000}}
exporters:
  otlp_http: {{endpoint: 'http://sink:1', timeout: {seconds}s}}
  otlp_http/{name}: {{endpoint: 'http://sink:1'}}
  debug: {{}}
  prometheus: {{endpoint: 'localhost:0', max_stale: {seconds}s}}
service:
  telemetry: {{metrics: {{readers: []}}}}
  pipelines:
    metrics:
      receivers: [betanet, betanet/{name}]
      processors: [memory_limiter, aggregate]
      exporters: [otlp_http, otlp_http/{name}, prometheus]
    metrics/{name}:
      receivers: [betanet]
      exporters: [debug]
"
    );
    let sources = [ConfigSource::config(&format!("yaml:{text}")).unwrap()];
    let mut diagnostics = Diagnostics::new();
    let environment: &config::Environment<'_> = &|_| None;
    Config::load(&sources, environment, &mut diagnostics).unwrap_or_else(|| panic!("{diagnostics}"))
}

/// The number of tasks, components and callbacks, after removed ones had time to end.
async fn census(service: &Service) -> [(&'static str, usize); 3] {
    sleep(LONG).await;
    let ServiceContext {
        telemetry,
        meter,
        components,
        ..
    } = &service.site;
    let scrape = telemetry.text();
    assert!(scrape.contains("betanet_discovery_targets"), "{scrape}");
    [
        ("callbacks", meter.sources()),
        ("components", components.states().len()),
        ("tasks", Handle::current().metrics().num_alive_tasks()),
    ]
}

#[tokio::test(start_paused = true)]
async fn reloads_leave_nothing_behind() {
    let telemetry =
        InternalTelemetry::new(&crate::telemetry::config::ResourceConfig::default()).unwrap();
    let world = Environment {
        clock: Clock::System,
        seed: 1,
        listening: None,
        sending: None,
        network: Network::default(),
    };
    let configs = [config("a", 20), config("b", 30)];
    let mut service = Service::start(&configs[0], telemetry, &world)
        .await
        .unwrap();
    let before = census(&service).await;
    assert!(before.iter().all(|(_, count)| *count > 4), "{before:?}");
    for next in [&configs[1], &configs[0]].repeat(RELOADS / 2) {
        service.follow(next.clone()).await.unwrap();
    }
    assert_eq!(census(&service).await, before);
    service.stop().await;
}
