//! Repairs JSON as servers really write it, so that an invalid value affects only itself.
//!
//! The strict parser comes first, so that a valid document costs nothing extra. Only a document
//! that it refuses is repaired and parsed again.

use std::{borrow::Cow, fmt::Write as _, str::Chars};

use super::budget::{Budget, DocumentTooLarge};

/// Numbers that JSON does not allow, as servers write them. Each is a missing value.
const NO_NUMBERS: [&str; 8] = [
    "NaN",
    "nan",
    "-nan",
    "Infinity",
    "-Infinity",
    "inf",
    "-inf",
    "-NaN",
];

/// A text, and the number of places that differ from the body. Its own memory counts against a
/// budget.
#[derive(Debug)]
pub(crate) struct Mended<'t> {
    pub(crate) text: Cow<'t, str>,
    pub(crate) places: u64,
}

impl Mended<'_> {
    /// Drops the text and returns its memory to the budget.
    pub(crate) fn give_back(self, budget: &mut Budget) {
        if let Cow::Owned(text) = self.text {
            budget.give_back(text.capacity() as u64);
        }
    }
}

/// A body as text, without a byte order mark. A byte that is not UTF-8 becomes U+FFFD.
///
/// # Errors
/// If the text needs more than `budget`.
pub(crate) fn text<'t>(
    body: &'t [u8],
    budget: &mut Budget,
) -> Result<Mended<'t>, DocumentTooLarge> {
    let body = without_mark(body);
    if let Ok(text) = std::str::from_utf8(body) {
        let (text, places) = (text.into(), 0);
        return Ok(Mended { text, places });
    }
    let broken = |part: &std::str::Utf8Chunk<'_>| !part.invalid().is_empty();
    let places = body.utf8_chunks().filter(broken).count();
    let parts = body.utf8_chunks().map(|part| part.valid().len());
    let length = parts.sum::<usize>() + places * char::REPLACEMENT_CHARACTER.len_utf8();
    budget.take(length as u64)?;
    let mut text = String::with_capacity(length);
    for part in body.utf8_chunks() {
        text.push_str(part.valid());
        text.extend(broken(&part).then_some(char::REPLACEMENT_CHARACTER));
    }
    Ok(Mended {
        text: text.into(),
        places: places as u64,
    })
}

/// A body without its byte order mark.
pub(crate) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)
}

/// The document without the parts that the strict parser refuses. In texts, a byte that is not UTF-8,
/// half of a surrogate pair and an invalid escape become U+FFFD; control characters stay. `NaN` and
/// the infinities become `null`. A number beyond the range of a double becomes its own text, so that
/// only the values that read it are affected.
///
/// # Errors
/// If the text needs more than `budget`.
pub(crate) fn repair(
    body: &[u8],
    budget: &mut Budget,
) -> Result<Mended<'static>, DocumentTooLarge> {
    let sent = text(body, budget)?;
    let mut repair = Repair {
        made: String::new(),
        count: sent.places,
    };
    repair.make_room(sent.text.len(), budget)?;
    let mut rest = sent.text.chars();
    while let Some(c) = rest.clone().next() {
        repair.make_room(LONGEST_BYTES, budget)?;
        match c {
            '"' => {
                rest.next();
                repair.made.push('"');
                repair.string(&mut rest, budget)?;
            }
            '-' | '0'..='9' | 'a'..='z' | 'A'..='Z' => repair.token(&mut rest, budget)?,
            other => {
                rest.next();
                repair.made.push(other);
            }
        }
    }
    sent.give_back(budget);
    Ok(Mended {
        text: repair.made.into(),
        places: repair.count,
    })
}

/// The maximum number of bytes for one character or escape: `\ud83d\ude00`.
const LONGEST_BYTES: usize = 12;

struct Repair {
    made: String,
    count: u64,
}

impl Repair {
    /// Makes room for more `bytes`. A full text doubles its room, and exists twice while it moves.
    fn make_room(&mut self, bytes: usize, budget: &mut Budget) -> Result<(), DocumentTooLarge> {
        let (old, needed) = (self.made.capacity(), self.made.len() + bytes);
        if needed > old {
            let new = needed.max(old * 2);
            budget.take(new as u64)?;
            self.made.reserve_exact(new - self.made.len());
            budget.give_back(old as u64);
        }
        Ok(())
    }

    /// A number or a word.
    fn token(&mut self, rest: &mut Chars<'_>, budget: &mut Budget) -> Result<(), DocumentTooLarge> {
        let text = rest.as_str();
        let is_part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
        let (token, behind) = text.split_at(end);
        *rest = behind.chars();
        self.make_room(token.len() + LONGEST_BYTES, budget)?;
        if NO_NUMBERS.contains(&token) {
            self.made.push_str("null");
            self.count += 1;
        } else if is_too_large(token) {
            self.made.extend(["\"", token, "\""]);
            self.count += 1;
        } else {
            self.made.push_str(token);
        }
        Ok(())
    }

    /// The characters after a quote, up to the next one.
    fn string(
        &mut self,
        rest: &mut Chars<'_>,
        budget: &mut Budget,
    ) -> Result<(), DocumentTooLarge> {
        while let Some(c) = rest.next() {
            self.make_room(LONGEST_BYTES, budget)?;
            match c {
                '"' => {
                    self.made.push('"');
                    return Ok(());
                }
                '\\' => self.escape(rest),
                c if c < ' ' => {
                    self.push_escape(u32::from(c));
                    self.count += 1;
                }
                c => self.made.push(c),
            }
        }
        Ok(())
    }

    /// The characters after a backslash.
    fn escape(&mut self, rest: &mut Chars<'_>) {
        match rest.clone().next() {
            Some('u') => {
                rest.next();
                self.unicode(rest);
            }
            Some(c) if "\"\\/bfnrt".contains(c) => {
                rest.next();
                self.made.extend(['\\', c]);
            }
            _ => self.replace(),
        }
    }

    /// The characters after `\u`.
    fn unicode(&mut self, rest: &mut Chars<'_>) {
        let Some(code) = hex(rest) else {
            return self.replace();
        };
        match code {
            0xD800..=0xDBFF => {
                let mut low = rest.clone();
                let is_escape = (low.next(), low.next()) == (Some('\\'), Some('u'));
                match hex(&mut low).filter(|low| is_escape && (0xDC00..=0xDFFF).contains(low)) {
                    Some(second) => {
                        *rest = low;
                        self.push_escape(code);
                        self.push_escape(second);
                    }
                    None => self.replace(),
                }
            }
            0xDC00..=0xDFFF => self.replace(),
            code => self.push_escape(code),
        }
    }

    fn push_escape(&mut self, code: u32) {
        // Writing to a text does not fail.
        let _written = write!(self.made, "\\u{code:04x}");
    }

    fn replace(&mut self) {
        self.made.push(char::REPLACEMENT_CHARACTER);
        self.count += 1;
    }
}

/// Four hexadecimal digits. Without them, the position stays.
fn hex(rest: &mut Chars<'_>) -> Option<u32> {
    let digits = rest.as_str().get(..4)?;
    let is_hex = digits.chars().all(|c| c.is_ascii_hexdigit());
    let code = is_hex.then(|| u32::from_str_radix(digits, 16).ok())??;
    *rest = rest.as_str().get(4..)?.chars();
    Some(code)
}

/// Whether a token is a JSON number beyond the range of a double.
fn is_too_large(token: &str) -> bool {
    let starts_like_one = token
        .trim_start_matches('-')
        .starts_with(|c: char| c.is_ascii_digit());
    starts_like_one && token.parse::<f64>().is_ok_and(f64::is_infinite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_not_utf8_costs_only_its_bytes() {
        for (body, expected, places) in [
            (&b"\xEF\xBB\xBFup 1\n"[..], "up 1\n", 0),
            (b"a\xFF\xFEb\xC3", "a\u{fffd}\u{fffd}b\u{fffd}", 3),
        ] {
            let mut budget = Budget::new(100);
            let mended = text(body, &mut budget).unwrap();
            assert_eq!((&*mended.text, mended.places), (expected, places));
            let owned = if places == 0 {
                0
            } else {
                expected.len() as u64
            };
            assert_eq!(budget.taken_bytes(), owned);
            mended.give_back(&mut budget);
            assert_eq!(budget.taken_bytes(), 0);
        }
    }

    #[test]
    fn what_is_repaired_takes_what_it_says() {
        for (item, name) in [
            ("\u{1}", "control characters"),
            ("\\x", "no escapes"),
            ("\",NaN,\"", "no numbers"),
            ("\",1e400,\"", "too large"),
            ("a", "nothing"),
        ] {
            for broken in [&b""[..], b"\xFF"] {
                let body = [b"[\"", item.repeat(9999).as_bytes(), broken, b"\"]"].concat();
                let mut budget = Budget::new(1 << 20);
                let mut mended = None;
                let info = allocation_counter::measure(|| {
                    mended = Some(repair(&body, &mut budget).unwrap());
                });
                let mended = mended.unwrap();
                mended.give_back(&mut budget);
                assert_eq!(budget.taken_bytes(), 0, "{name}");
                let mut tight = Budget::new(info.bytes_max - 1);
                assert!(repair(&body, &mut tight).is_err(), "{name}");
                let mut enough = Budget::new(info.bytes_max);
                assert!(repair(&body, &mut enough).is_ok(), "{name}");
            }
        }
    }
}
