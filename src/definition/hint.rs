//! Says why a path finds nothing, with the nearest key that exists.

use std::borrow::Cow;

use serde_json::Value;

use super::{Path, Steps};
use crate::yaml::nearest;

/// The number of keys to list if none is near.
const KEYS_MAX: usize = 8;

impl Path {
    /// What `document` has at the place where the path ends. None if it finds something, or takes
    /// too many steps.
    pub fn hint(&self, document: &Value, steps: &Steps) -> Option<String> {
        let mut parent = document;
        for (prefix, segment) in self.prefixes() {
            parent = match prefix.first(document, steps).ok()? {
                Some(found) => found,
                None => {
                    return Some(match segment.keys().as_deref() {
                        Some([key]) => absent(key, parent),
                        _ => chosen_none(&segment, parent),
                    });
                }
            };
        }
        let found = self.one(document, steps);
        matches!(found, Ok(None)).then(|| "it is null".to_owned())
    }
}

/// The message for a wildcard, a slice or a filter that selected nothing.
fn chosen_none(segment: &Path, parent: &Value) -> String {
    let segment = segment.text().trim_start_matches('$');
    match parent {
        Value::Array(items) => format!("`{segment}` finds none in an array of {}", items.len()),
        Value::Object(members) => {
            format!("`{segment}` finds none in an object of {}", members.len())
        }
        Value::Null => format!("`{segment}` of null"),
        _ => format!("`{segment}` of a scalar"),
    }
}

fn absent(key: &str, parent: &Value) -> String {
    match parent {
        Value::Object(members) => {
            let keys: Vec<_> = members.keys().map(String::as_str).collect();
            match nearest(key, &keys) {
                Some(near) => format!("no `{key}`; did you mean `{near}`?"),
                None if keys.is_empty() => format!("no `{key}` in an empty object"),
                None => {
                    let listed = listed_keys(keys.into_iter().map(Cow::from));
                    format!("no `{key}`; there are {listed}")
                }
            }
        }
        Value::Array(items) => format!("no `{key}` in an array of {}", items.len()),
        Value::Null => format!("no `{key}` in null"),
        _ => format!("no `{key}` in a scalar"),
    }
}

/// Some of these keys, and whether there are more.
pub fn listed_keys<'a>(keys: impl Iterator<Item = Cow<'a, str>>) -> String {
    let mut keys = keys.peekable();
    let some: Vec<_> = keys.by_ref().take(KEYS_MAX).collect();
    let more = if keys.peek().is_some() { ", …" } else { "" };
    format!("{}{more}", some.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_hint_names_the_nearest_key() {
        let document = json!({
            "packets": {"dropped": null, "processed": 1},
            "list": [1],
            "jobs": [{"state": "on", "tags": []}],
        });
        for (path, expected) in [
            ("$.packets.droped", "no `droped`; did you mean `dropped`?"),
            ("$.packets.dropped", "it is null"),
            ("$.bytes", "no `bytes`; there are jobs, list, packets"),
            ("$.list[3]", "no `3` in an array of 1"),
            ("$.packets.processed.x", "no `x` in a scalar"),
            ("$.packets.dropped.x", "no `x` in null"),
            ("$.lists[*]", "no `lists`; did you mean `list`?"),
            ("$.jobs[*].stat", "no `stat`; did you mean `state`?"),
            (
                "$.jobs[?@.state == 'off']",
                "`[?@.state == 'off']` finds none in an array of 1",
            ),
            ("$.jobs[*].tags[*]", "`[*]` finds none in an array of 0"),
            ("$.list[0][*]", "`[*]` of a scalar"),
        ] {
            let parsed = Path::parse(path).unwrap();
            assert_eq!(
                parsed.hint(&document, &Steps::for_document(0)).as_deref(),
                Some(expected),
                "{path}"
            );
        }
    }
}
