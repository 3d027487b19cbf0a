//! Regular expressions of a definition.

use regex::{Regex, RegexBuilder};

/// The largest memory of a compiled expression, in bytes.
const COMPILED_BYTES_MAX: usize = 256 * 1024;

/// A regular expression that extracts a part of a text.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// Why a text is not a usable regular expression.
#[derive(Debug, thiserror::Error)]
pub(super) enum PatternError {
    #[error("`{text}` is not a regular expression: {why}")]
    Syntax { text: String, why: String },
    #[error("`{text}` is too large a regular expression")]
    TooLarge { text: String },
}

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Self, PatternError> {
        let built = RegexBuilder::new(text)
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(COMPILED_BYTES_MAX)
            .build();
        built.map(Self).map_err(|error| {
            let text = text.to_owned();
            match error {
                regex::Error::CompiledTooBig(_) => PatternError::TooLarge { text },
                // The error of the library is a drawing of several lines. The last line says what
                // is wrong.
                other => PatternError::Syntax {
                    text,
                    why: last_line(&other.to_string()),
                },
            }
        })
    }

    /// The expression as written.
    pub fn text(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the expression matches somewhere in `text`.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The first group in `text`, or the whole match if the expression has no group.
    pub fn found<'t>(&self, text: &'t str) -> Option<&'t str> {
        if self.0.captures_len() == 1 {
            return self.0.find(text).map(|found| found.as_str());
        }
        let captures = self.0.captures(text)?;
        let mut groups = captures.iter().skip(1).flatten();
        groups.next().map(|group| group.as_str())
    }

    /// Why nothing is found in `text`, of which messages show `shown`.
    pub fn why_nothing(&self, text: &str, shown: &str) -> String {
        let pattern = self.text();
        match self.matches(text) {
            true => format!(
                "`{shown}` matches `{pattern}`, but no group takes part in it; a group that may be \
                 empty is `(…|)`"
            ),
            false => format!("`{shown}` does not match `{pattern}`"),
        }
    }

    /// The named group in `text`.
    pub fn group<'t>(&self, name: &str, text: &'t str) -> Option<&'t str> {
        let captures = self.0.captures(text)?;
        captures.name(name).map(|group| group.as_str())
    }

    /// The names of the groups.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.0.capture_names().flatten()
    }
}

fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_group_is_what_is_found() {
        let found = |pattern: &str, text: &'static str| Pattern::new(pattern).unwrap().found(text);
        assert_eq!(found("([0-9.]+) W", "draws 12.5 W now"), Some("12.5"));
        assert_eq!(found("[0-9]+", "a 12 b"), Some("12"));
        assert_eq!(found("(?:a|b)([0-9])|c([0-9])", "c7"), Some("7"));
        assert_eq!(found("([0-9]+) W", "nothing"), None);
        assert_eq!(found("(_anime|)$", "blue"), Some(""));
        let optional = Pattern::new("(_anime)?$").unwrap();
        assert_eq!(optional.found("blue"), None);
        let why = optional.why_nothing("blue", "blue");
        assert!(
            why.ends_with("a group that may be empty is `(…|)`"),
            "{why}"
        );
        let pattern = Pattern::new("^(?P<host>[^:]+):(?P<port>.*)$").unwrap();
        assert_eq!(pattern.group("port", "a:80"), Some("80"));
        assert_eq!(pattern.groups().collect::<Vec<_>>(), ["host", "port"]);
    }

    #[test]
    fn what_is_no_expression_says_why_in_a_line() {
        let why = |text: &str| Pattern::new(text).unwrap_err().to_string();
        assert_eq!(
            why("a("),
            "`a(` is not a regular expression: unclosed group"
        );
        assert!(why("(a{1000}){1000}").ends_with("is too large a regular expression"));
    }
}
