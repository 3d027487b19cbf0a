//! Regular expressions of `match` and `search` (RFC 9485).

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::Operand;

/// The most memory that a compiled expression may take, in bytes: it may come from a document.
const COMPILED_BYTES_MAX: usize = 256 * 1024;

/// The longest expression that is taken from a document, in bytes.
pub(super) const DYNAMIC_BYTES_MAX: usize = 256;

/// What an expression from a document costs, in steps: compiling takes that long.
pub(super) const DYNAMIC_STEPS: u64 = 20_000;

/// A regular expression.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// As the path says; none if it is none, which matches nothing.
    Known(Option<Arc<Regex>>),
    /// As the document says.
    Dynamic {
        of: Operand,
        /// Whether the whole text must match.
        whole: bool,
    },
}

impl Pattern {
    pub(super) fn new(of: Operand, whole: bool) -> Self {
        match of {
            Operand::Literal(serde_json::Value::String(text)) => {
                Self::Known(compile(&text, whole).map(Arc::new))
            }
            of => Self::Dynamic { of, whole },
        }
    }
}

/// None if `text` is no expression, or too large a one.
pub(super) fn compile(text: &str, whole: bool) -> Option<Regex> {
    let translated = translate(text);
    let translated = match whole {
        true => format!("^(?:{translated})$"),
        false => translated,
    };
    let mut builder = RegexBuilder::new(&translated);
    builder.size_limit(COMPILED_BYTES_MAX);
    builder.dfa_size_limit(COMPILED_BYTES_MAX);
    builder.build().ok()
}

/// A dot is any character but line feed and carriage return.
fn translate(text: &str) -> String {
    let mut translated = String::with_capacity(text.len());
    let (mut chars, mut in_class) = (text.chars(), false);
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                translated.push(c);
                translated.extend(chars.next());
                continue;
            }
            '[' => in_class = true,
            ']' => in_class = false,
            '.' if !in_class => {
                translated.push_str(r"[^\n\r]");
                continue;
            }
            _ => {}
        }
        translated.push(c);
    }
    translated
}
