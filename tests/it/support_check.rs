//! Tests of the test tools with the real programs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use hyper::Response;
use opentelemetry_proto::tonic::{
    collector::metrics::v1::{
        ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient,
    },
    common::v1::{AnyValue, KeyValue, any_value},
    metrics::v1::{
        Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
        number_data_point,
    },
    resource::v1::Resource,
};
use prost::Message as _;
use serde_json::json;

use crate::support::{
    PATIENCE,
    browser::Browser,
    eventually,
    prometheus::{Prometheus, promtool_check_metrics},
    rotel::Rotel,
    server::Server,
    sink::{Kind, OtlpSink, Point, Value},
};

const CLEAN: &str = "# HELP polls_total Polls.\n# TYPE polls_total counter\npolls_total 5\n";

#[tokio::test]
#[ignore = "needs chromium: run tests/run"]
async fn a_browser_leaves_nothing_behind() {
    let left_by_browsers = || -> BTreeSet<_> {
        let all = std::fs::read_dir(std::env::temp_dir()).unwrap();
        let names = all.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let is_of_a_browser = |name: &String| name.to_lowercase().contains("chrom");
        names.filter(is_of_a_browser).collect()
    };
    let before = left_by_browsers();
    drop(Browser::open(800, 600, false).await);
    let after = left_by_browsers();
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "{new:?}");
}

#[tokio::test]
#[ignore = "needs prometheus and rotel: run tests/run"]
async fn prometheus_scrapes_a_server_of_the_test() {
    let server = Server::start(|_| {
        let text = Response::builder().header("content-type", "text/plain; version=0.0.4");
        text.body(Bytes::from_static(CLEAN.as_bytes())).unwrap()
    })
    .await;
    let prometheus = Prometheus::start(&format!(
        "scrape_configs: [{{job_name: test, static_configs: [{{targets: ['{}']}}]}}]",
        server.address()
    ))
    .await;
    let value = eventually("a scrape", PATIENCE, async || {
        prometheus.number("polls_total").await
    })
    .await;
    assert!((value - 5.0).abs() < f64::EPSILON, "{value}");

    assert_eq!(prometheus.query("absent_total").await, json!([]));
    let now = prometheus.number("time() + 0 * sum(up)").await.unwrap();
    let range = prometheus.range("polls_total", now - 5.0, now).await;
    assert_eq!(range[0]["metric"]["job"], "test", "{range}");
}

#[test]
#[ignore = "needs prometheus and rotel: run tests/run"]
fn promtool_tells_clean_text_from_unclean() {
    assert_eq!(promtool_check_metrics(CLEAN), "");
    let unclean = "# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n";
    assert!(promtool_check_metrics(unclean).contains("a_total"));
}

#[tokio::test]
#[ignore = "needs prometheus and rotel: run tests/run"]
async fn rotel_hands_exact_integers_to_the_sink_over_http() {
    let sink = OtlpSink::start().await;
    let rotel = Rotel::start(&sink.url()).await;
    let answer = reqwest::Client::new()
        .post(format!("{}/v1/metrics", rotel.http))
        .header("content-type", "application/x-protobuf")
        .body(largest_integer().encode_to_vec())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_arrived(&sink).await;
    rotel.stop().await;
}

#[tokio::test]
#[ignore = "needs prometheus and rotel: run tests/run"]
async fn rotel_hands_exact_integers_to_the_sink_over_grpc() {
    let sink = OtlpSink::start().await;
    let rotel = Rotel::start(&sink.url()).await;
    let channel = tonic::transport::Endpoint::from_shared(rotel.grpc.clone()).unwrap();
    let mut client = MetricsServiceClient::new(channel.connect().await.unwrap());
    client.export(largest_integer()).await.unwrap();
    assert_arrived(&sink).await;
}

async fn assert_arrived(sink: &OtlpSink) {
    let points = sink.wait("a point", |points| !points.is_empty()).await;
    let text = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let expected = Point {
        resource: Arc::new(text("service.name", "betanet")),
        scope: "betanet/metrics".to_owned(),
        name: "betanet_messages_total".to_owned(),
        description: "Messages.".to_owned(),
        unit: "{message}".to_owned(),
        kind: Kind::Sum {
            monotonic: true,
            cumulative: true,
        },
        attributes: text("target", "a"),
        value: Value::Int(i64::MAX),
        start_time: 1,
        time: 2,
    };
    assert_eq!(points, [expected]);
}

#[tokio::test]
#[should_panic(expected = "waited 30ms in vain: nothing")]
async fn a_wait_ends() {
    eventually("nothing", Duration::from_millis(30), async || None::<()>).await;
}

fn largest_integer() -> ExportMetricsServiceRequest {
    let text = |key: &str, value: &str| {
        let value = any_value::Value::StringValue(value.to_owned());
        vec![KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        }]
    };
    let point = NumberDataPoint {
        attributes: text("target", "a"),
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        value: Some(number_data_point::Value::AsInt(i64::MAX)),
        ..NumberDataPoint::default()
    };
    let metric = Metric {
        name: "betanet_messages_total".to_owned(),
        description: "Messages.".to_owned(),
        unit: "{message}".to_owned(),
        data: Some(Data::Sum(Sum {
            data_points: vec![point],
            aggregation_temporality: 2,
            is_monotonic: true,
        })),
        ..Metric::default()
    };
    let mut scope = ScopeMetrics {
        metrics: vec![metric],
        ..ScopeMetrics::default()
    };
    scope.scope.get_or_insert_default().name = "betanet/metrics".to_owned();
    let resource = Resource {
        attributes: text("service.name", "betanet"),
        ..Resource::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource),
            scope_metrics: vec![scope],
            ..ResourceMetrics::default()
        }],
    }
}
