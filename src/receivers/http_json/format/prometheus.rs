//! Parses Prometheus text 0.0.4 into a JSON document, so that one mapping language works for both.
//!
//! `up{job="a"} 1` becomes `{"up": [{"labels": {"job": "a"}, "value": 1}]}`. Integers stay exact;
//! `NaN` and the infinities, which JSON does not have, become strings. Families that no rule reads
//! have only their names in the document: a tree of samples needs many times the memory of their
//! text.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::budget::{Budget, DocumentTooLarge};

/// A line that is not Prometheus text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line} is not Prometheus text: {reason}")]
pub(crate) struct ExpositionError {
    line: usize,
    reason: &'static str,
}

/// Parses a whole body within `budget`: the samples of the `wanted` families. `None` means all.
pub(crate) fn parse(
    text: &str,
    wanted: Option<&BTreeSet<String>>,
    budget: &mut Budget,
) -> Result<Value, Fault> {
    let mut families = Map::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let before = budget.taken_bytes();
        let (name, sample) = sample(line, budget).map_err(|fault| match fault {
            LineFault::TooLarge(error) => Fault::TooLarge(error),
            LineFault::Text(reason) => Fault::Text(ExpositionError {
                line: index + 1,
                reason,
            }),
        })?;
        let unwanted = budget.taken_bytes() - before;
        if !families.contains_key(name) {
            budget.member(families.len())?;
            budget.text(name.len())?;
            families.insert(name.to_owned(), Value::Array(Vec::new()));
        }
        if wanted.is_some_and(|wanted| !wanted.contains(name)) {
            budget.give_back(unwanted);
            continue;
        }
        if let Some(Value::Array(samples)) = families.get_mut(name) {
            budget.push(samples, sample)?;
        }
    }
    Ok(Value::Object(families))
}

/// Why a text cannot be parsed.
#[derive(Debug)]
pub(crate) enum Fault {
    Text(ExpositionError),
    TooLarge(DocumentTooLarge),
}

/// Why a line cannot be parsed.
enum LineFault {
    Text(&'static str),
    TooLarge(DocumentTooLarge),
}

impl From<DocumentTooLarge> for Fault {
    fn from(error: DocumentTooLarge) -> Self {
        Self::TooLarge(error)
    }
}

impl From<&'static str> for LineFault {
    fn from(reason: &'static str) -> Self {
        Self::Text(reason)
    }
}

impl From<DocumentTooLarge> for LineFault {
    fn from(error: DocumentTooLarge) -> Self {
        Self::TooLarge(error)
    }
}

fn sample<'l>(line: &'l str, budget: &mut Budget) -> Result<(&'l str, Value), LineFault> {
    let end = line
        .find(|c: char| c == '{' || c.is_whitespace())
        .ok_or("there is no value")?;
    let (name, rest) = line.split_at(end);
    if name.is_empty()
        || !name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_:".contains(c))
    {
        return Err("the name is not a metric name".into());
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest, budget)?,
        None => (Map::new(), rest),
    };
    // A timestamp may follow the value. It is ignored: the time of the poll counts.
    let value = rest.split_whitespace().next().ok_or("there is no value")?;
    let value = number(value).ok_or("the value is not a number")?;
    budget.member(0)?;
    budget.text("labels".len())?;
    budget.text("value".len())?;
    if let Value::String(text) = &value {
        budget.text(text.len())?;
    }
    let sample = Map::from_iter([
        ("labels".into(), Value::Object(labels)),
        ("value".into(), value),
    ]);
    Ok((name, Value::Object(sample)))
}

/// Parses labels up to the closing brace. Returns also the rest of the line.
fn labels<'l>(
    mut rest: &'l str,
    budget: &mut Budget,
) -> Result<(Map<String, Value>, &'l str), LineFault> {
    let mut labels = Map::new();
    loop {
        rest = rest.trim_start().trim_start_matches(',').trim_start();
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let (name, after) = rest.split_once('=').ok_or("a label has no value")?;
        let after = after
            .trim_start()
            .strip_prefix('"')
            .ok_or("a label value is not quoted")?;
        let (value, after) = quoted(after)?;
        let name = name.trim();
        budget.member(labels.len())?;
        budget.text(name.len())?;
        budget.text(value.capacity())?;
        labels.insert(name.to_owned(), Value::String(value));
        rest = after;
    }
}

/// Parses up to the closing quote. Returns also the rest of the line.
fn quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok((value, chars.as_str())),
            '\\' => match chars.next() {
                Some('n') => value.push('\n'),
                Some(escaped @ ('"' | '\\')) => value.push(escaped),
                // The format has no other escape; parsers keep such a backslash.
                Some(other) => value.extend(['\\', other]),
                None => break,
            },
            other => value.push(other),
        }
    }
    Err("a label value does not end")
}

fn number(text: &str) -> Option<Value> {
    if let Ok(value) = text.parse::<u64>() {
        return Some(value.into());
    }
    if let Ok(value) = text.parse::<i64>() {
        return Some(value.into());
    }
    let value = text.parse::<f64>().ok()?;
    // JSON has no such double, so it keeps its text, and the mapping refuses it with a message.
    Some(serde_json::Number::from_f64(value).map_or_else(|| text.into(), Value::Number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{parse as parse_within, *};

    fn parse(text: &str) -> Result<Value, ExpositionError> {
        match parse_within(text, None, &mut Budget::new(1 << 20)) {
            Err(Fault::Text(error)) => Err(error),
            other => Ok(other.unwrap()),
        }
    }

    #[test]
    fn names_labels_values_and_timestamps() {
        let text = "# HELP a A.\n# TYPE a counter\na 18446744073709551615\n\
                    b{x=\"1\",y=\"q\\\"\\\\\\n,}\"} 0.5 1700000000000\nb{ x = \"2\" , } -3\n\nc NaN\n";
        let expected = json!({
            "a": [{"labels": {}, "value": u64::MAX}],
            "b": [
                {"labels": {"x": "1", "y": "q\"\\\n,}"}, "value": 0.5},
                {"labels": {"x": "2"}, "value": -3},
            ],
            "c": [{"labels": {}, "value": "NaN"}],
        });
        assert_eq!(parse(text), Ok(expected));
    }

    #[test]
    fn a_broken_line_is_named() {
        for (text, expected) in [
            (
                "ok 1\nbroken",
                "line 2 is not Prometheus text: there is no value",
            ),
            (
                "a b",
                "line 1 is not Prometheus text: the value is not a number",
            ),
            (
                "a{x=1} 1",
                "line 1 is not Prometheus text: a label value is not quoted",
            ),
            (
                "a{x=\"1 1",
                "line 1 is not Prometheus text: a label value does not end",
            ),
            (
                "<html> 1",
                "line 1 is not Prometheus text: the name is not a metric name",
            ),
            (
                "{\"json\": true}",
                "line 1 is not Prometheus text: the name is not a metric name",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            drop(parse(&text));
        }

        #[test]
        fn any_label_value_comes_back(value in ".*") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            // A carriage return or the like ends a line for `lines()` only with a line feed.
            prop_assume!(!value.contains('\r'));
            let read = parse(&format!("m{{l=\"{escaped}\"}} 1")).unwrap();
            prop_assert_eq!(&read["m"][0]["labels"]["l"], &Value::String(value));
        }
    }
}
