//! Tests of the direct encoding of numbers against the types of opentelemetry-proto.

use opentelemetry::{Array, StringValue};
use opentelemetry_proto::tonic::metrics::v1::{NumberDataPoint, metric::Data};
use proptest::prelude::*;

use super::*;

/// Metrics with their points in the order of their values, without times.
type Metrics = Vec<(String, String, String, Vec<NumberDataPoint>, Option<bool>)>;

fn metrics(messages: &[ExportMetricsServiceRequest]) -> Metrics {
    let parts = messages.iter().flat_map(|of| &of.resource_metrics);
    let scopes = parts.flat_map(|of| &of.scope_metrics);
    let metrics = scopes.flat_map(|of| &of.metrics).filter_map(|metric| {
        let (points, is_monotonic) = match metric.data.as_ref()? {
            Data::Gauge(gauge) => (&gauge.data_points, None),
            Data::Sum(sum) => {
                assert_eq!(sum.aggregation_temporality, 2, "cumulative");
                (&sum.data_points, Some(sum.is_monotonic))
            }
            _ => return None,
        };
        let mut points = points.clone();
        for point in &mut points {
            (point.start_time_unix_nano, point.time_unix_nano) = (0, 0);
        }
        points.sort_by_key(|point| format!("{point:?}"));
        let [name, description, unit] =
            [&metric.name, &metric.description, &metric.unit].map(Clone::clone);
        Some((name, description, unit, points, is_monotonic))
    });
    let mut metrics: Vec<_> = metrics.collect();
    metrics.sort_by_key(|metric| metric.0.clone());
    metrics
}

fn value() -> impl Strategy<Value = opentelemetry::Value> {
    let texts = proptest::collection::vec("[a-z]{0,3}", 0..3);
    prop_oneof![
        "\\PC{0,200}".prop_map(opentelemetry::Value::from),
        any::<i64>().prop_map(opentelemetry::Value::from),
        any::<bool>().prop_map(opentelemetry::Value::from),
        (-1e9..1e9).prop_map(opentelemetry::Value::from),
        texts.prop_map(|texts| {
            let texts = texts.into_iter().map(StringValue::from);
            opentelemetry::Value::Array(Array::String(texts.collect()))
        }),
    ]
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        (0..=i64::MAX.unsigned_abs()).prop_map(Number::Unsigned),
        Just(Number::Unsigned(0)),
        (i64::MIN..0).prop_map(Number::Negative),
        (-1e300..1e300).prop_map(Number::Double),
    ]
}

proptest! {
    /// Whatever is collected, in any order and number.
    #[test]
    fn numbers_are_encoded_as_opentelemetry_proto_does_it(
        totals in proptest::collection::vec(number(), 0..2),
        gauges in proptest::collection::vec(number(), 0..2),
        nodes in proptest::collection::btree_map("[a-z]{1,150}", (value(), number()), 0..15),
        rounds in 1..3,
    ) {
        let mut both = instruments();
        for _ in 0..rounds {
            let totals = totals.iter().map(|value| reading(TOTAL, *value));
            let gauges = gauges.iter().map(|value| reading(GAUGE, *value));
            let nodes = nodes.iter().map(|(key, (attribute, value))| Reading {
                attributes: vec![KeyValue::new(key.clone(), attribute.clone())],
                ..reading(NODES, *value)
            });
            let values: Vec<_> = totals.chain(gauges).chain(nodes).collect();
            let (poll, values) = (poll([true, true]), readings(values));
            let collected = both.collect(&poll, &values);
            let expected = collected.metrics.iter().map(ExportMetricsServiceRequest::from);
            let expected: Vec<_> = expected.collect();
            let [read, lost] = both.scopes(&poll);
            let (encoding, _) = both.instruments.forms();
            let messages = encoding.messages(&collected, [&read, &lost], &[]);
            let points: u64 = messages.iter().map(|message| message.points).sum();
            prop_assert!(points > 5);
            prop_assert_eq!(metrics(&decoded(&messages)), metrics(&expected));
        }
    }
}
