//! Common code of the exporters' tests.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use opentelemetry_sdk::metrics::SdkMeterProvider;

use super::contract::ExporterContext;
use crate::{
    client::auth::Authenticators,
    definition::Definition,
    delivery::Storages,
    http::{ClientLimits, Listeners},
    pipeline::{Probe, ProbeRefusal, ProbeRequest, Probed, Reporter, StateStore, Target},
    runtime::{Clock, Tasks},
    telemetry::Meter,
};

/// A probe that is never called.
struct NoProbe;

impl Probe for NoProbe {
    fn probe(&self, _request: ProbeRequest) -> BoxFuture<'static, Result<Probed, ProbeRefusal>> {
        unreachable!()
    }
}

/// Calls `build` with what an exporter needs. The state that outlives it is in `states`.
pub(super) fn with_context<T>(
    id: &str,
    states: &StateStore,
    tasks: &Tasks,
    build: impl FnOnce(&mut ExporterContext<'_>) -> T,
) -> T {
    let meter = Meter::of(&SdkMeterProvider::default());
    let mut listeners = Listeners::new(ClientLimits::default(), &meter);
    build(&mut ExporterContext {
        id,
        listeners: &mut listeners,
        tasks,
        meter: &meter,
        seed: 1,
        status: Reporter::unheard(),
        clock: &Clock::System,
        storages: &Storages::new(),
        authenticators: &Authenticators::default(),
        probe: Arc::new(NoProbe),
        states,
    })
}

/// A target of an API without metrics.
pub(super) fn target(name: &str) -> Arc<Target> {
    Arc::new(Target {
        name: name.to_owned(),
        receiver: "http_json".to_owned(),
        url: "http://a:80".to_owned(),
        replicas: None,
        server_address: "a".to_owned(),
        server_port: 80,
        url_scheme: "http".to_owned(),
        labels: Default::default(),
        definition: Arc::new(Definition {
            name: "test".to_owned(),
            resource: Default::default(),
            endpoints: vec![],
            parameters: crate::definition::Parameters::default(),
            instruments: vec![],
            rules: vec![],
            start: None,
            shares_names: false,
            digest: 0,
        }),
    })
}
