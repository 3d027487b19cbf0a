//! Explains why a path found nothing.

use serde_json::Value;

use crate::{
    definition::{AttributeSource, Elements, Hit, MappingRule, Path, Steps},
    yaml::nearest,
};

/// The number of keys to list if none is near.
const KEYS_MAX: usize = 8;

/// Why the path `text` of a rule found nothing in `document`. `None` if it is not a path of the
/// rule, finds something everywhere, or takes more than `steps`.
pub(super) fn why_missing(
    rule: &MappingRule,
    document: &Value,
    text: &str,
    steps: &Steps,
) -> Option<String> {
    let elements = match &rule.for_each {
        Some(path) => {
            let Elements { hits, total } = path.elements(document, rule.max_series, steps).ok()?;
            if path.text() == text && total == 0 {
                return hint(path, document, steps);
            }
            hits
        }
        None => vec![Hit {
            value: document,
            key: None,
        }],
    };
    let of_attributes = rule
        .attributes
        .iter()
        .filter_map(|(_, source)| match source {
            AttributeSource::Path { path, .. } => Some(path),
            AttributeSource::Literal(_) | AttributeSource::Key => None,
        });
    let mut paths = [&rule.value].into_iter().chain(of_attributes);
    let path = paths.find(|path| path.text() == text)?;
    let lacking = elements.iter().find(|element| {
        let found = path.one(element.value, steps);
        found.is_ok_and(|found| found.is_none())
    })?;
    let hint = hint(path, lacking.value, steps)?;
    match &rule.for_each {
        Some(for_each) if is_in_members(path, lacking.value, steps) => Some(format!(
            "{hint} its members have it; to select all members, add `[*]`: `for_each: {}[*]`",
            for_each.text()
        )),
        _ => Some(hint),
    }
}

/// Whether the path finds something below the members of `element`.
fn is_in_members(path: &Path, element: &Value, steps: &Steps) -> bool {
    let finds = |inner: &Value| matches!(path.one(inner, steps), Ok(Some(_)));
    match element {
        Value::Object(members) => members.values().any(finds),
        Value::Array(items) => items.iter().any(finds),
        _ => false,
    }
}

/// What `document` has at the place where `path` ends.
fn hint(path: &Path, document: &Value, steps: &Steps) -> Option<String> {
    let mut parent = document;
    for (prefix, segment) in path.prefixes() {
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
    let found = path.one(document, steps);
    matches!(found, Ok(None)).then(|| "it is null".to_owned())
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
                    let listed = keys
                        .iter()
                        .take(KEYS_MAX)
                        .copied()
                        .collect::<Vec<_>>()
                        .join(", ");
                    let more = if keys.len() > KEYS_MAX { ", …" } else { "" };
                    format!("no `{key}`; there are {listed}{more}")
                }
            }
        }
        Value::Array(items) => format!("no `{key}` in an array of {}", items.len()),
        Value::Null => format!("no `{key}` in null"),
        _ => format!("no `{key}` in a scalar"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::from_text;

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
                hint(&parsed, &document, &Steps::for_document(0)).as_deref(),
                Some(expected),
                "{path}"
            );
        }
    }

    fn why(metric: &str, text: &str, document: &Value) -> Option<String> {
        let yaml = format!(
            "endpoints: {{e: {{path: /}}}}\nmetrics: [{{name: m, instrument: gauge, {metric}}}]\n"
        );
        let definition = from_text("test", "test.yaml", &yaml).unwrap();
        let steps = Steps::for_document(0);
        why_missing(&definition.rules[0], document, text, &steps)
    }

    #[test]
    fn every_path_of_a_rule_has_a_hint() {
        let metric = "for_each: $.nodes, value: $.load, attributes: {id: $.name}";
        let nodes = json!({"nodes": [{"name": "a", "load": 1}, {"nam": "b", "laod": 1}]});
        let of = |text| why(metric, text, &nodes);
        let expected = |text: &str| Some(text.to_owned());
        assert_eq!(of("$.load"), expected("no `load`; did you mean `laod`?"));
        assert_eq!(of("$.name"), expected("no `name`; did you mean `nam`?"));
        assert_eq!(of("$.other"), None);
        let renamed = json!({"node": []});
        let hint = why(metric, "$.nodes", &renamed);
        assert_eq!(hint, expected("no `nodes`; did you mean `node`?"));
    }

    #[test]
    fn a_key_of_the_members_needs_a_wildcard() {
        let document = json!({"values": [{"a": {"n": 1}, "b": {"n": 2}}]});
        let hint = why("for_each: '$.values[0]', value: $.n", "$.n", &document).unwrap();
        assert!(
            hint.ends_with("add `[*]`: `for_each: $.values[0][*]`"),
            "{hint}"
        );
    }
}
