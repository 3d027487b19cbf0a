//! Merges several sources into one.

use crate::yaml::{Node, Value};

/// Puts `over` on top of `base`. Maps are merged key by key; everything else of `base` is replaced.
/// An empty value also replaces: `processors:` in a later source removes the earlier processors.
pub fn merge(base: Node, over: Node) -> Node {
    let Node {
        value: Value::Map(mut entries),
        place,
        expansion,
    } = base
    else {
        return over;
    };
    let Value::Map(additions) = over.value else {
        return over;
    };
    for addition in additions {
        match entries.iter_mut().find(|entry| entry.key == addition.key) {
            Some(entry) => {
                let nothing = Node::new(Value::Null, place.clone());
                let earlier = std::mem::replace(&mut entry.value, nothing);
                entry.value = merge(earlier, addition.value);
                entry.key_place = addition.key_place;
            }
            None => entries.push(addition),
        }
    }
    Node {
        value: Value::Map(entries),
        place,
        expansion,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Diagnostics, parse};

    fn merged(base: &str, over: &str) -> String {
        let read = |source, text| parse(source, text, &mut Diagnostics::new()).unwrap();
        format!("{:?}", merge(read("base", base), read("over", over)))
    }

    #[test]
    fn merges_like_the_collector() {
        for (base, over, result) in [
            (
                "{a: {b: 1, c: 2}}",
                "{a: {c: 3, d: 4}}",
                r#"{"a": {"b": 1, "c": 3, "d": 4}}"#,
            ),
            ("{a: [1, 2]}", "{a: [3]}", r#"{"a": [3]}"#),
            ("{a: {b: 1}}", "{a: }", r#"{"a": null}"#),
            ("{a: }", "{a: {b: 1}}", r#"{"a": {"b": 1}}"#),
            ("{a: {b: 1}}", "{a: x}", r#"{"a": x}"#),
            ("{a: 1}", "{b: 2}", r#"{"a": 1, "b": 2}"#),
        ] {
            assert_eq!(merged(base, over), result, "{base} and {over}");
        }
    }

    #[test]
    fn a_value_keeps_the_place_of_its_source() {
        let read = |source, text| parse(source, text, &mut Diagnostics::new()).unwrap();
        let node = merge(read("base", "a: {b: 1, c: 2}"), read("over", "a: {b: 3}"));
        assert_eq!(node.at(&["a", "b"]).unwrap().place.to_string(), "over:1:8");
        assert_eq!(node.at(&["a", "c"]).unwrap().place.to_string(), "base:1:14");
    }
}
