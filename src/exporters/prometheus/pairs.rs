//! Splits rendered labels.

use std::borrow::Cow;

/// The name and the escaped value of the first label, and the labels after it.
pub(super) fn split_label(labels: &str) -> Option<(Cow<'_, str>, &str, &str)> {
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
    use super::*;

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
