//! Plain text: an array of what a pattern finds in its lines.

use regex::Regex;
use serde_json::{Map, Value};

use super::{budget::Budget, error::DocumentError, rows::Rows};

/// Reads a whole body within `budget`: of each line that `pattern` matches an object of its named
/// groups, without those that found nothing. That no line matches is an error, since the text is
/// another one than the definition expects.
pub(crate) fn parse(
    text: &str,
    pattern: &Regex,
    budget: &mut Budget,
) -> Result<Value, DocumentError> {
    let names: Vec<_> = pattern.capture_names().flatten().collect();
    let mut rows = Rows::default();
    let mut lines = 0;
    for line in text.lines() {
        lines += 1;
        let Some(found) = pattern.captures(line) else {
            continue;
        };
        let mut members = Map::new();
        for name in &names {
            let Some(group) = found.name(name) else {
                continue;
            };
            budget.member(members.len())?;
            budget.text(name.len())?;
            budget.text(group.len())?;
            members.insert((*name).to_owned(), group.as_str().into());
        }
        rows.push(Value::Object(members), budget)?;
    }
    match rows.is_empty() {
        true => Err(DocumentError::Unmatched { lines }),
        false => Ok(rows.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str, pattern: &str) -> Result<Value, String> {
        let pattern = Regex::new(pattern).unwrap();
        parse(text, &pattern, &mut Budget::new(1 << 20)).map_err(|error| error.to_string())
    }

    #[test]
    fn each_line_that_matches_is_an_element() {
        let nginx = "Active connections: 2 \nserver accepts handled requests\n 841845 841845 1631067 \n\
                     Reading: 0 Writing: 1 Waiting: 1 \n";
        let pattern =
            r"^(?:Active connections: (?P<active>\d+)| (?P<accepts>\d+) (?P<handled>\d+) \d+) *$";
        let expected = json!([{"active": "2"}, {"accepts": "841845", "handled": "841845"}]);
        assert_eq!(read(nginx, pattern), Ok(expected));
        let zookeeper = "zk_version\t3.8\r\nzk_avg_latency\t0.25\r\n";
        let expected = json!([{"key": "zk_avg_latency", "value": "0.25"}]);
        assert_eq!(
            read(zookeeper, r"^(?P<key>zk_avg\w*)\t(?P<value>.*)$"),
            Ok(expected)
        );
    }

    #[test]
    fn a_text_of_which_no_line_matches_is_another_one() {
        assert_eq!(
            read("a\nb\n", "^(?P<c>c)$").unwrap_err(),
            "none of its 2 lines matches `lines: {pattern}`"
        );
    }

    #[test]
    fn no_text_takes_more_than_its_budget() {
        let text = "a\n".repeat(20_000);
        let pattern = Regex::new("(?P<a>.)").unwrap();
        let mut budget = Budget::new(100_000);
        let mut read = None;
        let info = allocation_counter::measure(|| {
            read = Some(parse(&text, &pattern, &mut budget));
        });
        assert!(matches!(read, Some(Err(DocumentError::TooLarge(_)))));
        assert!(info.bytes_max < 140_000, "{}", info.bytes_max);
    }
}
