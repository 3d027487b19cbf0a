//! Why a path gave nothing.

use serde_json::Value;

use crate::{definition::Path, yaml::nearest};

/// So many keys are listed where none is near.
const KEYS_MAX: usize = 8;

/// What stands where `path` leads nowhere in `document`; none for paths with wildcards or filters.
pub(super) fn hint(path: &Path, document: &Value) -> Option<String> {
    let mut value = document;
    for key in path.keys()? {
        let next = match value {
            Value::Object(members) => members.get(&key),
            Value::Array(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        value = match next {
            Some(next) => next,
            None => return Some(absent(&key, value)),
        };
    }
    value.is_null().then(|| "it is null".to_owned())
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
        _ => format!("no `{key}` in a scalar"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_nearest_key_is_named() {
        let document = json!({"packets": {"dropped": null, "processed": 1}, "list": [1]});
        for (path, expected) in [
            ("$.packets.droped", "no `droped`; did you mean `dropped`?"),
            ("$.packets.dropped", "it is null"),
            ("$.bytes", "no `bytes`; there are list, packets"),
            ("$.list[3]", "no `3` in an array of 1"),
            ("$.packets.processed.x", "no `x` in a scalar"),
        ] {
            let path = Path::parse(path).unwrap();
            assert_eq!(hint(&path, &document).as_deref(), Some(expected));
        }
        assert_eq!(hint(&Path::parse("$.a[*]").unwrap(), &document), None);
    }
}
