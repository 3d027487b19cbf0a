//! The tree: YAML values that remember where they were written.

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
    /// The line, from 1; 0 when the source as a whole is meant.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The source as a whole, for what cannot be tied to a line (an unreadable file).
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

/// A YAML value, where it was written, and whether the environment had a part in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where the value begins; for an empty value, where its key is.
    pub place: Place,
    /// Set when the value came from a `${…}` reference: its content may be a secret.
    pub expansion: Option<Arc<Expansion>>,
}

/// What a `${…}` reference was replaced by.
#[derive(Clone, PartialEq, Eq)]
pub struct Expansion {
    /// The scalar as the file has it, such as `${env:TOKEN}`; safe to show.
    pub reference: String,
    /// The text that took its place; never to be shown.
    pub text: String,
}

/// The four kinds of YAML values.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Text, a number or a boolean: [`Scalar::resolve`] tells which.
    Scalar(Scalar),
    /// A list.
    Seq(Vec<Node>),
    /// A map, in the order of the file; its keys are unique.
    Map(Vec<MapEntry>),
}

/// One entry of a map.
#[derive(Clone, PartialEq, Eq)]
pub struct MapEntry {
    /// The key.
    pub key: String,
    /// Where the key was written.
    pub key_place: Place,
    /// The value.
    pub value: Node,
}

impl Node {
    /// A value at a place, as written in the file.
    pub fn new(value: Value, place: Place) -> Self {
        Self {
            value,
            place,
            expansion: None,
        }
    }

    /// Whether there is no value: an empty body, or a reference that came out empty.
    pub fn is_null(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Scalar(scalar) => scalar.resolve() == Plain::Null,
            Value::Seq(_) | Value::Map(_) => false,
        }
    }

    /// The entries of a map; none for everything else.
    pub fn entries(&self) -> &[MapEntry] {
        if let Value::Map(entries) = &self.value {
            entries
        } else {
            &[]
        }
    }

    /// The items of a list; none for everything else.
    pub fn items(&self) -> &[Self] {
        if let Value::Seq(items) = &self.value {
            items
        } else {
            &[]
        }
    }

    /// The text of a scalar, whatever it means.
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

    /// The value under `key` in a map, or at the index `key` in a list.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Seq(items) => items.get(key.parse::<usize>().ok()?),
            _ => self.entry(key).map(|entry| &entry.value),
        }
    }

    /// The value that `path` leads to: `node.at(&["targets", "0", "endpoint"])`.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// What this is, for a message: `the integer 10`, `a list`, `the value of ${env:X}`.
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

    /// What this is, without its value: `an integer`, `a string`.
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

/// The text, or its beginning when it would flood a message.
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

/// In the flow style; what came from the environment appears as its reference only.
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
