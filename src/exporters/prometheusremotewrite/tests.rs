//! Tests from collected metrics to series.

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::{
    Resource,
    metrics::{SdkMeterProvider, data::ResourceMetrics, reader::MetricReader as _},
};

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    message::{Label, Sample, TimeSeries, WriteRequest},
    metadata::Metadata,
    series::{Converted, NamingRules, Written},
    stale::LastSeries,
};
use crate::{delivery::testing::Reader, pipeline::Starts};

/// A total, a gauge with an unusual attribute and a histogram, of a target with a name.
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

fn requested(rules: &NamingRules, starts: &dyn Starts, time: i64) -> Written {
    let parts = [metrics()];
    rules.request((parts[0].resource(), &parts), &[], starts, time)
}

/// Each series as `{name="value",…} value`, sorted.
fn texts(rules: &NamingRules) -> Vec<String> {
    let Written { request, scopes } = requested(rules, &(), 1_700_000_000_001);
    let series: usize = scopes.iter().map(|(_, series)| series).sum();
    assert_eq!(series, request.timeseries.len(), "each series has a scope");
    let times = request
        .timeseries
        .iter()
        .map(|series| series.samples[0].timestamp);
    assert!(
        times.clone().all(|time| time == 1_700_000_000_001),
        "all series have the same time"
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

/// The gauge was measured at the third second.
#[derive(Debug)]
struct Measured;

impl Starts for Measured {
    fn known(
        &self,
        _: &str,
        _: &str,
        _: &mut dyn Iterator<Item = &KeyValue>,
    ) -> Option<SystemTime> {
        None
    }

    fn has_measured(&self, scope: &str, metric: &str) -> bool {
        (scope, metric) == ("test", "a.gauge")
    }

    fn measured(
        &self,
        _: &str,
        _: &str,
        _: &mut dyn Iterator<Item = &KeyValue>,
    ) -> Option<SystemTime> {
        Some(UNIX_EPOCH + Duration::from_secs(3))
    }
}

#[test]
fn a_value_has_the_time_at_which_it_was_measured() {
    let rules = NamingRules::default();
    let written = requested(&rules, &Measured, 7000);
    let series = &written.request.timeseries;
    let mut times: Vec<_> = series.iter().map(|of| of.samples[0].timestamp).collect();
    times.sort_unstable();
    times.dedup();
    assert_eq!(times, [3000, 7000]);
    let own = series.iter().find(|of| of.samples[0].timestamp == 3000);
    assert!(text(own.unwrap()).contains("__name__=a_gauge"));
}

#[test]
fn names_follow_the_compatibility_specification() {
    let rules = NamingRules {
        has_suffixes: true,
        has_target_info: true,
        ..NamingRules::default()
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
fn configured_labels_are_on_every_series_without_such_a_label() {
    let labels = [("zone", "outside"), ("cluster", "c")];
    let rules = NamingRules {
        namespace: "mix".to_owned(),
        external_labels: labels
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        converted: Converted::All,
        ..NamingRules::default()
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
    let rules = NamingRules {
        converted: Converted::WithoutService,
        ..NamingRules::default()
    };
    assert_eq!(
        self::texts(&rules)[1],
        "__name__=bytes,instance=node-1,job=betanet,zone=eu 9007199254740992"
    );
}

/// One sample of each of these series at this time. The first letter of a name is its scope.
fn written(names: &[&str], timestamp: i64) -> Written {
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
    Written {
        request: WriteRequest {
            timeseries: series.collect(),
            ..WriteRequest::default()
        },
        scopes: names
            .iter()
            .map(|name| (name.chars().take(1).collect(), 1))
            .collect(),
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
fn a_series_that_disappeared_ends_once() {
    let memory = LastSeries::default();
    let said = |target: &str, names: &[&str], time, whole: &[&str]| {
        let mut written = written(names, time);
        let is_whole = |scope: &str| whole.contains(&scope);
        let count = memory.end_missing(target, &mut written, time, is_whole);
        let ended = ends(&written.request);
        assert_eq!(count, ended.len() as u64);
        format!("{ended:?}")
    };
    let all = &["a", "b", "c", "x"];
    assert_eq!(said("node", &["a1", "b1"], 10, all), "[]");
    assert_eq!(said("node", &["a1"], 20, all), "[(\"b1\", 20)]");
    assert_eq!(said("node", &["a1", "c1", "c2"], 30, all), "[]");
    // `c` was not requested, so its series stay. `a` changed.
    assert_eq!(said("node", &["a2"], 40, &["a"]), "[(\"a1\", 40)]");
    assert_eq!(said("node", &["a2"], 50, &["a"]), "[]");
    assert_eq!(
        said("node", &["a2", "c1"], 60, &["a", "c"]),
        "[(\"c2\", 60)]"
    );
    // All endpoints were requested, without an answer.
    assert_eq!(said("gone", &["a1"], 10, all), "[]");
    assert_eq!(said("gone", &[], 20, all), "[(\"a1\", 20)]");
    assert_eq!(memory.end_all("gone", 30), WriteRequest::default());
    assert_eq!(said("other", &["x1"], 30, all), "[]");
    let all = memory.end_all("node", 25);
    assert_eq!(
        ends(&all),
        [("a2", 61), ("c1", 61)],
        "after its last sample"
    );
    assert_eq!(memory.end_all("node", 40), WriteRequest::default());
    assert_eq!(ends(&memory.end_all("other", 40)), [("x1", 40)]);
}

#[test]
fn metadata_is_sent_again_once_a_minute() {
    let rules = NamingRules {
        has_suffixes: true,
        ..NamingRules::default()
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
    let renamed = NamingRules {
        namespace: "other".to_owned(),
        ..rules.clone()
    };
    let said = metadata.due(&renamed, &parts, start + Duration::from_secs(61));
    assert_eq!(said.len(), 3, "the names are different");
}
