//! The charset of a body: what is not UTF-8 becomes UTF-8, where the answer says what it is.

use bytes::Bytes;
use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8};

/// A label of a charset stands in so many bytes at the beginning of an XML document.
const DECLARATION_BYTES: usize = 200;

/// Its bytes are UTF-8, so nothing is decoded.
const ASCII_LABELS: [&str; 2] = ["us-ascii", "ascii"];

/// What says in which charset a body is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Charset<'a> {
    /// The `Content-Type` of the answer.
    pub(crate) content_type: Option<&'a str>,
    /// Whether the body is XML, which may say it itself.
    pub(crate) is_xml: bool,
}

/// The text would be longer than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

/// A body in UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Utf8Body {
    pub(crate) body: Bytes,
    /// How many characters its charset does not have; they are U+FFFD.
    pub(crate) replaced: u64,
}

impl Charset<'_> {
    /// The body in UTF-8, of so many bytes at most. A byte order mark says more than a header. A
    /// body whose charset is unknown is left as it is.
    pub(crate) fn to_utf8(self, body: Bytes, limit_bytes: u64) -> Result<Utf8Body, TooLong> {
        let marked = Encoding::for_bom(&body);
        let encoding = match marked {
            Some((encoding, _)) => Some(encoding),
            None => self.declared(&body),
        };
        let Some(encoding) = encoding.filter(|encoding| *encoding != UTF_8) else {
            return Ok(Utf8Body { body, replaced: 0 });
        };
        let mark = marked.map_or(0, |(_, bytes)| bytes);
        let text = body.get(mark..).unwrap_or_default();
        decode(
            encoding.new_decoder_without_bom_handling(),
            text,
            limit_bytes,
        )
    }

    fn declared(self, body: &[u8]) -> Option<&'static Encoding> {
        let label = self.content_type.and_then(parameter);
        let label = label.or_else(|| self.is_xml.then(|| declaration(body)).flatten())?;
        let is_ascii = ASCII_LABELS
            .iter()
            .any(|ascii| label.eq_ignore_ascii_case(ascii));
        match is_ascii {
            true => None,
            false => Encoding::for_label(label.as_bytes()),
        }
    }
}

/// The parameter `charset` of a content type.
fn parameter(content_type: &str) -> Option<&str> {
    let mut parameters = content_type.split(';').skip(1);
    parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_it = name.trim().eq_ignore_ascii_case("charset");
        is_it.then(|| value.trim().trim_matches('"'))
    })
}

/// What an XML declaration says: `<?xml version="1.0" encoding="ISO-8859-1"?>`.
fn declaration(body: &[u8]) -> Option<&str> {
    let start = body.get(..DECLARATION_BYTES).unwrap_or(body);
    let end = start.windows(2).position(|pair| pair == b"?>")?;
    let declaration = std::str::from_utf8(start.get(..end)?).ok()?;
    let declaration = declaration.trim_start().strip_prefix("<?xml")?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| ['"', '\''].contains(c))?;
    value.split(quote).nth(1)
}

fn decode(mut decoder: Decoder, mut text: &[u8], limit_bytes: u64) -> Result<Utf8Body, TooLong> {
    let limit = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
    let (mut made, mut has_errors) = (String::new(), false);
    // Most texts need no more than their length, which is then all that is allocated.
    made.reserve_exact(text.len().min(limit));
    loop {
        let (result, read, had_errors) = decoder.decode_to_string(text, &mut made, true);
        has_errors |= had_errors;
        text = text.get(read..).unwrap_or_default();
        if made.len() > limit {
            return Err(TooLong);
        }
        match result {
            CoderResult::InputEmpty => break,
            CoderResult::OutputFull => {
                let more = decoder.max_utf8_buffer_length(text.len()).ok_or(TooLong)?;
                // A little more than is allowed, to see that it is too long.
                let room = limit.saturating_sub(made.len()).saturating_add(16);
                made.reserve_exact(more.min(room));
            }
        }
    }
    let replaced = match has_errors {
        true => made.matches(char::REPLACEMENT_CHARACTER).count() as u64,
        false => 0,
    };
    made.shrink_to_fit();
    Ok(Utf8Body {
        body: made.into(),
        replaced,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8], content_type: Option<&str>, is_xml: bool) -> (String, u64) {
        let charset = Charset {
            content_type,
            is_xml,
        };
        let read = charset.to_utf8(Bytes::copy_from_slice(body), 1000).unwrap();
        (
            String::from_utf8_lossy(&read.body).into_owned(),
            read.replaced,
        )
    }

    #[test]
    fn what_is_not_utf8_is_decoded_where_something_says_what_it_is() {
        let latin = b"{\"a\": \"\xE9\"}";
        for (body, content_type, is_xml, expected, replaced) in [
            (
                &latin[..],
                Some("application/json; charset=ISO-8859-1"),
                false,
                "{\"a\": \"é\"}",
                0,
            ),
            (
                &latin[..],
                Some("text/plain;x=y; Charset=\"latin1\""),
                false,
                "{\"a\": \"é\"}",
                0,
            ),
            (
                b"\xFF\xFE{\x00}\x00",
                Some("application/json"),
                false,
                "{}",
                0,
            ),
            (b"\xFE\xFF\x00{\x00}", None, false, "{}", 0),
            (b"\x00{\x00}", Some("a/b; charset=utf-16be"), false, "{}", 0),
            // Half of a surrogate pair.
            (b"\xFF\xFE\x3D\xD8a\x00", Some("a/b"), false, "\u{fffd}a", 1),
            (
                b"<?xml version='1.0' encoding='iso-8859-15'?><a>\xA4</a>",
                Some("text/xml"),
                true,
                "<?xml version='1.0' encoding='iso-8859-15'?><a>€</a>",
                0,
            ),
        ] {
            assert_eq!(
                read(body, content_type, is_xml),
                (expected.to_owned(), replaced),
                "{expected}"
            );
        }
    }

    #[test]
    fn what_is_utf8_or_unknown_is_left_as_it_is() {
        let body = Bytes::from_static("\u{feff}{\"a\": \"é\"}".as_bytes());
        for content_type in [
            None,
            Some("application/json"),
            Some("application/json; charset=utf-8"),
            Some("application/json; charset=us-ascii"),
            Some("application/json; charset=klingon"),
            // The mark says more.
            Some("application/json; charset=utf-16"),
        ] {
            let charset = Charset {
                content_type,
                is_xml: false,
            };
            let read = charset.to_utf8(body.clone(), 5).unwrap();
            assert_eq!((read.body.as_ptr(), read.replaced), (body.as_ptr(), 0));
        }
    }

    #[test]
    fn no_text_is_longer_than_allowed() {
        let charset = Charset {
            content_type: Some("a/b; charset=latin1"),
            is_xml: false,
        };
        let body = || Bytes::from(vec![0xE9; 1000]);
        assert_eq!(charset.to_utf8(body(), 1999), Err(TooLong));
        let whole = charset.to_utf8(body(), 2000).unwrap();
        assert_eq!(whole.body.len(), 2000);
        let mut read = None;
        let info = allocation_counter::measure(|| read = Some(charset.to_utf8(body(), 1100)));
        assert_eq!(read, Some(Err(TooLong)));
        assert!(info.bytes_max < 1000 + 1000 + 1200 + 200, "{info:?}");
    }
}
