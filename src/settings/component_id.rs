//! The id of a component: its type, and a name if there are several of this type.

use std::{fmt, str::FromStr};

/// The id of a component, such as `otlp_http` or `otlp_http/backup`, or of a pipeline, such as
/// `metrics`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentId {
    kind: String,
    name: Option<String>,
}

/// Why a text is not the id of a component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ComponentIdError {
    #[error("id must not be empty")]
    Empty,
    #[error("in {0:?} id: the part before / should not be empty")]
    NoType(String),
    #[error("in {0:?} id: the part after / should not be empty")]
    NoName(String),
    #[error("invalid character(s) in type {0:?}")]
    Type(String),
    #[error("invalid character(s) in name {0:?}")]
    Name(String),
    #[error("name {0:?} is longer than 1024 characters ({1} characters)")]
    LongName(String, usize),
}

impl ComponentId {
    /// The type, before the first `/`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The name, after the first `/`.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl FromStr for ComponentId {
    type Err = ComponentIdError;

    fn from_str(text: &str) -> Result<Self, ComponentIdError> {
        let (kind, name) = match text.split_once('/') {
            Some((kind, name)) => (kind.trim(), Some(name.trim())),
            None => (text.trim(), None),
        };
        match (kind, name) {
            ("", None) => return Err(ComponentIdError::Empty),
            ("", Some(_)) => return Err(ComponentIdError::NoType(text.to_owned())),
            (_, Some("")) => return Err(ComponentIdError::NoName(text.to_owned())),
            _ => {}
        }
        if !is_type(kind) {
            return Err(ComponentIdError::Type(kind.to_owned()));
        }
        if let Some(name) = name {
            check_name(name)?;
        }
        Ok(Self {
            kind: kind.to_owned(),
            name: name.map(str::to_owned),
        })
    }
}

/// Matches `^[a-zA-Z][0-9a-zA-Z_]{0,62}$`.
fn is_type(kind: &str) -> bool {
    kind.len() <= 63
        && kind.starts_with(|first: char| first.is_ascii_alphabetic())
        && kind
            .chars()
            .all(|other| other.is_ascii_alphanumeric() || other == '_')
}

fn check_name(name: &str) -> Result<(), ComponentIdError> {
    const LONGEST: usize = 1024;
    if name.len() > LONGEST {
        let beginning: String = name.chars().take(20).chain(['…']).collect();
        return Err(ComponentIdError::LongName(beginning, name.len()));
    }
    // The Collector refuses all separators, control characters and symbols of Unicode. This
    // function knows only the symbols of ASCII.
    let refused = |letter: char| {
        letter.is_whitespace() || letter.is_control() || "$+<=>^`|~".contains(letter)
    };
    if name.contains(refused) {
        return Err(ComponentIdError::Name(name.to_owned()));
    }
    Ok(())
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        match &self.name {
            Some(name) => write!(f, "/{name}"),
            None => Ok(()),
        }
    }
}

written_as_text!(ComponentId, "a component such as otlp_http or otlp_http/backup", {
    "type": "string",
    "description": "The type of a component, and after `/` a name if there are several of it.",
    "pattern": "^\\s*[a-zA-Z][0-9a-zA-Z_]{0,62}\\s*(/.+)?$|\\$\\{",
    "examples": ["otlp_http", "otlp_http/backup"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ids_as_the_collector_does() {
        for (text, back) in [
            ("nop", "nop"),
            (" nop/ my ", "nop/my"),
            ("nop/a/b", "nop/a/b"),
            ("n_0/ü-1.2", "n_0/ü-1.2"),
        ] {
            assert_eq!(text.parse::<ComponentId>().unwrap().to_string(), back);
        }
    }

    #[test]
    fn refuses_ids_with_the_messages_of_the_collector() {
        for (text, message) in [
            ("", "id must not be empty"),
            ("/x", r#"in "/x" id: the part before / should not be empty"#),
            (
                "metrics/",
                r#"in "metrics/" id: the part after / should not be empty"#,
            ),
            ("1a", r#"invalid character(s) in type "1a""#),
            ("a-b", r#"invalid character(s) in type "a-b""#),
            ("a/b c", r#"invalid character(s) in name "b c""#),
            ("a/b$", r#"invalid character(s) in name "b$""#),
        ] {
            assert_eq!(
                text.parse::<ComponentId>().unwrap_err().to_string(),
                message
            );
        }
        let long = format!("a/{}", "x".repeat(1025))
            .parse::<ComponentId>()
            .unwrap_err();
        assert!(
            long.to_string()
                .ends_with("is longer than 1024 characters (1025 characters)")
        );
    }
}
