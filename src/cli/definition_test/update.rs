//! Writes the points that tests give into their file, and leaves the rest of it as it is.

use super::point::Point;
use crate::yaml::Node;

/// Why the points cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{place}: the keys of this test stand on one line; write each on a line of its own")]
pub(super) struct OnOneLine {
    place: crate::yaml::Place,
}

/// The text of a test file with the points of one of its tests.
///
/// # Errors
/// If the test is written on one line.
pub(super) fn with_points(text: &str, test: &Node, points: &[Point]) -> Result<String, OnOneLine> {
    let on_one_line = || OnOneLine {
        place: test.place.clone(),
    };
    let entries = test.entries();
    let mut lines_of_keys: Vec<_> = entries.iter().map(|entry| entry.key_place.line).collect();
    lines_of_keys.dedup();
    let first = entries.first().ok_or_else(on_one_line)?;
    if lines_of_keys.len() < entries.len() {
        return Err(on_one_line());
    }
    let column = first.key_place.column;
    let lines: Vec<&str> = text.lines().collect();
    let known = test.entry("points");
    let bodies = || test.entry("bodies").or_else(|| test.entry("recorded"));
    let key = known.or_else(bodies).unwrap_or(first);
    let begin = key.key_place.line.saturating_sub(1);
    let end = end_of_entry(&lines, begin, column);
    // A new key stands behind the bodies.
    let kept = if known.is_some() { begin } else { end };
    let indent = " ".repeat(column.saturating_sub(1));
    let mut written: Vec<String> = Vec::new();
    let (before, after) = (lines.iter().take(kept), lines.iter().skip(end));
    written.extend(before.map(|line| (*line).to_owned()));
    if points.is_empty() {
        written.push(format!("{indent}points: []"));
    } else {
        written.push(format!("{indent}points:"));
        let items = points.iter();
        written.extend(items.map(|point| format!("{indent}  - {}", scalar(&point.to_string()))));
    }
    written.extend(after.map(|line| (*line).to_owned()));
    Ok(written.join("\n") + "\n")
}

/// The line behind an entry whose key stands at `column` of the line `begin`. Blank lines and
/// comments in front of what follows do not belong to it.
fn end_of_entry(lines: &[&str], begin: usize, column: usize) -> usize {
    let mut end = begin + 1;
    for (index, line) in lines.iter().enumerate().skip(begin + 1) {
        let content = line.trim_start();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let indent = line.len() - content.len();
        let is_item = indent + 1 == column && content.starts_with("- ");
        if indent < column && !is_item {
            break;
        }
        end = index + 1;
    }
    end
}

/// A text as a YAML scalar.
fn scalar(text: &str) -> String {
    let is_plain = !text.contains(": ") && !text.contains(" #");
    match is_plain {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Diagnostics, parse};

    fn updated(text: &str) -> String {
        let node = parse("f", text, &mut Diagnostics::new()).unwrap();
        let points = ["a{b=\"c: d\"} 1", "e 2"].map(|point| point.parse().unwrap());
        with_points(text, node.at(&["tests", "0"]).unwrap(), &points).unwrap()
    }

    #[test]
    fn points_are_replaced_and_the_rest_stays() {
        for (before, after) in [
            (
                "tests:\n  - name: x\n    bodies:\n      e: |\n        b\n\n    points:\n      # old\n      - a 0\n\n  # next\n  - name: y\n",
                "tests:\n  - name: x\n    bodies:\n      e: |\n        b\n\n    points:\n      - 'a{b=\"c: d\"} 1'\n      - e 2\n\n  # next\n  - name: y\n",
            ),
            (
                "tests:\n- name: x\n  points:\n  - a 0\n  bodies: {}\n- name: y",
                "tests:\n- name: x\n  points:\n    - 'a{b=\"c: d\"} 1'\n    - e 2\n  bodies: {}\n- name: y\n",
            ),
            (
                "tests:\n  - bodies:\n      e: b\n    name: x\n",
                "tests:\n  - bodies:\n      e: b\n    points:\n      - 'a{b=\"c: d\"} 1'\n      - e 2\n    name: x\n",
            ),
        ] {
            assert_eq!(updated(before), after);
        }
    }

    #[test]
    fn a_test_on_one_line_is_refused() {
        let text = "tests: [{name: x, bodies: {}}]\n";
        let node = parse("f", text, &mut Diagnostics::new()).unwrap();
        let error = with_points(text, node.at(&["tests", "0"]).unwrap(), &[]).unwrap_err();
        assert!(error.to_string().starts_with("f:1:9: the keys"), "{error}");
    }
}
