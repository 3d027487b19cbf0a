//! OTLP as JSON, as the OTLP specification maps it: keys in lowerCamelCase, 64-bit integers as
//! texts, enumerations as numbers, empty values omitted.
//!
//! `with-serde` of opentelemetry-proto differs: it writes `asInt` as a number, of which a reader
//! may lose digits, and NaN as `null`.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
        number_data_point,
    },
    resource::v1::Resource,
};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// Joins all messages into one, followed by a line feed.
pub(super) fn line(messages: &[ExportMetricsServiceRequest]) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&Json(messages))?;
    line.push(b'\n');
    Ok(line)
}

/// Serializes a value as OTLP JSON.
struct Json<T>(T);

/// Writes values that are not empty into a map.
struct Fields<M>(M);

impl<M: SerializeMap> Fields<M> {
    fn one<T>(&mut self, key: &'static str, value: Option<&T>) -> Result<(), M::Error>
    where
        for<'x> Json<&'x T>: Serialize,
    {
        match value {
            Some(value) => self.0.serialize_entry(key, &Json(value)),
            None => Ok(()),
        }
    }

    fn list<'a, T: 'a>(
        &mut self,
        key: &'static str,
        items: impl IntoIterator<Item = &'a T>,
    ) -> Result<(), M::Error>
    where
        Json<&'a T>: Serialize,
    {
        let items: Vec<_> = items.into_iter().map(Json).collect();
        if items.is_empty() {
            return Ok(());
        }
        self.0.serialize_entry(key, &items)
    }

    fn text(&mut self, key: &'static str, text: &str) -> Result<(), M::Error> {
        if text.is_empty() {
            return Ok(());
        }
        self.0.serialize_entry(key, text)
    }

    fn integer(&mut self, key: &'static str, integer: u64) -> Result<(), M::Error> {
        if integer == 0 {
            return Ok(());
        }
        self.0.serialize_entry(key, &integer.to_string())
    }

    fn flags(&mut self, flags: u32) -> Result<(), M::Error> {
        if flags == 0 {
            return Ok(());
        }
        self.0.serialize_entry("flags", &flags)
    }
}

macro_rules! json_object {
    ($type:ty, |$value:ident, $fields:ident| $write:block) => {
        impl Serialize for Json<&$type> {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let $value = self.0;
                let mut $fields = Fields(to.serialize_map(None)?);
                $write
                $fields.0.end()
            }
        }
    };
}

json_object!([ExportMetricsServiceRequest], |messages, fields| {
    let parts = messages.iter().flat_map(|of| &of.resource_metrics);
    fields.list("resourceMetrics", parts)?;
});

json_object!(ResourceMetrics, |part, fields| {
    fields.one("resource", part.resource.as_ref())?;
    fields.list("scopeMetrics", &part.scope_metrics)?;
    fields.text("schemaUrl", &part.schema_url)?;
});

json_object!(Resource, |resource, fields| {
    fields.list("attributes", &resource.attributes)?;
});

json_object!(ScopeMetrics, |part, fields| {
    fields.one("scope", part.scope.as_ref())?;
    fields.list("metrics", &part.metrics)?;
    fields.text("schemaUrl", &part.schema_url)?;
});

json_object!(InstrumentationScope, |scope, fields| {
    fields.text("name", &scope.name)?;
    fields.text("version", &scope.version)?;
    fields.list("attributes", &scope.attributes)?;
});

json_object!(Metric, |metric, fields| {
    fields.text("name", &metric.name)?;
    fields.text("description", &metric.description)?;
    fields.text("unit", &metric.unit)?;
    match &metric.data {
        Some(Data::Gauge(_)) => fields.one("gauge", metric.data.as_ref())?,
        Some(Data::Sum(_)) => fields.one("sum", metric.data.as_ref())?,
        Some(Data::Histogram(_)) => fields.one("histogram", metric.data.as_ref())?,
        // No instrument of this collector creates other kinds.
        _ => {}
    }
});

json_object!(Data, |data, fields| {
    match data {
        Data::Gauge(gauge) => fields.list("dataPoints", &gauge.data_points)?,
        Data::Sum(sum) => {
            fields.list("dataPoints", &sum.data_points)?;
            let temporality = &sum.aggregation_temporality;
            fields
                .0
                .serialize_entry("aggregationTemporality", temporality)?;
            if sum.is_monotonic {
                fields.0.serialize_entry("isMonotonic", &true)?;
            }
        }
        Data::Histogram(histogram) => {
            fields.list("dataPoints", &histogram.data_points)?;
            let temporality = &histogram.aggregation_temporality;
            fields
                .0
                .serialize_entry("aggregationTemporality", temporality)?;
        }
        _ => {}
    }
});

json_object!(NumberDataPoint, |point, fields| {
    fields.list("attributes", &point.attributes)?;
    fields.integer("startTimeUnixNano", point.start_time_unix_nano)?;
    fields.integer("timeUnixNano", point.time_unix_nano)?;
    match &point.value {
        Some(number_data_point::Value::AsInt(value)) => {
            fields.0.serialize_entry("asInt", &value.to_string())?;
        }
        Some(number_data_point::Value::AsDouble(value)) => {
            fields.0.serialize_entry("asDouble", &Json(value))?;
        }
        None => {}
    }
    fields.flags(point.flags)?;
});

json_object!(HistogramDataPoint, |point, fields| {
    fields.list("attributes", &point.attributes)?;
    fields.integer("startTimeUnixNano", point.start_time_unix_nano)?;
    fields.integer("timeUnixNano", point.time_unix_nano)?;
    fields.integer("count", point.count)?;
    fields.one("sum", point.sum.as_ref())?;
    fields.list("bucketCounts", &point.bucket_counts)?;
    fields.list("explicitBounds", &point.explicit_bounds)?;
    fields.one("min", point.min.as_ref())?;
    fields.one("max", point.max.as_ref())?;
    fields.flags(point.flags)?;
});

json_object!(KeyValue, |pair, fields| {
    fields.text("key", &pair.key)?;
    fields.one("value", pair.value.as_ref())?;
});

json_object!(AnyValue, |any, fields| {
    use any_value::Value;
    match &any.value {
        Some(Value::StringValue(text)) => fields.0.serialize_entry("stringValue", text)?,
        Some(Value::BoolValue(value)) => fields.0.serialize_entry("boolValue", value)?,
        Some(Value::IntValue(value)) => {
            fields.0.serialize_entry("intValue", &value.to_string())?;
        }
        Some(Value::DoubleValue(value)) => fields.0.serialize_entry("doubleValue", &Json(value))?,
        Some(Value::ArrayValue(array)) => fields.0.serialize_entry("arrayValue", &Json(array))?,
        // An attribute of this collector is a scalar or an array of scalars.
        _ => {}
    }
});

json_object!(
    opentelemetry_proto::tonic::common::v1::ArrayValue,
    |array, fields| {
        fields.list("values", &array.values)?;
    }
);

impl Serialize for Json<&u64> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self.0)
    }
}

impl Serialize for Json<&f64> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match *self.0 {
            value if value.is_finite() => to.serialize_f64(value),
            value if value.is_nan() => to.serialize_str("NaN"),
            value if value > 0.0 => to.serialize_str("Infinity"),
            _ => to.serialize_str("-Infinity"),
        }
    }
}
