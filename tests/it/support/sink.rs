//! A receiver of OTLP over HTTP that stores every point.

use std::{
    collections::BTreeMap,
    io::Read as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use hyper::{Request, Response};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value},
    metrics::v1::{NumberDataPoint, metric::Data, number_data_point},
};
use prost::Message as _;

use super::{PATIENCE, eventually, server::Server};

/// One point of one series, with everything around it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub(crate) resource: Arc<BTreeMap<String, String>>,
    pub(crate) scope: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) unit: String,
    pub(crate) kind: Kind,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) value: Value,
    /// Start time in Unix nanoseconds.
    pub(crate) start_time: u64,
    /// Time in Unix nanoseconds.
    pub(crate) time: u64,
}

/// The kind of the metric in OTLP.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Gauge,
    Sum { monotonic: bool, cumulative: bool },
    Histogram { cumulative: bool },
}

/// A value as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Missing,
    Int(i64),
    Double(f64),
    Histogram {
        count: u64,
        sum: Option<f64>,
        bounds: Vec<f64>,
        buckets: Vec<u64>,
    },
}

/// Accepts `POST /v1/metrics`: protobuf, plain or gzip.
pub(crate) struct OtlpSink {
    server: Server,
    points: Arc<Mutex<Vec<Point>>>,
    away: Arc<AtomicBool>,
}

impl OtlpSink {
    /// Starts it.
    pub(crate) async fn start() -> Self {
        let points = Arc::new(Mutex::new(Vec::new()));
        let away = Arc::new(AtomicBool::new(false));
        let (kept, is_away) = (Arc::clone(&points), Arc::clone(&away));
        let server = Server::start(move |request| {
            if is_away.load(Ordering::Relaxed) {
                return empty(503);
            }
            match points_of(request) {
                Ok(points) => {
                    kept.lock().unwrap().extend(points);
                    empty(200)
                }
                Err(status) => empty(status),
            }
        })
        .await;
        Self {
            server,
            points,
            away,
        }
    }

    /// Sets whether it refuses everything (503).
    pub(crate) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// Its base URL, without `/v1/metrics`.
    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// All points so far, in the order of their arrival.
    pub(crate) fn points(&self) -> Vec<Point> {
        self.points.lock().unwrap().clone()
    }

    /// Waits until `enough` accepts the points, and returns them.
    pub(crate) async fn wait(&self, what: &str, enough: impl Fn(&[Point]) -> bool) -> Vec<Point> {
        eventually(what, PATIENCE, async || {
            Some(self.points()).filter(|points| enough(points))
        })
        .await
    }
}

/// The flag of a point that ends its series.
const NO_RECORDED_VALUE: u32 = 1;

fn empty(status: u16) -> Response<Bytes> {
    let response = Response::builder().status(status);
    response.body(Bytes::new()).unwrap()
}

/// The points in a request, or the status that refuses it.
pub(super) fn points_of(request: &Request<Bytes>) -> Result<Vec<Point>, u16> {
    if request.uri().path() != "/v1/metrics" {
        return Err(404);
    }
    let header = |name| Some(request.headers().get(name)?.as_bytes());
    if header("content-type") != Some(b"application/x-protobuf") {
        return Err(415);
    }
    let mut body = request.body().to_vec();
    if header("content-encoding") == Some(b"gzip") {
        let mut plain = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(body.as_slice());
        decoder.read_to_end(&mut plain).map_err(|_| 400_u16)?;
        body = plain;
    }
    let request = ExportMetricsServiceRequest::decode(body.as_slice()).map_err(|_| 400_u16)?;
    Ok(flatten(request))
}

/// All points of a message.
pub(crate) fn flatten(request: ExportMetricsServiceRequest) -> Vec<Point> {
    let mut points = Vec::new();
    for resource in request.resource_metrics {
        let attributes = Arc::new(texts(resource.resource.unwrap_or_default().attributes));
        for scope in resource.scope_metrics {
            let scope_name = scope.scope.unwrap_or_default().name;
            for metric in scope.metrics {
                for (kind, series) in series(metric.data) {
                    points.push(Point {
                        resource: Arc::clone(&attributes),
                        scope: scope_name.clone(),
                        name: metric.name.clone(),
                        description: metric.description.clone(),
                        unit: metric.unit.clone(),
                        kind,
                        attributes: series.attributes,
                        value: series.value,
                        start_time: series.start_time,
                        time: series.time,
                    });
                }
            }
        }
    }
    points
}

struct Series {
    attributes: BTreeMap<String, String>,
    value: Value,
    start_time: u64,
    time: u64,
}

fn series(data: Option<Data>) -> Vec<(Kind, Series)> {
    let numbers = |kind, points: Vec<NumberDataPoint>| {
        let points = points.into_iter().map(|point| (kind, number(point)));
        points.collect()
    };
    match data {
        Some(Data::Gauge(gauge)) => numbers(Kind::Gauge, gauge.data_points),
        Some(Data::Sum(sum)) => {
            let kind = Kind::Sum {
                monotonic: sum.is_monotonic,
                cumulative: is_cumulative(sum.aggregation_temporality),
            };
            numbers(kind, sum.data_points)
        }
        Some(Data::Histogram(histogram)) => {
            let cumulative = is_cumulative(histogram.aggregation_temporality);
            let points = histogram.data_points.into_iter().map(|point| {
                let ended = point.flags & NO_RECORDED_VALUE != 0;
                let value = Value::Histogram {
                    count: point.count,
                    sum: point.sum,
                    bounds: point.explicit_bounds,
                    buckets: point.bucket_counts,
                };
                let series = Series {
                    attributes: texts(point.attributes),
                    value: if ended { Value::Missing } else { value },
                    start_time: point.start_time_unix_nano,
                    time: point.time_unix_nano,
                };
                (Kind::Histogram { cumulative }, series)
            });
            points.collect()
        }
        other => panic!("the collector makes no such metric: {other:?}"),
    }
}

fn number(point: NumberDataPoint) -> Series {
    Series {
        attributes: texts(point.attributes),
        value: match point.value {
            Some(number_data_point::Value::AsInt(value)) => Value::Int(value),
            Some(number_data_point::Value::AsDouble(value)) => Value::Double(value),
            None => Value::Missing,
        },
        start_time: point.start_time_unix_nano,
        time: point.time_unix_nano,
    }
}

fn is_cumulative(temporality: i32) -> bool {
    temporality == 2 // AGGREGATION_TEMPORALITY_CUMULATIVE
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    attributes
        .into_iter()
        .map(|attribute| (attribute.key, text(attribute.value)))
        .collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::DoubleValue(number)) => number.to_string(),
        Some(any_value::Value::BoolValue(yes)) => yes.to_string(),
        other => format!("{other:?}"),
    }
}
