//! JSON as servers really write it: what cannot be read costs itself and not the document.
//!
//! The strict parser comes first, so that a right document pays nothing. Only one that it refuses
//! is repaired and read again.

use std::{borrow::Cow, str::Chars};

use serde_json::Value;

/// How servers write numbers that JSON does not have; each is a missing value.
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

/// Reads a document, and says how much of it was repaired. A byte order mark is passed. In texts,
/// a byte that is not UTF-8, half of a surrogate pair and what is no escape become U+FFFD, and
/// control characters stay. `NaN` and the infinities are `null`. A number that no double holds is
/// its own text, so that it costs what reads it.
///
/// # Errors
/// If it is no JSON all the same.
pub(super) fn read(body: &[u8]) -> Result<(Value, u64), serde_json::Error> {
    let body = without_mark(body);
    let strict = match serde_json::from_slice(body) {
        Ok(document) => return Ok((document, 0)),
        Err(strict) => strict,
    };
    let (repaired, count) = repair(body);
    match count {
        0 => Err(strict),
        _ => serde_json::from_str(&repaired).map(|document| (document, count)),
    }
}

/// Reads a body as text, and says how many places were no UTF-8.
pub(super) fn text(body: &[u8]) -> (Cow<'_, str>, u64) {
    let body = without_mark(body);
    match std::str::from_utf8(body) {
        Ok(text) => (text.into(), 0),
        Err(_) => {
            let broken = body.utf8_chunks().filter(|part| !part.invalid().is_empty());
            (String::from_utf8_lossy(body), broken.count() as u64)
        }
    }
}

fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)
}

/// The document without what the strict parser does not take, and in how many places it was.
fn repair(body: &[u8]) -> (String, u64) {
    let (text, broken) = text(body);
    let mut repair = Repair {
        made: String::with_capacity(text.len()),
        count: broken,
    };
    let mut rest = text.chars();
    while let Some(c) = rest.clone().next() {
        match c {
            '"' => {
                rest.next();
                repair.made.push('"');
                repair.string(&mut rest);
            }
            '-' | '0'..='9' | 'a'..='z' | 'A'..='Z' => repair.token(&mut rest),
            other => {
                rest.next();
                repair.made.push(other);
            }
        }
    }
    (repair.made, repair.count)
}

struct Repair {
    made: String,
    count: u64,
}

impl Repair {
    /// A number or a word.
    fn token(&mut self, rest: &mut Chars<'_>) {
        let text = rest.as_str();
        let is_part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
        let (token, behind) = text.split_at(end);
        *rest = behind.chars();
        if NO_NUMBERS.contains(&token) {
            self.made.push_str("null");
            self.count += 1;
        } else if is_too_large(token) {
            self.made.extend(["\"", token, "\""]);
            self.count += 1;
        } else {
            self.made.push_str(token);
        }
    }

    /// What follows a quote, up to the next one.
    fn string(&mut self, rest: &mut Chars<'_>) {
        while let Some(c) = rest.next() {
            match c {
                '"' => {
                    self.made.push('"');
                    return;
                }
                '\\' => self.escape(rest),
                c if c < ' ' => {
                    self.made.push_str(&format!("\\u{:04x}", u32::from(c)));
                    self.count += 1;
                }
                c => self.made.push(c),
            }
        }
    }

    /// What follows a backslash.
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

    /// What follows `\u`.
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
                        self.made.push_str(&format!("\\u{code:04x}\\u{second:04x}"));
                    }
                    None => self.replace(),
                }
            }
            0xDC00..=0xDFFF => self.replace(),
            code => self.made.push_str(&format!("\\u{code:04x}")),
        }
    }

    fn replace(&mut self) {
        self.made.push(char::REPLACEMENT_CHARACTER);
        self.count += 1;
    }
}

/// Four hexadecimal digits; nothing is passed if there are none.
fn hex(rest: &mut Chars<'_>) -> Option<u32> {
    let digits = rest.as_str().get(..4)?;
    let is_hex = digits.chars().all(|c| c.is_ascii_hexdigit());
    let code = is_hex.then(|| u32::from_str_radix(digits, 16).ok())??;
    *rest = rest.as_str().get(4..)?.chars();
    Some(code)
}

/// Whether a token is a JSON number that no double holds.
fn is_too_large(token: &str) -> bool {
    let starts_like_one = token
        .trim_start_matches('-')
        .starts_with(|c: char| c.is_ascii_digit());
    starts_like_one && token.parse::<f64>().is_ok_and(f64::is_infinite)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_json_has_not_costs_only_itself() {
        for (body, expected, count) in [
            (&b"\xEF\xBB\xBF{\"a\": 1}"[..], json!({"a": 1}), 0),
            (
                b"{\"a\xFFb\": 1, \"c\": 2}",
                json!({"a\u{fffd}b": 1, "c": 2}),
                1,
            ),
            (
                br#"["\ud83d", "\ud83d\ude00", "\ude00", 7]"#,
                json!(["\u{fffd}", "😀", "\u{fffd}", 7]),
                2,
            ),
            (
                br#"["\ud83dx", "\ud83d\u0041", "\ud83"]"#,
                json!(["\u{fffd}x", "\u{fffd}A", "\u{fffd}d83"]),
                3,
            ),
            (
                b"[1e400, -1e400, 1e-400, 1]",
                json!(["1e400", "-1e400", 0.0, 1]),
                2,
            ),
            (
                b"[NaN, Infinity, -Infinity, nan, -inf, 5]",
                json!([null, null, null, null, null, 5]),
                5,
            ),
            (
                b"{\"a\":NaN,\"NaN\":\"NaN, 1e400\",\"b\":[true,false,null]}",
                json!({"a": null, "NaN": "NaN, 1e400", "b": [true, false, null]}),
                1,
            ),
            (
                b"[\"a\tb\", \"\x01\", \"\\x41\\\"\"]",
                json!(["a\tb", "\u{1}", "\u{fffd}x41\""]),
                3,
            ),
        ] {
            assert_eq!(
                read(body).unwrap(),
                (expected, count),
                "{}",
                body.escape_ascii()
            );
        }
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for body in [
            &b""[..],
            b"<html>\xFF</html>",
            b"[1, NaN",
            b"[NaNa]",
            b"[1e400x]",
            b"[1, \xFF 2]",
            b"{\"a\": \"\\",
            b"[\"\\ud83d",
            b"[- 1]",
            b"[1,]",
            b"[1e400.5]",
        ] {
            assert!(read(body).is_err(), "{}", body.escape_ascii());
        }
        // The place is that of the mistake, not of what could be repaired.
        let error = read(b"{\"a\": NaN,\n\"b\": ]}").unwrap_err();
        assert_eq!((error.line(), error.column()), (2, 6));
    }

    #[test]
    fn a_text_that_is_not_utf8_costs_only_its_bytes() {
        assert_eq!(text(b"\xEF\xBB\xBFup 1\n"), ("up 1\n".into(), 0));
        assert_eq!(
            text(b"a\xFF\xFEb\xC3"),
            ("a\u{fffd}\u{fffd}b\u{fffd}".into(), 3)
        );
    }

    #[test]
    fn a_double_is_the_one_that_was_written() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..5000 {
            let written = f64::from_bits(random.u64(..));
            if written.is_finite() {
                let (read, _) = read(format!("[{written:e}]").as_bytes()).unwrap();
                let read = read[0].as_f64().unwrap();
                assert_eq!(read.to_bits(), written.to_bits(), "{written:e}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_right_document_is_not_repaired(text in "\\PC{0,20}", number: f64, integer: i64) {
            let document = json!({ text.clone(): [text, number, integer, null, true] });
            let body = document.to_string();
            prop_assert_eq!(read(body.as_bytes()).unwrap(), (document, 0));
            prop_assert_eq!(repair(body.as_bytes()).1, 0);
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let text = [b"[\"", bytes.as_slice(), b"\"]"].concat();
            drop(read(&bytes));
            drop(read(&text));
        }
    }
}
