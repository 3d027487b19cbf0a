//! Turns the errors of serde into messages for the author of the file.

use super::node_id::NodeId;
use crate::yaml::{Node, Plain, Scalar, Value, beginning_of_url, hidden::is_host, list, nearest};
use serde::de;
use std::fmt;

/// Why a decoding failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecodeError {
    /// A problem whose node is not known yet.
    #[error("{0:?}")]
    Problem(Problem),
    /// A reported problem. The entry of this node is left out of the next attempt.
    #[error("already reported")]
    Reported(NodeId),
    /// A reported problem that the next attempt knows how to handle.
    #[error("already reported")]
    Retry,
}

/// What is wrong with a value.
#[derive(Debug)]
pub(super) enum Problem {
    /// Another type was expected.
    Expected(String),
    /// A struct lacks a key.
    Missing(&'static str),
    /// A word is not one of these.
    Variant(&'static [&'static str]),
    /// A message of the type.
    Custom(String),
    /// A consequence of another reported problem.
    Consequence,
}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        match message.strip_prefix("expected ") {
            Some(expected) if !expected.contains(", found ") => {
                Self::Problem(Problem::Expected(expected.to_owned()))
            }
            _ => Self::Problem(Problem::Custom(message)),
        }
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Problem(Problem::Expected(plain_words(&expected.to_string())))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Self {
        Self::Problem(Problem::Custom(format!(
            "expected {expected}, found {length} items"
        )))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::Problem(Problem::Variant(expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Problem(Problem::Missing(field))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::Problem(Problem::Custom(format!(
            "`{field}` is set twice, under two names"
        )))
    }
}

/// serde names Rust types, but a configuration has none.
fn plain_words(expected: &str) -> String {
    let range = |least: &dyn fmt::Display, most: &dyn fmt::Display| {
        format!("an integer from {least} to {most}")
    };
    match expected {
        "u8" => range(&u8::MIN, &u8::MAX),
        "u16" => range(&u16::MIN, &u16::MAX),
        "u32" => range(&u32::MIN, &u32::MAX),
        "u64" | "usize" => "an integer of 0 or more".to_owned(),
        "i8" => range(&i8::MIN, &i8::MAX),
        "i16" => range(&i16::MIN, &i16::MAX),
        "i32" => range(&i32::MIN, &i32::MAX),
        "i64" | "isize" => "an integer".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "unit" => "nothing".to_owned(),
        "a sequence" => "a list".to_owned(),
        other if other.starts_with("struct ") => "a map".to_owned(),
        other if other.starts_with("a nonzero ") => "an integer of 1 or more".to_owned(),
        "unit variant" => "only the name".to_owned(),
        other if other.ends_with(" variant") => "a map with the name and its settings".to_owned(),
        other => other.to_owned(),
    }
}

impl Problem {
    /// The message and the help for this problem with `node`. Neither contains a value from the
    /// environment or below a key for secrets, nor more than the start of a URL.
    pub(super) fn explain(&self, node: &Node, is_secret: bool) -> (String, Option<String>) {
        let found = match self {
            _ if is_secret => node.describe_kind(),
            Self::Expected(expected) if expected.starts_with("a URL") && !is_short(node) => {
                match node.text().and_then(beginning_of_url) {
                    Some(_) => node.describe(),
                    None => node.describe_kind(),
                }
            }
            _ => node.describe(),
        };
        let shown = node
            .text()
            .filter(|_| node.expansion.is_none() && !is_secret);
        match self {
            Self::Expected(expected) => {
                let help = shown.and_then(|_| requote(expected, node));
                (format!("expected {expected}, found {found}"), help)
            }
            Self::Missing(key) => (format!("missing key `{key}`"), None),
            Self::Variant(known) => {
                let help = shown.and_then(|text| nearest(text, known));
                let message = format!("expected one of {}, found {found}", list(known));
                (message, help.map(did_you_mean))
            }
            Self::Custom(message) if reveals(message, node, is_secret) => {
                (format!("{found} is not valid here"), None)
            }
            Self::Custom(message) => (message.clone(), None),
            Self::Consequence => (String::new(), None),
        }
    }
}

/// Whether the text is only the address of a host.
fn is_short(node: &Node) -> bool {
    node.text().is_none_or(is_host)
}

/// The help that suggests a word.
pub(super) fn did_you_mean(word: &str) -> String {
    format!("did you mean `{word}`?")
}

/// The help for a number written as a string, or a string written as a number.
fn requote(expected: &str, node: &Node) -> Option<String> {
    let Node {
        value: Value::Scalar(Scalar { text, plain }),
        expansion: None,
        ..
    } = node
    else {
        return None;
    };
    match (plain, Plain::of(text)) {
        (true, _) if expected == "a string" => Some(format!("quote it: {text:?}")),
        (false, Plain::Int(_) | Plain::Float(_)) if expected.contains("integer") => unquote(),
        (false, Plain::Int(_) | Plain::Float(_)) if expected == "a number" => unquote(),
        (false, Plain::Bool(_)) if expected == "true or false" => unquote(),
        _ => None,
    }
}

fn unquote() -> Option<String> {
    Some("remove the quotes".to_owned())
}

/// Whether a message contains a part of a secret or of a value from the environment. In doubt it
/// returns true.
fn reveals(message: &str, node: &Node, is_secret: bool) -> bool {
    const TELLING: usize = 4;
    let hidden = node
        .text()
        .filter(|_| node.expansion.is_some() || is_secret);
    let Some(secret) = hidden else {
        return false;
    };
    let (message, secret) = (message.to_lowercase(), secret.trim().to_lowercase());
    let letters: Vec<char> = secret.chars().collect();
    if letters.len() < TELLING {
        return !secret.is_empty() && message.contains(&secret);
    }
    letters
        .windows(TELLING)
        .any(|part| message.contains(&part.iter().collect::<String>()))
}
