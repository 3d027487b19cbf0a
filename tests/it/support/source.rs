//! The sources as text: a simple lexer to check imports and sizes.

use std::path::{Path, PathBuf};

/// The root directory of the package.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `src/`: its relative path and its text.
pub(crate) fn files() -> Vec<(PathBuf, String)> {
    let src = root().join("src");
    let (mut found, mut folders) = (Vec::new(), vec![src.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&src).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// One word or sign, and its line, from 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// The words and signs of a Rust text without comments, strings and characters. `::` is one sign.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let end = token_end(&chars, at);
        let token: String = chars.get(at..end).unwrap().iter().collect();
        if is_code(&token) {
            let text = token.clone();
            tokens.push(Token { text, line });
        }
        line += token.matches('\n').count();
        at = end;
    }
    tokens
}

fn is_code(token: &str) -> bool {
    let quoted = token.contains(['"', '\'']);
    !token.starts_with("//") && !token.starts_with("/*") && !quoted && !token.trim().is_empty()
}

/// The end of the word, sign, comment, string or lifetime that starts at `at`.
fn token_end(chars: &[char], at: usize) -> usize {
    let starts = |text: &str| {
        text.chars()
            .eq(chars.iter().copied().skip(at).take(text.len()))
    };
    let first = chars.get(at).copied().unwrap_or_default();
    if starts("//") {
        return find(chars, at, |rest| rest.first() == Some(&'\n'));
    }
    if starts("/*") {
        return find(chars, at + 2, |rest| rest.starts_with(&['*', '/'])) + 2;
    }
    if first == '"' {
        return string_end(chars, at, '"');
    }
    if first == '\'' {
        // A character literal ends after one sign or an escape; anything else is a lifetime.
        let is_character = chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'');
        return if is_character {
            string_end(chars, at, '\'')
        } else {
            word_end(chars, at + 1)
        };
    }
    if let Some(end) = raw_string_end(chars, at) {
        return end;
    }
    if starts("::") {
        return at + 2;
    }
    word_end(chars, at).max(at + 1)
}

fn find(chars: &[char], from: usize, stop: impl Fn(&[char]) -> bool) -> usize {
    let mut places = from..chars.len();
    let found = places.find(|&at| chars.get(at..).is_some_and(&stop));
    found.unwrap_or(chars.len())
}

fn word_end(chars: &[char], from: usize) -> usize {
    find(chars, from, |rest| {
        !rest
            .first()
            .is_some_and(|&sign| sign.is_alphanumeric() || sign == '_')
    })
}

fn string_end(chars: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while let Some(&sign) = chars.get(at) {
        at += if sign == '\\' { 2 } else { 1 };
        if sign == quote {
            break;
        }
    }
    at.min(chars.len())
}

/// The end of `r"…"`, `r#"…"#` or `br"…"`: no escapes, closed by a quote and the same number of
/// `#`.
fn raw_string_end(chars: &[char], start: usize) -> Option<usize> {
    let prefix = usize::from(chars.get(start) == Some(&'b'));
    if chars.get(start + prefix) != Some(&'r') {
        return None;
    }
    let from = start + prefix + 1;
    let hashes = find(chars, from, |rest| rest.first() != Some(&'#')) - from;
    if chars.get(from + hashes) != Some(&'"') {
        return None;
    }
    let close: Vec<char> = format!("\"{}", "#".repeat(hashes)).chars().collect();
    Some(find(chars, from + hashes + 1, |rest| rest.starts_with(&close)) + close.len())
}

#[test]
fn comments_and_strings_are_not_code() {
    let text = "a::b /* \" */ // c\n\"d\\\"e\" r#\"f\"g\"# 'h' '\\'' &'life i\nj";
    let found = tokens(text);
    let words: Vec<&str> = found.iter().map(|token| token.text.as_str()).collect();
    assert_eq!(words, ["a", "::", "b", "&", "i", "j"]);
    assert_eq!(found.last().unwrap().line, 3);
}
