//! Escapes names that Prometheus did not allow before version 3, for scrapers that do not support
//! them. The rules are those of Prometheus' library `common`.

use std::borrow::Cow;

/// How a scraper wants such names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escaping {
    /// Leaves names as they are.
    AllowUtf8,
    /// Replaces each other character with `_`.
    #[default]
    Underscores,
    /// Replaces a dot with `_dot_`, and each other character and `_` with `__`.
    Dots,
    /// Adds the prefix `U__` and replaces a character with its number, such as `_2e_`.
    Values,
}

impl Escaping {
    /// All escaping schemes.
    pub(super) const ALL: [Self; 4] =
        [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values];

    /// The name of the scheme in the headers of a scrape.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    /// The escaped name of a metric.
    pub(super) fn name(self, name: &str) -> Cow<'_, str> {
        if self == Self::AllowUtf8 || is_plain(name) {
            return Cow::Borrowed(name);
        }
        Cow::Owned(self.escaped(name, true))
    }

    /// The escaped name of a label.
    pub(super) fn label(self, name: &str) -> Cow<'_, str> {
        if self == Self::AllowUtf8 || is_plain_label(name) {
            return Cow::Borrowed(name);
        }
        let mut escaped = self.escaped(name, false);
        // Prometheus reserves these names.
        if escaped.starts_with("__") {
            escaped.insert_str(0, "key");
        }
        Cow::Owned(escaped)
    }

    /// The rendered labels of a series with escaped names. Labels whose names become the same share
    /// one label with all their values, in their order.
    pub(super) fn labels(self, labels: &str) -> Cow<'_, str> {
        if self == Self::AllowUtf8 || !has_quoted_label(labels) {
            return Cow::Borrowed(labels);
        }
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut rest = labels;
        while let Some((name, value, after)) = split_label(rest) {
            let name = self.label(&name).into_owned();
            match pairs.iter_mut().find(|(known, _)| *known == name) {
                Some((_, joined)) => {
                    joined.push(';');
                    joined.push_str(value);
                }
                None => pairs.push((name, value.to_owned())),
            }
            rest = after;
        }
        let pairs = pairs
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\""));
        Cow::Owned(pairs.collect::<Vec<_>>().join(","))
    }

    fn escaped(self, name: &str, has_colons: bool) -> String {
        let mut out = String::with_capacity(name.len() + 8);
        if self == Self::Values {
            out.push_str("U__");
        }
        for (index, c) in name.chars().enumerate() {
            let is_plain = c.is_ascii_alphabetic()
                || (c.is_ascii_digit() && index > 0)
                || (c == ':' && has_colons);
            match (self, c) {
                _ if is_plain => out.push(c),
                (Self::AllowUtf8, _) => out.push(c),
                (Self::Underscores, _) => out.push('_'),
                (Self::Dots, '.') => out.push_str("_dot_"),
                (Self::Dots, _) | (Self::Values, '_') => out.push_str("__"),
                (Self::Values, _) => out.push_str(&format!("_{:x}_", u32::from(c))),
            }
        }
        out
    }
}

/// Whether every scraper can read the name of a metric.
pub(super) fn is_plain(name: &str) -> bool {
    let is_known = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b':');
    let bytes = name.as_bytes();
    bytes.first().is_some_and(|first| !first.is_ascii_digit()) && bytes.iter().all(is_known)
}

/// Whether every scraper can read the name of a label.
pub(super) fn is_plain_label(name: &str) -> bool {
    let is_known = |c: &u8| c.is_ascii_alphanumeric() || *c == b'_';
    let bytes = name.as_bytes();
    bytes.first().is_some_and(|first| !first.is_ascii_digit()) && bytes.iter().all(is_known)
}

/// The rendered labels as one text for all series that become the same by escaping.
pub(super) fn canonical(labels: &str) -> Cow<'_, str> {
    match Escaping::Underscores.labels(labels) {
        Cow::Borrowed(plain) => Cow::Borrowed(plain),
        Cow::Owned(escaped) => {
            let mut pairs = Vec::new();
            let mut rest = escaped.as_str();
            while let Some((name, value, after)) = split_label(rest) {
                pairs.push((name, value));
                rest = after;
            }
            // Escaping changes the order of names.
            pairs.sort_unstable();
            let pairs = pairs
                .iter()
                .map(|(name, value)| format!("{name}=\"{value}\""));
            Cow::Owned(pairs.collect::<Vec<_>>().join(","))
        }
    }
}

/// The name and the escaped value of the first label, and the labels after it.
fn split_label(labels: &str) -> Option<(Cow<'_, str>, &str, &str)> {
    let (name, rest) = match labels.strip_prefix('"') {
        Some(quoted) => {
            let (name, rest) = up_to_quote(quoted)?;
            (unescaped(name), rest.strip_prefix("=\"")?)
        }
        None => {
            let (name, rest) = labels.split_once("=\"")?;
            (Cow::Borrowed(name), rest)
        }
    };
    let (value, rest) = up_to_quote(rest)?;
    Some((name, value, rest.strip_prefix(',').unwrap_or(rest)))
}

/// Whether a label has a name in quotes.
pub(super) fn has_quoted_label(labels: &str) -> bool {
    // In a value, the quote would come after a backslash.
    labels.starts_with('"') || labels.contains(",\"")
}

/// The text before the next quote that is not escaped, and the text after it.
fn up_to_quote(text: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    let end = text.find(|c| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    })?;
    let (before, rest) = text.split_at_checked(end)?;
    Some((before, rest.strip_prefix('"')?))
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next().map(|c| if c == 'n' { '\n' } else { c })),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::{Escaping::*, *};

    #[test]
    fn names_are_escaped_like_in_prometheus() {
        for (name, underscores, dots, values) in [
            ("a_b:c", "a_b:c", "a_b:c", "a_b:c"),
            ("a.b_c", "a_b_c", "a_dot_b__c", "U__a_2e_b__c"),
            ("2.x", "__x", "___dot_x", "U___32__2e_x"),
            ("größe/s", "gr__e_s", "gr____e__s", "U__gr_f6__df_e_2f_s"),
            ("🦀", "_", "__", "U___1f980_"),
        ] {
            assert_eq!(AllowUtf8.name(name), name);
            assert_eq!(Underscores.name(name), underscores);
            assert_eq!(Dots.name(name), dots);
            assert_eq!(Values.name(name), values);
        }
    }

    #[test]
    fn labels_are_escaped_and_joined_when_their_names_become_the_same() {
        let labels = r#"target="n","a.b"="1\"","a/b"="2",a_b="3","..x"="4",le="+Inf""#;
        assert_eq!(AllowUtf8.labels(labels), labels);
        let expected = r#"target="n",a_b="1\";2;3",key__x="4",le="+Inf""#;
        assert_eq!(Underscores.labels(labels), expected);
        let expected = r#"target="n",a_dot_b="1\"",a__b="2",a_b="3",_dot__dot_x="4",le="+Inf""#;
        assert_eq!(Dots.labels(labels), expected);
        let plain = r#"a="x,\"y\"=\"z\"""#;
        assert!(matches!(Underscores.labels(plain), Cow::Borrowed(_)));
        assert_eq!(Underscores.label("a:b"), "a_b");
    }

    #[test]
    fn labels_are_split_one_by_one() {
        let labels = r#"a="1\\",b="x,\"y\"=","c\"=.d"="\n""#;
        assert!(has_quoted_label(labels) && !has_quoted_label(r#"a="x,\"y""#));
        let (name, value, rest) = split_label(labels).unwrap();
        assert_eq!((&*name, value), ("a", r"1\\"));
        let (name, value, rest) = split_label(rest).unwrap();
        assert_eq!((&*name, value), ("b", r#"x,\"y\"="#));
        assert_eq!(split_label(rest), Some(("c\"=.d".into(), r"\n", "")));
        assert_eq!(split_label(""), None);
    }
}
