//! Texts as YAML, and texts of bodies in comments.

/// The longest text from a body in a comment, in letters.
const SHOWN_LETTERS_MAX: usize = 60;

/// A map on one line.
pub(super) fn flow(fields: &[[String; 2]]) -> String {
    let fields = fields
        .iter()
        .map(|[key, value]| format!("{}: {value}", scalar(key)));
    format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
}

/// A text as a YAML scalar that may stand on a line with others.
pub(super) fn scalar(text: &str) -> String {
    const OTHERS: [&str; 8] = ["true", "false", "null", "yes", "no", "on", "off", "y"];
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || "_.$/-".contains(letter);
    let begins = |letter: char| letter.is_ascii_alphabetic() || "_$/".contains(letter);
    let is_plain = text.starts_with(begins)
        && text.chars().all(is_word)
        && !text.contains("${")
        && !OTHERS.contains(&text.to_lowercase().as_str());
    match is_plain {
        true => text.to_owned(),
        false => quoted(text),
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(letter);
            }
            '$' if text.contains("${") || text.contains("$$") => quoted.push_str("$$"),
            letter if letter.is_control() || letter == '\u{feff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// A text from a body within a comment: one short line.
pub(super) fn shown(text: &str) -> String {
    let mut letters = text.chars();
    let mut shown: String = letters.by_ref().take(SHOWN_LETTERS_MAX).collect();
    shown = shown.replace(char::is_control, " ");
    if letters.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Diagnostics, parse};

    #[test]
    fn a_text_is_read_as_it_was() {
        for text in [
            "a",
            "$.a",
            "@key",
            "true",
            "1",
            "",
            "a b",
            "a: b",
            "x\"y\\z\n",
            "é",
            "# x",
            "- a",
            "~",
            "{a}",
            "$['a b']",
        ] {
            let yaml = format!("{{ k: {}, l: [{}] }}", scalar(text), scalar(text));
            let node = parse("f", &yaml, &mut Diagnostics::new()).unwrap();
            assert_eq!(node.get("k").unwrap().text(), Some(text), "{yaml}");
            let is_text = node.get("k").unwrap().describe().starts_with("the string");
            assert!(is_text, "{yaml}");
        }
    }
}
