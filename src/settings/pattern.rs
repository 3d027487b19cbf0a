//! Regular expressions.

use std::{fmt, str::FromStr};

use regex::Regex;

/// A regular expression in the syntax of RE2. It matches anywhere in a text unless it has anchors.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// Why a text is not a regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a regular expression: {0}")]
pub struct PatternError(String);

impl Pattern {
    /// The compiled expression.
    pub fn get(&self) -> &Regex {
        &self.0
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Regex::new(text).map(Self).map_err(|error| {
            // Only the last line has the reason. The lines before it point at a place in the
            // expression.
            let error = error.to_string();
            let last = error.lines().last().unwrap_or_default();
            PatternError(last.trim_start_matches("error: ").to_owned())
        })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

// Not `format: regex`, which is JavaScript's: it refuses the `(?P<name>…)` of RE2.
written_as_text!(Pattern, "a regular expression", {
    "type": "string"
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_one_line() {
        let error = "a(".parse::<Pattern>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "not a regular expression: unclosed group"
        );
        assert_eq!("^a+$".parse::<Pattern>().unwrap().to_string(), "^a+$");
    }
}
