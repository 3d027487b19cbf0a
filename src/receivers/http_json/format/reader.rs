//! Parses a body into a document, with a limit on its memory.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use bytes::Bytes;
use serde_json::Value;

use super::{
    budget::{Budget, TIMES_LIMIT},
    csv,
    error::DocumentError,
    json, lines, lossy_json, ndjson,
    prometheus::{self, Fault},
    transform::EndpointTransform,
    xml,
};
use crate::{
    definition::{BodyFormat, Endpoint, Method},
    pipeline::{Body, BodyReader},
};

/// Parses the bodies of one endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    /// `None` where responses have no body (`HEAD`). The document is `null` then.
    format: Option<BodyFormat>,
    /// The families of Prometheus text that rules read. `None` means all.
    families: Option<Arc<BTreeSet<String>>>,
    transform: Option<EndpointTransform>,
    limit_bytes: u64,
}

/// A document.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) value: Value,
    /// Its memory in bytes, for the tests of the budget.
    #[cfg(test)]
    pub(crate) bytes: u64,
    /// The number of repaired places in its text.
    pub(crate) repaired: u64,
}

impl BodyReader for Reader {
    fn document(&self, text: &Bytes) -> Option<Value> {
        self.read(text).ok().map(|decoded| decoded.value)
    }
}

impl Reader {
    /// A reader for bodies of at most `body_limit_bytes`.
    pub(crate) fn new(endpoint: &Endpoint, body_limit_bytes: u64) -> Self {
        Self {
            format: match endpoint.request.method {
                Method::Head => None,
                Method::Get | Method::Post => Some(endpoint.format.clone()),
            },
            families: endpoint.families.clone(),
            transform: EndpointTransform::of(endpoint),
            limit_bytes: body_limit_bytes.saturating_mul(TIMES_LIMIT),
        }
    }

    /// A reader for JSON bodies of at most `body_limit_bytes`.
    #[cfg(test)]
    pub(crate) fn json(body_limit_bytes: u64) -> Self {
        Self {
            format: Some(BodyFormat::Json),
            families: None,
            transform: None,
            limit_bytes: body_limit_bytes * TIMES_LIMIT,
        }
    }

    /// Parses a whole body and applies the transform of the endpoint.
    pub(crate) fn read(&self, body: &[u8]) -> Result<Decoded, DocumentError> {
        self.read_after(body, |_| ()).map(|(decoded, ())| decoded)
    }

    /// The same after a look at the document as it came, before the transform.
    pub(crate) fn read_after<T>(
        &self,
        body: &[u8],
        look: impl FnOnce(&Value) -> T,
    ) -> Result<(Decoded, T), DocumentError> {
        let decoded = self.parse(body)?;
        let seen = look(&decoded.value);
        let Some(transform) = &self.transform else {
            return Ok((decoded, seen));
        };
        let value = transform.here(&decoded.value, self.limit_bytes)?;
        Ok((Decoded { value, ..decoded }, seen))
    }

    /// The transform of the endpoint, if it has one.
    pub(crate) fn transform(&self) -> Option<&EndpointTransform> {
        self.transform.as_ref()
    }

    fn parse(&self, body: &[u8]) -> Result<Decoded, DocumentError> {
        let mut budget = Budget::new(self.limit_bytes);
        let (value, repaired) = match &self.format {
            None => (Value::Null, 0),
            Some(BodyFormat::Json) => json::read(body, &mut budget)?,
            Some(BodyFormat::Ndjson) => ndjson::read(body, &mut budget)?,
            Some(format) => {
                let sent = lossy_json::text(body, &mut budget)?;
                let (value, places) = self.read_text(format, &sent.text, &mut budget)?;
                let places = sent.places + places;
                sent.give_back(&mut budget);
                (value, places)
            }
        };
        Ok(Decoded {
            value,
            #[cfg(test)]
            bytes: budget.taken_bytes(),
            repaired,
        })
    }

    /// A body with this text, which this reader can parse again.
    pub(crate) fn body(self: &Arc<Self>, raw: Bytes, received: SystemTime) -> Body {
        let reader = Arc::clone(self);
        Body::read_by(raw, received, reader)
    }

    fn read_text(
        &self,
        format: &BodyFormat,
        text: &str,
        budget: &mut Budget,
    ) -> Result<(Value, u64), DocumentError> {
        let value = match format {
            BodyFormat::Json | BodyFormat::Ndjson => return json::read(text.as_bytes(), budget),
            BodyFormat::Xml => return xml::parse(text, budget),
            BodyFormat::Csv(csv) => csv::parse(text, csv, budget)?,
            BodyFormat::Text(pattern) => lines::parse(text, pattern.get(), budget)?,
            BodyFormat::Prometheus => {
                let read = prometheus::parse(text, self.families.as_deref(), budget);
                read.map_err(|fault| match fault {
                    Fault::Text(error) => DocumentError::Exposition(error),
                    Fault::TooLarge(error) => error.into(),
                })?
            }
        };
        Ok((value, 0))
    }

    /// Whether an empty body is no document.
    pub(crate) fn needs_text(&self) -> bool {
        self.format.as_ref().is_some_and(BodyFormat::needs_text)
    }

    /// Whether a body may say itself in which charset it is.
    pub(crate) fn is_xml(&self) -> bool {
        self.format == Some(BodyFormat::Xml)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::definition::CsvFormat;

    fn reader(format: BodyFormat, families: Option<&[&str]>, body_limit_bytes: u64) -> Reader {
        let families = families.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        Reader {
            format: Some(format),
            families: families.map(Arc::new),
            transform: None,
            limit_bytes: body_limit_bytes * TIMES_LIMIT,
        }
    }

    fn json_of(text: &str) -> Result<Value, String> {
        let read = reader(BodyFormat::Json, None, 1 << 20).read(text.as_bytes());
        read.map(|decoded| decoded.value)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn json_is_parsed_exactly() {
        let text = r#"{"a": [18446744073709551615, -9223372036854775808, 0.1, "t\n", null, true],
                       "a b": {}, "twice": 1, "twice": 2}"#;
        let expected = json!({
            "a": [u64::MAX, i64::MIN, 0.1, "t\n", null, true], "a b": {}, "twice": 2,
        });
        assert_eq!(json_of(text), Ok(expected));
        for wrong in ["", "{", "[1] 2", "[1,]", "{1: 2}", &"[".repeat(200)] {
            assert_eq!(
                json_of(wrong),
                Err("the body is not JSON".to_owned()),
                "{wrong}"
            );
        }
    }

    fn read(body: &[u8]) -> Result<(Value, u64), DocumentError> {
        let read = reader(BodyFormat::Json, None, 1 << 20).read(body);
        read.map(|decoded| (decoded.value, decoded.repaired))
    }

    #[test]
    fn what_json_does_not_allow_affects_only_itself() {
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
    fn a_body_that_is_not_json_is_refused() {
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
        // The position is that of the mistake, not of a place that could be repaired.
        let error = match read(b"{\"a\": NaN,\n\"b\": ]}").unwrap_err() {
            DocumentError::Json(error) => error,
            other => panic!("{other}"),
        };
        assert_eq!((error.line(), error.column()), (2, 6));
    }

    #[test]
    fn a_double_keeps_its_value() {
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

    /// The maximum memory that it allocates at one time, besides the text.
    fn peak(reader: &Reader, text: &str) -> (u64, Result<Decoded, DocumentError>) {
        let mut read = None;
        let info = allocation_counter::measure(|| read = Some(reader.read(text.as_bytes())));
        (info.bytes_max, read.unwrap())
    }

    #[test]
    fn no_document_needs_more_than_its_budget() {
        const LIMIT: usize = 256 * 1024;
        let fill = |item: &str| {
            let count = LIMIT / (item.len() + 1) - 1;
            vec![item; count].join(",")
        };
        let numbered = |format: fn(usize) -> String| {
            let items = (0..).map(format).scan(0, |sum, item| {
                *sum += item.len() + 1;
                (*sum + 2 < LIMIT).then_some(item)
            });
            items.collect::<Vec<_>>().join(",")
        };
        for text in [
            format!("[{}]", fill(r#"{"":0}"#)),
            format!("[{}]", fill("0")),
            format!("[{}]", fill("[]")),
            format!("[{}]", fill("[0]")),
            format!("[{}]", fill(r#""a""#)),
            format!("[{}]", fill(r#"{"a":{"b":{"c":"d"}}}"#)),
            format!("{{{}}}", numbered(|n| format!("\"{n}\":0"))),
            format!("{{{}}}", numbered(|n| format!("\"{n}\":[0]"))),
            format!(
                "[{}]",
                numbered(|n| format!("{{\"id\":\"node-{n}\",\"n\":{n}}}"))
            ),
        ] {
            let (bytes, read) = peak(&reader(BodyFormat::Json, None, LIMIT as u64), &text);
            let start: String = text.chars().take(30).collect();
            assert!(
                bytes <= LIMIT as u64 * 8,
                "{bytes} of {} bytes: {start}",
                text.len()
            );
            if let Ok(read) = read {
                assert!(
                    bytes <= read.bytes + 4096,
                    "{bytes}, counted {}: {start}",
                    read.bytes
                );
            }
        }
    }

    #[test]
    fn every_format_gives_a_document_of_its_shape() {
        let csv = CsvFormat {
            delimiter: b';',
            comment: None,
            header: true,
        };
        let pattern = r"^(?P<key>\w+): (?P<value>.*)$".parse().unwrap();
        for (format, body, expected, repaired) in [
            (BodyFormat::Ndjson, "\u{feff}1\n2\n", json!([1, 2]), 0),
            (
                BodyFormat::Csv(csv),
                "\u{feff}a;b\n1;2\n",
                json!([{"a": "1", "b": "2"}]),
                0,
            ),
            (
                BodyFormat::Xml,
                "\u{feff}<a b='1'>&c;</a>",
                json!({"a": {"@b": "1", "#text": "&c;"}}),
                1,
            ),
            (
                BodyFormat::Text(pattern),
                "\u{feff}Uptime: 5\r\n\r\nScoreboard\n",
                json!([{"key": "Uptime", "value": "5"}]),
                0,
            ),
        ] {
            let read = reader(format, None, 1 << 20).read(body.as_bytes()).unwrap();
            assert_eq!((read.value, read.repaired), (expected, repaired), "{body}");
            assert!(read.bytes > 0);
        }
        let head = Reader {
            format: None,
            ..Reader::json(10)
        };
        assert!(!head.needs_text() && head.read(b"").unwrap().value.is_null());
    }

    #[test]
    fn prometheus_text_needs_no_more_than_its_budget() {
        const LIMIT: usize = 256 * 1024;
        let text = "a 1\n".repeat(LIMIT / 4);
        let (bytes, read) = peak(&reader(BodyFormat::Prometheus, None, LIMIT as u64), &text);
        assert!(matches!(read, Err(DocumentError::TooLarge(_))));
        assert!(bytes <= LIMIT as u64 * 8, "{bytes}");
        let (bytes, read) = peak(
            &reader(BodyFormat::Prometheus, Some(&["b"]), LIMIT as u64),
            &text,
        );
        assert_eq!(read.unwrap().value, json!({"a": []}), "nobody wants it");
        assert!(bytes < 4096, "{bytes}");
    }

    #[test]
    fn a_repaired_document_needs_no_more_than_its_budget() {
        const LIMIT: usize = 256 * 1024;
        let list = |item: &str| {
            format!(
                "[{}0]",
                format!("{item},").repeat(LIMIT / (item.len() + 1) - 2)
            )
        };
        let texts = [
            list("NaN"),
            list("1e400"),
            list(r#"{"":NaN}"#),
            list("\"\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\""),
            format!("[\"{}\"]", "\u{1}".repeat(LIMIT - 4)),
            format!("[\"{}\"]", r"\x".repeat(LIMIT / 2 - 4)),
        ];
        let broken = [b"[\"".as_slice(), &[0xFF; LIMIT - 4], b"\"]"].concat();
        let bodies = texts.map(String::into_bytes).into_iter().chain([broken]);
        for body in bodies {
            let reader = reader(BodyFormat::Json, None, LIMIT as u64);
            let mut read = None;
            let info = allocation_counter::measure(|| read = Some(reader.read(&body)));
            let start = body[..20].escape_ascii();
            assert!(
                info.bytes_max <= LIMIT as u64 * 8,
                "{}: {start}",
                info.bytes_max
            );
            match read.unwrap() {
                Err(DocumentError::TooLarge(_)) => {}
                Err(other) => panic!("{other}: {start}"),
                Ok(read) => {
                    assert!(read.repaired > 0, "{start}");
                    assert!(read.bytes >= info.bytes_current.unsigned_abs(), "{start}");
                }
            }
        }
    }

    #[test]
    fn a_document_that_is_too_large_is_not_repaired() {
        let text = format!("[NaN,{}0]", r#"{"":0},"#.repeat(1000));
        for body in [text.replace("NaN", "0"), text] {
            let read = reader(BodyFormat::Json, None, 7001).read(body.as_bytes());
            assert!(matches!(read, Err(DocumentError::TooLarge(_))), "{read:?}");
        }
    }

    #[test]
    fn the_error_of_a_large_document_has_its_limit() {
        let text = format!("[{}0]", r#"{"":0},"#.repeat(1000));
        let error = reader(BodyFormat::Json, None, 7001)
            .read(text.as_bytes())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the document would take more than 49007 bytes of memory, which is 7 times `body_limit`: \
             each object takes at least 720"
        );
    }

    proptest! {
        #[test]
        fn any_json_is_read_as_serde_json_does(text in "[\\[\\]{}:,\"a0-9.e\\- ]{0,40}") {
            let expected = serde_json::from_str::<Value>(&text).ok();
            prop_assert_eq!(json_of(&text).ok(), expected);
        }

        #[test]
        fn a_right_document_is_not_repaired(text in "\\PC{0,20}", number: f64, integer: i64) {
            let document = json!({ text.clone(): [text, number, integer, null, true] });
            let body = document.to_string();
            prop_assert_eq!(read(body.as_bytes()).unwrap(), (document, 0));
            let mended = lossy_json::repair(body.as_bytes(), &mut Budget::new(1 << 20));
            prop_assert_eq!(mended.unwrap().places, 0);
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let text = [b"[\"", bytes.as_slice(), b"\"]"].concat();
            drop(read(&bytes));
            drop(read(&text));
        }
    }
}
