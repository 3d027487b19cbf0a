//! NDJSON (JSON lines): a document a line, together an array.

use serde_json::Value;

use super::{
    budget::Budget,
    error::{DocumentError, LineError},
    json, lossy_json,
    rows::Rows,
};

/// Reads all lines within `budget`, and says in how many places they were repaired.
pub(crate) fn read(body: &[u8], budget: &mut Budget) -> Result<(Value, u64), DocumentError> {
    let body = lossy_json::without_mark(body);
    let (mut rows, mut repaired) = (Rows::default(), 0);
    for (index, line) in body.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let (value, places) = json::read(line, budget).map_err(|error| match error {
            DocumentError::Json(error) => DocumentError::Ndjson(LineError {
                line: index + 1,
                reason: reason(&error),
            }),
            other => other,
        })?;
        rows.push(value, budget)?;
        repaired += places;
    }
    Ok((rows.into(), repaired))
}

/// What is wrong and in which column; the line is another one than the parser thinks.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    format!("{what} at column {}", error.column())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_text(text: &str) -> Result<(Value, u64), String> {
        read(text.as_bytes(), &mut Budget::new(1 << 20)).map_err(|error| match error {
            DocumentError::Ndjson(error) => error.to_string(),
            other => other.to_string(),
        })
    }

    #[test]
    fn each_line_is_an_element() {
        for (text, expected, repaired) in [
            ("", json!([]), 0),
            ("\u{feff}{\"a\": 1}\r\n\n  2\n", json!([{"a": 1}, 2]), 0),
            (
                "{\"a\": NaN}\n{\"a\": 18446744073709551615}",
                json!([{"a": null}, {"a": u64::MAX}]),
                1,
            ),
        ] {
            assert_eq!(read_text(text), Ok((expected, repaired)), "{text}");
        }
    }

    #[test]
    fn a_broken_line_is_named() {
        for (text, expected) in [
            ("1\n\n{\"a\": }\n", "line 3: expected value at column 7"),
            ("{\n}", "line 1: EOF while parsing an object at column 1"),
            ("1 2", "line 1: trailing characters at column 3"),
        ] {
            assert_eq!(read_text(text).unwrap_err(), expected);
        }
    }

    #[test]
    fn what_was_read_of_earlier_lines_stays_counted() {
        let text = format!("\"{}\"\nNaN", "x".repeat(5000));
        let mut budget = Budget::new(1 << 20);
        read(text.as_bytes(), &mut budget).unwrap();
        assert!(budget.taken_bytes() >= 5000, "{budget:?}");
    }
}
