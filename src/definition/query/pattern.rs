//! The regular expressions of `match` and `search` (RFC 9485).

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::Operand;

/// The largest memory of a compiled expression, in bytes. The limit exists because the expression
/// may come from a document.
const COMPILED_BYTES_MAX: usize = 256 * 1024;

/// The longest expression that is accepted from a document, in bytes.
pub(super) const DYNAMIC_BYTES_MAX: usize = 256;

/// The cost of an expression from a document, in steps. It stands for the time of the compilation.
pub(super) const DYNAMIC_STEPS: u64 = 20_000;

/// A regular expression.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// An expression from the path. None if the text is not an expression; it matches nothing then.
    Known(Option<Arc<Regex>>),
    /// An expression from the document.
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

/// Compiles `text`. None if it is not an expression, or too large.
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

/// Translates the expression: in RFC 9485 a dot is any character except line feed and carriage
/// return.
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
