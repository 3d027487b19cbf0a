//! What to write instead of what other path languages have.

use super::{Reader, is_name};

const WITH_BLANK: &str = "a name with a blank is written `['a b']`";

impl Reader<'_> {
    /// What to write instead of the foreign syntax that comes next.
    pub(super) fn foreign(&mut self) -> Option<String> {
        let before = self.at;
        self.blanks();
        let rest = self.rest();
        let word = rest.split(|c: char| !is_name(c)).next().unwrap_or_default();
        let written = match word {
            "in" | "nin" | "contains" | "anyof" | "noneof" | "subsetof" => {
                format!("`{word}` is no operator: compare with `==` and join with `||`")
            }
            "and" => "`and` is written `&&`".to_owned(),
            "or" => "`or` is written `||`".to_owned(),
            "" => {
                return symbol(rest)
                    .map(str::to_owned)
                    .or_else(|| self.quoted(before, "-"));
            }
            _ => {
                return self
                    .quoted(before, " ")
                    .or_else(|| Some(WITH_BLANK.to_owned()));
            }
        };
        Some(written)
    }

    /// The path with quotes around the name that contains the character at `at`, which an unquoted
    /// name may not contain.
    fn quoted(&self, at: usize, why: &str) -> Option<String> {
        if why == "-" && !self.rest().starts_with('-') {
            return None;
        }
        let dot = self.text.get(..at)?.rfind('.')?;
        let name = self.text.get(dot + 1..)?;
        let ends = |c: char| ".[]=<>!&|(),'\"".contains(c) || (why == "-" && c.is_whitespace());
        let name = name.split(ends).next()?.trim_end();
        let (before, after) = (
            self.text.get(..dot)?,
            self.text.get(dot + 1 + name.len()..)?,
        );
        Some(match why {
            "-" => format!(
                "a name with other characters than letters, digits and `_` stands in quotes: \
                 `{before}['{name}']{after}`"
            ),
            _ => format!("a name with a blank stands in quotes: `{before}['{name}']{after}`"),
        })
    }
}

/// What to write instead of the foreign sign at the beginning of `rest`.
fn symbol(rest: &str) -> Option<&'static str> {
    const SYMBOLS: [(&str, &str); 7] = [
        ("=~", "`=~` is written `match(@.name, 'expression')`"),
        ("~", "`=~` is written `match(@.name, 'expression')`"),
        ("=", "`=` is written `==`"),
        (
            "(",
            "a function stands in a filter only: how many there are is said by `count:`, and what \
             paths cannot say by `transform:` (jq)",
        ),
        ("|", "what follows is jq, which stands in `transform:`"),
        ("?", "that nothing may be found is said by `optional: true`"),
        ("}", "a path stands without braces"),
    ];
    let mut symbols = SYMBOLS.into_iter();
    symbols
        .find(|(symbol, _)| rest.starts_with(symbol))
        .map(|(_, written)| written)
}
