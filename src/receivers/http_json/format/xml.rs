//! XML as a document: `{"name": {"@attribute": …, "#text": …, "child": [ … ]}}`.
//!
//! Names stand as they are written, with their prefix. No entity is known but the five of XML
//! itself, so that none can grow.

use quick_xml::{
    XmlVersion,
    escape::resolve_predefined_entity,
    events::{BytesRef, BytesStart, Event},
    reader::Reader,
};
use serde_json::{Map, Value};

use super::{
    budget::{Budget, DocumentTooLarge},
    error::{DocumentError, PlaceError},
};

/// Elements stand at most so deep in one another, as deep as JSON is read.
const DEPTH_MAX: usize = 127;

/// Reads a whole body within `budget`; also says how many references to unknown entities it has,
/// which stay as they are written.
pub(crate) fn parse(text: &str, budget: &mut Budget) -> Result<(Value, u64), DocumentError> {
    let mut tree = Tree {
        text,
        budget,
        open: Vec::new(),
        root: None,
        unknown: 0,
    };
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    loop {
        let event = reader.read_event().map_err(|error| {
            let at = usize::try_from(reader.error_position()).unwrap_or(usize::MAX);
            tree.wrong(at, error.to_string())
        })?;
        let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        match event {
            Event::Start(start) => tree.start(&start, at)?,
            Event::End(_) => tree.end()?,
            Event::Text(text) => tree.text(&text.xml10_content(), at)?,
            Event::CData(text) => tree.text(&text.xml10_content(), at)?,
            Event::GeneralRef(reference) => tree.reference(&reference, at)?,
            Event::Eof => break,
            _ => {}
        }
    }
    tree.finish()
}

/// An element that has not ended.
struct Element {
    name: String,
    members: Map<String, Value>,
    text: String,
}

struct Tree<'t, 'b> {
    text: &'t str,
    budget: &'b mut Budget,
    open: Vec<Element>,
    root: Option<(String, Value)>,
    unknown: u64,
}

impl Tree<'_, '_> {
    fn start(&mut self, start: &BytesStart<'_>, at: usize) -> Result<(), DocumentError> {
        if self.root.is_some() {
            return Err(self.wrong(
                at,
                "a second element stands beside the first one".to_owned(),
            ));
        }
        if self.open.len() == DEPTH_MAX {
            let reason = format!("elements stand at most {DEPTH_MAX} deep in one another");
            return Err(self.wrong(at, reason));
        }
        let name = start.name();
        let name: &str = name.as_ref();
        self.budget.text(name.len())?;
        let mut members = Map::new();
        // Names that stand twice are looked for below: the reader's own check is slow for many.
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| self.wrong(at, error.to_string()))?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map_err(|error| self.wrong(at, error.to_string()))?;
            let key: &str = attribute.key.as_ref();
            self.budget.member(members.len())?;
            self.budget.text(key.len() + 1)?;
            self.budget.text(value.len())?;
            let known = members.insert(format!("@{key}"), value.into_owned().into());
            if known.is_some() {
                let reason = format!("the attribute `{key}` stands twice");
                return Err(self.wrong(at, reason));
            }
        }
        self.open.push(Element {
            name: name.to_owned(),
            members,
            text: String::new(),
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), DocumentError> {
        let Some(mut element) = self.open.pop() else {
            return Ok(());
        };
        let text = element.text.trim();
        if !text.is_empty() {
            self.budget.member(element.members.len())?;
            self.budget.text("#text".len())?;
            self.budget.text(text.len())?;
            let text = Value::from(text);
            element.members.insert("#text".to_owned(), text);
        }
        self.budget.give_back(element.text.capacity() as u64);
        let value = Value::Object(element.members);
        let Some(parent) = self.open.last_mut() else {
            self.root = Some((element.name, value));
            return Ok(());
        };
        match parent.members.get_mut(&element.name) {
            Some(Value::Array(known)) => self.budget.push(known, value)?,
            _ => {
                self.budget.member(parent.members.len())?;
                let mut first = Vec::new();
                self.budget.push(&mut first, value)?;
                parent.members.insert(element.name, Value::Array(first));
            }
        }
        Ok(())
    }

    fn text(&mut self, text: &str, at: usize) -> Result<(), DocumentError> {
        let Some(element) = self.open.last_mut() else {
            return match text.trim_matches(['\u{feff}', ' ', '\t', '\r', '\n']) {
                "" => Ok(()),
                _ => Err(self.wrong(at, "a text stands outside of the document".to_owned())),
            };
        };
        // What is between elements is no text, and stays short.
        if element.text.is_empty() && text.trim().is_empty() {
            return Ok(());
        }
        Ok(push(&mut element.text, text, self.budget)?)
    }

    fn reference(&mut self, reference: &BytesRef<'_>, at: usize) -> Result<(), DocumentError> {
        let name: &str = reference;
        let known = resolve_predefined_entity(name);
        let character = reference
            .resolve_char_ref()
            .map_err(|error| self.wrong(at, error.to_string()))?;
        match (known, character) {
            (Some(text), _) => self.text(text, at),
            (None, Some(character)) => self.text(character.encode_utf8(&mut [0; 4]), at),
            (None, None) => {
                self.unknown += 1;
                self.text("&", at)?;
                self.text(name, at)?;
                self.text(";", at)
            }
        }
    }

    fn finish(self) -> Result<(Value, u64), DocumentError> {
        let end = self.text.len();
        if let Some(open) = self.open.last() {
            let reason = format!("the element `{}` does not end", open.name);
            return Err(self.wrong(end, reason));
        }
        let unknown = self.unknown;
        match self.root {
            Some((name, value)) => {
                self.budget.member(0)?;
                let root = Map::from_iter([(name, value)]);
                Ok((Value::Object(root), unknown))
            }
            None => Err(wrong(self.text, end, "there is no element".to_owned())),
        }
    }

    fn wrong(&self, at: usize, reason: String) -> DocumentError {
        wrong(self.text, at, reason)
    }
}

fn wrong(text: &str, at: usize, reason: String) -> DocumentError {
    let before = text.get(..text.floor_char_boundary(at)).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let in_line = before.get(line_start..).unwrap_or_default();
    DocumentError::Xml(PlaceError {
        line: before.matches('\n').count() + 1,
        column: in_line.chars().count() + 1,
        reason,
    })
}

/// Adds to a text, which doubles its room when it is full; while it moves both are there.
fn push(to: &mut String, text: &str, budget: &mut Budget) -> Result<(), DocumentTooLarge> {
    let (old, needed) = (to.capacity(), to.len() + text.len());
    if needed > old {
        let new = needed.max(old * 2);
        budget.take(new as u64)?;
        to.reserve_exact(new - to.len());
        budget.give_back(old as u64);
    }
    to.push_str(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<(Value, u64), String> {
        parse(text, &mut Budget::new(1 << 20)).map_err(|error| match error {
            DocumentError::Xml(error) => error.to_string(),
            other => other.to_string(),
        })
    }

    #[test]
    fn elements_attributes_and_texts() {
        for (text, expected, unknown) in [
            (
                "\u{feff}<?xml version=\"1.0\"?>\n<!-- made -->\n<!DOCTYPE a>\n\
                 <a x='1&amp;2'>\n <b>5 &lt; 6</b><b y=\"\"/> t<![CDATA[<u>]]>&#33;\n</a>\n",
                json!({"a": {"@x": "1&2", "#text": "t<u>!", "b": [{"#text": "5 < 6"}, {"@y": ""}]}}),
                0,
            ),
            ("<a/>", json!({"a": {}}), 0),
            (
                "<n:a xmlns:n='u'><n:b>&x;y</n:b></n:a>",
                json!({"n:a": {"@xmlns:n": "u", "n:b": [{"#text": "&x;y"}]}}),
                1,
            ),
        ] {
            assert_eq!(read(text), Ok((expected, unknown)), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, expected) in [
            ("", "line 1, column 1: there is no element"),
            (
                "no",
                "line 1, column 3: a text stands outside of the document",
            ),
            ("<a>\n<b></a>", "line 2, column 4: "),
            (
                "<a>\n <b>",
                "line 2, column 5: the element `b` does not end",
            ),
            (
                "<a/><b/>",
                "line 1, column 9: a second element stands beside the first one",
            ),
            (
                "<a b='1' b='2'/>",
                "line 1, column 17: the attribute `b` stands twice",
            ),
            ("<a b=1>", "line 1, column 8: "),
            ("<a>&#xFFFFFF;</a>", "line 1, column 14: "),
            ("<a", "line 1, column 1: "),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
        let deep = read(&"<a>".repeat(50_000)).unwrap_err();
        assert!(deep.contains("at most 127 deep"), "{deep}");
    }

    #[test]
    fn entities_of_a_document_type_do_not_grow() {
        let text = "<!DOCTYPE a [<!ENTITY b 'xxxxxxxx'><!ENTITY c '&b;&b;&b;'>]><a>&c;</a>";
        assert_eq!(read(text), Ok((json!({"a": {"#text": "&c;"}}), 1)));
    }

    #[test]
    fn no_text_takes_more_than_its_budget() {
        const LIMIT: usize = 64 * 1024;
        let filled = |item: &str| format!("<a>{}</a>", item.repeat(LIMIT / item.len() - 7));
        let attributes: String = (0..LIMIT / 12).map(|n| format!(" a{n}='{n}'")).collect();
        for text in [
            filled("<b/>"),
            filled("<b>1</b>"),
            filled("<b c='1'/>"),
            filled("x"),
            filled("&lt;"),
            filled("&nbsp;"),
            format!("<a{attributes}/>"),
        ] {
            let mut budget = Budget::new(LIMIT as u64 * 7);
            let mut read = None;
            let info = allocation_counter::measure(|| read = Some(parse(&text, &mut budget)));
            assert!(
                info.bytes_max <= LIMIT as u64 * 7 + 8192,
                "{} {:?}",
                info.bytes_max,
                text.get(..30)
            );
            match read {
                Some(Ok(_) | Err(DocumentError::TooLarge(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            drop(read(&text));
        }
    }
}
