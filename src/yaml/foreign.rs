//! Keys that a struct does not have, but that files written for another program do.
//!
//! A table stands beside each config struct and says of each such key what becomes of it. So a
//! copied file works where a key would change nothing, and says why where it would.

/// The foreign keys of a struct and of the structs in it.
#[derive(Debug, Clone, Copy)]
pub struct Foreign {
    /// Those of the struct itself.
    pub keys: &'static [ForeignKey],
    /// More of them, of what several structs have in common.
    pub also: &'static [&'static Self],
    /// Those of what stands under a key, or under any key or position (`*`).
    pub below: &'static [(&'static str, &'static Self)],
}

/// Keys that share a fate.
#[derive(Debug, Clone, Copy)]
pub struct ForeignKey {
    /// Their names.
    pub names: &'static [&'static str],
    /// What becomes of them.
    pub fate: ForeignFate,
    /// Why, the end of a sentence: "has no effect: …".
    pub why: &'static str,
}

/// What becomes of a foreign key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignFate {
    /// It is accepted with a warning: without it the data says the same.
    Ignored,
    /// It is accepted with these values, which say what is done anyway; any other is an error.
    Only(&'static [&'static str]),
    /// It is an error: without it the data, or where it goes, would be another.
    Refused,
}

impl Foreign {
    /// No foreign keys.
    pub const NONE: Self = Self {
        keys: &[],
        also: &[],
        below: &[],
    };

    /// What is known of a key of the struct itself.
    pub fn key(&self, name: &str) -> Option<&'static ForeignKey> {
        let own = self.keys.iter().find(|key| key.names.contains(&name));
        own.or_else(|| self.also.iter().find_map(|also| also.key(name)))
    }

    /// The foreign keys of what stands under `name`.
    pub fn below(&self, name: &str) -> Option<&'static Self> {
        let is_it = |(key, _): &&(&str, _)| [name, "*"].contains(key);
        let own = self.below.iter().find(is_it).map(|(_, below)| *below);
        own.or_else(|| self.also.iter().find_map(|also| also.below(name)))
    }
}

impl ForeignKey {
    /// Keys that are accepted without effect.
    pub const fn ignored(names: &'static [&'static str], why: &'static str) -> Self {
        let fate = ForeignFate::Ignored;
        Self { names, fate, why }
    }

    /// Keys that are accepted if they say one of `values`, which is what is done anyway.
    pub const fn only(
        names: &'static [&'static str],
        values: &'static [&'static str],
        why: &'static str,
    ) -> Self {
        let fate = ForeignFate::Only(values);
        Self { names, fate, why }
    }

    /// Keys that are errors.
    pub const fn refused(names: &'static [&'static str], why: &'static str) -> Self {
        let fate = ForeignFate::Refused;
        Self { names, fate, why }
    }

    /// Whether it says what is done anyway: `value` is a scalar's text, none what is no scalar.
    pub fn is_met_by(&self, value: Option<&str>) -> bool {
        match self.fate {
            ForeignFate::Ignored | ForeignFate::Refused => false,
            ForeignFate::Only(values) => value.is_some_and(|value| values.contains(&value)),
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
    fn each_foreign_key_has_its_fate() {
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
            // It is foreign where its table is, and nowhere else.
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
    fn numbers_and_words_are_taken_as_the_collector_takes_them() {
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
