//! The grammar of RFC 9535, which is checked before the engine reads a path.
//!
//! The engine's own parser accepts blanks within names. With it, `$.a b` and `[?@.s in ["OK"]]`
//! would be paths that never match anything. It also takes exponential time for some texts that are
//! not paths. This parser reads each character once.

mod foreign;

/// How deeply brackets, parentheses and functions may be nested.
const DEPTH_MAX: usize = 8;

/// The functions that a filter may use. Those after `search` are extensions of the engine.
const FUNCTIONS: [&str; 10] = [
    "length",
    "count",
    "value",
    "match",
    "search",
    "in",
    "nin",
    "none_of",
    "any_of",
    "subset_of",
];

/// Why a text is not a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The position of the character, from 1.
    pub(super) column: usize,
    /// What is wrong there, and what to write instead. None when the character is only unexpected.
    pub(super) why: Option<String>,
}

/// Reads `path`, which begins with `$`, and returns the byte position after each of its segments.
pub(super) fn segments(path: &str) -> Result<Vec<usize>, Wrong> {
    let mut reader = Reader {
        text: path,
        at: 0,
        depth: 0,
    };
    let ends = reader.take("$").and_then(|()| {
        let ends = reader.segments()?;
        reader.blanks();
        match reader.rest().is_empty() {
            true => Ok(ends),
            false => Err(reader.foreign()),
        }
    });
    ends.map_err(|why| Wrong {
        column: path.get(..reader.at).unwrap_or_default().chars().count() + 1,
        why,
    })
}

type Read<T> = Result<T, Option<String>>;

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Passes `token` if it comes next, and returns whether it did.
    fn took(&mut self, token: &str) -> bool {
        let is_there = self.rest().starts_with(token);
        if is_there {
            self.at += token.len();
        }
        is_there
    }

    fn take(&mut self, token: &str) -> Read<()> {
        self.took(token).then_some(()).ok_or(None)
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !fits(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn blanks(&mut self) {
        self.take_while(|c| " \t\n\r".contains(c));
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth == DEPTH_MAX {
            let why = format!("brackets stand at most {DEPTH_MAX} deep in one another");
            return Err(Some(why));
        }
        self.depth += 1;
        let read = read(self)?;
        self.depth -= 1;
        Ok(read)
    }

    /// Reads all segments that follow, and returns the end of each. Blanks that no segment follows
    /// are not consumed.
    fn segments(&mut self) -> Read<Vec<usize>> {
        let mut ends = Vec::new();
        loop {
            let before = self.at;
            self.blanks();
            if self.took("..") {
                match self.peek() {
                    Some('[') => self.selectors()?,
                    _ => self.name_or_all()?,
                }
            } else if self.took(".") {
                self.name_or_all()?;
            } else if self.peek() == Some('[') {
                self.selectors()?;
            } else {
                self.at = before;
                return Ok(ends);
            }
            ends.push(self.at);
        }
    }

    fn name_or_all(&mut self) -> Read<()> {
        if self.took("*") {
            return Ok(());
        }
        match self.peek() {
            Some(c) if is_name_first(c) => {
                self.take_while(is_name);
                Ok(())
            }
            _ => Err(None),
        }
    }

    fn selectors(&mut self) -> Read<()> {
        self.take("[")?;
        self.deeper(|reader| {
            loop {
                reader.blanks();
                reader.selector()?;
                reader.blanks();
                if reader.took("]") {
                    return Ok(());
                }
                if !reader.took(",") {
                    return Err(reader.foreign());
                }
            }
        })
    }

    fn selector(&mut self) -> Read<()> {
        match self.peek() {
            Some('*') => self.take("*"),
            Some('\'' | '"') => self.string(),
            Some('?') => {
                self.take("?")?;
                self.either()
            }
            Some(c) if c == '-' || c == ':' || c.is_ascii_digit() => self.index_or_slice(),
            Some(c) if is_name_first(c) => {
                Err(Some("a name in brackets stands in quotes".to_owned()))
            }
            Some(']') => Err(Some("`[]` is written `[*]`".to_owned())),
            Some('(') => Err(Some(
                "a script is not RFC 9535: the last item is `[-1]`, and what paths cannot say \
                 stands in `transform:` (jq)"
                    .to_owned(),
            )),
            _ => Err(None),
        }
    }

    fn index_or_slice(&mut self) -> Read<()> {
        if self.peek() != Some(':') {
            self.integer()?;
            self.blanks();
        }
        for _ in 0..2 {
            if !self.took(":") {
                return Ok(());
            }
            self.blanks();
            if matches!(self.peek(), Some(c) if c == '-' || c.is_ascii_digit()) {
                self.integer()?;
                self.blanks();
            }
        }
        Ok(())
    }

    fn integer(&mut self) -> Read<()> {
        let is_negative = self.took("-");
        let digits = self.take_while(|c| c.is_ascii_digit());
        let is_right = match digits.strip_prefix('0') {
            Some(more) => more.is_empty() && !is_negative,
            None => !digits.is_empty(),
        };
        is_right.then_some(()).ok_or(None)
    }

    fn number(&mut self) -> Read<()> {
        self.took("-");
        let digits = self.take_while(|c| c.is_ascii_digit());
        let has_leading_zero = digits.len() > 1 && digits.starts_with('0');
        if digits.is_empty() || has_leading_zero {
            return Err(None);
        }
        if self.took(".") && self.take_while(|c| c.is_ascii_digit()).is_empty() {
            return Err(None);
        }
        if self.took("e") || self.took("E") {
            let _is_signed = self.took("-") || self.took("+");
            if self.take_while(|c| c.is_ascii_digit()).is_empty() {
                return Err(None);
            }
        }
        Ok(())
    }

    fn string(&mut self) -> Read<()> {
        let start = self.at;
        let mut chars = self.rest().char_indices();
        let quote = chars.next().map(|(_, quote)| quote);
        while let Some((index, c)) = chars.next() {
            self.at = start + index;
            match c {
                c if Some(c) == quote => {
                    self.at += c.len_utf8();
                    return Ok(());
                }
                c if c < ' ' => return Err(None),
                '\\' => match chars.next() {
                    Some((_, c)) if "bfnrtu/\\".contains(c) || Some(c) == quote => {}
                    _ => return Err(None),
                },
                _ => {}
            }
        }
        self.at = start;
        Err(Some("the text does not end".to_owned()))
    }

    /// Reads `a || b`.
    fn either(&mut self) -> Read<()> {
        self.joined("||", |reader| reader.joined("&&", Self::atom))
    }

    fn joined(&mut self, by: &str, read: impl Fn(&mut Self) -> Read<()>) -> Read<()> {
        loop {
            self.blanks();
            read(self)?;
            let before = self.at;
            self.blanks();
            if !self.took(by) {
                self.at = before;
                return Ok(());
            }
        }
    }

    fn atom(&mut self) -> Read<()> {
        if self.took("!") {
            self.blanks();
            if self.peek() != Some('(') {
                return self.operand();
            }
        }
        if self.took("(") {
            return self.deeper(|reader| {
                reader.either()?;
                reader.blanks();
                reader.take(")")
            });
        }
        self.operand()?;
        let before = self.at;
        self.blanks();
        if ["==", "!=", "<=", ">=", "<", ">"]
            .iter()
            .any(|operator| self.took(operator))
        {
            if self.peek() == Some('~') {
                return Err(self.foreign());
            }
            self.blanks();
            return self.operand();
        }
        self.at = before;
        Ok(())
    }

    /// Reads a query, a literal or a function.
    fn operand(&mut self) -> Read<()> {
        match self.peek() {
            Some('@' | '$') => {
                self.at += 1;
                self.segments().map(drop)
            }
            Some('\'' | '"') => self.string(),
            Some(c) if c == '-' || c.is_ascii_digit() => self.number(),
            Some(c) if c.is_ascii_lowercase() => self.word(),
            _ => Err(self.foreign()),
        }
    }

    fn word(&mut self) -> Read<()> {
        let start = self.at;
        let word = self.take_while(|c| c.is_ascii_lowercase() || c == '_');
        if ["true", "false", "null"].contains(&word) && self.peek() != Some('(') {
            return Ok(());
        }
        if !FUNCTIONS.contains(&word) || self.peek() != Some('(') {
            self.at = start;
            let why = format!(
                "`{word}` is no function; there are {}",
                FUNCTIONS.join(", ")
            );
            return Err(Some(why));
        }
        self.take("(")?;
        self.deeper(|reader| {
            loop {
                reader.either()?;
                reader.blanks();
                if reader.took(")") {
                    return Ok(());
                }
                reader.take(",")?;
            }
        })
    }
}

fn is_name_first(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn is_name(c: char) -> bool {
    is_name_first(c) || c.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(path: &str) -> String {
        match segments(path) {
            Ok(ends) => format!("{ends:?}"),
            Err(wrong) => format!("{}: {}", wrong.column, wrong.why.unwrap_or_default()),
        }
    }

    #[test]
    fn every_segment_ends_somewhere() {
        for (path, ends) in [
            ("$", vec![]),
            ("$.a.b[0]", vec![3, 5, 8]),
            ("$['a b'] .c ", vec![8, 11]),
            ("$..a[*].ü_1", vec![4, 7, 12]),
            ("$[?@.a == 'x' && !(@.b > -1.5e3 || $.c)]..*", vec![40, 43]),
            ("$[1:5:-2, 'a', ?count(@.*) >= 2][-1]", vec![32, 36]),
            ("$[?match(@.a, \"it's\\n\")][::2][:]", vec![24, 29, 32]),
            ("$[?length(@['a\\'b'])<2 && in(@.s, $.all)]", vec![41]),
        ] {
            assert_eq!(segments(path), Ok(ends), "{path}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_to_write() {
        for (path, expected) in [
            (
                "$.a b",
                "5: a name with a blank stands in quotes: `$['a b']`",
            ),
            (
                "$.x.a b.c",
                "7: a name with a blank stands in quotes: `$.x['a b'].c`",
            ),
            (
                "$[?@.s in [\"OK\"]]",
                "8: `in` is no operator: compare with `==` and join with `||`",
            ),
            (
                "$[?@.s =~ 'x']",
                "8: `=~` is written `match(@.name, 'expression')`",
            ),
            ("$[?@.s = 'x']", "8: `=` is written `==`"),
            ("$[?@.a and @.b]", "8: `and` is written `&&`"),
            (
                "$.boot-time",
                "7: a name with other characters than letters, digits and `_` stands in quotes: \
                 `$['boot-time']`",
            ),
            (
                "$[?@.a-b > 1].c",
                "7: a name with other characters than letters, digits and `_` stands in quotes: \
                 `$[?@['a-b'] > 1].c`",
            ),
            ("$[a]", "3: a name in brackets stands in quotes"),
            ("$['a]", "3: the text does not end"),
            ("$.", "3: "),
            ("$. a", "3: "),
            ("$.[", "3: "),
            ("$.a[?", "6: "),
            ("$[01]", "5: "),
            ("$[-0]", "5: "),
            ("$['a\nb']", "5: "),
            ("$['\\x']", "4: "),
        ] {
            assert_eq!(why(path), expected, "{path}");
        }
    }

    #[test]
    fn another_language_is_named_with_what_to_write() {
        for (path, expected) in [
            ("$.jobs[]", "8: `[]` is written `[*]`"),
            (
                "$.jobs.length()",
                "14: a function stands in a filter only: how many there are is said by `count:`, \
                 and what paths cannot say by `transform:` (jq)",
            ),
            (
                "$.jobs[(@.length-1)]",
                "8: a script is not RFC 9535: the last item is `[-1]`, and what paths cannot say \
                 stands in `transform:` (jq)",
            ),
            (
                "$.jobs | length",
                "8: what follows is jq, which stands in `transform:`",
            ),
            (
                "$.site?",
                "7: that nothing may be found is said by `optional: true`",
            ),
            ("$.jobs[*]}", "10: a path stands without braces"),
        ] {
            assert_eq!(why(path), expected, "{path}");
        }
    }

    #[test]
    fn no_text_takes_long() {
        let unknown = why(&format!("$[?{}@", "sin(".repeat(50_000)));
        assert!(unknown.contains("is no function"), "{unknown}");
        for deep in ["in(", "(", "@[?", "!(", "count("] {
            let deep = why(&format!("$[?{}@", deep.repeat(50_000)));
            assert!(deep.contains("at most 8 deep"), "{deep}");
        }
    }
}
