//! The sources, to check imports and sizes.

use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

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

/// The words and signs of a Rust text without comments, texts and lifetimes. `::` is one sign.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    flatten(text.parse().unwrap(), &mut found);
    found
}

fn flatten(stream: TokenStream, found: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let line = tree.span().start().line;
        let mut push = |text: &str, line| {
            let text = text.to_owned();
            found.push(Token { text, line });
        };
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                push(open, line);
                flatten(group.stream(), found);
                found.push(Token {
                    text: close.to_owned(),
                    line: group.span_close().start().line,
                });
            }
            TokenTree::Punct(sign) if sign.as_char() == '\'' => drop(trees.next()),
            TokenTree::Punct(sign) => {
                let is_colon = |tree: &TokenTree| tree.to_string() == ":";
                match sign.as_char() == ':' && trees.next_if(is_colon).is_some() {
                    true => push("::", line),
                    false => push(&sign.to_string(), line),
                }
            }
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                if !text.contains(['"', '\'']) {
                    push(&text, line);
                }
            }
            TokenTree::Ident(word) => push(&word.to_string(), line),
        }
    }
}

#[test]
fn comments_and_strings_are_not_code() {
    let text = "a::b /* \" */ // c\n\"d\\\"e\" r#\"f\"g\"# 'h' '\\'' &'life i\nj";
    let found = tokens(text);
    let words: Vec<&str> = found.iter().map(|token| token.text.as_str()).collect();
    assert_eq!(words, ["a", "::", "b", "&", "i", "j"]);
    assert_eq!(found.last().unwrap().line, 3);
}
