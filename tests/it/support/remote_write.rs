//! Reads Prometheus remote write 1.0, like a receiver.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use hyper::Request;
use prost::Message;

use super::sink::{Kind, Point, Value};

/// The path of the endpoint.
pub(crate) const PATH: &str = "/api/v1/write";

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

/// The samples of a request as points. A time is the end of its millisecond; a whole number is an
/// integer.
pub(super) fn points_of(request: &Request<Bytes>) -> Result<Vec<Point>, u16> {
    for (header, value) in [
        ("content-type", "application/x-protobuf"),
        ("content-encoding", "snappy"),
        ("x-prometheus-remote-write-version", "0.1.0"),
    ] {
        let is_it = request.headers().get(header).is_some_and(|is| is == value);
        is_it.then_some(()).ok_or(415_u16)?;
    }
    let body = snap::raw::Decoder::new().decompress_vec(request.body());
    let request = WriteRequest::decode(&*body.map_err(|_| 400_u16)?).map_err(|_| 400_u16)?;
    let series = request.timeseries.into_iter();
    Ok(series.flat_map(points).collect())
}

fn points(series: TimeSeries) -> Vec<Point> {
    let labels = series.labels.into_iter();
    let mut attributes: BTreeMap<_, _> = labels.map(|label| (label.name, label.value)).collect();
    let name = attributes.remove("__name__").unwrap_or_default();
    let instance = attributes.get("instance").cloned().unwrap_or_default();
    let resource = BTreeMap::from([("service.instance.id".to_owned(), instance)]);
    let resource = Arc::new(resource);
    let samples = series.samples.into_iter().map(|sample| Point {
        resource: Arc::clone(&resource),
        scope: String::new(),
        name: name.clone(),
        description: String::new(),
        unit: String::new(),
        kind: Kind::Gauge,
        attributes: attributes.clone(),
        value: match sample.value {
            #[expect(clippy::cast_possible_truncation, reason = "it is a whole number")]
            value if value.fract() == 0.0 => Value::Int(value as i64),
            value => Value::Double(value),
        },
        start_time: 0,
        time: u64::try_from(sample.timestamp).unwrap() * 1_000_000 + 999_999,
    });
    samples.collect()
}
