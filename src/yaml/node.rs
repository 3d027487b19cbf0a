//! The tree: YAML values with their positions.

use super::{
    hidden::beginning_of_url,
    scalar::{Plain, Scalar},
};
use std::{fmt, sync::Arc};

/// A position in a source, as editors count: the first character is 1:1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The name of the source, such as `otel-config.yaml`.
    pub source: Arc<str>,
    /// The line, from 1. 0 means the whole source.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The whole source, for problems without a line (such as an unreadable file).
    pub fn whole(source: &str) -> Self {
        Self {
            source: Arc::from(source),
            line: 0,
            column: 0,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.source),
            line => write!(f, "{}:{line}:{}", self.source, self.column),
        }
    }
}

/// A YAML value with its position, and whether it comes from the environment.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    /// The value of the node.
    pub value: Value,
    /// Where the value starts; for an empty value, where its key is.
    pub place: Place,
    /// Set if the value comes from a `${…}` reference: its content may be a secret.
    pub expansion: Option<Arc<Expansion>>,
}

/// The replacement of a `${…}` reference.
#[derive(Clone, PartialEq, Eq)]
pub struct Expansion {
    /// The scalar as it is in the file, such as `${env:TOKEN}`. It can be shown.
    pub reference: String,
    /// The text that replaced it. It must never be shown.
    pub text: String,
}

/// The four kinds of YAML values.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Text, a number or a boolean: [`Scalar::resolve`] decides which.
    Scalar(Scalar),
    /// A list.
    Seq(Vec<Node>),
    /// A map, in the order of the file. Its keys are unique.
    Map(Vec<MapEntry>),
}

/// One entry of a map.
#[derive(Clone, PartialEq, Eq)]
pub struct MapEntry {
    /// The key of the entry.
    pub key: String,
    /// The position of the key.
    pub key_place: Place,
    /// The value of the entry.
    pub value: Node,
}

impl Node {
    /// A value with its position, as written in the file.
    pub fn new(value: Value, place: Place) -> Self {
        Self {
            value,
            place,
            expansion: None,
        }
    }

    /// Whether there is no value: nothing, or a reference with an empty value.
    pub fn is_null(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Scalar(scalar) => scalar.resolve() == Plain::Null,
            Value::Seq(_) | Value::Map(_) => false,
        }
    }

    /// The entries of a map; none for other values.
    pub fn entries(&self) -> &[MapEntry] {
        if let Value::Map(entries) = &self.value {
            entries
        } else {
            &[]
        }
    }

    /// The items of a list; none for other values.
    pub fn items(&self) -> &[Self] {
        if let Value::Seq(items) = &self.value {
            items
        } else {
            &[]
        }
    }

    /// The text of a scalar, whatever its meaning.
    pub fn text(&self) -> Option<&str> {
        match (&self.expansion, &self.value) {
            (Some(expansion), _) => Some(&expansion.text),
            (None, Value::Scalar(scalar)) => Some(&scalar.text),
            (None, _) => None,
        }
    }

    /// The entry of a map.
    pub fn entry(&self, key: &str) -> Option<&MapEntry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value of `key` in a map, or at the index `key` in a list.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Seq(items) => items.get(key.parse::<usize>().ok()?),
            _ => self.entry(key).map(|entry| &entry.value),
        }
    }

    /// The value at `path`: `node.at(&["targets", "0", "endpoint"])`.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// A description for messages: `the integer 10`, `a list`, `the value of ${env:X}`.
    pub fn describe(&self) -> String {
        if let Some(expansion) = &self.expansion {
            return format!("the value of {}", expansion.reference);
        }
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Seq(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
            Value::Scalar(scalar) => match scalar.resolve() {
                Plain::Null => "nothing".to_owned(),
                Plain::Bool(_) => format!("the boolean {}", shorten(&scalar.text)),
                Plain::Int(_) => format!("the integer {}", shorten(&scalar.text)),
                Plain::Float(_) => format!("the number {}", shorten(&scalar.text)),
                Plain::Text(_) => match beginning_of_url(&scalar.text) {
                    Some(beginning) if beginning == scalar.text => {
                        format!("the string {beginning:?}")
                    }
                    Some(beginning) if beginning.is_empty() => "a string".to_owned(),
                    Some(beginning) => format!("a string that begins with {beginning:?}"),
                    None => format!("the string {:?}", shorten(&scalar.text)),
                },
            },
        }
    }

    /// A description without the value: `an integer`, `a string`.
    pub fn describe_kind(&self) -> String {
        let kind = match &self.value {
            Value::Scalar(scalar) if self.expansion.is_none() => match scalar.resolve() {
                Plain::Null => "nothing",
                Plain::Bool(_) => "a boolean",
                Plain::Int(_) => "an integer",
                Plain::Float(_) => "a number",
                Plain::Text(_) => "a string",
            },
            _ => return self.describe(),
        };
        kind.to_owned()
    }
}

/// The text, or only its start if it is too long for a message.
pub(super) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    match text
        .char_indices()
        .nth(LONGEST)
        .and_then(|(end, _)| text.get(..end))
    {
        Some(beginning) => format!("{beginning}…"),
        None => text.to_owned(),
    }
}

/// Prints the flow style. Values from the environment appear only as their reference.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(expansion) = &self.expansion {
            return f.write_str(&expansion.reference);
        }
        match &self.value {
            Value::Null => f.write_str("null"),
            Value::Scalar(scalar) if scalar.plain => f.write_str(&scalar.text),
            Value::Scalar(scalar) => write!(f, "{:?}", scalar.text),
            Value::Seq(items) => f.debug_list().entries(items).finish(),
            Value::Map(entries) => f
                .debug_map()
                .entries(entries.iter().map(|entry| (&entry.key, &entry.value)))
                .finish(),
        }
    }
}

impl fmt::Debug for Expansion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expansion({})", self.reference)
    }
}
