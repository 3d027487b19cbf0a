//! The meaning of a plain scalar: the YAML 1.2 core schema.

/// A scalar as it was written.
#[derive(Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The text after the quotes and escapes of YAML, otherwise unchanged: `0123` stays `0123`.
    pub text: String,
    /// Whether the text may have another type than a string: it has no quotes, or it is the whole
    /// value of a `${…}` reference.
    pub plain: bool,
}

impl Scalar {
    /// The meaning of the scalar in the core schema.
    pub fn resolve(&self) -> Plain<'_> {
        if self.plain {
            Plain::of(&self.text)
        } else {
            Plain::Text(&self.text)
        }
    }
}

/// The meaning of a plain scalar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Plain<'a> {
    /// Nothing, `~`, `null`.
    Null,
    /// `true` or `false`. `yes`, `on` and similar words are strings in YAML 1.2.
    Bool(bool),
    /// A decimal integer, `0x…` or `0o…`.
    Int(i128),
    /// A number with a point or an exponent, `.inf`, `.nan`, or an integer too large for
    /// [`Plain::Int`].
    Float(f64),
    /// Any other text.
    Text(&'a str),
}

impl<'a> Plain<'a> {
    /// Resolves `text` by the core schema.
    pub fn of(text: &'a str) -> Self {
        // A variable filled from a file often ends with a line break.
        match text.trim() {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "true" | "True" | "TRUE" => Self::Bool(true),
            "false" | "False" | "FALSE" => Self::Bool(false),
            ".nan" | ".NaN" | ".NAN" => Self::Float(f64::NAN),
            ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Self::Float(f64::INFINITY),
            "-.inf" | "-.Inf" | "-.INF" => Self::Float(f64::NEG_INFINITY),
            other => number(other).unwrap_or(Self::Text(text)),
        }
    }
}

fn number(text: &str) -> Option<Plain<'static>> {
    let radix = |digits: &str, radix| {
        let unsigned = digits.chars().all(|digit| digit.is_digit(radix));
        unsigned
            .then(|| i128::from_str_radix(digits, radix).ok())
            .flatten()
            .map(Plain::Int)
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    // Rust would also parse `inf`, `nan` and `infinity`.
    if !text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
    {
        return None;
    }
    text.parse()
        .map(Plain::Int)
        .or_else(|_| text.parse().map(Plain::Float))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_core_schema() {
        for (text, meaning) in [
            ("", Plain::Null),
            ("~", Plain::Null),
            ("True", Plain::Bool(true)),
            ("yes", Plain::Text("yes")),
            ("off", Plain::Text("off")),
            ("0123", Plain::Int(123)),
            ("-7", Plain::Int(-7)),
            ("+7", Plain::Int(7)),
            ("0xFf", Plain::Int(255)),
            ("0o17", Plain::Int(15)),
            ("0x+1", Plain::Text("0x+1")),
            ("8080\n", Plain::Int(8080)),
            ("1_000", Plain::Text("1_000")),
            ("1.5", Plain::Float(1.5)),
            ("1e3", Plain::Float(1000.0)),
            (".5", Plain::Float(0.5)),
            ("-.inf", Plain::Float(f64::NEG_INFINITY)),
            ("inf", Plain::Text("inf")),
            ("nan", Plain::Text("nan")),
            (".", Plain::Text(".")),
            ("15s", Plain::Text("15s")),
            ("1.2.3", Plain::Text("1.2.3")),
        ] {
            assert_eq!(Plain::of(text), meaning, "{text:?}");
        }
    }
}
