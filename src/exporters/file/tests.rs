//! Tests from a snapshot to the lines on a disk.

use std::{
    fs,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value},
    metrics::v1::{
        Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
        ScopeMetrics, Sum, metric::Data, number_data_point::Value,
    },
    resource::v1::Resource,
};
use serde_json::json;
use tempfile::TempDir;

use super::{
    writer::{Rotation, SharedFile, Writer, WriterSettings},
    *,
};
use crate::{pipeline::StateStore, runtime::Clock};

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn number(value: Value) -> NumberDataPoint {
    NumberDataPoint {
        attributes: vec![attribute("id", any_value::Value::IntValue(7))],
        start_time_unix_nano: 1,
        time_unix_nano: u64::MAX,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

fn metric(name: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        unit: "By".to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn message(metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let name = any_value::Value::StringValue("node \"a\"\n".to_owned());
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource {
                attributes: vec![attribute("service.name", name)],
                ..Resource::default()
            }),
            scope_metrics: vec![ScopeMetrics {
                metrics,
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

/// Two messages with all kinds of points and unusual values.
fn messages() -> [ExportMetricsServiceRequest; 2] {
    let total = Data::Sum(Sum {
        data_points: vec![number(Value::AsInt(i64::MAX))],
        aggregation_temporality: 2,
        is_monotonic: true,
    });
    let doubles = [0.5, f64::NAN, f64::NEG_INFINITY];
    let doubles = doubles.map(|value| number(Value::AsDouble(value)));
    let ended = NumberDataPoint {
        time_unix_nano: 3,
        flags: 1,
        ..NumberDataPoint::default()
    };
    let gauge = Data::Gauge(Gauge {
        data_points: doubles.into_iter().chain([ended]).collect(),
    });
    let histogram = Data::Histogram(Histogram {
        data_points: vec![HistogramDataPoint {
            time_unix_nano: 2,
            count: 3,
            sum: Some(0.0),
            bucket_counts: vec![0, 3],
            explicit_bounds: vec![0.5],
            ..HistogramDataPoint::default()
        }],
        aggregation_temporality: 1,
    });
    [
        message(vec![metric("total", total), metric("gauge", gauge)]),
        message(vec![metric("histogram", histogram)]),
    ]
}

/// The expected JSON according to the OTLP specification.
fn expected() -> serde_json::Value {
    let point = |key: &str, value: serde_json::Value| {
        json!({
            "attributes": [{"key": "id", "value": {"intValue": "7"}}],
            "startTimeUnixNano": "1",
            "timeUnixNano": "18446744073709551615",
            key: value,
        })
    };
    let part = |metrics: serde_json::Value| {
        let name = json!({"key": "service.name", "value": {"stringValue": "node \"a\"\n"}});
        json!({"resource": {"attributes": [name]}, "scopeMetrics": [{"metrics": metrics}]})
    };
    let total = json!({
        "dataPoints": [point("asInt", json!("9223372036854775807"))],
        "aggregationTemporality": 2,
        "isMonotonic": true,
    });
    let doubles = [json!(0.5), json!("NaN"), json!("-Infinity")];
    let mut doubles = doubles.map(|value| point("asDouble", value)).to_vec();
    doubles.push(json!({"timeUnixNano": "3", "flags": 1}));
    let gauge = json!({"dataPoints": doubles});
    let histogram = json!({
        "dataPoints": [{
            "timeUnixNano": "2",
            "count": "3",
            "sum": 0.0,
            "bucketCounts": ["0", "3"],
            "explicitBounds": [0.5],
        }],
        "aggregationTemporality": 1,
    });
    json!({"resourceMetrics": [
        part(json!([
            {"name": "total", "unit": "By", "sum": total},
            {"name": "gauge", "unit": "By", "gauge": gauge},
        ])),
        part(json!([{"name": "histogram", "unit": "By", "histogram": histogram}])),
    ]})
}

#[test]
fn a_line_follows_the_otlp_specification() {
    let line = json::line(&messages()).unwrap();
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
    let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(line, expected());
}

/// A writer of `metrics.json` in a directory.
fn writer(directory: &Path, append: bool, rotation: Option<Rotation>) -> Writer {
    let settings = settings(directory, append, rotation);
    writer_after(&StateStore::default(), settings)
}

/// A writer that shares the files of the other ones in the same store.
fn writer_after(states: &StateStore, settings: WriterSettings) -> Writer {
    let file = SharedFile::of(&settings.path, states);
    Writer::new(settings, file)
}

fn settings(directory: &Path, append: bool, rotation: Option<Rotation>) -> WriterSettings {
    WriterSettings {
        directory_mode: None,
        path: directory.join("metrics.json"),
        append,
        rotation,
        clock: Clock::starting_at(UNIX_EPOCH + Duration::from_secs(1_000_000_000)),
    }
}

/// The files of a directory with their contents, by name.
fn files(directory: &TempDir) -> Vec<(String, String)> {
    let entries = fs::read_dir(directory.path()).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn is(files: &[(String, String)], expected: &[(&str, &str)]) {
    let files: Vec<_> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    assert_eq!(files, expected);
}

#[tokio::test(start_paused = true)]
async fn an_existing_file_is_emptied_or_continued() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("metrics.json"), "before\ntorn").unwrap();
    let appending = writer(directory.path(), true, None);
    appending.write(b"1\n").unwrap();
    appending.write(b"2\n").unwrap();
    is(
        &files(&directory),
        &[("metrics.json", "before\ntorn\n1\n2\n")],
    );
    let emptying = writer(directory.path(), false, None);
    emptying.write(b"1\n").unwrap();
    emptying.write(b"2\n").unwrap();
    is(&files(&directory), &[("metrics.json", "1\n2\n")]);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_moved_away_is_created_again() {
    let directory = TempDir::new().unwrap();
    let writer = writer(directory.path(), false, None);
    writer.write(b"1\n").unwrap();
    let path = directory.path().join("metrics.json");
    fs::rename(&path, directory.path().join("metrics.json.1")).unwrap();
    writer.write(b"2\n").unwrap();
    is(
        &files(&directory),
        &[("metrics.json", "2\n"), ("metrics.json.1", "1\n")],
    );
}

#[tokio::test(start_paused = true)]
async fn a_replacement_continues_the_file_of_its_predecessor() {
    let directory = TempDir::new().unwrap();
    let states = StateStore::default();
    let old = writer_after(&states, settings(directory.path(), false, None));
    old.write(b"1\n").unwrap();
    let rotation = Rotation {
        max_bytes: 6,
        max_backups: None,
        max_age: None,
    };
    let new = settings(directory.path(), false, Some(rotation));
    let new = writer_after(&states, new);
    new.write(b"2\n").unwrap();
    old.write(b"3\n").unwrap();
    new.write(b"4\n").unwrap();
    old.write(b"5\n").unwrap();
    is(
        &files(&directory),
        &[
            ("metrics-2001-09-09T01-46-40.000.json", "1\n2\n3\n"),
            ("metrics.json", "4\n5\n"),
        ],
    );
    let elsewhere = TempDir::new().unwrap();
    let other = writer_after(&states, settings(elsewhere.path(), false, None));
    other.write(b"6\n").unwrap();
    is(&files(&elsewhere), &[("metrics.json", "6\n")]);
}

#[tokio::test(start_paused = true)]
async fn a_full_file_is_rotated_and_old_files_are_deleted() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("metrics-of-mine.json"), "mine").unwrap();
    let rotation = Rotation {
        max_bytes: 4,
        max_backups: Some(2),
        max_age: Some(Duration::from_secs(3600)),
    };
    let writer = writer(directory.path(), false, Some(rotation));
    for line in ["1\n", "2\n", "3\n", "4\n", "longer\n", "6\n"] {
        writer.write(line.as_bytes()).unwrap();
    }
    let newest = [("metrics-of-mine.json", "mine"), ("metrics.json", "6\n")];
    is(
        &files(&directory),
        &[
            ("metrics-2001-09-09T01-46-40.001.json", "3\n4\n"),
            ("metrics-2001-09-09T01-46-40.002.json", "longer\n"),
            newest[0],
            newest[1],
        ],
    );
    tokio::time::advance(Duration::from_secs(7200)).await;
    writer.write(b"7890\n").unwrap();
    is(
        &files(&directory),
        &[
            ("metrics-2001-09-09T03-46-40.000.json", "6\n"),
            newest[0],
            ("metrics.json", "7890\n"),
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_is_an_error_with_the_path() {
    let directory = TempDir::new().unwrap();
    let below = directory.path().join("absent");
    let writer = writer(&below, false, None);
    let error = writer.write(b"1\n").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("absent/metrics.json cannot be opened"),
        "{error}"
    );
    fs::create_dir(&below).unwrap();
    writer.write(b"1\n").unwrap();
    assert_eq!(
        fs::read_to_string(below.join("metrics.json")).unwrap(),
        "1\n"
    );
}
