//! The tokens of a condition.

use super::ConditionError;

/// One token, and where it starts, in characters counted from 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) at: usize,
    pub(super) kind: TokenKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    /// A path, a function, a keyword.
    Word(String),
    Text(String),
    Number(String),
    /// One of `== != < > <= >= = ( ) [ ] ,` or any other sign.
    Sign(String),
    End,
}

impl TokenKind {
    /// The token as text for messages.
    pub(super) fn show(&self) -> String {
        match self {
            Self::Word(text) | Self::Number(text) | Self::Sign(text) => format!("`{text}`"),
            Self::Text(text) => format!("\"{text}\""),
            Self::End => "the end".to_owned(),
        }
    }

    pub(super) fn is_sign(&self, sign: &str) -> bool {
        matches!(self, Self::Sign(found) if found == sign)
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Word(found) if found == word)
    }
}

/// All tokens. The last one is the end.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ConditionError> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = characters.get(at) {
        let rest = characters.get(at..).unwrap_or_default();
        let (length, kind) = match first {
            c if c.is_whitespace() => {
                at += 1;
                continue;
            }
            '"' => quoted(rest, at)?,
            c if c.is_ascii_alphabetic() || *c == '_' => taken(rest, TokenKind::Word, |c| {
                c.is_ascii_alphanumeric() || "_.".contains(c)
            }),
            c if c.is_ascii_digit() || *c == '-' => taken(rest, TokenKind::Number, |c| {
                c.is_ascii_digit() || "-.".contains(c)
            }),
            c if "=!<>".contains(*c) => taken(rest, TokenKind::Sign, |c| "=!<>".contains(c)),
            c => (1, TokenKind::Sign(c.to_string())),
        };
        tokens.push(Token { at: at + 1, kind });
        at += length;
    }
    let at = characters.len() + 1;
    tokens.push(Token {
        at,
        kind: TokenKind::End,
    });
    Ok(tokens)
}

fn taken(
    rest: &[char],
    kind: fn(String) -> TokenKind,
    is: impl Fn(char) -> bool,
) -> (usize, TokenKind) {
    let text: String = rest.iter().copied().take_while(|c| is(*c)).collect();
    (text.chars().count(), kind(text))
}

/// A text in quotes, with `\"` and `\\`.
fn quoted(rest: &[char], at: usize) -> Result<(usize, TokenKind), ConditionError> {
    let (mut text, mut escaped) = (String::new(), false);
    for (index, c) in rest.iter().enumerate().skip(1) {
        match c {
            _ if escaped => {
                // Any other escape belongs to a regular expression.
                if !['"', '\\'].contains(c) {
                    text.push('\\');
                }
                text.push(*c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Ok((index + 1, TokenKind::Text(text))),
            c => text.push(*c),
        }
    }
    let message = "the text has no end".to_owned();
    Err(ConditionError {
        at: at + 1,
        message,
    })
}
