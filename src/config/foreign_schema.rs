//! Adds to a JSON Schema the keys that only the Collector has and that have no effect here, so that
//! an editor accepts them as the program does.

use serde_json::{Map, Value, json};

use crate::yaml::{Foreign, ForeignHandling};

/// Structs stand at most so deep in one another.
const DEPTH_MAX: usize = 12;

/// Adds the foreign keys of the struct at a JSON pointer of `schema`, and of those below it.
pub(super) fn add(schema: &mut Value, pointer: &str, foreign: &Foreign) {
    add_at(schema, pointer, foreign, 0);
}

fn add_at(schema: &mut Value, pointer: &str, foreign: &Foreign, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    for also in foreign.also {
        add_at(schema, pointer, also, depth + 1);
    }
    // A position in a list and a key of a map are steps of the path, as in the decoder.
    if let Some(element) = foreign.below("*") {
        for pointer in collections(schema, pointer, 0) {
            add_at(schema, &pointer, element, depth + 1);
        }
    }
    for pointer in structs(schema, pointer, 0) {
        let below = below(schema, &pointer, foreign);
        let properties = schema.pointer_mut(&format!("{pointer}/properties"));
        if let Some(Value::Object(properties)) = properties {
            keys(foreign, properties);
        }
        for (pointer, foreign) in below {
            add_at(schema, &pointer, foreign, depth + 1);
        }
    }
}

fn keys(foreign: &Foreign, properties: &mut Map<String, Value>) {
    for key in foreign.keys {
        let says = match key.handling {
            ForeignHandling::Ignored => format!("It has no effect: {}.", key.why),
            ForeignHandling::Only(values) => {
                format!("Only {} here: {}.", values.join(" or "), key.why)
            }
            ForeignHandling::Refused => continue,
        };
        for name in key.names {
            let said = || json!({"description": says});
            properties.entry(*name).or_insert_with(said);
        }
    }
}

/// The structs below this one that have foreign keys, by their pointers.
fn below(schema: &Value, pointer: &str, foreign: &Foreign) -> Vec<(String, &'static Foreign)> {
    let properties = schema.pointer(&format!("{pointer}/properties"));
    let properties = properties.and_then(Value::as_object);
    let mut all = Vec::new();
    for (key, below) in foreign.below {
        let names = properties.iter().flat_map(|of| of.keys());
        for name in names.filter(|name| *key == "*" || name == key) {
            all.push((format!("{pointer}/properties/{}", escaped(name)), *below));
        }
    }
    all
}

/// A name in a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The structs that a schema stands for: itself, what it refers to, or one of several.
fn structs(schema: &Value, pointer: &str, depth: usize) -> Vec<String> {
    let Some(found) = schema.pointer(pointer).filter(|_| depth <= DEPTH_MAX) else {
        return Vec::new();
    };
    if found.get("properties").is_some() {
        return vec![pointer.to_owned()];
    }
    let meanings = meanings(found, pointer);
    let below = |pointer: &String| structs(schema, pointer, depth + 1);
    meanings.iter().flat_map(below).collect()
}

/// The schemas of the elements of the lists and maps that a schema stands for.
fn collections(schema: &Value, pointer: &str, depth: usize) -> Vec<String> {
    let Some(found) = schema.pointer(pointer).filter(|_| depth <= DEPTH_MAX) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for inner in ["items", "additionalProperties"] {
        if found.get(inner).is_some_and(Value::is_object) {
            all.push(format!("{pointer}/{inner}"));
        }
    }
    for pointer in meanings(found, pointer) {
        all.extend(collections(schema, &pointer, depth + 1));
    }
    all
}

/// The pointers of what a schema refers to, or of the several that it may be.
fn meanings(found: &Value, pointer: &str) -> Vec<String> {
    if let Some(reference) = found.get("$ref").and_then(Value::as_str) {
        return vec![reference.trim_start_matches('#').to_owned()];
    }
    let mut all = Vec::new();
    for several in ["anyOf", "oneOf", "allOf"] {
        let among = found.get(several).and_then(Value::as_array);
        let count = among.map_or(0, Vec::len);
        all.extend((0..count).map(|index| format!("{pointer}/{several}/{index}")));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::ForeignKey;

    const INNER: Foreign = Foreign {
        keys: &[ForeignKey::ignored(&["old"], "it is gone")],
        ..Foreign::NONE
    };
    const OUTER: Foreign = Foreign {
        keys: &[
            ForeignKey::ignored(&["known", "idle"], "nobody needs it"),
            ForeignKey::only(&["mode"], &["fast"], "there is no other"),
            ForeignKey::refused(&["wrong"], "it would be lost"),
        ],
        below: &[("tls", &INNER)],
        ..Foreign::NONE
    };

    #[test]
    fn keys_without_effect_are_accepted_and_others_are_not() {
        let mut schema = json!({
            "top": {"anyOf": [{"$ref": "#/definitions/Outer"}, {"type": "null"}]},
            "definitions": {
                "Outer": {"properties": {"known": {"type": "string"}, "tls": {
                    "anyOf": [{"$ref": "#/definitions/Inner"}, {"type": "null"}]}}},
                "Inner": {"properties": {}},
            },
        });
        add(&mut schema, "/top", &OUTER);
        let outer = &schema["definitions"]["Outer"]["properties"];
        assert_eq!(outer["known"], json!({"type": "string"}));
        assert_eq!(
            outer["idle"]["description"],
            "It has no effect: nobody needs it."
        );
        assert_eq!(
            outer["mode"]["description"],
            "Only fast here: there is no other."
        );
        assert!(outer.get("wrong").is_none());
        let inner = &schema["definitions"]["Inner"]["properties"];
        assert!(inner.get("old").is_some());
    }

    #[test]
    fn a_position_in_a_list_is_a_step() {
        const LIST: Foreign = Foreign {
            below: &[("*", &INNER)],
            ..Foreign::NONE
        };
        const ROOT: Foreign = Foreign {
            below: &[("readers", &LIST)],
            ..Foreign::NONE
        };
        let mut schema = json!({
            "properties": {"readers": {"type": ["array", "null"], "items": {"$ref": "#/definitions/Inner"}}},
            "definitions": {"Inner": {"properties": {}}},
        });
        add(&mut schema, "", &ROOT);
        let inner = &schema["definitions"]["Inner"]["properties"];
        assert!(inner.get("old").is_some());
    }
}
