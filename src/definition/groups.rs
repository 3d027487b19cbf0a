//! Groups of metrics that share keys.
//!
//! An entry of `metrics` that has `metrics` itself is a group: each of them has the other keys of
//! the group, unless it says them itself. Attributes of both are joined. Groups are resolved in the
//! tree, before anything is decoded, so that a message has the place at which a key stands.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::metric_file::MetricFile;
use crate::yaml::{Diagnostics, MapEntry, Node, Value};

/// The key of the metrics, of a file and of a group.
const METRICS: &str = "metrics";

/// The key that is joined and not replaced.
const ATTRIBUTES: &str = "attributes";

/// The most keys that metrics may get from their groups.
const INHERITED_MAX: usize = 50_000;

/// The file with each group replaced by its metrics.
pub(super) fn flatten(mut file: Node, diagnostics: &mut Diagnostics) -> Node {
    if let Value::Map(entries) = &mut file.value
        && let Some(entry) = entries.iter_mut().find(|entry| entry.key == METRICS)
        && let Value::Seq(items) = &mut entry.value.value
    {
        let mut flat = Flat {
            metrics: Vec::new(),
            inherited: 0,
            diagnostics,
        };
        for item in items.drain(..) {
            flat.add(item);
        }
        *items = flat.metrics;
    }
    file
}

/// Collects metrics that are no groups.
struct Flat<'d> {
    metrics: Vec<Node>,
    inherited: usize,
    diagnostics: &'d mut Diagnostics,
}

impl Flat<'_> {
    fn add(&mut self, mut item: Node) {
        let Value::Map(entries) = &mut item.value else {
            self.metrics.push(item);
            return;
        };
        let Some(at) = entries.iter().position(|entry| entry.key == METRICS) else {
            self.metrics.push(item);
            return;
        };
        let inner = entries.remove(at);
        let shared = std::mem::take(entries);
        let Value::Seq(metrics) = inner.value.value else {
            let message = "expected a list of metrics that share the other keys";
            self.diagnostics.error(&inner.key_place, METRICS, message);
            return;
        };
        for mut metric in metrics {
            self.inherited += count(&shared);
            if self.inherited > INHERITED_MAX {
                let message = format!("metrics get more than {INHERITED_MAX} keys from groups");
                self.diagnostics.error(&inner.key_place, METRICS, message);
                return;
            }
            if let Value::Map(own) = &mut metric.value {
                inherit(own, &shared);
            }
            self.add(metric);
        }
    }
}

/// The keys of a map and of what is below it.
fn count(entries: &[MapEntry]) -> usize {
    let below = |node: &Node| count(node.entries()) + node.items().len();
    entries.iter().map(|entry| 1 + below(&entry.value)).sum()
}

/// Adds the entries of a group that a metric does not have itself.
fn inherit(own: &mut Vec<MapEntry>, shared: &[MapEntry]) {
    for entry in shared {
        match own.iter_mut().find(|of| of.key == entry.key) {
            None => own.push(entry.clone()),
            Some(known) if known.key == ATTRIBUTES => {
                if let Value::Map(attributes) = &mut known.value.value {
                    let more = entry.value.entries();
                    let is_new =
                        |of: &&MapEntry| attributes.iter().all(|known| known.key != of.key);
                    let more: Vec<_> = more.iter().filter(is_new).cloned().collect();
                    attributes.extend(more);
                }
            }
            Some(_) => {}
        }
    }
}

/// The schema of the list: metrics and groups of them.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
    let metric = generator.subschema_for::<MetricFile>();
    let part = generator.subschema_for::<Part>();
    json_schema!({
        "type": "array",
        "items": {"anyOf": [metric, {"allOf": [part], "required": [METRICS]}]},
    })
}

/// What stands in a group: any keys of a metric, or a group.
struct Part;

impl JsonSchema for Part {
    fn schema_name() -> Cow<'static, str> {
        "MetricPart".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut part = MetricFile::json_schema(generator);
        let inner = generator.subschema_for::<Self>();
        part.remove("required");
        let description = "A group, or a metric in one. The metrics of a group have its keys, unless \
                           they say them themselves. Attributes are joined.";
        part.insert("description".to_owned(), description.into());
        let properties = part.get_mut("properties");
        if let Some(properties) = properties.and_then(|of| of.as_object_mut()) {
            let metrics = json_schema!({
                "description": "The metrics of the group.",
                "type": "array",
                "items": inner,
            });
            properties.insert(METRICS.to_owned(), metrics.into());
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use crate::definition::from_text;

    #[test]
    fn metrics_have_the_keys_of_their_group() {
        let text = r#"
endpoints: { a: { path: /a } }
metrics:
  - for_each: $.queues
    instrument: gauge
    attributes: { queue: "@key", kind: mail }
    metrics:
      - { name: depth, value: $.depth }
      - { name: sent, instrument: counter, value: $.sent, attributes: { kind: news } }
      - name: messages
        unit: "{message}"
        metrics:
          - { value: $.ready, attributes: { state: ready } }
          - { value: $.locked, attributes: { state: locked } }
  - { name: up, instrument: gauge, value: $.up }
"#;
        let definition = from_text("test", "test.yaml", text).unwrap();
        let rules = definition.rules.iter().map(|rule| {
            let instrument = &definition.instruments[rule.instrument];
            let keys: Vec<_> = rule.attributes.iter().map(|of| of.key.as_str()).collect();
            let (name, unit) = (&instrument.name, &instrument.unit);
            format!(
                "{name} {unit} {:?} {} {}",
                instrument.kind,
                rule.levels.len(),
                keys.join(",")
            )
        });
        assert_eq!(
            rules.collect::<Vec<_>>(),
            [
                "depth  Gauge 1 kind,queue",
                "sent  Counter 1 kind,queue",
                "messages {message} Gauge 1 kind,queue,state",
                "messages {message} Gauge 1 kind,queue,state",
                "up  Gauge 0 ",
            ]
        );
    }

    #[test]
    fn a_mistake_in_a_group_is_said_once_with_its_place() {
        let text = r#"
endpoints: { a: { path: /a } }
metrics:
  - instrument: gauge
    fro_each: $.x
    metrics: [{ name: a, value: $.a }, { name: b, value: $.b }, { value: $.c }]
  - { instrument: gauge, metrics: 7 }
"#;
        let error = from_text("test", "test.yaml", text).unwrap_err();
        assert_eq!(
            error.to_string(),
            "test.yaml:5:5: metrics::0::fro_each: unknown key (did you mean `for_each`?)\n\
             test.yaml:6:65: metrics::2: missing key `name`\n\
             test.yaml:7:26: metrics: expected a list of metrics that share the other keys"
        );
    }

    #[test]
    fn groups_in_groups_are_bounded() {
        let attributes: Vec<_> = (0..1000).map(|n| format!("a{n}: b")).collect();
        let metrics: Vec<_> = (0..100).map(|n| format!("{{name: m{n}}}")).collect();
        let text = format!(
            "endpoints: {{a: {{path: /}}}}\nmetrics: [{{instrument: gauge, value: $.a, attributes: {{{}}}, metrics: [{}]}}]\n",
            attributes.join(", "),
            metrics.join(", ")
        );
        let error = from_text("test", "test.yaml", &text)
            .unwrap_err()
            .to_string();
        assert!(error.contains("more than 50000 keys"), "{error}");
    }
}
