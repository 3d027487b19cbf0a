//! Prometheus text 0.0.4 as a JSON document, so that one mapping language serves both.
//!
//! `up{job="a"} 1` becomes `{"up": [{"labels": {"job": "a"}, "value": 1}]}`. Integers stay exact;
//! `NaN` and the infinities, which JSON does not have, become strings.

use serde_json::{Map, Value};

/// A line that is not Prometheus text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line} is not Prometheus text: {reason}")]
pub(super) struct ExpositionError {
    line: usize,
    reason: &'static str,
}

/// Reads a whole body.
pub(super) fn parse(text: &str) -> Result<Value, ExpositionError> {
    let mut families = Map::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, sample) = sample(line).map_err(|reason| ExpositionError {
            line: index + 1,
            reason,
        })?;
        let family = families
            .entry(name)
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(samples) = family {
            samples.push(sample);
        }
    }
    Ok(Value::Object(families))
}

fn sample(line: &str) -> Result<(String, Value), &'static str> {
    let end = line
        .find(|c: char| c == '{' || c.is_whitespace())
        .ok_or("there is no value")?;
    let (name, rest) = line.split_at(end);
    if name.is_empty()
        || !name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_:".contains(c))
    {
        return Err("the name is not a metric name");
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Map::new(), rest),
    };
    // A timestamp may follow the value; the time of the poll is what counts.
    let value = rest.split_whitespace().next().ok_or("there is no value")?;
    let value = number(value).ok_or("the value is not a number")?;
    let sample = Map::from_iter([
        ("labels".into(), Value::Object(labels)),
        ("value".into(), value),
    ]);
    Ok((name.to_owned(), Value::Object(sample)))
}

/// Reads labels up to the closing brace; also gives what follows it.
fn labels(mut rest: &str) -> Result<(Map<String, Value>, &str), &'static str> {
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
        labels.insert(name.trim().to_owned(), Value::String(value));
        rest = after;
    }
}

/// Reads up to the closing quote; also gives what follows it.
fn quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok((value, chars.as_str())),
            '\\' => match chars.next() {
                Some('n') => value.push('\n'),
                Some(escaped @ ('"' | '\\')) => value.push(escaped),
                // The format knows no other escape; readers keep such a backslash.
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
    // A double that JSON cannot hold keeps its text, and the mapping refuses it by name.
    Some(serde_json::Number::from_f64(value).map_or_else(|| text.into(), Value::Number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

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
