//! From what the SDK collected to series.

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::{
    Resource,
    metrics::{SdkMeterProvider, data::ResourceMetrics, reader::MetricReader as _},
};

use std::time::{Duration, UNIX_EPOCH};

use super::{
    message::{Label, Sample, TimeSeries, WriteRequest},
    metadata::Metadata,
    series::{Converted, Rules},
    stale::Memory,
};
use crate::delivery::testing::Reader;

/// A total, a gauge with an odd attribute and a histogram, of a target with a name.
fn metrics() -> ResourceMetrics {
    let reader = Reader::default();
    let resource = Resource::builder_empty().with_attributes([
        KeyValue::new("service.name", "betanet"),
        KeyValue::new("service.instance.id", "node-1"),
        KeyValue::new("zone", "eu"),
    ]);
    let provider = SdkMeterProvider::builder()
        .with_reader(reader.clone())
        .with_resource(resource.build())
        .build();
    let meter = provider.meter_with_scope(InstrumentationScope::builder("test").build());
    let total = meter.u64_counter("bytes").with_unit("By").build();
    total.add(
        1 << 53,
        &[KeyValue::new("job", "mine"), KeyValue::new("none", "")],
    );
    let gauge = meter.f64_gauge("a.gauge").build();
    gauge.record(
        0.5,
        &[
            KeyValue::new("a.b", "1"),
            KeyValue::new("a/b", "2"),
            KeyValue::new("zone", "us"),
        ],
    );
    let histogram = meter.f64_histogram("latency").with_unit("s");
    let histogram = histogram.with_boundaries(vec![0.5, 1.0]).build();
    histogram.record(0.25, &[]);
    histogram.record(2.0, &[]);
    let mut metrics = ResourceMetrics::default();
    reader.collect(&mut metrics).unwrap();
    metrics
}

/// `{name="value",…} value`, in order of the text.
fn texts(rules: &Rules) -> Vec<String> {
    let request = rules.request(&[metrics()]);
    let times = request
        .timeseries
        .iter()
        .map(|series| series.samples[0].timestamp);
    assert!(
        times.clone().all(|time| time > 1_700_000_000_000),
        "milliseconds"
    );
    let mut texts: Vec<_> = request.timeseries.iter().map(text).collect();
    texts.sort();
    texts
}

fn text(series: &TimeSeries) -> String {
    assert!(
        series.labels.is_sorted_by(|a, b| a.name < b.name),
        "{series:?}"
    );
    let labels = series.labels.iter();
    let labels = labels.map(|label| format!("{}={}", label.name, label.value));
    let labels: Vec<_> = labels.collect();
    format!("{} {}", labels.join(","), series.samples[0].value)
}

#[test]
fn series_are_called_as_the_compatibility_specification_says() {
    let rules = Rules {
        has_suffixes: true,
        has_target_info: true,
        ..Rules::default()
    };
    assert_eq!(
        texts(&rules),
        [
            "__name__=a_gauge,a_b=1;2,instance=node-1,job=betanet,zone=us 0.5",
            "__name__=bytes_total,instance=node-1,job=betanet 9007199254740992",
            "__name__=latency_seconds_bucket,instance=node-1,job=betanet,le=+Inf 2",
            "__name__=latency_seconds_bucket,instance=node-1,job=betanet,le=0.5 1",
            "__name__=latency_seconds_bucket,instance=node-1,job=betanet,le=1 1",
            "__name__=latency_seconds_count,instance=node-1,job=betanet 2",
            "__name__=latency_seconds_sum,instance=node-1,job=betanet 2.25",
            "__name__=target_info,instance=node-1,job=betanet,zone=eu 1",
        ]
    );
}

#[test]
fn what_is_configured_stands_on_every_series_that_says_nothing_else() {
    let labels = [("zone", "outside"), ("cluster", "c")];
    let rules = Rules {
        namespace: "mix".to_owned(),
        external_labels: labels
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        converted: Converted::All,
        ..Rules::default()
    };
    let texts = texts(&rules);
    let resource = "service_instance_id=node-1,service_name=betanet";
    let expected = [
        format!(
            "__name__=mix_a_gauge,a_b=1;2,cluster=c,instance=node-1,job=betanet,{resource},zone=us 0.5"
        ),
        format!(
            "__name__=mix_bytes,cluster=c,instance=node-1,job=betanet,{resource},zone=eu 9007199254740992"
        ),
    ];
    assert_eq!(texts[..2], expected);
    let rules = Rules {
        converted: Converted::WithoutService,
        ..Rules::default()
    };
    assert_eq!(
        self::texts(&rules)[1],
        "__name__=bytes,instance=node-1,job=betanet,zone=eu 9007199254740992"
    );
}

/// One sample of each of these series, at this time.
fn request(names: &[&str], timestamp: i64) -> WriteRequest {
    let series = names.iter().map(|name| TimeSeries {
        labels: vec![Label {
            name: "__name__".to_owned(),
            value: (*name).to_owned(),
        }],
        samples: vec![Sample {
            value: 1.0,
            timestamp,
        }],
    });
    WriteRequest {
        timeseries: series.collect(),
        ..WriteRequest::default()
    }
}

/// Names and times of the series that end in a request.
fn ends(request: &WriteRequest) -> Vec<(&str, i64)> {
    let ended = request.timeseries.iter().filter_map(|series| {
        let sample = series.samples.first()?;
        let is_stale = sample.value.to_bits() == 0x7ff0_0000_0000_0002;
        is_stale.then_some((series.labels[0].value.as_str(), sample.timestamp))
    });
    ended.collect()
}

#[test]
fn a_series_that_is_no_longer_given_ends_once() {
    let memory = Memory::default();
    let said = |names: &[&str], time| {
        let mut request = request(names, time);
        let count = memory.end_missing("node", &mut request);
        let ended = ends(&request);
        assert_eq!(count, ended.len() as u64);
        format!("{ended:?}")
    };
    assert_eq!(said(&["a", "b"], 10), "[]");
    assert_eq!(said(&["a"], 20), "[(\"b\", 20)]");
    assert_eq!(said(&["a", "c"], 30), "[]");
    assert_eq!(memory.end_missing("other", &mut request(&["x"], 30)), 0);
    let all = memory.end_all("node", 25);
    assert_eq!(ends(&all), [("a", 31), ("c", 31)], "after its last sample");
    assert_eq!(memory.end_all("node", 40), WriteRequest::default());
    assert_eq!(ends(&memory.end_all("other", 40)), [("x", 40)]);
}

#[test]
fn metadata_is_said_again_once_a_minute() {
    let rules = Rules {
        has_suffixes: true,
        ..Rules::default()
    };
    let (metadata, parts) = (Metadata::default(), [metrics()]);
    let start = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let due = |seconds| metadata.due(&rules, &parts, start + Duration::from_secs(seconds));
    let mut first = due(0);
    first.sort_by(|a, b| a.metric_family_name.cmp(&b.metric_family_name));
    let names = first
        .iter()
        .map(|of| (of.metric_family_name.as_str(), of.kind, of.unit.as_str()));
    let expected = [
        ("a_gauge", 2, ""),
        ("bytes_total", 1, "By"),
        ("latency_seconds", 3, "s"),
    ];
    assert_eq!(names.collect::<Vec<_>>(), expected);
    assert_eq!(due(59), []);
    assert_eq!(due(60).len(), 3);
    let renamed = Rules {
        namespace: "other".to_owned(),
        ..rules.clone()
    };
    let said = metadata.due(&renamed, &parts, start + Duration::from_secs(61));
    assert_eq!(said.len(), 3, "other names");
}
