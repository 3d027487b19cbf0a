//! Tests from a configuration to an exporter, also one that replaces another.

use std::sync::Arc;

use super::{
    BOTH, Config, Prometheus, export, fixture::samples, gauges, meter, probe, scrape, target,
};
use crate::{
    client::auth::Authenticators,
    delivery::Storages,
    exporters::ExporterContext,
    http::{ClientLimits, Listeners},
    pipeline::{Components, Reporter, StateStore},
    runtime::{Clock, Tasks},
};

fn build(
    config: &Config,
    listeners: &mut Listeners,
    tasks: &Tasks,
    states: &StateStore,
) -> Arc<Prometheus> {
    let mut context = ExporterContext {
        id: "prometheus",
        listeners,
        tasks,
        meter: &meter(),
        seed: 1,
        status: Reporter::unheard(),
        clock: &Clock::System,
        storages: &Storages::new(),
        authenticators: &Authenticators::default(),
        probe: probe::never(),
        states,
    };
    config.exporter(&mut context).unwrap()
}

#[tokio::test]
async fn the_route_serves_the_scrape() {
    let mut listeners = Listeners::new(ClientLimits::default(), &meter());
    let config = Config {
        endpoint: "127.0.0.1:0".parse().unwrap(),
        ..Config::default()
    };
    let (tasks, _failures) = Tasks::new();
    let exporter = build(&config, &mut listeners, &tasks, &StateStore::default());
    let metrics = gauges("betanet/network", &[("x", "a", 1)]);
    export(&exporter, &target("n", &[]), BOTH, &[metrics]);
    let bound = listeners.bind().await.unwrap();
    let address = bound.local_addr("127.0.0.1:0").unwrap();
    bound.serve(&tasks, &Components::new(&Clock::System, &tasks));

    let url = format!("http://{address}/metrics");
    let answer = reqwest::get(url).await.unwrap();
    let content_type = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(answer.text().await.unwrap(), scrape(&exporter));
}

#[tokio::test]
async fn a_replacement_shows_the_old_series_unless_their_names_change() {
    let (tasks, _failures) = Tasks::new();
    let states = StateStore::default();
    let with = |config: &Config| {
        let mut listeners = Listeners::new(ClientLimits::default(), &meter());
        build(config, &mut listeners, &tasks, &states)
    };
    let before = with(&Config::default());
    let metrics = gauges("betanet/network", &[("x", "a", 1)]);
    export(&before, &target("n", &[]), BOTH, &[metrics]);
    let same = Config {
        max_concurrent_scrapes: 1,
        ..Config::default()
    };
    assert_eq!(samples(&with(&same)).len(), 1);
    let renamed = Config {
        namespace: "other".to_owned(),
        ..Config::default()
    };
    assert_eq!(scrape(&with(&renamed)), "");
    assert_eq!(samples(&before).len(), 1);
}
