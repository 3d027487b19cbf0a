//! A list of target groups in YAML.

use super::{Group, Key, List, ParseError, Parsed};
use crate::yaml::{self, Diagnostics, Node, Value};

/// Reads YAML; `source` is the name of the file. An empty text is an empty list.
pub(in crate::discovery) fn parse_yaml(source: &str, text: &str) -> Result<Parsed, ParseError> {
    let mut diagnostics = Diagnostics::new();
    let root = yaml::parse(source, text, &mut diagnostics);
    let root = root.ok_or(ParseError::Yaml(diagnostics))?;
    match &root.value {
        // The nodes of a YAML text are bounded, and with them its groups and targets.
        Value::Seq(entries) => {
            let mut list = List::default();
            entries.iter().for_each(|entry| list.add(group(entry)));
            Ok(list.parsed)
        }
        Value::Null => Ok(Parsed::default()),
        Value::Scalar(_) | Value::Map(_) => Err(ParseError::NoList(root.describe())),
    }
}

/// One entry of YAML. Scalars are taken by their text: a port of 8080 is a label `8080`.
fn group(node: &Node) -> Result<Group, String> {
    if !matches!(node.value, Value::Map(_)) {
        return Err(format!("expected a map, found {}", node.describe()));
    }
    let (mut addresses, mut labels) = (None, None);
    for entry in node.entries() {
        let value = &entry.value;
        let is_twice = match Key::of(&entry.key)? {
            Key::Targets if is_seq_or_null(value) => {
                let items = value.items().iter();
                let items = items.map(|item| text(item).map(Box::from));
                addresses
                    .replace(items.collect::<Result<_, _>>()?)
                    .is_some()
            }
            Key::Labels if is_map_or_null(value) => {
                let pairs = value.entries().iter();
                let pairs =
                    pairs.map(|entry| Ok((entry.key.clone(), text(&entry.value)?.to_owned())));
                labels
                    .replace(pairs.collect::<Result<_, String>>()?)
                    .is_some()
            }
            Key::Targets => {
                let found = value.describe();
                return Err(format!("targets: expected a list, found {found}"));
            }
            Key::Labels => {
                let found = value.describe();
                return Err(format!("labels: expected a map, found {found}"));
            }
        };
        if is_twice {
            return Err(format!("duplicate field `{}`", entry.key));
        }
    }
    Ok(Group::new(
        addresses.unwrap_or_default(),
        labels.unwrap_or_default(),
    ))
}

fn text(node: &Node) -> Result<&str, String> {
    let text = node.text().filter(|_| !node.is_null());
    text.ok_or_else(|| format!("expected a text, found {}", node.describe()))
}

fn is_seq_or_null(node: &Node) -> bool {
    node.is_null() || matches!(node.value, Value::Seq(_))
}

fn is_map_or_null(node: &Node) -> bool {
    node.is_null() || matches!(node.value, Value::Map(_))
}
