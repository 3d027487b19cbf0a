//! Why a text is not a path, in words for the author of a definition.

use crate::definition::grammar;

/// The error for a path that does not follow RFC 9535.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` is not a JSONPath (RFC 9535): {reason}")]
pub struct PathError {
    path: String,
    reason: String,
}

impl PathError {
    /// The error about `text`.
    pub(super) fn new(text: &str, reason: String) -> Self {
        Self {
            path: shortened(text),
            reason,
        }
    }
}

/// What to write instead of a path that does not begin at the document.
pub(super) fn without_root(text: &str, is_path: impl Fn(&str) -> bool) -> String {
    let inner = text.strip_prefix('{').and_then(|of| of.strip_suffix('}'));
    let inner = inner.unwrap_or(text);
    let rest = inner.strip_prefix('@').unwrap_or(inner);
    let rooted = match rest.chars().next() {
        Some('.' | '[') => format!("${rest}"),
        Some(c) if c.is_alphabetic() => format!("$.{rest}"),
        _ => String::new(),
    };
    match !rooted.is_empty() && is_path(&rooted) {
        true => format!("it begins with `$`: write `{rooted}`"),
        false => "it begins with `$`".to_owned(),
    }
}

/// A path in a form that is short enough for messages.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Why a character is not expected.
pub(super) fn unexpected(error: grammar::Wrong) -> String {
    let grammar::Wrong { column, why } = error;
    match why {
        Some(why) => format!("character {column}: {why}"),
        None => format!("character {column} is not expected there"),
    }
}

/// Why the parser rejects a path, in a few words. The parser's own message is a drawing of several
/// lines, whose first line has the position: `--> 1:9`.
pub(super) fn reason(error: &str) -> String {
    let place = error.split("--> 1:").nth(1);
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect();
    match place.map(digits) {
        Some::<String>(column) => format!("character {column} is not expected there"),
        None => error.lines().collect::<Vec<_>>().join(" "),
    }
}
