//! A processor with one target, and readings written as text: `name{key=value} 5`.

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::SdkMeterProvider;

use super::{ProcessorContext, TYPES};
use crate::{
    definition,
    instruments::ReportMetrics,
    pipeline::{Batch, Number, Part, Processor, Reading, Stage, Stream, Target},
    runtime::Clock,
    telemetry::Meter,
    yaml::{self, Cursor, Diagnostics},
};

const DEFINITION: &str = "
endpoints: {a: {path: /a}, b: {path: /b}}
metrics:
  - {name: gauge, instrument: gauge, endpoint: a, for_each: $.g, value: $.v}
  - {name: other, instrument: gauge, endpoint: b, value: $.o}
  - {name: total, instrument: counter, endpoint: a, unit: By, for_each: $.t, value: $.t}
  - {name: packets, instrument: counter, endpoint: a, unit: By, for_each: $.t, value: $.t}
  - {name: seconds, instrument: histogram, endpoint: a, value: $.s, unit: s, buckets: [0.5, 1]}
";

/// A processor and one of its targets, with the Resource `zone=eu`.
pub(super) struct ProcessorBench {
    before: Stream,
    after: Stream,
    stage: Box<dyn Stage>,
}

/// The processor of the type `kind` with this `config`, or the mistakes in it.
pub(super) fn build(kind: &str, config: &str) -> Result<Arc<dyn Processor>, String> {
    let mut diagnostics = Diagnostics::new();
    let node = yaml::parse("test", config, &mut diagnostics).ok_or("no YAML")?;
    let kind = TYPES.iter().find(|known| known.is(kind)).ok_or("no type")?;
    let decoded = kind.read(&Cursor::new(&node, ""), &mut diagnostics);
    diagnostics.into_result().map_err(|e| e.to_string())?;
    let meter = Meter::of(&SdkMeterProvider::default());
    let board = Arc::default();
    let context = ProcessorContext {
        id: "test",
        meter: &meter,
        clock: &Clock::System,
        board: &board,
    };
    Ok(decoded.ok_or("not decoded")?.build(&context))
}

/// The stream of a target with this name and a Resource with these attributes.
pub(super) fn stream(name: &str, resource: &str) -> Stream {
    let definition = definition::from_text("test", "test.yaml", DEFINITION).unwrap();
    let target = Arc::new(Target::polled_by("betanet", name, &definition));
    Stream {
        schema: Arc::new(ReportMetrics::schema(&target)),
        target,
        resource: attributes(resource).into(),
    }
}

/// Parses `key=value,…`.
fn attributes(text: &str) -> Vec<KeyValue> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    let pairs = pairs.map(|(key, value)| KeyValue::new(key.to_owned(), value.to_owned()));
    pairs.collect()
}

/// A reading from its text.
pub(super) fn reading(stream: &Stream, text: &str) -> Reading {
    let (series, value) = text.rsplit_once(' ').unwrap();
    let (name, rest) = series.split_once('{').unwrap_or((series, "}"));
    let named = |known: &Arc<definition::Instrument>| known.name == name;
    let value = match value.parse() {
        Ok(value) => Number::Unsigned(value),
        Err(_) => Number::Double(value.parse().unwrap()),
    };
    Reading {
        instrument: stream.schema.instruments().iter().position(named).unwrap(),
        attributes: attributes(rest.trim_end_matches('}')),
        value,
        time: None,
        histogram: None,
    }
}

fn pairs(attributes: &[KeyValue]) -> String {
    let is_sorted = attributes.is_sorted_by(|a, b| a.key < b.key);
    assert!(is_sorted, "{attributes:?}");
    let pairs = attributes.iter().map(|a| format!("{}={}", a.key, a.value));
    pairs.collect::<Vec<_>>().join(",")
}

/// The text of a reading.
pub(super) fn text(stream: &Stream, reading: &Reading) -> String {
    let name = &stream.schema.get(reading.instrument).unwrap().name;
    let value = match reading.value {
        Number::Unsigned(value) => value.to_string(),
        other => other.as_f64().to_string(),
    };
    match pairs(&reading.attributes).as_str() {
        "" => format!("{name} {value}"),
        pairs => format!("{name}{{{pairs}}} {value}"),
    }
}

impl ProcessorBench {
    pub(super) fn new(kind: &str, config: &str) -> Self {
        let processor = build(kind, config).unwrap();
        let before = stream("node", "zone=eu");
        let mut after = before.clone();
        let stage = processor.open(&mut after);
        Self {
            before,
            after,
            stage,
        }
    }

    /// The resulting readings, each with its Resource, sorted by text.
    pub(super) fn run_with_resources(&mut self, readings: &[&str]) -> Vec<String> {
        let values = readings.iter().map(|text| reading(&self.before, text));
        let batch = self.stage.process(Batch {
            parts: vec![Part {
                resource: Arc::clone(&self.before.resource),
                values: values.collect(),
            }],
            ..Batch::default()
        });
        let mut lines = Vec::new();
        for part in &batch.parts {
            let resource = pairs(&part.resource);
            let texts = part.values.iter().map(|reading| text(&self.after, reading));
            lines.extend(texts.map(|text| format!("[{resource}] {text}")));
        }
        lines.sort();
        lines
    }

    /// The resulting readings, whatever their Resource.
    pub(super) fn run(&mut self, readings: &[&str]) -> Vec<String> {
        let lines = self.run_with_resources(readings);
        let without = lines
            .iter()
            .map(|line| line.split_once("] ").unwrap().1.to_owned());
        let mut lines: Vec<_> = without.collect();
        lines.sort();
        lines
    }

    /// The Resource after the processor.
    pub(super) fn resource(&self) -> String {
        pairs(&self.after.resource)
    }

    /// The stream after the processor.
    pub(super) fn after(&self) -> &Stream {
        &self.after
    }
}
