//! Tests from a snapshot to what a destination decodes.

use std::{
    sync::{Arc, Mutex},
    time::UNIX_EPOCH,
};

use bytes::Bytes;
use opentelemetry::{KeyValue, metrics::MeterProvider as _};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{metric::Data, number_data_point::Value},
};
use opentelemetry_sdk::{
    Resource,
    metrics::{SdkMeterProvider, data::ResourceMetrics, reader::MetricReader as _},
};
use prost::Message as _;

use async_trait::async_trait;
use tokio::time::Instant;

use super::*;
use crate::{
    client::{ConfigError, auth::Authenticators},
    delivery::{
        DeliveryContext, DeliverySettings, Destination, ExportAnswer, RetryOnFailure, SendOutcome,
        SendingQueue, Storages, testing::Reader,
    },
    exporters::{
        ending::Ending,
        points,
        sender_config::NetworkExporter,
        sending::SendingExporter,
        testing::{target, with_context},
    },
    pipeline::{EndOfSeries, Exporter, OtlpForm, Reporter, StateStore},
    runtime::{Clock, Tasks},
    telemetry::Meter,
};

fn message(metrics: &ResourceMetrics) -> OtlpMessage {
    OtlpMessage::from(&ExportMetricsServiceRequest::from(metrics))
}

/// The metrics of a target with the given name: a total, a gauge and a histogram.
fn metrics(name: &str, total: u64) -> ResourceMetrics {
    let reader = Reader::default();
    let resource = Resource::builder_empty()
        .with_attribute(KeyValue::new("service.instance.id", name.to_owned()));
    let provider = SdkMeterProvider::builder()
        .with_reader(reader.clone())
        .with_resource(resource.build())
        .build();
    let meter = provider.meter("test");
    let counter = meter.u64_observable_counter("total");
    let _counter = counter
        .with_callback(move |o| o.observe(total, &[KeyValue::new("a", "b")]))
        .build();
    meter.f64_gauge("gauge").build().record(0.5, &[]);
    meter.f64_histogram("histogram").build().record(0.5, &[]);
    let mut metrics = ResourceMetrics::default();
    reader.collect(&mut metrics).unwrap();
    metrics
}

/// Stores what it receives.
#[derive(Debug, Clone, Default)]
struct Store(Arc<Mutex<Vec<Bytes>>>);

#[async_trait]
impl Destination for Store {
    async fn send(&self, payload: Bytes) -> SendOutcome {
        self.0.lock().unwrap().push(payload);
        SendOutcome::Sent(ExportAnswer::default())
    }
}

fn settings() -> DeliverySettings {
    DeliverySettings {
        timeout: std::time::Duration::from_secs(1),
        retry: RetryOnFailure::default(),
        queue: SendingQueue::default(),
        split: None,
        order: None,
    }
}

/// An exporter, and the store to which it sends.
fn exporter() -> (SendingExporter<Otlp>, Store) {
    let (tasks, _failures) = Tasks::new();
    let provider = SdkMeterProvider::builder().build();
    let (meter, store) = (Meter::of(&provider), Store::default());
    let context = DeliveryContext {
        id: "otlp_http",
        tasks: &tasks,
        meter: &meter,
        seed: 1,
        status: &Reporter::unheard(),
        clock: &Clock::System,
        storages: &Storages::new(),
        authenticators: &Authenticators::default(),
        states: &StateStore::default(),
    };
    let ending = Ending::new(&Clock::System);
    let delivery = Delivery::start(context, settings(), store.clone()).unwrap();
    (SendingExporter::new(Otlp, delivery, ending), store)
}

#[tokio::test(start_paused = true)]
async fn a_removed_target_ends_unless_the_collector_stops() {
    let (exporter, store) = exporter();
    let asked = Mutex::new(Vec::new());
    let make = |now| {
        asked.lock().unwrap().push(now);
        vec![message(&metrics("one", 1))]
    };
    exporter.ended(&target("one"), &EndOfSeries::new(&make));
    exporter.closing();
    exporter.ended(&target("one"), &EndOfSeries::new(&make));
    let soon = Instant::now() + std::time::Duration::from_secs(1);
    exporter.drain(soon).await;
    assert_eq!(asked.lock().unwrap().len(), 1);
    let batches = store.0.lock().unwrap().clone();
    assert_eq!(batches.len(), 1);
    let message = ExportMetricsServiceRequest::decode(batches[0].clone()).unwrap();
    assert_eq!(resource_names(&message).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn polls_of_several_targets_arrive_as_one_message() {
    let (exporter, store) = exporter();
    let largest = i64::MAX as u64;
    for (name, total) in [("one", 1), ("two", largest)] {
        let parts = [metrics(name, total), ResourceMetrics::default()];
        let target = target(name);
        let snapshot = Snapshot {
            target: &target,
            fresh: &[],
            lost: &[],
            is_refused: false,
            time: UNIX_EPOCH,
            starts: &(),
            resource: &Arc::new(parts[0].resource().clone()),
            metrics: &[],
            histograms: &[],
            exemplars: &[],
            otlp: OtlpForm::new(|| parts.iter().map(message).collect()),
        };
        exporter.export(&snapshot);
        exporter.forget(&target);
    }
    let soon = Instant::now() + std::time::Duration::from_secs(1);
    exporter.drain(soon).await;

    let batches = store.0.lock().unwrap().clone();
    assert_eq!(batches.len(), 1);
    let message = ExportMetricsServiceRequest::decode(batches[0].clone()).unwrap();
    let names = resource_names(&message);
    assert_eq!(names.len(), 2, "no envelope for the part without metrics");
    assert!(
        names[0].contains("one") && names[1].contains("two"),
        "{names:?}"
    );

    let metrics = &message.resource_metrics[1].scope_metrics[0].metrics;
    let total = metrics
        .iter()
        .find(|metric| metric.name == "total")
        .unwrap();
    let Some(Data::Sum(sum)) = &total.data else {
        panic!("{total:?}")
    };
    assert_eq!(sum.aggregation_temporality, 2, "cumulative");
    assert_eq!(sum.data_points[0].value, Some(Value::AsInt(i64::MAX)));
}

fn resource_names(message: &ExportMetricsServiceRequest) -> Vec<String> {
    let resources = message
        .resource_metrics
        .iter()
        .map(|part| part.resource.as_ref().unwrap());
    resources
        .map(|resource| format!("{:?}", resource.attributes[0].value))
        .collect()
}

#[test]
fn every_kind_of_point_is_counted() {
    for (metrics, expected) in [(metrics("one", 1), 3), (ResourceMetrics::default(), 0)] {
        assert_eq!(points::count(&metrics), expected);
        assert_eq!(message(&metrics).points, expected);
    }
}

#[tokio::test]
async fn the_collectors_keys_build_exporters() {
    fn start(config: &impl NetworkExporter) -> Result<Arc<dyn Exporter>, ConfigError> {
        let (tasks, _failures) = Tasks::new();
        with_context("otlp/eu", &StateStore::default(), &tasks, |context| {
            config.start(context, Otlp, split::split, None)
        })
    }
    let http = |text| start(&serde_json::from_str::<HttpConfig>(text).unwrap());
    let grpc = |text| start(&serde_json::from_str::<GrpcConfig>(text).unwrap());
    assert!(http(r#"{"endpoint": "https://a:4318/", "compression": "zstd"}"#).is_ok());
    assert!(
        http(r#"{"metrics_endpoint": "http://a/x", "tls": {"insecure_skip_verify": true}}"#)
            .is_ok()
    );
    assert!(grpc(r#"{"endpoint": "a:4317"}"#).is_ok());
    assert!(grpc(r#"{"endpoint": "a:1", "tls": {"insecure_skip_verify": true}}"#).is_ok());

    let key = |result: Result<_, ConfigError>| result.err().map(|error| error.key()).unwrap();
    assert_eq!(key(http("{}")), "endpoint");
    let queue = r#"{"endpoint": "a:1", "sending_queue": {"num_consumers": 0}}"#;
    assert_eq!(key(grpc(queue)), "sending_queue.num_consumers");
    let tls = r#"{"endpoint": "https://a:1", "tls": {"insecure": true}}"#;
    assert_eq!(
        (key(http(tls)), key(grpc(tls))),
        ("tls.insecure".to_owned(), "tls.insecure".to_owned())
    );
}
