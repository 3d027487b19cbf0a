//! Keys that a struct does not have, but that files for another program do.
//!
//! Each config struct has a table of such keys. It says what happens to each of them. So a copied
//! file works if a key would change nothing, and the message explains why if it would.

/// The foreign keys of a struct and of the structs in it.
#[derive(Debug, Clone, Copy)]
pub struct Foreign {
    /// The keys of the struct itself.
    pub keys: &'static [ForeignKey],
    /// Keys that several structs have in common.
    pub also: &'static [&'static Self],
    /// The foreign keys below a key, or below any key or position (`*`).
    pub below: &'static [(&'static str, &'static Self)],
}

/// Foreign keys that are handled in the same way.
#[derive(Debug, Clone, Copy)]
pub struct ForeignKey {
    /// The names of the keys.
    pub names: &'static [&'static str],
    /// How they are handled.
    pub handling: ForeignHandling,
    /// Why, as the end of a sentence: "has no effect: …".
    pub why: &'static str,
}

/// How a foreign key is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignHandling {
    /// It is accepted with a warning: the data is the same without it.
    Ignored,
    /// It is accepted with these values, which describe what happens anyway. Any other value is an
    /// error.
    Only(&'static [&'static str]),
    /// It is an error: without it the data or its destination would be different.
    Refused,
}

impl Foreign {
    /// No foreign keys.
    pub const NONE: Self = Self {
        keys: &[],
        also: &[],
        below: &[],
    };

    /// The foreign key with this name, in the struct itself.
    pub fn key(&self, name: &str) -> Option<&'static ForeignKey> {
        let own = self.keys.iter().find(|key| key.names.contains(&name));
        own.or_else(|| self.also.iter().find_map(|also| also.key(name)))
    }

    /// The foreign keys below `name`.
    pub fn below(&self, name: &str) -> Option<&'static Self> {
        let is_it = |(key, _): &&(&str, _)| [name, "*"].contains(key);
        let own = self.below.iter().find(is_it).map(|(_, below)| *below);
        own.or_else(|| self.also.iter().find_map(|also| also.below(name)))
    }
}

impl ForeignKey {
    /// Keys that are accepted without an effect.
    pub const fn ignored(names: &'static [&'static str], why: &'static str) -> Self {
        let handling = ForeignHandling::Ignored;
        Self {
            names,
            handling,
            why,
        }
    }

    /// Keys that are accepted with one of `values`, which describe what happens anyway.
    pub const fn only(
        names: &'static [&'static str],
        values: &'static [&'static str],
        why: &'static str,
    ) -> Self {
        let handling = ForeignHandling::Only(values);
        Self {
            names,
            handling,
            why,
        }
    }

    /// Keys that are errors.
    pub const fn refused(names: &'static [&'static str], why: &'static str) -> Self {
        let handling = ForeignHandling::Refused;
        Self {
            names,
            handling,
            why,
        }
    }

    /// Whether a value describes what happens anyway. `value` is the text of a scalar, and `None`
    /// for other values.
    pub fn is_met_by(&self, value: Option<&str>) -> bool {
        match self.handling {
            ForeignHandling::Ignored | ForeignHandling::Refused => false,
            ForeignHandling::Only(values) => value.is_some_and(|value| values.contains(&value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Diagnostics, decode_foreign, parse};
    use serde::Deserialize;

    const INNER: Foreign = Foreign {
        keys: &[ForeignKey::refused(&["wal"], "what waits would be lost")],
        ..Foreign::NONE
    };

    const SHARED: Foreign = Foreign {
        keys: &[ForeignKey::only(
            &["encoding"],
            &["proto"],
            "messages are protobuf",
        )],
        ..Foreign::NONE
    };

    const OUTER: Foreign = Foreign {
        keys: &[ForeignKey::ignored(
            &["buffer"],
            "buffers grow as they must",
        )],
        also: &[&SHARED],
        below: &[
            ("inner", &INNER),
            (
                "list",
                &Foreign {
                    below: &[("*", &INNER)],
                    ..Foreign::NONE
                },
            ),
        ],
    };

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Outer {
        port: u16,
        inner: Inner,
        list: Vec<Inner>,
        level: Level,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Inner {
        size: u8,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Level {
        #[default]
        Normal,
        Detailed,
    }

    /// Errors, then warnings.
    fn said(text: &str) -> Vec<String> {
        let mut diagnostics = Diagnostics::new();
        let node = parse("f", text, &mut diagnostics).unwrap();
        let decoded: Option<Outer> = decode_foreign(&node, "", &OUTER, &mut diagnostics);
        assert_eq!(decoded.is_some(), diagnostics.is_empty());
        let all = diagnostics.errors().chain(diagnostics.warnings());
        all.map(ToString::to_string).collect()
    }

    #[test]
    fn each_foreign_key_is_handled_as_its_table_says() {
        for (text, expected) in [
            (
                "buffer: 5",
                "f:1:1: buffer: has no effect: buffers grow as they must",
            ),
            (
                "buffer: {a: [1]}",
                "f:1:1: buffer: has no effect: buffers grow as they must",
            ),
            ("encoding: proto", ""),
            (
                "encoding: json",
                "f:1:1: encoding: is not supported: messages are protobuf; write `proto`",
            ),
            (
                "inner: {wal: x}",
                "f:1:9: inner::wal: is not supported: what waits would be lost",
            ),
            (
                "list: [{}, {wal: x}]",
                "f:1:13: list::1::wal: is not supported: what waits would be lost",
            ),
            // It is foreign only where its table applies.
            (
                "inner: {buffer: 5}",
                "f:1:9: inner::buffer: unknown key; expected one of `size`",
            ),
            (
                "wal: x",
                "f:1:1: wal: unknown key; expected one of `port`, `inner`, `list`, `level`",
            ),
        ] {
            assert_eq!(said(text).join("\n"), expected, "{text}");
        }
    }

    #[test]
    fn numbers_and_words_are_accepted_as_in_the_collector() {
        for text in ["port: 5.0", "port: 8e3", "level: Detailed", "level: NORMAL"] {
            assert_eq!(said(text), [""; 0], "{text}");
        }
        for text in [
            "port: 5.5",
            "port: 1e9",
            "port: -1.0",
            "port: '5.0'",
            "level: detail",
        ] {
            assert_eq!(said(text).len(), 1, "{text}");
        }
    }
}
