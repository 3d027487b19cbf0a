//! Real providers with hand-made targets.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::{KeyValue, metrics::MeterProvider as _};
use opentelemetry_sdk::{
    Resource,
    metrics::{
        MeterProviderBuilder, SdkMeterProvider, data::ResourceMetrics, reader::MetricReader as _,
    },
};

use crate::{
    definition::{BodyFormat, Definition, Endpoint, Parameters},
    exporters::prometheus::{self, Config, NameFilter, Prometheus},
    instruments::PullReader,
    pipeline::{Exporter as _, OtlpForm, Snapshot, Starts, StateStore, Target},
    telemetry::Meter,
};

/// The observation time of everything that is exported.
pub(super) const TIME: Duration = Duration::from_millis(1_700_000_000_045);

/// The start time of all totals, except those with the name `unknown`.
pub(super) const BEGAN: Duration = Duration::from_millis(1_600_000_000_500);

/// Knows this start time.
#[derive(Debug)]
struct Known;

impl Starts for Known {
    fn known(
        &self,
        _scope: &str,
        metric: &str,
        _attributes: &mut dyn Iterator<Item = &KeyValue>,
    ) -> Option<SystemTime> {
        (metric != "unknown").then(|| UNIX_EPOCH + BEGAN)
    }
}

pub(super) const MAX_STALE: Duration = Duration::from_secs(300);

/// A builder with a Resource, and the reader of the provider that it builds.
pub(super) fn builder() -> (MeterProviderBuilder, PullReader) {
    let pull = PullReader::default();
    let resource = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", "betanet"),
            KeyValue::new("server.port", 9000),
        ])
        .build();
    let builder = SdkMeterProvider::builder()
        .with_resource(resource)
        .with_reader(pull.clone());
    (builder, pull)
}

/// The result of one collection of the instruments that `instruments` creates. The closure gets the
/// provider, because each endpoint has a meter.
pub(super) fn collect(instruments: impl FnOnce(&SdkMeterProvider)) -> ResourceMetrics {
    let (builder, pull) = builder();
    let provider = builder.build();
    instruments(&provider);
    let mut metrics = ResourceMetrics::default();
    pull.collect(&mut metrics).unwrap();
    metrics
}

/// The result of one collection of gauges in one scope: name, value of the attribute `id`, value.
pub(super) fn gauges(
    scope: &'static str,
    values: &[(&'static str, &'static str, u64)],
) -> ResourceMetrics {
    collect(|provider| {
        for (name, id, value) in values {
            let gauge = provider.meter(scope).u64_gauge(*name).build();
            gauge.record(*value, &[KeyValue::new("id", *id)]);
        }
    })
}

/// A target with the endpoints `network` and `mixnodes`.
pub(super) fn target(name: &str, labels: &[(&str, &str)]) -> Arc<Target> {
    let endpoint = |name: &str| Endpoint {
        id: name.into(),
        path: format!("/{name}").into(),
        request: Arc::default(),
        interval: None,
        pages: None,
        derivation: None,
        subject: format!("endpoints.{name}").into(),
        format: BodyFormat::Json,
        scope: format!("betanet/{name}").into(),
        families: None,
        transform: None,
    };
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Arc::new(Target {
        name: name.to_owned(),
        receiver: "betanet".to_owned(),
        url: "http://127.0.0.1:9000".to_owned(),
        replicas: None,
        server_address: "127.0.0.1".to_owned(),
        server_port: 9000,
        url_scheme: "http".to_owned(),
        labels: Arc::new(labels.iter().map(owned).collect()),
        definition: Arc::new(Definition {
            name: "betanet".to_owned(),
            resource: BTreeMap::new(),
            endpoints: vec![endpoint("network"), endpoint("mixnodes")],
            parameters: Parameters::default(),
            instruments: Vec::new(),
            rules: Vec::new(),
            shares_names: false,
            start: None,
            digest: 0,
        }),
    })
}

/// The meter of a provider that nobody reads.
pub(super) fn meter() -> Meter {
    Meter::of(&SdkMeterProvider::default())
}

pub(super) fn exporter() -> Prometheus {
    exporter_of(&Config::default())
}

pub(super) fn exporter_of(config: &Config) -> Prometheus {
    Prometheus::new("prometheus", config, &meter(), &StateStore::default())
}

/// Exports a poll in which both, one or none of the endpoints are fresh.
pub(super) fn export(
    exporter: &Prometheus,
    target: &Arc<Target>,
    fresh: [bool; 2],
    metrics: &[ResourceMetrics],
) {
    show(exporter, target, [fresh, [false; 2]], false, metrics);
}

/// Hands over a poll in which endpoints are fresh or lost, or which was refused.
pub(super) fn show(
    exporter: &Prometheus,
    target: &Arc<Target>,
    [fresh, lost]: [[bool; 2]; 2],
    is_refused: bool,
    metrics: &[ResourceMetrics],
) {
    let of = (&shared_resource(metrics), metrics);
    show_with(exporter, target, [fresh, lost], is_refused, of);
}

/// The Resource of metrics: the same one as long as it does not change, as a target has it.
pub(super) fn shared_resource(metrics: &[ResourceMetrics]) -> Arc<Resource> {
    static SHARED: Mutex<Vec<Arc<Resource>>> = Mutex::new(Vec::new());
    let resource = resource(metrics);
    let mut shared = SHARED.lock().unwrap();
    let known = shared.iter().position(|known| *known == resource);
    let known = known.unwrap_or_else(|| {
        shared.push(resource);
        shared.len() - 1
    });
    Arc::clone(&shared[known])
}

/// A new Resource, equal to that of the metrics.
pub(super) fn resource(metrics: &[ResourceMetrics]) -> Arc<Resource> {
    let empty = Resource::builder_empty().build();
    Arc::new(metrics.first().map_or(empty, |of| of.resource().clone()))
}

/// The same with this Resource.
pub(super) fn show_with(
    exporter: &Prometheus,
    target: &Arc<Target>,
    [fresh, lost]: [[bool; 2]; 2],
    is_refused: bool,
    (resource, metrics): (&Arc<Resource>, &[ResourceMetrics]),
) {
    exporter.export(&Snapshot {
        target,
        fresh: &fresh,
        lost: &lost,
        is_refused,
        time: UNIX_EPOCH + TIME,
        starts: &Known,
        resource,
        metrics,
        histograms: &[],
        exemplars: &[],
        otlp: OtlpForm::new(Vec::new),
    });
}

/// The text of a scrape.
pub(super) fn scrape(exporter: &Prometheus) -> String {
    read(exporter, NameFilter::all(prometheus::TextFormat::Text))
}

pub(super) fn read(exporter: &Prometheus, wanted: NameFilter) -> String {
    let pieces: Vec<_> = exporter.scrape(wanted).collect();
    String::from_utf8(pieces.concat()).unwrap()
}

/// The sample lines of a scrape, without `target_info`.
pub(super) fn samples(exporter: &Prometheus) -> Vec<String> {
    let text = scrape(exporter);
    super::parser::parse(&text);
    let lines = text.lines().filter(|line| !line.starts_with("# "));
    let lines = lines.filter(|line| !line.starts_with("target_info"));
    lines.map(str::to_owned).collect()
}
