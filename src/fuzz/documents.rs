//! Parsers of the answers of targets.

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::Value;

use super::text;
use crate::{
    definition::{self, Definition, Path, Steps},
    pipeline::{Number, Readings},
    processors::mapping,
    receivers::{self, SavedAnswer},
    runtime::Clock,
};

type Compiled = std::sync::Arc<Definition>;

/// The definition for [`prometheus_samples`].
static VOCABULARY: LazyLock<Compiled> = LazyLock::new(|| {
    let metric = |name: &str, metric: &str| {
        format!(
            "  - {{name: {metric}, description: d, instrument: gauge, endpoint: m, \
             for_each: '$.{name}[*]', value: $.value, \
             attributes: {{x: $.labels.x, y: $.labels.y}}}}\n"
        )
    };
    let text = format!(
        "description: d\nendpoints:\n  m: {{path: /m, format: prometheus}}\nmetrics:\n{}{}",
        metric("a", "one"),
        metric("b_total", "two")
    );
    compiled(&text)
});

static DATED: LazyLock<Compiled> = LazyLock::new(|| {
    compiled(
        "description: d\nendpoints:\n  j: {path: /j}\nmetrics:\n  - {name: time, description: d, \
         instrument: gauge, unit: s, endpoint: j, value: $.t, parse: timestamp}\n",
    )
});

/// What reads a body of one format: its elements as far as they are objects.
fn of_format(format: &str) -> Compiled {
    compiled(&format!(
        "endpoints:\n  e: {{path: /e, {format}}}\nmetrics:\n  - {{name: value, instrument: gauge, \
         for_each: '$..*', value: $.a, attributes: {{b: {{path: $.b, optional: true}}}}}}\n"
    ))
}

static NDJSON: LazyLock<Compiled> = LazyLock::new(|| of_format("format: ndjson"));
static CSV: LazyLock<[Compiled; 2]> = LazyLock::new(|| {
    [
        of_format("format: csv"),
        of_format("format: csv, csv: {delimiter: ';', comment: '#', header: false}"),
    ]
});
static XML: LazyLock<Compiled> = LazyLock::new(|| of_format("format: xml"));
static TEXT: LazyLock<Compiled> = LazyLock::new(|| {
    of_format(r"format: text, lines: {pattern: '^(?P<b>[^:]+):? +(?P<a>[0-9.]+)|(?P<c>x+)$'}")
});

static BUILTIN: LazyLock<Vec<Compiled>> = LazyLock::new(|| {
    let all = definition::BUILTIN.iter().map(definition::load_builtin);
    all.map(|loaded| loaded.expect("a built-in definition"))
        .collect()
});

fn compiled(text: &str) -> Compiled {
    definition::from_text("fuzz", "fuzz.yaml", text).expect("a definition")
}

/// The readings from one body at every endpoint.
fn mapped(definition: &Definition, body: &[u8]) -> Readings {
    let bodies = definition
        .endpoints
        .iter()
        .map(|_| Some(SavedAnswer::Whole(body.to_vec())));
    let mut poll = receivers::sample(definition, bodies.collect(), &Clock::System);
    mapping::map(definition, &mut poll)
}

/// A path, and a document after the end of the line.
pub(super) fn jsonpath(data: &[u8]) {
    let text = text(data);
    let (path, document) = text.split_once('\n').unwrap_or((&text, "null"));
    let (Ok(path), Ok(document)) = (Path::parse(path), serde_json::from_str::<Value>(document))
    else {
        return;
    };
    let steps = Steps::for_document(data.len());
    let found = path.nodes(&document, usize::MAX, &steps);
    if let (Ok(found), true) = (found, path.keys().is_some()) {
        assert!(found.total <= 1, "{} names one value", path.text());
    }
    // It does not matter here whether there are enough steps.
    drop(path.elements(&document, 1, &steps));
    let _one = path.one(&document, &steps);
    let _misses = path.misses(&document, &steps);
}

/// A JSON body for one of the built-in definitions, which the first byte chooses.
pub(super) fn json(data: &[u8]) {
    let Some((first, body)) = data.split_first() else {
        return;
    };
    let body = if first.is_ascii_punctuation() {
        data
    } else {
        body
    };
    if let Some(definition) = BUILTIN.get(usize::from(*first) % BUILTIN.len()) {
        drop(mapped(definition, body));
    }
}

/// A body of Prometheus text.
pub(super) fn prometheus(data: &[u8]) {
    drop(mapped(&VOCABULARY, data));
}

/// A body of NDJSON.
pub(super) fn ndjson(data: &[u8]) {
    drop(mapped(&NDJSON, data));
}

/// A body of CSV, with a header and without.
pub(super) fn csv(data: &[u8]) {
    for definition in CSV.iter() {
        drop(mapped(definition, data));
    }
}

/// A body of XML.
pub(super) fn xml(data: &[u8]) {
    drop(mapped(&XML, data));
}

/// A body of plain text.
pub(super) fn text_lines(data: &[u8]) {
    drop(mapped(&TEXT, data));
}

/// A jq program, a line of three minus signs, and the JSON body that it reads.
pub(super) fn transform(data: &[u8]) {
    let text = text(data);
    let (program, body) = text.split_once("\n---\n").unwrap_or((&text, "null"));
    // JSON is YAML, so that any text is a program.
    let file = serde_json::json!({
        "endpoints": {"e": {"path": "/e", "transform": program}},
        "metrics": [{"name": "value", "instrument": "gauge", "for_each": "$..*", "value": "$.a"}],
    });
    if let Ok(definition) = definition::from_text("fuzz", "fuzz.yaml", &file.to_string()) {
        drop(mapped(&definition, body.as_bytes()));
    }
}

/// A time in a JSON body.
pub(super) fn timestamp(data: &[u8]) {
    let body = serde_json::json!({ "t": text(data) }).to_string();
    drop(mapped(&DATED, body.as_bytes()));
}

/// The name of a family, its labels and its value.
pub type PrometheusSample = (String, BTreeMap<String, String>, f64);

/// The samples of the families `a` and `b_total` in Prometheus text, with their labels `x` and `y`
/// and their values in Rust's syntax. `None` if the text is invalid. Only numbers are read.
pub fn prometheus_samples(text: &str) -> Option<Vec<PrometheusSample>> {
    let endpoints = VOCABULARY.endpoints.len();
    let body = text.as_bytes().to_vec();
    let mut poll = receivers::sample(
        &VOCABULARY,
        (0..endpoints)
            .map(|_| Some(SavedAnswer::Whole(body.clone())))
            .collect(),
        &Clock::System,
    );
    poll.endpoints.first()?.body()?;
    let readings = mapping::map(&VOCABULARY, &mut poll);
    let sample = readings.values.iter().map(|reading| {
        let labels = reading.attributes.iter();
        let labels = labels.map(|pair| (pair.key.to_string(), pair.value.to_string()));
        let name = ["a", "b_total"].get(reading.instrument).copied();
        #[expect(clippy::cast_precision_loss, reason = "Python has doubles only")]
        let value = match reading.value {
            Number::Unsigned(value) => value as f64,
            Number::Negative(value) => value as f64,
            Number::Double(value) => value,
        };
        (name.unwrap_or_default().to_owned(), labels.collect(), value)
    });
    Some(sample.collect())
}
