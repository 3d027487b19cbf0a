//! RE2, the regular expressions of Go, in those of the `regex` crate.
//!
//! Both are of one descent, and differ in little: `\d`, `\w`, `\s` and `\b` know ASCII only in
//! RE2, and a class such as `[[&&]` holds plain characters.

use regex::Regex;

/// Compiles `pattern` so that it must match from end to end; a `.` matches a line break as well.
pub(super) fn anchored(pattern: &str) -> Result<Regex, regex::Error> {
    // Once as it is, so that `a)(b` is a mistake and messages show what was written.
    Regex::new(&translate(pattern))?;
    Regex::new(&format!("^(?s:{})$", translate(pattern)))
}

fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut in_class = false;
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(escaped) => push_escaped(escaped, &mut out),
                None => out.push('\\'),
            },
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if let Some(caret) = letters.next_if_eq(&'^') {
                    out.push(caret);
                }
                // A `]` that comes first is a member.
                if letters.next_if_eq(&']').is_some() {
                    out.push_str(r"\]");
                }
            }
            // `[:alpha:]` is a class in both.
            '[' if letters.peek() == Some(&':') => {
                out.push('[');
                for letter in letters.by_ref() {
                    out.push(letter);
                    if letter == ']' {
                        break;
                    }
                }
            }
            '[' | '&' | '~' if in_class => {
                out.push('\\');
                out.push(letter);
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            other => out.push(other),
        }
    }
    out
}

fn push_escaped(letter: char, out: &mut String) {
    match letter {
        'd' => out.push_str("[0-9]"),
        'D' => out.push_str("[^0-9]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        's' => out.push_str(r"[\t\n\f\r ]"),
        'S' => out.push_str(r"[^\t\n\f\r ]"),
        'b' => out.push_str(r"(?-u:\b)"),
        'B' => out.push_str(r"(?-u:\B)"),
        other => {
            out.push('\\');
            out.push(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_go_does() {
        // Answers of Go's `regexp` for `^(?s:…)$`.
        for (pattern, text, matches) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a|b", "ab", false),
            (".*", "line\nbreak", true),
            ("", "", true),
            ("", "x", false),
            (r"\d+", "123", true),
            (r"\d", "٣", false),
            (r"\w+", "a_1", true),
            (r"\w", "é", false),
            (r"[\w-]+", "a-b", true),
            (r"[^\d]", "a", true),
            (r"[^\d]", "1", false),
            (r"\S+\s\S+", "a b", true),
            (r"\s", "\u{a0}", false),
            (r"é\b", "é", false),
            (r"[[]a[]]", "[a]", true),
            (r"[a&&b]+", "&a&b", true),
            (r"[a~~b]+", "~", true),
            (r"[]a]+", "]a", true),
            (r"[^]a]", "]", false),
            (r"[[:alpha:]_]+", "a_b", true),
            ("(?i)ABC", "abc", true),
            (r"\.", ".", true),
            (r"\pL", "é", true),
        ] {
            let regex = anchored(pattern).unwrap();
            assert_eq!(regex.is_match(text), matches, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_expression() {
        for pattern in ["(", "a)(b", "[a", "*", r"\", "(?=a)"] {
            assert!(anchored(pattern).is_err(), "{pattern:?}");
        }
    }
}
