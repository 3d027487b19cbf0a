//! Splits an OTLP message into several. Data points stay whole and in their order, and each piece
//! repeats the Resource, the scope and the metric of its points.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{
        ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, SummaryDataPoint, metric::Data,
    },
};
use prost::Message as _;

use crate::delivery::{Limit, Piece};

/// The largest size of a tag and a length.
const PREFIX_BYTES: u64 = 6;

/// Splits an `ExportMetricsServiceRequest`. Returns nothing if the message cannot be read.
pub(in crate::exporters) fn split(message: &[u8], points: u64, limit: Limit) -> Vec<Piece> {
    let Ok(message) = ExportMetricsServiceRequest::decode(message) else {
        return Vec::new();
    };
    let (points, bytes) = match limit {
        Limit::Half => (points.div_ceil(2), u64::MAX),
        Limit::AtMost { points, bytes } => (points, bytes),
    };
    let mut splitter = Splitter {
        points,
        bytes,
        pieces: Vec::new(),
        open: Open::default(),
    };
    for part in message.resource_metrics {
        splitter.resource(part);
    }
    splitter.close();
    splitter.pieces
}

/// A data point of any kind.
enum Point {
    Number(NumberDataPoint),
    Histogram(HistogramDataPoint),
    Exponential(ExponentialHistogramDataPoint),
    Summary(SummaryDataPoint),
}

/// The piece that is being filled.
#[derive(Default)]
struct Open {
    message: ExportMetricsServiceRequest,
    points: u64,
    /// An upper estimate of its size in bytes.
    bytes: u64,
    /// Whether the piece already has the current Resource, scope and metric.
    has_resource: bool,
    has_scope: bool,
    has_metric: bool,
}

/// Resource, scope and metric without their contents, and their sizes.
struct Heads<'h> {
    resource: (&'h ResourceMetrics, u64),
    scope: (&'h ScopeMetrics, u64),
    metric: (&'h Metric, u64),
}

struct Splitter {
    points: u64,
    bytes: u64,
    pieces: Vec<Piece>,
    open: Open,
}

impl Splitter {
    fn resource(&mut self, mut part: ResourceMetrics) {
        let scopes = std::mem::take(&mut part.scope_metrics);
        let resource = (&part, size(&part));
        self.open.has_resource = false;
        for mut scope in scopes {
            let metrics = std::mem::take(&mut scope.metrics);
            let scope = (&scope, size(&scope));
            self.open.has_scope = false;
            for mut metric in metrics {
                let points = metric.data.as_mut().map(take).unwrap_or_default();
                let metric = (&metric, size(&metric) + PREFIX_BYTES);
                self.open.has_metric = false;
                let heads = Heads {
                    resource,
                    scope,
                    metric,
                };
                for point in points {
                    self.point(point, &heads);
                }
            }
        }
    }

    fn point(&mut self, point: Point, heads: &Heads<'_>) {
        let size = point.size();
        let more = size + self.open.missing(heads);
        let is_full = self.open.points >= self.points || self.open.bytes + more > self.bytes;
        if self.open.points > 0 && is_full {
            self.close();
        }
        let open = &mut self.open;
        open.bytes += size + open.missing(heads);
        open.points += 1;
        open.push(point, heads);
    }

    fn close(&mut self) {
        let Open {
            message, points, ..
        } = std::mem::take(&mut self.open);
        if points > 0 {
            self.pieces.push(Piece {
                payload: message.encode_to_vec().into(),
                points,
            });
        }
    }
}

impl Open {
    /// The bytes of the Resource, scope and metric that the next point needs.
    fn missing(&self, heads: &Heads<'_>) -> u64 {
        let resource = if self.has_resource {
            0
        } else {
            heads.resource.1
        };
        let scope = if self.has_scope && self.has_resource {
            0
        } else {
            heads.scope.1
        };
        let metric = if self.has_metric && self.has_scope {
            0
        } else {
            heads.metric.1
        };
        resource + scope + metric
    }

    fn push(&mut self, point: Point, heads: &Heads<'_>) {
        let parts = &mut self.message.resource_metrics;
        if !self.has_resource {
            parts.push(heads.resource.0.clone());
            self.has_scope = false;
        }
        let Some(part) = parts.last_mut() else { return };
        if !self.has_scope {
            part.scope_metrics.push(heads.scope.0.clone());
            self.has_metric = false;
        }
        let Some(scope) = part.scope_metrics.last_mut() else {
            return;
        };
        if !self.has_metric {
            scope.metrics.push(heads.metric.0.clone());
        }
        (self.has_resource, self.has_scope, self.has_metric) = (true, true, true);
        let data = scope
            .metrics
            .last_mut()
            .and_then(|metric| metric.data.as_mut());
        match (data, point) {
            (Some(Data::Gauge(of)), Point::Number(point)) => of.data_points.push(point),
            (Some(Data::Sum(of)), Point::Number(point)) => of.data_points.push(point),
            (Some(Data::Histogram(of)), Point::Histogram(point)) => of.data_points.push(point),
            (Some(Data::ExponentialHistogram(of)), Point::Exponential(point)) => {
                of.data_points.push(point);
            }
            (Some(Data::Summary(of)), Point::Summary(point)) => of.data_points.push(point),
            // A point always returns to the kind of metric that it came from.
            _ => {}
        }
    }
}

impl Point {
    fn size(&self) -> u64 {
        match self {
            Self::Number(point) => size(point),
            Self::Histogram(point) => size(point),
            Self::Exponential(point) => size(point),
            Self::Summary(point) => size(point),
        }
    }
}

/// The largest size of a message within another one, in bytes.
fn size(message: &impl prost::Message) -> u64 {
    message.encoded_len() as u64 + PREFIX_BYTES
}

/// Takes the points out of a metric.
fn take(data: &mut Data) -> Vec<Point> {
    fn all<T>(points: &mut Vec<T>, kind: fn(T) -> Point) -> Vec<Point> {
        std::mem::take(points).into_iter().map(kind).collect()
    }
    match data {
        Data::Gauge(of) => all(&mut of.data_points, Point::Number),
        Data::Sum(of) => all(&mut of.data_points, Point::Number),
        Data::Histogram(of) => all(&mut of.data_points, Point::Histogram),
        Data::ExponentialHistogram(of) => all(&mut of.data_points, Point::Exponential),
        Data::Summary(of) => all(&mut of.data_points, Point::Summary),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        common::v1::InstrumentationScope,
        metrics::v1::{Gauge, Histogram, Sum, number_data_point::Value},
        resource::v1::Resource,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::pipeline::OtlpMessage;

    fn number(value: i64) -> NumberDataPoint {
        NumberDataPoint {
            time_unix_nano: u64::MAX,
            value: Some(Value::AsInt(value)),
            ..NumberDataPoint::default()
        }
    }

    /// A metric of one of three kinds with `count` points, numbered consecutively.
    fn metric(kind: u8, count: usize, next: &mut i64) -> Metric {
        let mut numbers = || {
            *next += 1;
            *next
        };
        let data = match kind {
            0 => Data::Gauge(Gauge {
                data_points: (0..count).map(|_| number(numbers())).collect(),
            }),
            1 => Data::Sum(Sum {
                data_points: (0..count).map(|_| number(numbers())).collect(),
                aggregation_temporality: 2,
                is_monotonic: true,
            }),
            _ => Data::Histogram(Histogram {
                data_points: (0..count)
                    .map(|_| HistogramDataPoint {
                        count: numbers().unsigned_abs(),
                        bucket_counts: vec![1; 20],
                        ..HistogramDataPoint::default()
                    })
                    .collect(),
                aggregation_temporality: 2,
            }),
        };
        Metric {
            name: format!("metric.{kind}"),
            data: Some(data),
            ..Metric::default()
        }
    }

    type Shape = Vec<Vec<Vec<(u8, usize)>>>;

    fn message(shape: &Shape) -> ExportMetricsServiceRequest {
        let mut next = 0;
        let resource_metrics = shape
            .iter()
            .enumerate()
            .map(|(at, scopes)| ResourceMetrics {
                resource: Some(Resource {
                    dropped_attributes_count: u32::try_from(at).unwrap() + 1,
                    ..Resource::default()
                }),
                scope_metrics: scopes
                    .iter()
                    .enumerate()
                    .map(|(at, metrics)| ScopeMetrics {
                        scope: Some(InstrumentationScope {
                            name: format!("scope {at}"),
                            ..InstrumentationScope::default()
                        }),
                        metrics: metrics
                            .iter()
                            .map(|(kind, count)| metric(*kind, *count, &mut next))
                            .collect(),
                        ..ScopeMetrics::default()
                    })
                    .collect(),
                schema_url: "x".repeat(at * 30),
            });
        ExportMetricsServiceRequest {
            resource_metrics: resource_metrics.collect(),
        }
    }

    /// Each point as text, with its Resource, scope and metric.
    fn texts(message: &ExportMetricsServiceRequest) -> Vec<String> {
        let mut texts = Vec::new();
        for part in &message.resource_metrics {
            for scope in &part.scope_metrics {
                for metric in &scope.metrics {
                    let mut metric = metric.clone();
                    let of = (&part.resource, &part.schema_url, &scope.scope);
                    let taken = metric.data.as_mut().map(take).unwrap_or_default();
                    texts.extend(taken.into_iter().map(|point| match point {
                        Point::Number(point) => format!("{of:?} {metric:?} {point:?}"),
                        Point::Histogram(point) => format!("{of:?} {metric:?} {point:?}"),
                        _ => panic!("none of these"),
                    }));
                }
            }
        }
        texts
    }

    fn shapes() -> impl Strategy<Value = Shape> {
        let metrics = prop::collection::vec((0_u8..3, 0_usize..8), 0..4);
        prop::collection::vec(prop::collection::vec(metrics, 0..3), 0..3)
    }

    proptest! {
        #[test]
        fn every_point_is_in_exactly_one_piece_with_its_resource_scope_and_metric(
            shape in shapes(),
            most in 1_u64..9,
            bytes in 1_u64..2000,
            is_half: bool,
        ) {
            let message = message(&shape);
            let count = OtlpMessage::from(&message).points;
            let limit = match is_half {
                true => Limit::Half,
                false => Limit::AtMost { points: most, bytes },
            };
            let pieces = split(&message.encode_to_vec(), count, limit);
            let decoded: Vec<_> = pieces
                .iter()
                .map(|piece| ExportMetricsServiceRequest::decode(&piece.payload[..]).unwrap())
                .collect();
            let all: Vec<String> = decoded.iter().flat_map(texts).collect();
            prop_assert_eq!(all, texts(&message));
            for (piece, decoded) in pieces.iter().zip(&decoded) {
                prop_assert_eq!(piece.points, OtlpMessage::from(decoded).points);
                prop_assert!(piece.points >= 1);
                if is_half {
                    prop_assert!(piece.points <= count.div_ceil(2));
                } else {
                    prop_assert!(piece.points <= most);
                    prop_assert!(piece.payload.len() as u64 <= bytes || piece.points == 1);
                }
            }
            prop_assert!(!is_half || pieces.len() == usize::try_from(count.min(2)).unwrap());
        }
    }

    #[test]
    fn an_invalid_message_cannot_be_split() {
        assert_eq!(split(b"\xff\xff", 2, Limit::Half), []);
    }
}
