//! Prometheus' target groups: `[{"targets": ["host:port"], "labels": {"name": "value"}}]`.
//!
//! The list as a whole must be well-formed; of its entries a bad one costs only itself.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Labels;
use crate::yaml::{self, Diagnostics, Node, Value};

/// The most groups of one file or answer.
const GROUPS_MAX: usize = 500_000;

/// Targets that share labels.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    /// Addresses, `host:port`.
    #[serde(default, rename = "targets", deserialize_with = "or_default")]
    pub(super) addresses: Vec<String>,
    /// Labels of all of them.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) labels: Labels,
}

/// What a file or an answer holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) groups: Vec<Group>,
    /// Why other entries are no groups, with their positions.
    pub(super) refused: Vec<String>,
}

/// Why a text is no list of target groups.
#[derive(Debug, thiserror::Error)]
pub(super) enum ParseError {
    #[error("not a JSON list of target groups")]
    Json(#[from] serde_json::Error),
    #[error("not YAML: {0}")]
    Yaml(Diagnostics),
    #[error("expected a list of target groups, found {0}")]
    NoList(String),
    #[error("more than {GROUPS_MAX} target groups")]
    TooMany,
}

/// Reads JSON.
pub(super) fn parse_json(text: &[u8]) -> Result<Parsed, ParseError> {
    let entries: Vec<&RawValue> = serde_json::from_slice(text)?;
    let group = |entry: &RawValue| serde_json::from_str(entry.get()).map_err(|e| e.to_string());
    collect(entries.into_iter().map(group))
}

/// Reads YAML; `source` is the name of the file. An empty text is an empty list.
pub(super) fn parse_yaml(source: &str, text: &str) -> Result<Parsed, ParseError> {
    let mut diagnostics = Diagnostics::new();
    let root = yaml::parse(source, text, &mut diagnostics);
    let root = root.ok_or(ParseError::Yaml(diagnostics))?;
    match &root.value {
        Value::Seq(entries) => collect(entries.iter().map(group)),
        Value::Null => Ok(Parsed::default()),
        Value::Scalar(_) | Value::Map(_) => Err(ParseError::NoList(root.describe())),
    }
}

fn collect(
    entries: impl ExactSizeIterator<Item = Result<Group, String>>,
) -> Result<Parsed, ParseError> {
    if entries.len() > GROUPS_MAX {
        return Err(ParseError::TooMany);
    }
    let mut parsed = Parsed::default();
    for (position, entry) in entries.enumerate() {
        match entry.and_then(checked) {
            Ok(group) => parsed.groups.push(group),
            Err(reason) => parsed.refused.push(format!("entry {position}: {reason}")),
        }
    }
    Ok(parsed)
}

fn checked(group: Group) -> Result<Group, String> {
    match group.labels.keys().find(|name| name.is_empty()) {
        Some(_) => Err("a label without a name".to_owned()),
        None => Ok(group),
    }
}

/// One entry of YAML. Scalars are taken by their text: a port of 8080 is a label `8080`.
fn group(node: &Node) -> Result<Group, String> {
    let mut group = Group::default();
    if !matches!(node.value, Value::Map(_)) {
        return Err(format!("expected a map, found {}", node.describe()));
    }
    let text = |node: &Node| {
        let text = node.text().filter(|_| !node.is_null());
        let refused = || format!("expected a text, found {}", node.describe());
        text.map(str::to_owned).ok_or_else(refused)
    };
    for entry in node.entries() {
        let value = &entry.value;
        match entry.key.as_str() {
            "targets" if is_seq_or_null(value) => {
                group.addresses = value.items().iter().map(text).collect::<Result<_, _>>()?;
            }
            "labels" if is_map_or_null(value) => {
                let pairs = value.entries().iter();
                let pairs = pairs.map(|entry| Ok((entry.key.clone(), text(&entry.value)?)));
                group.labels = pairs.collect::<Result<_, String>>()?;
            }
            "targets" => {
                return Err(format!(
                    "targets: expected a list, found {}",
                    value.describe()
                ));
            }
            "labels" => {
                return Err(format!(
                    "labels: expected a map, found {}",
                    value.describe()
                ));
            }
            other => {
                return Err(format!(
                    "unknown field `{other}`, expected `targets` or `labels`"
                ));
            }
        }
    }
    Ok(group)
}

fn is_seq_or_null(node: &Node) -> bool {
    node.is_null() || matches!(node.value, Value::Seq(_))
}

fn is_map_or_null(node: &Node) -> bool {
    node.is_null() || matches!(node.value, Value::Map(_))
}

/// `null` is an empty list or map, as in Go.
fn or_default<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Option::deserialize(from).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json(text: &str) -> Parsed {
        parse_json(text.as_bytes()).unwrap()
    }

    fn yaml(text: &str) -> Parsed {
        parse_yaml("f.yml", text).unwrap()
    }

    #[test]
    fn json_and_yaml_say_the_same() {
        let from_json = json(
            r#"[{"targets": ["a:1", "b:2"], "labels": {"env": "prod", "port": "8080"}},
                {"targets": ["c:3"]}, {"targets": null, "labels": null}, {}]"#,
        );
        let from_yaml = yaml(
            "- targets: ['a:1', b:2]\n  labels:\n    env: prod\n    port: 8080\n\
             - targets:\n  - c:3\n- {targets: , labels: }\n- {}\n",
        );
        assert_eq!(from_json, from_yaml);
        assert_eq!(from_json.refused, Vec::<String>::new());
        assert_eq!(from_json.groups.len(), 4);
        assert_eq!(from_json.groups[0].addresses, ["a:1", "b:2"]);
        assert_eq!(from_json.groups[0].labels["port"], "8080");
        assert_eq!(json("[]"), Parsed::default());
        assert_eq!(yaml(""), Parsed::default());
    }

    #[test]
    fn a_bad_entry_costs_only_itself() {
        let parsed = json(
            r#"[{"targets": ["a"]}, null, 7, {"target": ["b"]}, {"targets": "c"},
                {"targets": [1]}, {"targets": ["d"], "labels": {"x": 1}},
                {"labels": {"": "x"}}, {"targets": ["e"]}]"#,
        );
        let addresses: Vec<_> = parsed.groups.iter().flat_map(|g| &g.addresses).collect();
        assert_eq!(addresses, ["a", "e"]);
        assert_eq!(parsed.refused.len(), 7);
        assert!(parsed.refused[2].starts_with("entry 3: unknown field `target`"));

        let parsed = yaml(
            "- targets: [a]\n-\n- 7\n- target: [b]\n- targets: c\n- targets: [[1]]\n\
             - {targets: [d], labels: {x: []}}\n- labels: {'': x}\n- targets: [e]\n",
        );
        let addresses: Vec<_> = parsed.groups.iter().flat_map(|g| &g.addresses).collect();
        assert_eq!(addresses, ["a", "e"]);
        assert_eq!(
            parsed.refused,
            [
                "entry 1: expected a map, found nothing",
                "entry 2: expected a map, found the integer 7",
                "entry 3: unknown field `target`, expected `targets` or `labels`",
                "entry 4: targets: expected a list, found the string \"c\"",
                "entry 5: expected a text, found a list",
                "entry 6: expected a text, found a list",
                "entry 7: a label without a name",
            ]
        );
    }

    #[test]
    fn what_is_no_list_is_refused_as_a_whole() {
        for text in [
            "",
            "{}",
            "null",
            "[{\"targets\": [\"a\"]}",
            "[]x",
            "\u{feff}[]",
        ] {
            assert!(parse_json(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse_json(b"[{\"targets\": [\"\xff\"]}]").is_err());
        for text in ["a: 1", "7", "[", "- targets: [a\n"] {
            assert!(parse_yaml("f.yml", text).is_err(), "{text}");
        }
        let many = format!("[{}{{}}]", "{},".repeat(GROUPS_MAX));
        let error = parse_json(many.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "more than 500000 target groups");
    }

    proptest! {
        #[test]
        fn never_panics(text in r#"(\[|\]|\{|\}|"targets"|"labels"|:|,|"a:1"|- |\n|null|\PC){0,30}"#) {
            drop(parse_json(text.as_bytes()));
            drop(parse_yaml("f.yml", &text));
        }

        #[test]
        fn every_list_of_groups_is_read_back(
            groups in proptest::collection::vec(
                (proptest::collection::vec("\\PC{1,9}", 0..4),
                 proptest::collection::btree_map("\\PC{1,9}", "\\PC{0,9}", 0..4)), 0..6)
        ) {
            let value: Vec<_> = groups.iter()
                .map(|(targets, labels)| serde_json::json!({"targets": targets, "labels": labels}))
                .collect();
            let parsed = json(&serde_json::to_string(&value).unwrap());
            let read: Vec<_> = parsed.groups.into_iter().map(|g| (g.addresses, g.labels)).collect();
            prop_assert_eq!(read, groups);
        }
    }
}
